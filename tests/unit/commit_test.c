/* SPDX-License-Identifier: MIT */
/* The plan's way through a descriptor, and the checks before a commit. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "commit_check.h"
#include "commit_wire.h"

#define ASSERT_CODE(expression, code)                                          \
	do {                                                                   \
		struct hfx_error *assert_error_ = (expression);                \
		assert_int_equal(hfx_error_code(assert_error_), (code));       \
		hfx_error_destroy(assert_error_);                              \
	} while (0)

static int open_pair(void **state)
{
	static int fds[2];

	*state = fds;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static int close_pair(void **state)
{
	int *fds = *state;

	close(fds[0]);
	close(fds[1]);
	return 0;
}

static struct commit_write a_write(uint64_t live_addr, uint8_t before,
                                   uint8_t after)
{
	return (struct commit_write){
		.live_addr = live_addr,
		.size = 5,
		.is_code = 1,
		.before = {before},
		.after = {after},
	};
}

/* ---- Wire -----------------------------------------------------------------
 */

static struct commit_write two_writes[2];
static struct guard a_guard = {0x5000, 0x5020, 4, 0};
static struct commit_image an_image = {0x6000, 0x8000, 0x7000};
static char two_names[] = "one\0two";

/** A plan with one of everything. */
static struct commit_plan full_plan(void)
{
	two_writes[0] = a_write(4096, 1, 2);
	two_writes[1] = a_write(8192, 3, 4);
	return (struct commit_plan){
		.writes = two_writes,
		.num_writes = 2,
		.timeout_ms = 1500,
		.max_pause_us = 777,
		.guards = &a_guard,
		.num_guards = 1,
		.names = two_names,
		.names_size = sizeof(two_names),
		.images = &an_image,
		.num_images = 1,
		.waiting_tid = 99,
	};
}

static void a_plan_arrives_as_it_was_sent(void **state)
{
	int *fds = *state;
	struct commit_plan plan = full_plan();
	struct commit_plan got = {.writes = 0};
	pid_t pid = 0;

	ASSERT_CODE(commit_wire_send_plan(fds[0], 4242, &plan), 0);
	ASSERT_CODE(commit_wire_receive_plan(fds[1], &pid, &got), 0);
	assert_int_equal(pid, 4242);
	assert_int_equal(got.num_writes, 2);
	assert_int_equal(got.timeout_ms, 1500);
	assert_int_equal(got.max_pause_us, 777);
	assert_memory_equal(got.writes, two_writes, sizeof(two_writes));
	assert_int_equal(got.num_guards, 1);
	assert_memory_equal(got.guards, &a_guard, sizeof(a_guard));
	assert_int_equal(got.names_size, sizeof(two_names));
	assert_memory_equal(got.names, two_names, sizeof(two_names));
	assert_int_equal(got.num_images, 1);
	assert_memory_equal(got.images, &an_image, sizeof(an_image));
	assert_int_equal(got.waiting_tid, 99);
	commit_plan_deinit(&got);
	assert_null(got.writes);
}

/** Bytes of that plan: a header of 40, then the lists. */
#define FULL_PLAN_SIZE                                                         \
	(40 + sizeof(two_writes) + sizeof(a_guard) + sizeof(two_names) +       \
	 sizeof(an_image))

/** Receive the first @p size bytes of it. */
static struct hfx_error *receive_cut(int *fds, size_t size)
{
	struct commit_plan plan = full_plan();
	struct commit_plan got = {.writes = 0};
	uint8_t bytes[512];
	int cut[2];
	pid_t pid;
	struct hfx_error *err;

	ASSERT_CODE(commit_wire_send_plan(fds[0], 1, &plan), 0);
	assert_int_equal(read(fds[1], bytes, sizeof(bytes)), FULL_PLAN_SIZE);
	assert_int_equal(pipe(cut), 0);
	assert_int_equal(write(cut[1], bytes, size), size);
	close(cut[1]);
	err = commit_wire_receive_plan(cut[0], &pid, &got);
	close(cut[0]);
	assert_null(got.writes);
	return err;
}

