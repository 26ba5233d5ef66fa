/* SPDX-License-Identifier: MIT */
/* commit_execute() on processes in every state that we could think of. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
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
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "ptrace_child.h"

/* ---- Many threads ---------------------------------------------------------
 */

static int num_threads;

static void run_many(struct child_shared *shared)
{
	for (int i = 0; i < num_threads; i++) {
		enum child_kind kind =
			i < 3   ? CHILD_SPIN
			: i < 6 ? CHILD_MALLOC
				: (enum child_kind)(i % CHILD_MALLOC);

		if (kind == CHILD_PIPE_READ)
			kind = CHILD_POLL;
		child_start(shared, kind, 1);
	}
	child_wait(shared);
}

static void check_many(int threads)
{
	struct child_shared *shared = child_share();
	struct commit_result result;
	pid_t pid;

	num_threads = threads;
	pid = child_fork(shared, run_many);
	assert_true(wait_for_int(&shared->started, threads));
	assert_no_error(child_set_version(pid, 2, &result));
	assert_int_equal(result.num_threads, threads + 1);
	assert_true(result.pause_ns > 0);
	assert_true(wait_for(&shared->rounds[CHILD_SPIN],
	                     shared->rounds[CHILD_SPIN] + 1000));
	assert_int_equal(shared->version, 2);
	assert_no_error(child_set_version(pid, 1, &result));
	assert_true(wait_for(&shared->rounds[CHILD_SPIN],
	                     shared->rounds[CHILD_SPIN] + 1000));
	assert_int_equal(shared->version, 1);
	assert_int_equal(shared->wrong, 0);
	assert_true(child_end(shared, pid));
}

static void code_is_replaced_under_1_thread(void **state)
{
	(void)state;
	check_many(1);
}

static void code_is_replaced_under_8_threads(void **state)
{
	(void)state;
	check_many(8);
}

static void code_is_replaced_under_64_threads(void **state)
{
	(void)state;
	check_many(64);
}

static void code_is_replaced_under_256_threads(void **state)
{
	(void)state;
	check_many(256);
}

/* ---- System calls ---------------------------------------------------------
 */

static void run_each_kind(struct child_shared *shared)
{
	for (int kind = 0; kind < CHILD_NUM_KINDS; kind++)
		child_start(shared, (enum child_kind)kind, 1);
	child_wait(shared);
}

static void no_system_call_fails_because_threads_were_stopped(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_each_kind);
	struct commit_result result;

	(void)state;
	assert_true(wait_for_int(&shared->started, CHILD_NUM_KINDS));
	for (int i = 0; i < 60; i++) {
		assert_no_error(child_set_version(pid, 2 - i % 2, &result));
		usleep(5000);
	}
	for (int kind = 0; kind < CHILD_NUM_KINDS; kind++) {
		if (shared->interrupted[kind])
			print_error("kind %d: %ld times EINTR\n", kind,
			            shared->interrupted[kind]);
		assert_int_equal(shared->interrupted[kind], 0);
		assert_true(wait_for(&shared->rounds[kind],
		                     shared->rounds[kind] + 1));
	}
	assert_int_equal(shared->wrong, 0);
	assert_true(child_end(shared, pid));
}

/* ---- Threads that come and go ---------------------------------------------
 */

static void *short_life(void *arg)
{
	struct child_shared *shared = arg;
	int version = child_version();

	shared->wrong += version != 1 && version != 2;
	shared->value++;
	return NULL;
}

static void *start_threads(void *arg)
{
	struct child_shared *shared = arg;

	while (!shared->quit) {
		pthread_t threads[4];

		for (int i = 0; i < 4; i++)
			if (pthread_create(&threads[i], NULL, short_life,
			                   shared))
				_exit(98);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
	return NULL;
}

static void run_churn(struct child_shared *shared)
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, start_threads, shared);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static void threads_that_start_and_end_meanwhile_do_no_harm(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_churn);
	struct commit_result result;

	(void)state;
	assert_true(wait_for(&shared->value, 10));
	for (int i = 0; i < 60; i++)
		assert_no_error(child_set_version(pid, 2 - i % 2, &result));
	assert_true(wait_for(&shared->value, shared->value + 50));
	assert_int_equal(shared->wrong, 0);
	assert_true(child_end(shared, pid));
}

static struct child_shared *zombie_shared;

static void *outlive_leader(void *arg)
{
	child_wait(zombie_shared);
	_exit(0);
	return arg;
}

static void run_zombie_leader(struct child_shared *shared)
{
	pthread_t thread;

	zombie_shared = shared;
	child_start(shared, CHILD_SPIN, 1);
	pthread_create(&thread, NULL, outlive_leader, NULL);
	pthread_exit(NULL);
}

