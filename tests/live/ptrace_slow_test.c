/* SPDX-License-Identifier: MIT */
/* A process that gets little of the processor. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "ptrace_child.h"
#include "target.h"

#define POPULATE_SIZE (UINT64_C(64) << 20)

/** Take a processor for oneself, as far as others let it go. */
static void run_hog(struct child_shared *shared)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_setaffinity(0, sizeof(first), &first))
		_exit(97);
	shared->started++;
	while (!shared->quit)
		;
}

/** What the hog leaves, 3 parts in 1024. */
static void run_starved(struct child_shared *shared)
{
	struct sched_param param = {0};

	if (sched_setscheduler(0, SCHED_IDLE, &param))
		_exit(97);
	run_hog(shared);
}

/** It needs more of the processor than it gets within the time for a call. */
static void populate(struct target *target)
{
	uint64_t args[6] = {0, POPULATE_SIZE, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
	                    UINT64_MAX};
	int64_t result;
	struct hfx_error *err =
		target->ops->syscall(target, SYS_mmap, args, &result);

	/* Not even stopped in time: nothing was done. */
	if (err)
		assert_error(err, HFX_ERROR_STOP);
	else
		assert_true(result > 0);
}

static void a_thread_that_gets_little_time_is_waited_for(void **state)
{
	struct child_shared *shared = child_share();
	struct child_shared *hog_shared = child_share();
	pid_t hog = child_fork(hog_shared, run_hog);
	pid_t pid;
	struct target *target;

	(void)state;
	assert_true(wait_for_int(&hog_shared->started, 1));
	pid = child_fork(shared, run_starved);
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(pid, &target));
	populate(target);
	target_destroy(target);
	assert_true(child_end(hog_shared, hog));
	(void)sched_setscheduler(pid, SCHED_OTHER, &(struct sched_param){0});
	assert_true(child_end(shared, pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_that_gets_little_time_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