static void a_plan_that_is_cut_short_anywhere_is_refused(void **state)
{
	for (size_t size = 0; size < FULL_PLAN_SIZE; size++)
		ASSERT_CODE(receive_cut(*state, size),
		            HFX_ERROR_INVALID_ARGUMENT);
}

static void other_bytes_are_no_plan(void **state)
{
	int *fds = *state;
	struct commit_plan got = {.writes = 0};
	char noise[64];
	pid_t pid;

	memset(noise, 0x5a, sizeof(noise));
	assert_int_equal(write(fds[0], noise, sizeof(noise)), sizeof(noise));
	ASSERT_CODE(commit_wire_receive_plan(fds[1], &pid, &got),
	            HFX_ERROR_INVALID_ARGUMENT);
	assert_null(got.writes);
}

static void a_plan_beyond_the_limit_is_refused_by_both_ends(void **state)
{
	int *fds = *state;
	uint32_t header[10] = {
		0x70786668, 2, 1, 1, 1, 1, COMMIT_WIRE_MAX_WRITES + 1};
	struct commit_plan plan = {.writes = NULL,
	                           .num_writes = COMMIT_WIRE_MAX_WRITES + 1,
	                           .timeout_ms = 1,
	                           .max_pause_us = 1};
	struct commit_plan got = {.writes = 0};
	pid_t pid;

	ASSERT_CODE(commit_wire_send_plan(fds[0], 1, &plan),
	            HFX_ERROR_INVALID_ARGUMENT);
	assert_int_equal(write(fds[0], header, sizeof(header)), sizeof(header));
	ASSERT_CODE(commit_wire_receive_plan(fds[1], &pid, &got),
	            HFX_ERROR_INVALID_ARGUMENT);
}

static void a_plan_of_another_release_is_refused(void **state)
{
	int *fds = *state;
	uint32_t header[6] = {0x70786668, 1, 1, 1, 1, 0};
	struct commit_plan got = {.writes = 0};
	struct hfx_error *err;
	pid_t pid;

	assert_int_equal(write(fds[0], header, sizeof(header)), sizeof(header));
	err = commit_wire_receive_plan(fds[1], &pid, &got);
	assert_non_null(err);
	assert_non_null(strstr(hfx_error_message(err), "release"));
	hfx_error_destroy(err);
}

static void a_guard_without_a_name_is_not_received(void **state)
{
	int *fds = *state;
	struct commit_plan plan = full_plan();
	struct guard nameless = a_guard;
	struct commit_plan got = {.writes = 0};
	pid_t pid;

	nameless.name_off = sizeof(two_names);
	plan.guards = &nameless;
	ASSERT_CODE(commit_wire_send_plan(fds[0], 1, &plan), 0);
	ASSERT_CODE(commit_wire_receive_plan(fds[1], &pid, &got),
	            HFX_ERROR_INVALID_ARGUMENT);
	/* What it does not ask for stays unread. */
	assert_int_equal(recv(fds[1], &nameless, sizeof(an_image), MSG_WAITALL),
	                 sizeof(an_image));
	plan = full_plan();
	plan.names_size = 6;
	ASSERT_CODE(commit_wire_send_plan(fds[0], 1, &plan), 0);
	ASSERT_CODE(commit_wire_receive_plan(fds[1], &pid, &got),
	            HFX_ERROR_INVALID_ARGUMENT);
}

static void a_write_with_too_many_bytes_is_not_received(void **state)
{
	int *fds = *state;
	struct commit_write write = a_write(4096, 1, 2);
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 1,
	                           .max_pause_us = 1};
	struct commit_plan got = {.writes = 0};
	pid_t pid;

	write.size = SITE_SIZE + 1;
	ASSERT_CODE(commit_wire_send_plan(fds[0], 1, &plan), 0);
	ASSERT_CODE(commit_wire_receive_plan(fds[1], &pid, &got),
	            HFX_ERROR_INVALID_ARGUMENT);
	write.size = 5;
	write.live_addr = UINT64_MAX - 2;
	ASSERT_CODE(commit_wire_send_plan(fds[0], 1, &plan), 0);
	ASSERT_CODE(commit_wire_receive_plan(fds[1], &pid, &got),
	            HFX_ERROR_INVALID_ARGUMENT);
}

