/* SPDX-License-Identifier: MIT */
/* Many places in few pages of code: they are read and written together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "commit.h"
#include "ptrace_child.h"

#define AREA_SIZE (4 * 4096)
#define SITE      5
/** Distance of places: one of them crosses into the second page. */
#define STRIDE    31
#define NUM_SITES (AREA_SIZE / STRIDE)

/* Code that nobody runs. */
extern const uint8_t area[AREA_SIZE];
__asm__(".text\n"
        ".balign 4096\n"
        "area:\n"
        "	.fill 16384, 1, 0x90\n");

static void fill_plan(struct commit_write writes[NUM_SITES], const char *before,
                      const char *after)
{
	for (size_t i = 0; i < NUM_SITES; i++) {
		writes[i] = (struct commit_write){
			.live_addr = (uint64_t)(uintptr_t)area + i * STRIDE,
			.size = SITE,
			.is_code = 1,
		};
		memcpy(writes[i].before, before, SITE);
		memcpy(writes[i].after, after, SITE);
	}
}

/** Exchange some, so that not all are in ascending order. */
static void shuffle(struct commit_write writes[NUM_SITES])
{
	for (size_t i = 0; i + 7 < NUM_SITES; i += 11) {
		struct commit_write write = writes[i];

		writes[i] = writes[i + 7];
		writes[i + 7] = write;
	}
}

static void assert_area(pid_t pid, const char *site)
{
	static uint8_t found[AREA_SIZE], expected[AREA_SIZE];
	struct iovec local = {found, sizeof(found)};
	struct iovec remote = {(void *)(uintptr_t)area, AREA_SIZE};

	memset(expected, 0x90, sizeof(expected));
	for (size_t i = 0; i < NUM_SITES; i++)
		memcpy(expected + i * STRIDE, site, SITE);
	assert_int_equal(process_vm_readv(pid, &local, 1, &remote, 1, 0),
	                 AREA_SIZE);
	assert_memory_equal(found, expected, AREA_SIZE);
}

static void places_of_a_page_change_and_bytes_between_do_not(void **state)
{
	static struct commit_write writes[NUM_SITES];
	struct commit_plan plan = {.writes = writes,
	                           .num_writes = NUM_SITES,
	                           .timeout_ms = 10000,
	                           .max_pause_us = 500000};
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, child_wait);
	struct commit_result result;

	(void)state;
	fill_plan(writes, "\x90\x90\x90\x90\x90", "\xe9\x01\x02\x03\x04");
	assert_no_error(commit_execute(pid, &plan, &result));
	assert_area(pid, "\xe9\x01\x02\x03\x04");
	fill_plan(writes, "\xe9\x01\x02\x03\x04", "\xe9\x05\x06\x07\x08");
	shuffle(writes);
	assert_no_error(commit_execute(pid, &plan, &result));
	assert_area(pid, "\xe9\x05\x06\x07\x08");
	assert_true(child_end(shared, pid));
}

static void one_wrong_place_of_many_leaves_all_as_they_were(void **state)
{
	static struct commit_write writes[NUM_SITES];
	struct commit_plan plan = {.writes = writes,
	                           .num_writes = NUM_SITES,
	                           .timeout_ms = 10000,
	                           .max_pause_us = 500000};
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, child_wait);
	struct commit_result result;

	(void)state;
	fill_plan(writes, "\x90\x90\x90\x90\x90", "\xe9\x01\x02\x03\x04");
	writes[NUM_SITES - 2].before[SITE - 1] = 0x91;
	assert_error(commit_execute(pid, &plan, &result),
	             HFX_ERROR_CODE_MISMATCH);
	assert_area(pid, "\x90\x90\x90\x90\x90");
	assert_true(child_end(shared, pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			places_of_a_page_change_and_bytes_between_do_not),
		cmocka_unit_test(
			one_wrong_place_of_many_leaves_all_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
