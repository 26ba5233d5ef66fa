/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image.h"
#include "place.h"

#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

/** A usual PIE: program, heap, libraries, stack. */
static const char pie[] =
	"555555554000-555555560000 r-xp 00000000 08:01 1 /bin/p\n"
	"555555580000-5555555a0000 rw-p 00000000 00:00 0 [heap]\n"
	"7ffff7c00000-7ffff7f00000 r-xp 00000000 08:01 2 /lib/libc.so\n"
	"7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";

static struct maps parse(const char *text)
{
	struct maps maps;
	struct hfx_error *err = maps_parse(text, strlen(text), &maps);

	assert_null(err);
	return maps;
}

static struct place_request request_for(uint64_t start, uint64_t end,
                                        uint64_t size)
{
	return (struct place_request){
		.near_start_addr = start,
		.near_end_addr = end,
		.size = size,
		.min_addr = 0x10000,
		.stack_room = 9 * MIB,
	};
}

/** What every place must hold to. */
static void assert_fits(const struct maps *maps,
                        const struct place_request *request, uint64_t addr)
{
	uint64_t end = addr + request->size;

	assert_int_equal(addr % PAGE_BYTES, 0);
	assert_true(addr >= request->min_addr && addr >= PLACE_LOWEST_ADDR);
	assert_true(end <= PLACE_END_ADDR);
	/* From the region's first byte to the module's last, and back. */
	assert_true(addr > request->near_end_addr ||
	            request->near_end_addr - addr < IMAGE_REACH);
	assert_true(end < request->near_start_addr ||
	            end - request->near_start_addr < IMAGE_REACH);
	for (size_t i = 0; i < maps->num_mappings; i++)
		assert_true(end <= maps->mappings[i].start_addr ||
		            addr >= maps->mappings[i].end_addr);
}

static uint64_t find(const char *text, const struct place_request *request)
{
	struct maps maps = parse(text);
	uint64_t addr = 0;

	if (place_find(&maps, request, &addr))
		assert_fits(&maps, request, addr);
	else
		addr = 0;
	maps_deinit(&maps);
	return addr;
}

static void just_below_the_module_is_best(void **state)
{
	struct place_request request =
		request_for(0x555555554000, 0x555555560000, 0x5000);
	uint64_t addr = find(pie, &request);

	(void)state;
	assert_true(addr && addr < 0x555555554000);
	assert_true(0x555555554000 - (addr + 0x5000) <= PAGE_BYTES);
}

static void a_library_finds_room_below_it_too(void **state)
{
	struct place_request request =
		request_for(0x7ffff7c00000, 0x7ffff7f00000, 4 * MIB);
	uint64_t addr = find(pie, &request);

	(void)state;
	assert_true(addr && addr < 0x7ffff7c00000);
}

static void room_is_left_below_the_stack(void **state)
{
	static const char text[] =
		"7fff00000000-7ffff7f00000 r-xp 00000000 08:01 2 /lib/l.so\n"
		"7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";
	struct place_request request =
		request_for(0x7fffe0000000, 0x7ffff7f00000, 4 * MIB);
	uint64_t addr = find(text, &request);

	(void)state;
	assert_true(addr);
	assert_true(addr + request.size <= 0x7ffffffde000 - 9 * MIB);
	/* The gap is 128.9 MiB: with all but 4 MiB of it for the stack... */
	request.stack_room = 125 * MIB;
	assert_int_equal(find(text, &request), 0);
}

static void the_heap_keeps_a_gibibyte_unless_nothing_else_is_free(void **state)
{
	static const char text[] =
		"10000-600000 r-xp 00000000 08:01 1 /bin/p\n"
		"700000-720000 rw-p 00000000 00:00 0 [heap]\n";
	static const char full[] =
		"10000-600000 r-xp 00000000 08:01 1 /bin/p\n"
		"700000-720000 rw-p 00000000 00:00 0 [heap]\n"
		"30000000-7fffffffe000 r--p 00000000 08:01 3 /all\n";
	struct place_request request = request_for(0x10000, 0x600000, 2 * MIB);

	(void)state;
	assert_true(find(text, &request) >= 0x720000 + GIB);
	assert_int_equal(find(full, &request), 0x720000);
}