static void a_process_whose_main_thread_has_ended_is_patched(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_zombie_leader);
	struct commit_result result;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	while (child_state(pid) != 'Z')
		usleep(1000);
	assert_no_error(child_set_version(pid, 2, &result));
	assert_int_equal(result.num_threads, 2);
	assert_true(wait_for(&shared->rounds[CHILD_SPIN],
	                     shared->rounds[CHILD_SPIN] + 1000));
	assert_int_equal(shared->version, 2);
	assert_true(child_end(shared, pid));
}

/** Sits in vfork() until the child of it, which sleeps, has ended. */
static void *block_in_vfork(void *arg)
{
	struct child_shared *shared = arg;
	pid_t pid;

	shared->value = 1;
	pid = vfork();
	if (!pid) {
		struct timespec time = {.tv_nsec = 100000000};

		syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		syscall(SYS_nanosleep, &time, NULL);
		while (!shared->signals)
			syscall(SYS_nanosleep, &time, NULL);
		_exit(0);
	}
	shared->value = 2;
	waitpid(pid, NULL, 0);
	return NULL;
}

static void run_vfork(struct child_shared *shared)
{
	pthread_t thread;

	child_start(shared, CHILD_SPIN, 1);
	pthread_create(&thread, NULL, block_in_vfork, shared);
	pthread_join(thread, NULL);
	child_wait(shared);
}

static void
a_thread_that_cannot_stop_is_named_and_the_others_go_on(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_vfork);
	struct commit_write write = {
		.live_addr = (uint64_t)(uintptr_t)child_version,
		.size = 5,
		.is_code = 1,
		.before = {0xb8, 1},
		.after = {0xb8, 2},
	};
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 100,
	                           .max_pause_us = 10000};
	struct commit_result result;
	struct hfx_error *err;
	char text[32];

	(void)state;
	assert_true(wait_for(&shared->value, 1));
	usleep(50000);
	err = commit_execute(pid, &plan, &result);
	assert_non_null(err);
	snprintf(text, sizeof(text), "of process %d", pid);
	assert_non_null(strstr(hfx_error_message(err), text));
	assert_error(err, HFX_ERROR_STOP);
	assert_true(wait_for(&shared->rounds[CHILD_SPIN],
	                     shared->rounds[CHILD_SPIN] + 1000));
	assert_int_equal(shared->version, 1);
	shared->signals = 1;
	/* The straggler stops when vfork() ends: the next stop lets it go. */
	plan.timeout_ms = 120000;
	plan.max_pause_us = 10000000;
	assert_no_error(commit_execute(pid, &plan, &result));
	assert_true(wait_for(&shared->value, 2));
	assert_true(child_end(shared, pid));
}

/* ---- Threads inside the bytes ---------------------------------------------
 */

/*
 * spin_inside: five bytes of slow instructions in a loop; a jump over them
 * leads to the end. spin_forever never leaves its second byte.
 */
void spin_inside(void);
void spin_forever(void);
void spin_enter(void *flag);
extern const char spin_inside_end[];
__asm__(".text\n"
        ".balign 16\n"
        ".globl spin_inside\n"
        "spin_inside:\n"
        "	nop\n	pause\n	pause\n"
        "	jmp spin_inside\n"
        ".globl spin_inside_end\n"
        "spin_inside_end:\n"
        "	ret\n"
        ".balign 16\n"
        ".globl spin_enter\n"
        "spin_enter:\n"
        "	movl $1, (%rdi)\n"
        ".globl spin_forever\n"
        "spin_forever:\n"
        "	nop\n"
        "1:	jmp 1b\n"
        "	nop\n	nop\n	nop\n	nop\n");

static void *spin_again(void *arg)
{
	struct child_shared *shared = arg;

	shared->started++;
	while (!shared->quit) {
		spin_inside();
		shared->value++;
	}
	return NULL;
}

