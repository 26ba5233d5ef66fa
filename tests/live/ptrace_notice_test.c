/* SPDX-License-Identifier: MIT */
/* What a process could notice of being stopped, and does not. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ptrace_child.h"

static struct child_shared *the_shared;

/* ---- Timers ---------------------------------------------------------------
 */

#define PERIOD_NS 1000000

static timer_t timer;
static uint64_t timer_start_ns;
/** Expirations counted, and how many there were when the handler ran last. */
static uint64_t num_expired;
static uint64_t num_due_before;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/**
 * Each expiration is counted once: no more than have been due by now, and at
 * least those that were when the handler ran before.
 */
static void on_timer(int signal)
{
	uint64_t num_due = (now_ns() - timer_start_ns) / PERIOD_NS;

	(void)signal;
	num_expired += 1 + (uint64_t)timer_getoverrun(timer);
	if (num_expired > num_due || num_expired < num_due_before)
		the_shared->wrong++;
	num_due_before = num_due;
	the_shared->signals++;
}

static void run_timer(struct child_shared *shared)
{
	struct sigaction action = {.sa_handler = on_timer,
	                           .sa_flags = SA_RESTART};
	/* The handler runs in this thread alone. */
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
	                         .sigev_signo = SIGALRM,
	                         ._sigev_un._tid = gettid()};
	struct itimerspec when = {.it_interval = {.tv_nsec = PERIOD_NS}};

	the_shared = shared;
	sigaction(SIGALRM, &action, NULL);
	child_start(shared, CHILD_NANOSLEEP, 2);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_start_ns = now_ns();
	when.it_value.tv_sec = (time_t)(timer_start_ns / 1000000000u);
	when.it_value.tv_nsec = (long)(timer_start_ns % 1000000000u);
	/* The first one is due at once, before any period is over. */
	timer_start_ns -= PERIOD_NS;
	timer_settime(timer, TIMER_ABSTIME, &when, NULL);
	child_wait(shared);
	timer_delete(timer);
}

static void no_expiration_of_a_timer_is_lost_or_counted_twice(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_timer);
	struct commit_result result;

	(void)state;
	assert_true(wait_for(&shared->signals, 10));
	for (int i = 0; i < 60; i++) {
		assert_no_error(child_set_version(pid, 2 - i % 2, &result));
		usleep(1000);
	}
	assert_true(wait_for(&shared->signals, shared->signals + 20));
	assert_int_equal(shared->wrong, 0);
	assert_int_equal(shared->interrupted[CHILD_NANOSLEEP], 0);
	assert_true(child_end(shared, pid));
}

/* ---- Signals to threads ---------------------------------------------------
 */

#define NUM_TARGETS 4
#define NUM_EACH    400

static _Thread_local long own_count;

/** They come in the order in which they were sent, and to their thread. */
static void on_own_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_value.sival_int != own_count++)
		the_shared->wrong++;
	the_shared->signals++;
}

static void *be_target(void *arg)
{
	atomic_int *tid = arg;

	*tid = (int)syscall(SYS_gettid);
	child_run(the_shared, *tid % 2 ? CHILD_SPIN : CHILD_FUTEX);
	return NULL;
}

/** Thread ids, in memory that both see and that is not used otherwise. */
static atomic_int *target_tid(struct child_shared *shared, int i)
{
	return (atomic_int *)&shared->interrupted[CHILD_EPOLL] + i;
}

