/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "array.h"

static int compare_numbers(const void *a, const void *b)
{
	const int *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void sorts_an_array(void **state)
{
	int numbers[] = {3, 1, 2};

	(void)state;
	hfx_array_sort(numbers, 3, sizeof(*numbers), compare_numbers);
	assert_int_equal(numbers[0], 1);
	assert_int_equal(numbers[1], 2);
	assert_int_equal(numbers[2], 3);
}

/** Says that it was called: qsort() and bsearch() must not be reached. */
static int fail_to_compare(const void *a, const void *b)
{
	(void)a;
	(void)b;
	fail_msg("compared elements of an empty array");
	return 0;
}

static void sorts_an_empty_array_without_memory(void **state)
{
	(void)state;
	/* The sanitizer's verdict: C11 forbids qsort(NULL, 0, ...). */
	hfx_array_sort(NULL, 0, sizeof(int), fail_to_compare);
}

static void searches_an_array(void **state)
{
	const int numbers[] = {1, 3, 5}, present = 3, absent = 4;

	(void)state;
	assert_ptr_equal(hfx_array_search(&present, numbers, 3,
	                                  sizeof(*numbers), compare_numbers),
	                 &numbers[1]);
	assert_null(hfx_array_search(&absent, numbers, 3, sizeof(*numbers),
	                             compare_numbers));
}

static void finds_nothing_in_an_empty_array_without_memory(void **state)
{
	const int wanted = 1;

	(void)state;
	assert_null(hfx_array_search(&wanted, NULL, 0, sizeof(int),
	                             fail_to_compare));
}

static void finds_the_bounds_of_what_is_equal(void **state)
{
	const int numbers[] = {1, 3, 3, 3, 5};
	static const struct {
		int key;
		size_t lower, upper;
	} cases[] = {{0, 0, 0}, {1, 0, 1}, {2, 1, 1},
	             {3, 1, 4}, {5, 4, 5}, {6, 5, 5}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(hfx_array_lower_bound(&cases[i].key, numbers,
		                                       5, sizeof(*numbers),
		                                       compare_numbers),
		                 cases[i].lower);
		assert_int_equal(hfx_array_upper_bound(&cases[i].key, numbers,
		                                       5, sizeof(*numbers),
		                                       compare_numbers),
		                 cases[i].upper);
	}
}

static void finds_bounds_in_an_empty_array_without_memory(void **state)
{
	const int wanted = 1;

	(void)state;
	assert_int_equal(hfx_array_lower_bound(&wanted, NULL, 0, sizeof(int),
	                                       fail_to_compare),
	                 0);
	assert_int_equal(hfx_array_upper_bound(&wanted, NULL, 0, sizeof(int),
	                                       fail_to_compare),
	                 0);
}

static void grows_an_array_and_keeps_its_elements(void **state)
{
	struct {
		int *items;
		size_t num_items, cap_items;
	} list = {0};

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_true(HFX_ARRAY_PUSH(&list, items, i));
	for (int i = 0; i < 100; i++)
		assert_int_equal(list.items[i], i);
	free(list.items);
}

static void refuses_a_size_that_overflows(void **state)
{
	size_t capacity = 0;
	int *items = NULL;

	(void)state;
	assert_false(hfx_array_reserve(&items, 0, &capacity, SIZE_MAX / 2));
	assert_null(items);
	assert_int_equal(capacity, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorts_an_array),
		cmocka_unit_test(sorts_an_empty_array_without_memory),
		cmocka_unit_test(searches_an_array),
		cmocka_unit_test(
			finds_nothing_in_an_empty_array_without_memory),
		cmocka_unit_test(finds_the_bounds_of_what_is_equal),
		cmocka_unit_test(finds_bounds_in_an_empty_array_without_memory),
		cmocka_unit_test(grows_an_array_and_keeps_its_elements),
		cmocka_unit_test(refuses_a_size_that_overflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