static void run_spin_inside(struct child_shared *shared)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, spin_again, shared);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void threads_that_spin_through_the_bytes_are_redirected(void **state)
{
	static const uint8_t loop[5] = {0x90, 0xf3, 0x90, 0xf3, 0x90};
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_spin_inside);
	struct commit_write write = {
		.live_addr = (uint64_t)(uintptr_t)spin_inside,
		.size = 5,
		.is_code = 1,
		.before = {0x90, 0xf3, 0x90, 0xf3, 0x90},
		.after = {0xe9, 2, 0, 0, 0},
	};
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 10000,
	                           .max_pause_us = 500000};
	struct commit_result result;

	(void)state;
	assert_true(wait_for_int(&shared->started, 2));
	for (int i = 0; i < 40; i++) {
		long rounds;

		memcpy(write.before, loop, 5);
		memcpy(write.after, (uint8_t[]){0xe9, 2, 0, 0, 0}, 5);
		assert_no_error(commit_execute(pid, &plan, &result));
		rounds = shared->value;
		assert_true(wait_for(&shared->value, rounds + 10));
		memcpy(write.before, write.after, 5);
		memcpy(write.after, loop, 5);
		assert_no_error(commit_execute(pid, &plan, &result));
		assert_int_equal(result.num_stepped, 0);
	}
	memcpy(write.before, loop, 5);
	memcpy(write.after, (uint8_t[]){0xe9, 2, 0, 0, 0}, 5);
	assert_no_error(commit_execute(pid, &plan, &result));
	assert_true(child_end(shared, pid));
}

/**
 * Stop the process with this thread at the second byte: SIGTSTP is blocked
 * until the handler returns, which is to there.
 */
static void stand_inside(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;

	(void)info;
	(void)signal;
	raise(SIGTSTP);
	user->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)spin_inside + 1;
}

static void run_stand_inside(struct child_shared *shared)
{
	struct sigaction action = {
		.sa_sigaction = stand_inside,
		.sa_flags = SA_SIGINFO,
	};

	/* Nothing stops in a process group that nobody looks after. */
	setpgid(0, 0);
	sigaddset(&action.sa_mask, SIGTSTP);
	sigaction(SIGUSR1, &action, NULL);
	shared->started++;
	spin_inside();
	shared->value = 1;
}

static void a_thread_inside_the_bytes_is_stepped_out(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_stand_inside);
	struct commit_write write = {
		.live_addr = (uint64_t)(uintptr_t)spin_inside,
		.size = 5,
		.is_code = 1,
		.before = {0x90, 0xf3, 0x90, 0xf3, 0x90},
		.after = {0xe9, 2, 0, 0, 0},
	};
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 10000,
	                           .max_pause_us = 500000};
	struct commit_result result;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	usleep(10000);
	kill(pid, SIGUSR1);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	assert_int_equal(child_state(pid), 'T');
	assert_no_error(commit_execute(pid, &plan, &result));
	assert_int_equal(result.num_stepped, 1);
	usleep(10000);
	assert_int_equal(child_state(pid), 'T');
	assert_int_equal(shared->value, 0);
	kill(pid, SIGCONT);
	assert_true(wait_for(&shared->value, 1));
	assert_true(child_end(shared, pid));
}

static void *spin_and_stay(void *arg)
{
	struct child_shared *shared = arg;

	spin_enter(&shared->started);
	return NULL;
}

static void run_spin_forever(struct child_shared *shared)
{
	pthread_t thread;

	pthread_create(&thread, NULL, spin_and_stay, shared);
	child_wait(shared);
}

static struct commit_write jump_at_spin_forever(void)
{
	return (struct commit_write){
		.live_addr = (uint64_t)(uintptr_t)spin_forever,
		.size = 5,
		.is_code = 1,
		.before = {0x90, 0xeb, 0xfe, 0x90, 0x90},
		.after = {0xe9, 0, 0, 0, 0},
	};
}

static void a_thread_that_stays_inside_the_bytes_is_named(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_spin_forever);
	struct commit_write write = jump_at_spin_forever();
	struct commit_plan plan = {.writes = &write,
	                           .num_writes = 1,
	                           .timeout_ms = 300,
	                           .max_pause_us = 2000000};
	struct commit_result result;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	usleep(20000);
	assert_error(commit_execute(pid, &plan, &result),
	             HFX_ERROR_NOT_QUIESCENT);
	/* It is untouched: the same plan finds the same bytes again. */
	assert_error(commit_execute(pid, &plan, &result),
	             HFX_ERROR_NOT_QUIESCENT);
	assert_true(child_end(shared, pid));
}

/** The time for the window ends at any step, also before the thread has made
 * it. */
static void a_thread_is_not_left_within_a_step(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_spin_forever);
	struct commit_write write = jump_at_spin_forever();
	struct commit_plan plan = {.writes = &write, .num_writes = 1};
	struct commit_result result;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	usleep(20000);
	for (uint32_t i = 0; i < 400; i++) {
		plan.max_pause_us = 20 + i;
		hfx_error_destroy(commit_execute(pid, &plan, &result));
		assert_int_not_equal(child_state(pid), 'Z');
	}
	assert_true(child_end(shared, pid));
}

/* ---- Signals --------------------------------------------------------------
 */

