/* SPDX-License-Identifier: MIT */
/* A process that becomes another program after hfx has opened it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "inject.h"
#include "proc_status.h"
#include "ptrace_child.h"
#include "target.h"

static const uint64_t no_args[6];

static void run_execve(struct child_shared *shared)
{
	shared->started++;
	child_wait(shared);
	execl("/bin/sleep", "sleep", "60", NULL);
}

static bool has_name(pid_t pid, const char *name)
{
	struct proc_status status;

	return !proc_status_read(pid, pid, &status) &&
	       !strcmp(status.name, name);
}

/** Have the child of run_execve() become the other program. */
static void start_program(struct child_shared *shared, pid_t pid)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	shared->quit = true;
	for (int i = 0; i < 20000 && !has_name(pid, "sleep"); i++)
		nanosleep(&nap, NULL);
	assert_true(has_name(pid, "sleep"));
}

/** It waits for its time to pass, as before. */
static void assert_runs_on(pid_t pid)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	for (int i = 0; i < 20000 && child_state(pid) != 'S'; i++)
		nanosleep(&nap, NULL);
	assert_int_equal(child_state(pid), 'S');
	assert_true(has_name(pid, "sleep"));
}

static void assert_new_program(struct hfx_error *err)
{
	assert_non_null(err);
	assert_non_null(strstr(hfx_error_message(err),
	                       "has started another program meanwhile"));
	assert_error(err, HFX_ERROR_NO_PROCESS);
}

static void
nothing_is_done_to_a_program_that_was_started_meanwhile(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_execve);
	const struct commit_plan plan = {.max_pause_us = 10000};
	struct commit_result stop;
	struct target *target;
	uint64_t result;
	int64_t number;
	char byte = 0;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(pid, &target));
	assert_no_error(
		target->ops->syscall(target, SYS_getpid, no_args, &number));
	start_program(shared, pid);
	assert_new_program(
		target->ops->syscall(target, SYS_getpid, no_args, &number));
	assert_new_program(target->ops->call(
		target, (uint64_t)(uintptr_t)getpid, no_args, &result));
	assert_new_program(target->ops->write(
		target, (uint64_t)(uintptr_t)shared, &byte, 1));
	assert_new_program(target->ops->commit(target, &plan, &stop));
	target_destroy(target);
	assert_runs_on(pid);
	child_kill(pid);
}

/** A shell that begins anew, again and again. */
static void run_execve_for_ever(struct child_shared *shared)
{
	shared->started++;
	execl("/bin/sh", "sh", "-c", "exec /bin/sh -c \"$0\" \"$0\"",
	      "exec /bin/sh -c \"$0\" \"$0\"", NULL);
}

/** Whatever it meets half-way of an execve(2) is taken for nothing else. */
static void a_program_that_starts_meanwhile_is_always_told_as_such(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_execve_for_ever);
	int num_done = 0;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	/* Until it was met once. */
	for (int i = 0; i < 200 || (i == num_done && i < 20000); i++) {
		struct target *target;
		struct hfx_error *err = target_create_ptrace(pid, &target);
		int64_t number = 0;

		assert_no_error(err);
		err = target->ops->syscall(target, SYS_getpid, no_args,
		                           &number);
		target_destroy(target);
		if (err && !hfx_error_is_transient(err)) {
			assert_new_program(err);
			continue;
		}
		assert_true(err || number == pid);
		hfx_error_destroy(err);
		num_done++;
	}
	assert_true(num_done < 20000);
	child_kill(pid);
}

/** The instructions that were found before are not where they were. */
static void a_thread_is_put_back_where_nothing_is_mapped(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_execve);
	struct inject inject;
	int64_t number;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(inject_init(pid, &inject));
	start_program(shared, pid);
	inject.gate_addr = 4096;
	assert_error(inject_syscall(&inject, SYS_getpid, no_args, &number),
	             HFX_ERROR_OS);
	inject_deinit(&inject);
	assert_runs_on(pid);
	child_kill(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			nothing_is_done_to_a_program_that_was_started_meanwhile),
		cmocka_unit_test(
			a_program_that_starts_meanwhile_is_always_told_as_such),
		cmocka_unit_test(a_thread_is_put_back_where_nothing_is_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
