/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "array.h"
#include "cleanup.h"
#include "error.h"

static void success_has_no_code_and_a_message(void **state)
{
	(void)state;
	assert_int_equal(hfx_error_code(NULL), HFX_ERROR_NONE);
	assert_int_equal(hfx_error_errno(NULL), 0);
	assert_non_null(hfx_error_message(NULL));
	assert_false(hfx_error_is_transient(NULL));
	hfx_error_destroy(NULL);
	assert_null(hfx_error_wrap(NULL, "context %d", 1));
}

static void wrapping_puts_context_before_and_keeps_code_and_errno(void **state)
{
	struct hfx_error *err = hfx_error_os(ENOENT, "cannot open %s", "x");

	(void)state;
	assert_string_equal(hfx_error_message(err),
	                    "cannot open x: No such file or directory");
	err = hfx_error_wrap(err, "module %d", 3);
	err = hfx_error_wrap(err, "fix.hfx");
	assert_string_equal(hfx_error_message(err),
	                    "fix.hfx: module 3: cannot open x: "
	                    "No such file or directory");
	assert_int_equal(hfx_error_code(err), HFX_ERROR_OS);
	assert_int_equal(hfx_error_errno(err), ENOENT);
	hfx_error_destroy(err);
}

static void a_message_may_hold_percent_signs(void **state)
{
	struct hfx_error *err;

	(void)state;
	err = hfx_error_create(HFX_ERROR_BAD_BUNDLE, "%s", "100%s %n");
	err = hfx_error_wrap(err, "%s", "5%d");
	assert_string_equal(hfx_error_message(err), "5%d: 100%s %n");
	assert_int_equal(hfx_error_errno(err), 0);
	hfx_error_destroy(err);
}

static void lack_of_memory_is_one_error_that_stays(void **state)
{
	struct hfx_error *err = hfx_error_no_memory();

	(void)state;
	assert_int_equal(hfx_error_code(err), HFX_ERROR_NO_MEMORY);
	hfx_error_destroy(err);
	assert_ptr_equal(hfx_error_wrap(err, "context"), err);
	assert_string_equal(hfx_error_message(err), "out of memory");
	hfx_error_destroy(err);
	assert_ptr_equal(hfx_error_no_memory(), err);
}

static void only_what_passes_by_itself_is_transient(void **state)
{
	static const enum hfx_error_code transient[] = {
		HFX_ERROR_BUSY, HFX_ERROR_NOT_QUIESCENT, HFX_ERROR_STOP};
	static const enum hfx_error_code permanent[] = {
		HFX_ERROR_OS, HFX_ERROR_BUILD_MISMATCH, HFX_ERROR_POISONED,
		HFX_ERROR_PERMISSION};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct hfx_error *err = hfx_error_create(transient[i], "x");

		assert_true(hfx_error_is_transient(err));
		hfx_error_destroy(err);
	}
	for (size_t i = 0; i < 4; i++) {
		struct hfx_error *err = hfx_error_create(permanent[i], "x");

		assert_false(hfx_error_is_transient(err));
		hfx_error_destroy(err);
	}
}

static struct hfx_error *try_twice(struct hfx_error *first, int *reached)
{
	HFX_TRY(NULL);
	*reached = 1;
	HFX_TRY(first);
	*reached = 2;
	return NULL;
}

static void trying_returns_the_first_error(void **state)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
	int reached = 0;

	(void)state;
	err = try_twice(hfx_error_create(HFX_ERROR_OS, "x"), &reached);
	assert_non_null(err);
	assert_int_equal(reached, 1);
	assert_null(try_twice(NULL, &reached));
	assert_int_equal(reached, 2);
}

struct numbers {
	int *items;
	size_t num_items;
	size_t cap_items;
};

static void pushed_elements_stay_in_order(void **state)
{
	struct numbers numbers = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(HFX_ARRAY_PUSH(&numbers, items, i));
	assert_int_equal(numbers.num_items, 1000);
	assert_true(numbers.cap_items >= 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(numbers.items[i], i);
	free(numbers.items);
}

static void an_array_too_large_for_memory_is_left_alone(void **state)
{
	int element = 7, *items = &element;
	size_t capacity = SIZE_MAX / 2;

	(void)state;
	assert_false(hfx_array_reserve(&items, capacity, &capacity,
	                               sizeof(element)));
	assert_ptr_equal(items, &element);
	assert_true(capacity == SIZE_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_has_no_code_and_a_message),
		cmocka_unit_test(
			wrapping_puts_context_before_and_keeps_code_and_errno),
		cmocka_unit_test(a_message_may_hold_percent_signs),
		cmocka_unit_test(lack_of_memory_is_one_error_that_stays),
		cmocka_unit_test(only_what_passes_by_itself_is_transient),
		cmocka_unit_test(trying_returns_the_first_error),
		cmocka_unit_test(pushed_elements_stay_in_order),
		cmocka_unit_test(an_array_too_large_for_memory_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