static void a_stopped_process_stays_stopped(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid;
	struct commit_result result;

	(void)state;
	num_threads = 5;
	pid = child_fork(shared, run_many);
	assert_true(wait_for_int(&shared->started, 5));
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	assert_int_equal(child_state(pid), 'T');
	assert_no_error(child_set_version(pid, 2, &result));
	usleep(20000);
	assert_int_equal(child_state(pid), 'T');
	assert_int_equal(shared->version, 1);
	kill(pid, SIGCONT);
	assert_true(wait_for_int(&shared->version, 2));
	assert_true(child_end(shared, pid));
}

#define NUM_SIGNALS 3000

static struct child_shared *signal_shared;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code != SI_QUEUE || info->si_pid != getppid())
		signal_shared->wrong++;
	signal_shared->signal_sum += info->si_value.sival_int;
	signal_shared->signals++;
}

static void run_signals(struct child_shared *shared)
{
	struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	signal_shared = shared;
	sigaction(SIGRTMIN, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	child_start(shared, CHILD_SPIN, 2);
	child_start(shared, CHILD_FUTEX, 2);
	child_wait(shared);
}

static void *send_signals(void *arg)
{
	pid_t pid = *(pid_t *)arg;

	for (int i = 1; i <= NUM_SIGNALS; i++) {
		union sigval value = {.sival_int = i};

		while (sigqueue(pid, SIGRTMIN, value) && errno == EAGAIN)
			usleep(100);
		if (i % 8 == 0)
			usleep(200);
	}
	return NULL;
}

static void every_signal_arrives_once_with_its_information(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_signals);
	struct commit_result result;
	pthread_t sender;
	int i = 0;

	(void)state;
	assert_true(wait_for_int(&shared->started, 4));
	pthread_create(&sender, NULL, send_signals, &pid);
	while (shared->signals < NUM_SIGNALS && i < 2000)
		assert_no_error(child_set_version(pid, 2 - i++ % 2, &result));
	pthread_join(sender, NULL);
	assert_true(i > 20);
	assert_true(wait_for(&shared->signals, NUM_SIGNALS));
	usleep(10000);
	assert_int_equal(shared->signals, NUM_SIGNALS);
	assert_int_equal(shared->signal_sum,
	                 (long)NUM_SIGNALS * (NUM_SIGNALS + 1) / 2);
	assert_int_equal(shared->wrong, 0);
	assert_true(child_end(shared, pid));
}

static void on_alarm(int signal)
{
	(void)signal;
	signal_shared->signals++;
}

/** Counts the timer's signals as the kernel does: those that came and those
 * that coincided. */
static void run_alarms(struct child_shared *shared)
{
	struct sigaction action = {.sa_handler = on_alarm,
	                           .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
	                         .sigev_signo = SIGALRM};
	struct itimerspec when = {{0, 1000000}, {0, 1000000}};
	timer_t timer;

	signal_shared = shared;
	sigaction(SIGALRM, &action, NULL);
	child_start(shared, CHILD_SPIN, 1);
	child_start(shared, CHILD_MALLOC, 1);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &when, NULL);
	child_wait(shared);
	timer_delete(timer);
}

static void threads_stepped_under_a_storm_of_alarms_go_on(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_alarms);
	struct commit_result result;

	(void)state;
	assert_true(wait_for(&shared->signals, 10));
	for (int i = 0; i < 100; i++)
		assert_no_error(child_set_version(pid, 2 - i % 2, &result));
	assert_true(wait_for(&shared->signals, shared->signals + 20));
	assert_int_equal(shared->wrong, 0);
	assert_true(child_end(shared, pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_replaced_under_1_thread),
		cmocka_unit_test(code_is_replaced_under_8_threads),
		cmocka_unit_test(code_is_replaced_under_64_threads),
		cmocka_unit_test(code_is_replaced_under_256_threads),
		cmocka_unit_test(
			no_system_call_fails_because_threads_were_stopped),
		cmocka_unit_test(
			threads_that_start_and_end_meanwhile_do_no_harm),
		cmocka_unit_test(
			a_process_whose_main_thread_has_ended_is_patched),
		cmocka_unit_test(
			a_thread_that_cannot_stop_is_named_and_the_others_go_on),
		cmocka_unit_test(
			threads_that_spin_through_the_bytes_are_redirected),
		cmocka_unit_test(a_thread_inside_the_bytes_is_stepped_out),
		cmocka_unit_test(a_thread_that_stays_inside_the_bytes_is_named),
		cmocka_unit_test(a_thread_is_not_left_within_a_step),
		cmocka_unit_test(a_stopped_process_stays_stopped),
		cmocka_unit_test(
			every_signal_arrives_once_with_its_information),
		cmocka_unit_test(threads_stepped_under_a_storm_of_alarms_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
