/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cursor.h"

static void integers_are_little_endian(void **state)
{
	static const uint8_t bytes[] = {1, 2,  3,  4,  5,  6,  7, 8,
	                                9, 10, 11, 12, 13, 14, 15};
	struct cursor cursor = cursor_init(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(cursor_u8(&cursor), 1);
	assert_int_equal(cursor_u16(&cursor), 0x0302);
	assert_int_equal(cursor_u32(&cursor), 0x07060504);
	assert_true(cursor_u64(&cursor) == UINT64_C(0x0f0e0d0c0b0a0908));
	assert_int_equal(cursor_left(&cursor), 0);
	assert_false(cursor.failed);
}

static void first_failure_stays_and_reads_give_zero(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct cursor cursor = cursor_init(bytes, sizeof(bytes));

	(void)state;
	cursor_u8(&cursor);
	assert_int_equal(cursor_u32(&cursor), 0);
	assert_true(cursor.failed);
	assert_int_equal(cursor.failed_off, 1);
	/* A byte is left, but nothing is read any more. */
	assert_int_equal(cursor_u8(&cursor), 0);
	cursor_seek(&cursor, 0);
	assert_int_equal(cursor_u8(&cursor), 0);
	assert_null(cursor_bytes(&cursor, 0));
	assert_null(cursor_string(&cursor));
	assert_int_equal(cursor_left(&cursor), 0);
	assert_int_equal(cursor.failed_off, 1);
}

static uint64_t uleb(const char *bytes, size_t size, bool *failed_ret)
{
	struct cursor cursor = cursor_init(bytes, size);
	uint64_t value = cursor_uleb128(&cursor);

	*failed_ret = cursor.failed || cursor_left(&cursor);
	return value;
}

static void uleb128_reads_what_dwarf_gives_as_examples(void **state)
{
	bool failed;

	(void)state;
	assert_true(uleb("\x02", 1, &failed) == 2 && !failed);
	assert_true(uleb("\x7f", 1, &failed) == 127 && !failed);
	assert_true(uleb("\x80\x01", 2, &failed) == 128 && !failed);
	assert_true(uleb("\xb9\x64", 2, &failed) == 12857 && !failed);
	assert_true(uleb("\x81\x80\x00", 3, &failed) == 1 && !failed);
	assert_true(uleb("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10,
	                 &failed) == UINT64_MAX &&
	            !failed);
	assert_true(uleb("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12,
	                 &failed) == 0 &&
	            !failed);
}

static void uleb128_refuses_more_than_64_bits_and_no_end(void **state)
{
	bool failed;

	(void)state;
	assert_int_equal(
		uleb("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &failed),
		0);
	assert_true(failed);
	uleb("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, &failed);
	assert_true(failed);
	uleb("\x80\x80", 2, &failed);
	assert_true(failed);
	uleb("", 0, &failed);
	assert_true(failed);
}

static int64_t sleb(const char *bytes, size_t size, bool *failed_ret)
{
	struct cursor cursor = cursor_init(bytes, size);
	int64_t value = cursor_sleb128(&cursor);

	*failed_ret = cursor.failed || cursor_left(&cursor);
	return value;
}

static void sleb128_reads_what_dwarf_gives_as_examples(void **state)
{
	bool failed;

	(void)state;
	assert_true(sleb("\x02", 1, &failed) == 2 && !failed);
	assert_true(sleb("\x7e", 1, &failed) == -2 && !failed);
	assert_true(sleb("\xff\x00", 2, &failed) == 127 && !failed);
	assert_true(sleb("\x81\x7f", 2, &failed) == -127 && !failed);
	assert_true(sleb("\x80\x01", 2, &failed) == 128 && !failed);
	assert_true(sleb("\x80\x7f", 2, &failed) == -128 && !failed);
	assert_true(sleb("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 10,
	                 &failed) == INT64_MIN &&
	            !failed);
	assert_true(sleb("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 10,
	                 &failed) == INT64_MAX &&
	            !failed);
	assert_true(sleb("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11,
	                 &failed) == -1 &&
	            !failed);
}

static void sleb128_refuses_more_than_64_bits(void **state)
{
	bool failed;

	(void)state;
	sleb("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, &failed);
	assert_true(failed);
	sleb("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 11, &failed);
	assert_true(failed);
}

static void strings_end_inside_the_bytes(void **state)
{
	static const char bytes[] = {'a', 'b', 0, 0, 'c'};
	struct cursor cursor = cursor_init(bytes, sizeof(bytes));

	(void)state;
	assert_string_equal(cursor_string(&cursor), "ab");
	assert_string_equal(cursor_string(&cursor), "");
	assert_null(cursor_string(&cursor));
	assert_true(cursor.failed);
	assert_int_equal(cursor.failed_off, 4);
}

static void seeking_to_the_end_is_allowed_and_beyond_is_not(void **state)
{
	struct cursor cursor = cursor_init("abc", 3);

	(void)state;
	cursor_seek(&cursor, 3);
	assert_false(cursor.failed);
	assert_non_null(cursor_bytes(&cursor, 0));
	cursor_seek(&cursor, 4);
	assert_true(cursor.failed);
}

static void sizes_near_the_maximum_do_not_wrap(void **state)
{
	struct cursor cursor = cursor_init("abc", 3);

	(void)state;
	cursor_u8(&cursor);
	assert_null(cursor_bytes(&cursor, SIZE_MAX));
	assert_true(range_fits(0, UINT64_MAX, UINT64_MAX));
	assert_true(range_fits(5, 0, 5));
	assert_false(range_fits(6, 0, 5));
	assert_false(range_fits(1, UINT64_MAX, UINT64_MAX));
	assert_false(range_fits(UINT64_MAX, 2, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(first_failure_stays_and_reads_give_zero),
		cmocka_unit_test(uleb128_reads_what_dwarf_gives_as_examples),
		cmocka_unit_test(uleb128_refuses_more_than_64_bits_and_no_end),
		cmocka_unit_test(sleb128_reads_what_dwarf_gives_as_examples),
		cmocka_unit_test(sleb128_refuses_more_than_64_bits),
		cmocka_unit_test(strings_end_inside_the_bytes),
		cmocka_unit_test(
			seeking_to_the_end_is_allowed_and_beyond_is_not),
		cmocka_unit_test(sizes_near_the_maximum_do_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