static void nothing_is_placed_below_the_lowest_address(void **state)
{
	static const char text[] =
		"400000-600000 r-xp 00000000 08:01 1 /bin/p\n"
		"600000-7fffffffe000 r--p 00000000 08:01 3 /all\n";
	struct place_request request = request_for(0x400000, 0x600000, MIB);

	(void)state;
	assert_true(find(text, &request));
	request.min_addr = 0x380000;
	assert_int_equal(find(text, &request), 0);
	request.min_addr = 0;
	request.size = 0x400000 - 0x10000 - PAGE_BYTES;
	assert_int_equal(find(text, &request), 0x10000);
	request.size += PAGE_BYTES;
	assert_int_equal(find(text, &request), 0);
}

static void what_is_out_of_reach_is_not_taken(void **state)
{
	static const char text[] =
		"100000000-500000000 r-xp 00000000 08:01 1 /all\n";
	struct place_request request =
		request_for(0x300000000, 0x300100000, MIB);

	(void)state;
	/* 8 GiB of mappings on both sides. */
	assert_int_equal(find(text, &request), 0);
	/* A module as large as the reach has no place beside it. */
	request = request_for(0x100000000, 0x100000000 + IMAGE_REACH, MIB);
	assert_int_equal(find(text, &request), 0);
}

static void the_last_of_the_address_space_is_used_but_not_passed(void **state)
{
	struct place_request request = request_for(
		PLACE_END_ADDR - MIB, PLACE_END_ADDR, IMAGE_REACH / 2);
	char text[128];

	(void)state;
	snprintf(text, sizeof(text), "%llx-%llx r-xp 00000000 08:01 1 /l\n",
	         (unsigned long long)(PLACE_END_ADDR - MIB),
	         (unsigned long long)PLACE_END_ADDR);
	assert_true(find(text, &request));
}

static void random_maps_never_give_a_bad_place(void **state)
{
	unsigned int seed = 1;
	int num_found = 0;

	(void)state;
	for (int round = 0; round < 300; round++) {
		char text[8192];
		size_t used = 0;
		uint64_t at = 0x10000, module = 0;
		struct place_request request;

		for (int i = 0; i < 40; i++) {
			uint64_t end;

			at += ((uint64_t)rand_r(&seed) % 0x8000) << 12;
			end = at +
			      (((uint64_t)rand_r(&seed) % 0x8000 + 1) << 12);
			used += (size_t)snprintf(
				text + used, sizeof(text) - used,
				"%llx-%llx r-xp 00000000 08:01 1 %s\n",
				(unsigned long long)at, (unsigned long long)end,
				i % 5 == 1 ? "[heap]"
				: i == 39  ? "[stack]"
					   : "/x");
			if (i == 20)
				module = at;
			at = end;
		}
		request = request_for(module, module + PAGE_BYTES,
		                      ((uint64_t)rand_r(&seed) % 0x8000 + 1)
		                              << 12);
		num_found += find(text, &request) != 0;
	}
	assert_true(num_found > 100);
}

static void a_limit_keeps_the_region_low(void **state)
{
	static const char fixed[] = "00400000-00500000 r-xp 0 0:0 1 /p\n";
	struct place_request request =
		request_for(0x400000, 0x500000, 64 * MIB);
	uint64_t addr;

	(void)state;
	request.max_end_addr = UINT64_C(1) << 31;
	addr = find(fixed, &request);
	assert_true(addr && addr + request.size <= request.max_end_addr);
	request.size = UINT64_C(1) << 31;
	assert_int_equal(find(fixed, &request), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(just_below_the_module_is_best),
		cmocka_unit_test(a_library_finds_room_below_it_too),
		cmocka_unit_test(room_is_left_below_the_stack),
		cmocka_unit_test(
			the_heap_keeps_a_gibibyte_unless_nothing_else_is_free),
		cmocka_unit_test(nothing_is_placed_below_the_lowest_address),
		cmocka_unit_test(what_is_out_of_reach_is_not_taken),
		cmocka_unit_test(
			the_last_of_the_address_space_is_used_but_not_passed),
		cmocka_unit_test(a_limit_keeps_the_region_low),
		cmocka_unit_test(random_maps_never_give_a_bad_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
