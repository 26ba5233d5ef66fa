/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"

static struct guard_set make_set(const struct guard *guards, size_t count)
{
	struct guard_set set;

	assert_null(guard_set_init(guards, count, &set));
	return set;
}

static const struct guard three[] = {
	{0x3000, 0x3010, 3, 0},
	{0x1000, 0x1010, 1, 0},
	{0x2000, 0x2010, 2, 0},
};

static void a_program_counter_is_inside_up_to_the_last_byte(void **state)
{
	struct guard_set set = make_set(three, 3);

	(void)state;
	assert_null(guard_set_find(&set, 0));
	assert_null(guard_set_find(&set, 0xfff));
	assert_int_equal(guard_set_find(&set, 0x1000)->name_off, 1);
	assert_int_equal(guard_set_find(&set, 0x200f)->name_off, 2);
	assert_null(guard_set_find(&set, 0x2010));
	assert_int_equal(guard_set_find(&set, 0x300f)->name_off, 3);
	assert_null(guard_set_find(&set, UINT64_MAX));
	guard_set_deinit(&set);
}

static void a_return_address_is_inside_where_its_call_is(void **state)
{
	struct guard_set set = make_set(three, 3);

	(void)state;
	assert_null(guard_set_find_return(&set, 0));
	assert_null(guard_set_find_return(&set, 0x1000));
	assert_int_equal(guard_set_find_return(&set, 0x1001)->name_off, 1);
	/* The call is the last instruction. */
	assert_int_equal(guard_set_find_return(&set, 0x2010)->name_off, 2);
	assert_null(guard_set_find_return(&set, 0x2011));
	guard_set_deinit(&set);
}

static void words_that_are_either_are_found(void **state)
{
	struct guard_set set = make_set(three, 3);
	uint64_t words[] = {0, 0xfff, 0x1011, 0x3011, UINT64_MAX, 0};
	const uint64_t inside[] = {0x1000, 0x1008, 0x1010, 0x2010, 0x3010};

	(void)state;
	assert_int_equal(guard_set_scan(&set, words, 6), 6);
	assert_int_equal(guard_set_scan(&set, words, 0), 0);
	for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++) {
		words[5] = inside[i];
		assert_int_equal(guard_set_scan(&set, words, 6), 5);
		assert_int_equal(guard_set_scan(&set, words, 5), 5);
	}
	guard_set_deinit(&set);
}

static void ranges_that_overlap_count_as_one(void **state)
{
	const struct guard guards[] = {
		{0x1000, 0x1100, 1, 0},
		{0x1010, 0x1020, 2, 0},
		{0x10f0, 0x1200, 3, 0},
		{0x1200, 0x1210, 4, 0},
	};
	struct guard_set set = make_set(guards, 4);

	(void)state;
	assert_int_equal(set.num_guards, 2);
	assert_int_equal(guard_set_find(&set, 0x1030)->name_off, 1);
	assert_int_equal(guard_set_find(&set, 0x11ff)->name_off, 1);
	assert_int_equal(guard_set_find(&set, 0x1200)->name_off, 4);
	/* The end of one and the start of the next. */
	assert_int_equal(guard_set_find_return(&set, 0x1200)->name_off, 1);
	guard_set_deinit(&set);
}

static void without_guards_nothing_is_inside(void **state)
{
	const uint64_t word = 0x1000;
	struct guard_set set = make_set(NULL, 0);

	(void)state;
	assert_null(guard_set_find(&set, word));
	assert_int_equal(guard_set_scan(&set, &word, 1), 1);
	guard_set_deinit(&set);
}

static void an_empty_range_is_refused(void **state)
{
	const struct guard guard = {0x1000, 0x1000, 0, 0};
	struct guard_set set = {0};
	struct hfx_error *err = guard_set_init(&guard, 1, &set);

	(void)state;
	assert_int_equal(hfx_error_code(err), HFX_ERROR_INVALID_ARGUMENT);
	assert_null(set.guards);
	hfx_error_destroy(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_program_counter_is_inside_up_to_the_last_byte),
		cmocka_unit_test(a_return_address_is_inside_where_its_call_is),
		cmocka_unit_test(words_that_are_either_are_found),
		cmocka_unit_test(ranges_that_overlap_count_as_one),
		cmocka_unit_test(without_guards_nothing_is_inside),
		cmocka_unit_test(an_empty_range_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
