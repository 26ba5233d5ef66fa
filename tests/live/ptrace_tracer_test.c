/* SPDX-License-Identifier: MIT */
/* hfx-tracer, started by the process that it changes. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "commit_wire.h"
#include "ptrace_child.h"

struct tracer {
	int fd;
	pid_t pid;
};

static struct tracer start_tracer(void)
{
	char *argv[] = {(char *)HFX_TRACER_PATH, NULL};
	posix_spawn_file_actions_t actions;
	struct tracer tracer;
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	assert_int_equal(posix_spawn(&tracer.pid, argv[0], &actions, NULL, argv,
	                             environ),
	                 0);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	prctl(PR_SET_PTRACER, tracer.pid, 0, 0, 0);
	tracer.fd = fds[0];
	return tracer;
}

static int end_tracer(struct tracer *tracer)
{
	int status;

	close(tracer->fd);
	assert_int_equal(waitpid(tracer->pid, &status, 0), tracer->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static struct hfx_error *change(pid_t pid, struct commit_result *result,
                                int *exit_code)
{
	struct commit_write write = {
		.live_addr = (uint64_t)(uintptr_t)child_version,
		.size = 5,
		.is_code = 1,
		.before = {0xb8, 1},
		.after = {0xb8, 2},
	};
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 5000,
	                           .max_pause_us = 500000};
	struct tracer tracer = start_tracer();
	struct hfx_error *err;

	assert_no_error(commit_wire_send_plan(tracer.fd, pid, &plan));
	err = commit_wire_receive_result(tracer.fd, result);
	*exit_code = end_tracer(&tracer);
	return err;
}

static void a_process_with_threads_is_changed_by_its_tracer(void **state)
{
	struct child_shared *shared = child_share();
	struct commit_result result;
	int exit_code;

	(void)state;
	child_start(shared, CHILD_SPIN, 2);
	child_start(shared, CHILD_MALLOC, 2);
	assert_true(wait_for_int(&shared->started, 4));
	assert_int_equal(child_version(), 1);
	assert_no_error(change(getpid(), &result, &exit_code));
	assert_int_equal(exit_code, 0);
	assert_int_equal(result.num_threads, 5);
	assert_int_equal(child_version(), 2);
	assert_true(wait_for(&shared->rounds[CHILD_SPIN],
	                     shared->rounds[CHILD_SPIN] + 1000));
	assert_int_equal(shared->version, 2);
	/* The bytes are others now, so the same plan is refused. */
	assert_error(change(getpid(), &result, &exit_code),
	             HFX_ERROR_CODE_MISMATCH);
	assert_int_equal(exit_code, 1);
	shared->quit = true;
	usleep(100000);
	assert_int_equal(shared->wrong, 0);
}

static void a_process_that_is_not_its_parent_is_refused(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, child_wait);
	struct commit_result result;
	int exit_code;

	(void)state;
	assert_error(change(pid, &result, &exit_code),
	             HFX_ERROR_INVALID_ARGUMENT);
	assert_int_equal(exit_code, 1);
	assert_true(child_end(shared, pid));
}

static void a_tracer_without_a_plan_answers_with_an_error(void **state)
{
	struct tracer tracer = start_tracer();
	struct commit_result result;

	(void)state;
	assert_int_equal(write(tracer.fd, "nonsense", 8), 8);
	assert_int_equal(shutdown(tracer.fd, SHUT_WR), 0);
	assert_error(commit_wire_receive_result(tracer.fd, &result),
	             HFX_ERROR_INVALID_ARGUMENT);
	assert_int_equal(end_tracer(&tracer), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_process_with_threads_is_changed_by_its_tracer),
		cmocka_unit_test(a_process_that_is_not_its_parent_is_refused),
		cmocka_unit_test(a_tracer_without_a_plan_answers_with_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
