/* SPDX-License-Identifier: MIT */
/* Processes that hfx may not stop, and places that it does not write. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ptrace_child.h"

/** Five bytes of code that nobody runs. */
extern const char unused_code[];
__asm__(".text\n"
        ".balign 16\n"
        ".globl unused_code\n"
        "unused_code:\n"
        "	nop\n	pause\n	pause\n");

static void run_two(struct child_shared *shared)
{
	child_start(shared, CHILD_SPIN, 2);
	child_wait(shared);
}

static void other_bytes_than_expected_are_refused(void **state)
{
	struct child_shared *shared = child_share();
	struct commit_write writes[2] = {
		{
			.live_addr = (uint64_t)(uintptr_t)child_version,
			.size = 5,
			.is_code = 1,
			.before = {0xb8, 1},
			.after = {0xb8, 2},
		},
		{
			.live_addr = (uint64_t)(uintptr_t)unused_code,
			.size = 5,
			.is_code = 1,
			.before = {0x90, 0xf3, 0x90, 0xf3, 0x91},
			.after = {0xe9, 0, 0, 0, 0},
		},
	};
	struct commit_plan plan = {.writes = writes,
	                           .num_writes = 2,
	                           .timeout_ms = 1000,
	                           .max_pause_us = 100000};
	struct commit_result result;
	pid_t pid;

	(void)state;
	pid = child_fork(shared, run_two);
	assert_true(wait_for_int(&shared->started, 2));
	assert_error(commit_execute(pid, &plan, &result),
	             HFX_ERROR_CODE_MISMATCH);
	assert_true(wait_for(&shared->rounds[CHILD_SPIN],
	                     shared->rounds[CHILD_SPIN] + 1000));
	assert_int_equal(shared->version, 1);
	assert_true(child_end(shared, pid));
}

static void a_place_that_is_not_mapped_is_refused(void **state)
{
	struct child_shared *shared = child_share();
	struct commit_write write = {.live_addr = 4096, .size = 8};
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 1000,
	                           .max_pause_us = 100000};
	struct commit_result result;
	pid_t pid = child_fork(shared, child_wait);

	(void)state;
	assert_error(commit_execute(pid, &plan, &result), HFX_ERROR_OS);
	assert_true(child_end(shared, pid));
}

static void one_place_can_be_written_twice(void **state)
{
	struct child_shared *shared = child_share();
	uint64_t addr = (uint64_t)(uintptr_t)&shared->value;
	struct commit_write writes[2] = {
		{.live_addr = addr, .size = 8, .before = {1}, .after = {2}},
		{.live_addr = addr, .size = 8, .before = {2}, .after = {3}},
	};
	struct commit_plan plan = {.writes = writes,
	                           .num_writes = 2,
	                           .timeout_ms = 1000,
	                           .max_pause_us = 100000};
	struct commit_result result;
	pid_t pid = child_fork(shared, child_wait);

	(void)state;
	shared->value = 1;
	assert_no_error(commit_execute(pid, &plan, &result));
	assert_int_equal(shared->value, 3);
	writes[1].before[0] = 7;
	assert_error(commit_execute(pid, &plan, &result),
	             HFX_ERROR_INVALID_ARGUMENT);
	assert_true(child_end(shared, pid));
}

static void another_tracer_is_named(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, child_wait);
	struct commit_result result;
	struct hfx_error *err;
	pid_t tracer;
	char text[32];

	(void)state;
	tracer = fork();
	if (!tracer) {
		shared->value = ptrace(PTRACE_SEIZE, pid, NULL, NULL) ? 2 : 1;
		child_wait(shared);
		_exit(0);
	}
	assert_true(wait_for(&shared->value, 1));
	assert_int_equal(shared->value, 1);
	err = child_set_version(pid, 2, &result);
	assert_non_null(err);
	snprintf(text, sizeof(text), "traced by process %d", tracer);
	assert_non_null(strstr(hfx_error_message(err), text));
	assert_error(err, HFX_ERROR_BUSY);
	shared->quit = true;
	waitpid(tracer, NULL, 0);
	assert_true(child_end(shared, pid));
}

static void a_process_that_has_ended_is_refused(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, child_wait);
	struct commit_result result;

	(void)state;
	kill(pid, SIGKILL);
	while (child_state(pid) != 'Z')
		usleep(1000);
	assert_error(child_set_version(pid, 2, &result), HFX_ERROR_NO_PROCESS);
	waitpid(pid, NULL, 0);
	assert_error(child_set_version(pid, 2, &result), HFX_ERROR_NO_PROCESS);
}

static bool become_nobody(void)
{
	return !setresgid(65534, 65534, 65534) &&
	       !setresuid(65534, 65534, 65534);
}

/** Still the same user, without CAP_SYS_PTRACE. */
static bool drop_the_capability(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &header, caps))
		return false;
	caps[0].effective &= ~(1u << CAP_SYS_PTRACE);
	caps[0].permitted &= ~(1u << CAP_SYS_PTRACE);
	return !syscall(SYS_capset, &header, caps);
}

static bool forbid_ptrace(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/** Who has done @p lose_rights is told @p reason. */
static void assert_forbidden(bool (*lose_rights)(void), const char *reason)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, child_wait);
	pid_t tracer;
	int status;

	if (getuid()) {
		child_kill(pid);
		skip();
	}
	tracer = fork();
	if (!tracer) {
		struct commit_result result;
		struct hfx_error *err;

		if (!lose_rights())
			_exit(3);
		err = child_set_version(pid, 2, &result);
		_exit(hfx_error_code(err) == HFX_ERROR_PERMISSION &&
		                      strstr(hfx_error_message(err), reason)
		              ? 0
		              : 1);
	}
	waitpid(tracer, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(child_end(shared, pid));
}

static void another_users_process_is_refused(void **state)
{
	(void)state;
	assert_forbidden(become_nobody, "user 0");
}

static void a_process_with_more_capabilities_is_refused(void **state)
{
	(void)state;
	assert_forbidden(drop_the_capability, "CAP_SYS_PTRACE");
}

static void a_caller_under_seccomp_is_told_so(void **state)
{
	(void)state;
	assert_forbidden(forbid_ptrace, "the caller runs under seccomp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_bytes_than_expected_are_refused),
		cmocka_unit_test(a_place_that_is_not_mapped_is_refused),
		cmocka_unit_test(one_place_can_be_written_twice),
		cmocka_unit_test(another_tracer_is_named),
		cmocka_unit_test(a_process_that_has_ended_is_refused),
		cmocka_unit_test(another_users_process_is_refused),
		cmocka_unit_test(a_process_with_more_capabilities_is_refused),
		cmocka_unit_test(a_caller_under_seccomp_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