static void a_result_arrives_as_it_was_sent(void **state)
{
	int *fds = *state;
	struct commit_result result = {61000, 5, 2, 1, 0};
	struct commit_result got = {0};

	ASSERT_CODE(commit_wire_send_result(fds[1], NULL, &result), 0);
	ASSERT_CODE(commit_wire_receive_result(fds[0], &got), 0);
	assert_int_equal(got.pause_ns, 61000);
	assert_int_equal(got.num_threads, 5);
	assert_int_equal(got.num_tries, 2);
	assert_int_equal(got.num_stepped, 1);
}

/** Send @p err, and check that the same comes out. */
static void check_error(int *fds, struct hfx_error *err)
{
	struct commit_result result = {1, 1, 1, 1, 0};
	struct commit_result got = {0};
	struct hfx_error *out;

	ASSERT_CODE(commit_wire_send_result(fds[1], err, &result), 0);
	out = commit_wire_receive_result(fds[0], &got);
	assert_int_equal(hfx_error_code(out), hfx_error_code(err));
	assert_int_equal(hfx_error_errno(out), hfx_error_errno(err));
	assert_string_equal(hfx_error_message(out), hfx_error_message(err));
	assert_int_equal(got.num_threads, 0);
	hfx_error_destroy(out);
	hfx_error_destroy(err);
}

static void an_error_arrives_with_code_errno_and_message(void **state)
{
	check_error(*state, hfx_error_create(HFX_ERROR_STOP, "thread %d", 7));
	check_error(*state, hfx_error_os(EPERM, "stop 100%%"));
	check_error(*state, hfx_error_wrap(hfx_error_os(EIO, "a"), "b"));
	check_error(*state, hfx_error_no_memory());
}

static void a_long_message_is_cut(void **state)
{
	int *fds = *state;
	char *text = malloc(10001);
	struct commit_result result = {0};
	struct hfx_error *err;
	struct hfx_error *out;

	memset(text, 'x', 10000);
	text[10000] = '\0';
	err = hfx_error_create(HFX_ERROR_STOP, "%s", text);
	ASSERT_CODE(commit_wire_send_result(fds[1], err, &result), 0);
	out = commit_wire_receive_result(fds[0], &result);
	assert_int_equal(hfx_error_code(out), HFX_ERROR_STOP);
	assert_true(strlen(hfx_error_message(out)) <= COMMIT_WIRE_MAX_MESSAGE);
	hfx_error_destroy(err);
	hfx_error_destroy(out);
	free(text);
}

static void a_peer_that_dies_is_an_error_and_no_signal(void **state)
{
	int *fds = *state;
	struct commit_write write = a_write(4096, 1, 2);
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 1,
	                           .max_pause_us = 1};
	struct commit_result result;

	shutdown(fds[1], SHUT_RDWR);
	ASSERT_CODE(commit_wire_receive_result(fds[0], &result),
	            HFX_ERROR_STOP);
	ASSERT_CODE(commit_wire_send_plan(fds[0], 1, &plan), HFX_ERROR_OS);
}

/* ---- Checks ---------------------------------------------------------------
 */

static void a_thread_may_stand_at_the_first_byte_but_not_inside(void **state)
{
	struct commit_write writes[3] = {a_write(0x3000, 1, 2),
	                                 a_write(0x1000, 1, 2),
	                                 a_write(0x1005, 1, 2)};
	struct commit_plan plan = {.writes = writes,
	                           .num_writes = 3,
	                           .timeout_ms = 1,
	                           .max_pause_us = 1};
	struct commit_check check;

	(void)state;
	ASSERT_CODE(commit_check_init(&plan, &check), 0);
	assert_null(commit_check_find(&check, 0xfff));
	assert_null(commit_check_find(&check, 0x1000));
	assert_int_equal(commit_check_find(&check, 0x1001)->start_addr, 0x1000);
	assert_int_equal(commit_check_find(&check, 0x1004)->start_addr, 0x1000);
	assert_null(commit_check_find(&check, 0x1005));
	assert_int_equal(commit_check_find(&check, 0x1006)->start_addr, 0x1005);
	assert_null(commit_check_find(&check, 0x100a));
	assert_int_equal(commit_check_find(&check, 0x3004)->start_addr, 0x3000);
	assert_null(commit_check_find(&check, 0x3005));
	assert_null(commit_check_find(&check, UINT64_MAX));
	commit_check_deinit(&check);
}

