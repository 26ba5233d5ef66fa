/* SPDX-License-Identifier: MIT */
/* The functions of hfx_patch.h, in a program that was built with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hfx_patch.h"

#define ID    UINT64_C(0x1234)
#define OTHER UINT64_C(0x1235)

#define NUM_THREADS 4
#define NUM_OBJECTS 2000

static char objects[NUM_OBJECTS];

static void data_is_found_until_it_is_detached(void **state)
{
	int seven = 7, *data;

	(void)state;
	assert_null(hfx_shadow_get(objects, ID));
	assert_int_equal(hfx_shadow_detach(objects, ID), 0);
	data = hfx_shadow_attach(objects, ID, sizeof(*data), &seven);
	assert_non_null(data);
	assert_int_equal(*data, 7);
	assert_ptr_equal(hfx_shadow_get(objects, ID), data);
	assert_int_equal(hfx_shadow_detach(objects, ID), 1);
	assert_null(hfx_shadow_get(objects, ID));
	assert_int_equal(hfx_shadow_detach(objects, ID), 0);
}

static void data_is_of_one_object_and_one_id(void **state)
{
	(void)state;
	assert_non_null(hfx_shadow_attach(objects, ID, 1, NULL));
	assert_null(hfx_shadow_get(objects + 1, ID));
	assert_null(hfx_shadow_get(objects, OTHER));
	assert_int_equal(hfx_shadow_detach(objects, OTHER), 0);
	assert_int_equal(hfx_shadow_detach(objects, ID), 1);
}

static void data_begins_with_zeros_and_is_aligned(void **state)
{
	static const char zeros[100];

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		void *data = hfx_shadow_attach(objects + i, ID, 100, NULL);

		assert_non_null(data);
		assert_int_equal((uintptr_t)data % _Alignof(max_align_t), 0);
		assert_memory_equal(data, zeros, sizeof(zeros));
	}
	assert_int_equal(hfx_shadow_detach_all(ID, NULL), 100);
}

static void nothing_is_attached_twice(void **state)
{
	int one = 1, two = 2, *data;

	(void)state;
	data = hfx_shadow_get_or_attach(objects, ID, sizeof(one), &one);
	assert_int_equal(*data, 1);
	errno = 0;
	assert_null(hfx_shadow_attach(objects, ID, sizeof(two), &two));
	assert_int_equal(errno, EEXIST);
	assert_ptr_equal(
		hfx_shadow_get_or_attach(objects, ID, sizeof(two), &two), data);
	assert_int_equal(*data, 1);
	assert_int_equal(hfx_shadow_detach(objects, ID), 1);
}

static void what_does_not_fit_into_memory_is_not_attached(void **state)
{
	(void)state;
	errno = 0;
	assert_null(hfx_shadow_attach(objects, ID, SIZE_MAX, NULL));
	assert_int_equal(errno, ENOMEM);
	assert_null(hfx_shadow_get_or_attach(objects, ID, SIZE_MAX, NULL));
	assert_null(hfx_shadow_get(objects, ID));
}

static void *seen[8];

static void note(void *object, void *data)
{
	assert_int_equal(*(int *)data, (char *)object - objects);
	seen[*(int *)data] = object;
}

static void all_of_an_id_are_detached(void **state)
{
	(void)state;
	assert_non_null(hfx_shadow_attach(objects, OTHER, 1, NULL));
	for (int i = 0; i < 8; i++)
		assert_non_null(
			hfx_shadow_attach(objects + i, ID, sizeof(i), &i));
	assert_int_equal(hfx_shadow_detach_all(ID, note), 8);
	for (int i = 0; i < 8; i++)
		assert_ptr_equal(seen[i], objects + i);
	assert_int_equal(hfx_shadow_detach_all(ID, note), 0);
	assert_int_equal(hfx_shadow_detach(objects, OTHER), 1);
}

/** Errors that a thread saw; it cannot fail a test. */
static size_t num_errors;
static pthread_barrier_t barrier;

static void note_error(void)
{
	__atomic_add_fetch(&num_errors, 1, __ATOMIC_RELAXED);
}

/** All threads attach to all objects; each has some to itself. */
static void *work(void *arg)
{
	uintptr_t mine = (uintptr_t)arg;

	pthread_barrier_wait(&barrier);
	for (uintptr_t i = 0; i < NUM_OBJECTS; i++) {
		uintptr_t *all = hfx_shadow_get_or_attach(objects + i, ID,
		                                          sizeof(*all), &i);

		if (!all || *all != i || hfx_shadow_get(objects + i, ID) != all)
			note_error();
		if (!hfx_shadow_attach(objects + i, OTHER + mine, 1, NULL) ||
		    !hfx_shadow_detach(objects + i, OTHER + mine))
			note_error();
	}
	return NULL;
}

static void threads_share_the_data(void **state)
{
	pthread_t threads[NUM_THREADS];

	(void)state;
	assert_int_equal(pthread_barrier_init(&barrier, NULL, NUM_THREADS), 0);
	for (uintptr_t i = 0; i < NUM_THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (int i = 0; i < NUM_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(num_errors, 0);
	assert_int_equal(hfx_shadow_detach_all(ID, NULL), NUM_OBJECTS);
	for (uint64_t i = 0; i < NUM_THREADS; i++)
		assert_int_equal(hfx_shadow_detach_all(OTHER + i, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_found_until_it_is_detached),
		cmocka_unit_test(data_is_of_one_object_and_one_id),
		cmocka_unit_test(data_begins_with_zeros_and_is_aligned),
		cmocka_unit_test(nothing_is_attached_twice),
		cmocka_unit_test(what_does_not_fit_into_memory_is_not_attached),
		cmocka_unit_test(all_of_an_id_are_detached),
		cmocka_unit_test(threads_share_the_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