static void run_targets(struct child_shared *shared)
{
	struct sigaction action = {
		.sa_sigaction = on_own_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	pthread_t thread;

	the_shared = shared;
	sigaction(SIGRTMIN + 1, &action, NULL);
	for (int i = 0; i < NUM_TARGETS; i++)
		pthread_create(&thread, NULL, be_target, target_tid(shared, i));
	child_wait(shared);
}

struct storm {
	struct child_shared *shared;
	pid_t pid;
};

static void *send_storm(void *arg)
{
	const struct storm *storm = arg;

	for (int i = 0; i < NUM_EACH * NUM_TARGETS; i++) {
		siginfo_t info = {
			.si_signo = SIGRTMIN + 1,
			.si_code = SI_QUEUE,
		};

		info.si_pid = getpid();
		info.si_value.sival_int = i / NUM_TARGETS;
		while (syscall(SYS_rt_tgsigqueueinfo, storm->pid,
		               *target_tid(storm->shared, i % NUM_TARGETS),
		               SIGRTMIN + 1, &info) &&
		       errno == EAGAIN)
			usleep(100);
		if (i % 16 == 0)
			usleep(100);
	}
	return NULL;
}

static void signals_to_one_thread_arrive_there_in_their_order(void **state)
{
	struct child_shared *shared = child_share();
	struct storm storm = {shared, child_fork(shared, run_targets)};
	struct commit_result result;
	pthread_t sender;
	int i = 0;

	(void)state;
	assert_true(wait_for_int(&shared->started, NUM_TARGETS));
	pthread_create(&sender, NULL, send_storm, &storm);
	while (shared->signals < NUM_EACH * NUM_TARGETS && i < 3000)
		assert_no_error(
			child_set_version(storm.pid, 2 - i++ % 2, &result));
	pthread_join(sender, NULL);
	assert_true(i > 10);
	assert_true(wait_for(&shared->signals, NUM_EACH * NUM_TARGETS));
	assert_int_equal(shared->signals, NUM_EACH * NUM_TARGETS);
	assert_int_equal(shared->wrong, 0);
	assert_true(child_end(shared, storm.pid));
}

/* ---- Children --------------------------------------------------------------
 */

/** posix_spawn() is a vfork() whose child runs on the parent's memory. */
static void *spawn_again(void *arg)
{
	struct child_shared *shared = arg;
	char *argv[] = {(char *)"true", NULL};

	shared->started++;
	while (!shared->quit) {
		int status = 1;
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) ||
		    waitpid(pid, &status, 0) != pid || status)
			shared->wrong++;
		shared->value++;
	}
	return NULL;
}

static void run_spawns(struct child_shared *shared)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, spawn_again, shared);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void programs_that_are_started_meanwhile_run(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_spawns);
	struct commit_result result;

	(void)state;
	assert_true(wait_for(&shared->value, 4));
	for (int i = 0; i < 40; i++)
		assert_no_error(child_set_version(pid, 2 - i % 2, &result));
	assert_true(wait_for(&shared->value, shared->value + 4));
	assert_int_equal(shared->wrong, 0);
	assert_true(child_end(shared, pid));
}

/* ---- The end ---------------------------------------------------------------
 */

static void run_short(struct child_shared *shared)
{
	child_start(shared, CHILD_SPIN, 3);
	child_start(shared, CHILD_MALLOC, 2);
	usleep((useconds_t)shared->value);
	_exit(0);
}

static void a_process_that_ends_meanwhile_is_told_so(void **state)
{
	(void)state;
	for (int i = 0; i < 40; i++) {
		struct child_shared *shared = child_share();
		struct commit_result result;
		struct hfx_error *err = NULL;
		int tries = 0;
		int status;
		pid_t pid;

		shared->value = 500 + i * 137;
		pid = child_fork(shared, run_short);
		for (; !err && tries < 100000; tries++)
			err = child_set_version(pid, 2 - tries % 2, &result);
		assert_error(err, HFX_ERROR_NO_PROCESS);
		/* Who traces a child of its own has waited for it by then. */
		if (waitpid(pid, &status, 0) == pid)
			assert_int_equal(status, 0);
		else
			assert_int_equal(errno, ECHILD);
		assert_int_equal(kill(pid, 0), -1);
		assert_int_equal(shared->wrong, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			no_expiration_of_a_timer_is_lost_or_counted_twice),
		cmocka_unit_test(
			signals_to_one_thread_arrive_there_in_their_order),
		cmocka_unit_test(programs_that_are_started_meanwhile_run),
		cmocka_unit_test(a_process_that_ends_meanwhile_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