static void data_is_no_code(void **state)
{
	struct commit_write write = a_write(0x1000, 1, 2);
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 1,
	                           .max_pause_us = 1};
	struct commit_check check;

	(void)state;
	write.is_code = 0;
	ASSERT_CODE(commit_check_init(&plan, &check), 0);
	assert_int_equal(check.num_firsts, 1);
	assert_null(commit_check_find(&check, 0x1002));
	commit_check_deinit(&check);
}

static void
only_the_first_write_of_a_place_is_compared_with_memory(void **state)
{
	struct commit_write writes[4] = {
		a_write(0x2000, 1, 2), a_write(0x1000, 5, 6),
		a_write(0x2000, 2, 3), a_write(0x2000, 3, 4)};
	struct commit_plan plan = {.writes = writes,
	                           .num_writes = 4,
	                           .timeout_ms = 1,
	                           .max_pause_us = 1};
	struct commit_check check;

	(void)state;
	ASSERT_CODE(commit_check_init(&plan, &check), 0);
	assert_int_equal(check.num_firsts, 2);
	assert_int_equal(check.firsts[0], 1);
	assert_int_equal(check.firsts[1], 0);
	assert_int_equal(check.num_ranges, 2);
	commit_check_deinit(&check);
}

static void contradicting_and_overlapping_writes_are_refused(void **state)
{
	struct commit_write writes[2] = {a_write(0x2000, 1, 2),
	                                 a_write(0x2000, 3, 4)};
	struct commit_plan plan = {.writes = writes,
	                           .num_writes = 2,
	                           .timeout_ms = 1,
	                           .max_pause_us = 1};
	struct commit_check check = {0};

	(void)state;
	ASSERT_CODE(commit_check_init(&plan, &check),
	            HFX_ERROR_INVALID_ARGUMENT);
	writes[1] = a_write(0x2004, 3, 4);
	ASSERT_CODE(commit_check_init(&plan, &check),
	            HFX_ERROR_INVALID_ARGUMENT);
	writes[1] = a_write(0x1ffc, 3, 4);
	ASSERT_CODE(commit_check_init(&plan, &check),
	            HFX_ERROR_INVALID_ARGUMENT);
	writes[1] = a_write(0x3000, 3, 4);
	writes[1].size = 0;
	ASSERT_CODE(commit_check_init(&plan, &check),
	            HFX_ERROR_INVALID_ARGUMENT);
	plan.num_writes = 0;
	ASSERT_CODE(commit_check_init(&plan, &check),
	            HFX_ERROR_INVALID_ARGUMENT);
	assert_null(check.firsts);
}

#define WIRE_TEST(name)                                                        \
	cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(a_plan_arrives_as_it_was_sent),
		WIRE_TEST(a_plan_that_is_cut_short_anywhere_is_refused),
		WIRE_TEST(other_bytes_are_no_plan),
		WIRE_TEST(a_plan_beyond_the_limit_is_refused_by_both_ends),
		WIRE_TEST(a_plan_of_another_release_is_refused),
		WIRE_TEST(a_guard_without_a_name_is_not_received),
		WIRE_TEST(a_write_with_too_many_bytes_is_not_received),
		WIRE_TEST(a_result_arrives_as_it_was_sent),
		WIRE_TEST(an_error_arrives_with_code_errno_and_message),
		WIRE_TEST(a_long_message_is_cut),
		WIRE_TEST(a_peer_that_dies_is_an_error_and_no_signal),
		cmocka_unit_test(
			a_thread_may_stand_at_the_first_byte_but_not_inside),
		cmocka_unit_test(data_is_no_code),
		cmocka_unit_test(
			only_the_first_write_of_a_place_is_compared_with_memory),
		cmocka_unit_test(
			contradicting_and_overlapping_writes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
