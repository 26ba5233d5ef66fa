/* SPDX-License-Identifier: MIT */
/*
 * commit_execute() with guarded code: nothing changes while a thread is inside,
 * however it got there.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "ptrace_child.h"

/*
 * A function in a section of its own: the linker gives its bounds the names
 * __start_SECTION and __stop_SECTION.
 */
#define GUARDED(name)                                                          \
	extern const char __start_code_##name[], __stop_code_##name[];         \
	__attribute__((__noipa__, __section__("code_" #name))) static

/** The guard of such a function: what may be guarded begins behind its start.
 */
#define GUARD_OF(name)                                                         \
	{                                                                      \
		.start_addr = (uint64_t)(uintptr_t)__start_code_##name + 1,    \
		.end_addr = (uint64_t)(uintptr_t)__stop_code_##name,           \
	}

/** An address behind a call in such a function, or near enough. */
#define ADDRESS_IN(name) ((uint64_t)(uintptr_t)__start_code_##name + 7)

/** Change child_version() while no thread is inside @p guard. */
static struct hfx_error *change(pid_t pid, int version, struct guard guard,
                                uint32_t timeout_ms,
                                struct commit_result *result)
{
	static char name[] = "guarded_code";
	struct commit_write write = {
		.live_addr = (uint64_t)(uintptr_t)child_version,
		.size = 5,
		.is_code = 1,
		.before = {0xb8, version == 2 ? 1 : 2},
		.after = {0xb8, version == 2 ? 2 : 1},
	};
	const struct commit_plan plan = {
		.writes = &write,
		.num_writes = 1,
		.timeout_ms = timeout_ms,
		.max_pause_us = 10000000,
		.guards = &guard,
		.num_guards = 1,
		.names = name,
		.names_size = sizeof(name),
	};

	return commit_execute(pid, &plan, result);
}

/* Machines that run tests are busy. */
#define PATIENCE   120000
#define IMPATIENCE 50

static void assert_message(struct hfx_error *err, const char *text)
{
	assert_non_null(err);
	if (!strstr(hfx_error_message(err), text))
		fail_msg("\"%s\" is not in \"%s\"", text,
		         hfx_error_message(err));
}

/** It is refused because a thread is inside, for sure or perhaps. */
static void assert_blocked(pid_t pid, struct guard guard, const char *text)
{
	struct commit_result result;
	struct hfx_error *err = change(pid, 2, guard, IMPATIENCE, &result);

	assert_message(err, text);
	assert_error(err, HFX_ERROR_NOT_QUIESCENT);
}

static void assert_free(pid_t pid, struct guard guard)
{
	struct commit_result result;

	assert_no_error(change(pid, 2, guard, PATIENCE, &result));
}

/** A nap that no table is needed to look through. */
static void nap(void)
{
	struct timespec time = {.tv_nsec = 2000000};

	syscall(SYS_nanosleep, &time, NULL);
}

/** Stays until told to go on. */
GUARDED(hold) void hold(struct child_shared *shared)
{
	shared->started++;
	while (!shared->signals && !shared->quit)
		nap();
	shared->value++;
}

/** Tells the test that the child is where it wants it. */
static void stay(struct child_shared *shared)
{
	shared->started++;
	child_wait(shared);
}

static struct child_shared *the_shared;

static pid_t start(void (*run)(struct child_shared *shared))
{
	pid_t pid;

	the_shared = child_share();
	pid = child_fork(the_shared, run);
	assert_true(wait_for_int(&the_shared->started, 1));
	return pid;
}

static void end(pid_t pid)
{
	the_shared->signals = 1;
	assert_int_equal(the_shared->wrong, 0);
	assert_true(child_end(the_shared, pid));
}

/* ---- In system calls ------------------------------------------------------
 */

static void *hold_in_thread(void *arg)
{
	prctl(PR_SET_NAME, "holder");
	hold(arg);
	return NULL;
}

static void run_holder(struct child_shared *shared)
{
	pthread_t thread;

	pthread_create(&thread, NULL, hold_in_thread, shared);
	child_start(shared, CHILD_SPIN, 1);
	child_start(shared, CHILD_EPOLL, 1);
	child_wait(shared);
	pthread_join(thread, NULL);
}

static void a_thread_that_sleeps_inside_is_named(void **state)
{
	pid_t pid = start(run_holder);
	struct commit_result result;
	struct hfx_error *err;

	(void)state;
	assert_true(wait_for_int(&the_shared->started, 3));
	err = change(pid, 2, (struct guard)GUARD_OF(hold), IMPATIENCE, &result);
	assert_message(err, " (holder) in guarded_code");
	assert_null(strstr(hfx_error_message(err), "perhaps"));
	/* This test is built with debug information. */
	assert_message(err, " at safe_point_test.c:");
	assert_message(err, "--allow-active");
	assert_error(err, HFX_ERROR_NOT_QUIESCENT);
	assert_true(wait_for(&the_shared->rounds[CHILD_SPIN],
	                     the_shared->rounds[CHILD_SPIN] + 1000));
	assert_int_equal(the_shared->version, 1);
	the_shared->signals = 1;
	assert_free(pid, (struct guard)GUARD_OF(hold));
	assert_true(wait_for_int(&the_shared->version, 2));
	end(pid);
}

static void *release_soon(void *arg)
{
	(void)arg;
	usleep(50000);
	the_shared->signals = 1;
	return NULL;
}

static void a_thread_inside_is_waited_for(void **state)
{
	pid_t pid = start(run_holder);
	struct commit_result result;
	pthread_t thread;

	(void)state;
	assert_true(wait_for_int(&the_shared->started, 3));
	pthread_create(&thread, NULL, release_soon, NULL);
	assert_no_error(change(pid, 2, (struct guard)GUARD_OF(hold), PATIENCE,
	                       &result));
	assert_true(result.num_tries > 1);
	pthread_join(thread, NULL);
	end(pid);
}

static void run_hold(struct child_shared *shared)
{
	hold(shared);
}

static void the_main_thread_counts(void **state)
{
	pid_t pid = start(run_hold);

	(void)state;
	assert_blocked(pid, (struct guard)GUARD_OF(hold), " in guarded_code");
	end(pid);
}

/* ---- The program counter ------------------------------------------------ */

GUARDED(spin) void spin(struct child_shared *shared)
{
	shared->started++;
	while (!shared->quit)
		__asm__ volatile("pause");
}

static void a_thread_that_runs_inside_is_named(void **state)
{
	pid_t pid = start(spin);

	(void)state;
	assert_blocked(pid, (struct guard)GUARD_OF(spin), " in guarded_code");
	end(pid);
}

/** Never comes back: its last instruction is a call. */
__attribute__((__noreturn__, __noipa__)) static void never(void)
{
	stay(the_shared);
	_exit(0);
}

GUARDED(last) void last(struct child_shared *shared)
{
	the_shared = shared;
	never();
}

static void a_return_address_behind_the_end_counts(void **state)
{
	pid_t pid = start(last);

	(void)state;
	assert_blocked(pid, (struct guard)GUARD_OF(last), " in guarded_code");
	end(pid);
}

/* ---- What only looks like a frame --------------------------------------- */

static void run_with_stale_words(struct child_shared *shared)
{
	volatile uint64_t words[8];

	for (int i = 0; i < 8; i++)
		words[i] = ADDRESS_IN(hold);
	stay(shared);
	shared->wrong += words[3] != ADDRESS_IN(hold);
}

static void addresses_that_are_no_frames_do_not_count(void **state)
{
	pid_t pid = start(run_with_stale_words);
	struct commit_result result;

	(void)state;
	assert_no_error(change(pid, 2, (struct guard)GUARD_OF(hold), PATIENCE,
	                       &result));
	/* It took the unwinder, which is made for the second try. */
	assert_true(result.num_tries >= 2);
	end(pid);
}

static void run_with_register(struct child_shared *shared)
{
	shared->started++;
	while (!shared->quit) {
		struct timespec time = {.tv_nsec = 5000000};
		long number = SYS_nanosleep;

		__asm__ volatile("mov %[address], %%r12\n\tsyscall"
		                 : "+a"(number)
		                 : [address] "r"(ADDRESS_IN(hold)), "D"(&time),
		                   "S"(NULL)
		                 : "rcx", "r11", "r12", "memory");
	}
}

static void a_register_that_is_no_frame_does_not_count(void **state)
{
	pid_t pid = start(run_with_register);

	(void)state;
	assert_free(pid, (struct guard)GUARD_OF(hold));
	end(pid);
}

static void *run_stale_vdso(void *arg)
{
	struct child_shared *shared = arg;
	volatile uint64_t word = ADDRESS_IN(hold);
	struct timespec now;

	shared->started++;
	while (!shared->quit)
		for (int i = 0; i < 1000; i++)
			clock_gettime(CLOCK_MONOTONIC, &now);
	shared->wrong += word != ADDRESS_IN(hold);
	return NULL;
}

static void run_vdso(struct child_shared *shared)
{
	pthread_t thread;

	pthread_create(&thread, NULL, run_stale_vdso, shared);
	pthread_join(thread, NULL);
}

static void threads_in_the_vdso_are_unwound(void **state)
{
	pid_t pid = start(run_vdso);
	struct commit_result result;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_no_error(change(pid, 2 - i % 2,
		                       (struct guard)GUARD_OF(hold), PATIENCE,
		                       &result));
	end(pid);
}

GUARDED(ask_clock) void ask_clock(struct child_shared *shared)
{
	struct timespec now;

	shared->started++;
	while (!shared->quit)
		clock_gettime(CLOCK_MONOTONIC, &now);
}

static void a_caller_of_the_vdso_is_named(void **state)
{
	pid_t pid = start(ask_clock);

	(void)state;
	assert_blocked(pid, (struct guard)GUARD_OF(ask_clock),
	               " in guarded_code");
	end(pid);
}

/* ---- Code without unwind tables ----------------------------------------- */

/** call_bare(function, argument): calls it; nobody can unwind through this. */
void call_bare(void (*function)(struct child_shared *),
               struct child_shared *shared);
__asm__(".text\n"
        ".globl call_bare\n"
        ".type call_bare, @function\n"
        "call_bare:\n"
        "	push %rbx\n	sub $64, %rsp\n"
        "	mov %rdi, %rax\n	mov %rsi, %rdi\n"
        "	call *%rax\n"
        "	add $64, %rsp\n	pop %rbx\n	ret\n"
        ".size call_bare, .-call_bare\n");

GUARDED(through) void through(struct child_shared *shared)
{
	call_bare(stay, shared);
	shared->value++;
}

static void frames_behind_code_without_tables_count(void **state)
{
	pid_t pid = start(through);

	(void)state;
	assert_blocked(pid, (struct guard)GUARD_OF(through),
	               " perhaps in guarded_code");
	end(pid);
}

static void run_bare(struct child_shared *shared)
{
	call_bare(stay, shared);
}

static void code_without_tables_alone_is_no_hindrance(void **state)
{
	pid_t pid = start(run_bare);
	struct commit_result result;

	(void)state;
	assert_no_error(change(pid, 2, (struct guard)GUARD_OF(hold), PATIENCE,
	                       &result));
	assert_int_equal(result.num_tries, 1);
	end(pid);
}

static void run_bare_and_stale(struct child_shared *shared)
{
	volatile uint64_t word = ADDRESS_IN(hold);

	call_bare(stay, shared);
	shared->wrong += word != ADDRESS_IN(hold);
}

static void what_cannot_be_told_counts_as_inside(void **state)
{
	pid_t pid = start(run_bare_and_stale);

	(void)state;
	assert_blocked(pid, (struct guard)GUARD_OF(hold),
	               "could not be unwound");
	end(pid);
}

/* ---- Signal handlers ------------------------------------------------------
 */

static void stay_in_handler(int signal)
{
	(void)signal;
	the_shared->signals++;
	child_wait(the_shared);
}

/** Memory with nothing readable behind it. */
static void *lone_memory(size_t size)
{
	char *memory = mmap(NULL, size + 4096, PROT_NONE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	assert_int_equal(mprotect(memory, size, PROT_READ | PROT_WRITE), 0);
	return memory;
}

static void catch_signal(void (*handler)(int), bool on_own_stack)
{
	stack_t stack = {.ss_size = 65536};
	struct sigaction action = {.sa_handler = handler};

	if (on_own_stack) {
		stack.ss_sp = lone_memory(stack.ss_size);
		sigaltstack(&stack, NULL);
		action.sa_flags = SA_ONSTACK;
	}
	sigaction(SIGUSR1, &action, NULL);
}

GUARDED(outer) void outer(struct child_shared *shared)
{
	spin(shared);
	shared->value++;
}

static void run_interrupted(struct child_shared *shared)
{
	the_shared = shared;
	catch_signal(stay_in_handler, false);
	outer(shared);
}

static void run_interrupted_on_two_stacks(struct child_shared *shared)
{
	the_shared = shared;
	catch_signal(stay_in_handler, true);
	outer(shared);
}

static void assert_interrupted_counts(void (*run)(struct child_shared *))
{
	pid_t pid = start(run);

	kill(pid, SIGUSR1);
	assert_true(wait_for(&the_shared->signals, 1));
	assert_blocked(pid, (struct guard)GUARD_OF(spin), " in guarded_code");
	/* The kernel has saved where spin() was, but not who called it. */
	assert_blocked(pid, (struct guard)GUARD_OF(outer), " in guarded_code");
	assert_free(pid, (struct guard)GUARD_OF(hold));
	end(pid);
}

static void a_function_that_a_handler_interrupted_counts(void **state)
{
	(void)state;
	assert_interrupted_counts(run_interrupted);
}

static void a_handler_on_a_stack_of_its_own_has_two(void **state)
{
	(void)state;
	assert_interrupted_counts(run_interrupted_on_two_stacks);
}

GUARDED(handle) void handle(int signal)
{
	stay_in_handler(signal);
	the_shared->value++;
}

static void run_handler_inside(struct child_shared *shared)
{
	the_shared = shared;
	catch_signal(handle, true);
	stay(shared);
}

static void a_handler_can_be_inside(void **state)
{
	pid_t pid = start(run_handler_inside);

	(void)state;
	kill(pid, SIGUSR1);
	assert_true(wait_for(&the_shared->signals, 1));
	assert_blocked(pid, (struct guard)GUARD_OF(handle), " in guarded_code");
	end(pid);
}

/* ---- Stacks --------------------------------------------------------------
 */

/** Use a lot of the stack, then stay. */
__attribute__((__noipa__)) static void stay_deep(struct child_shared *shared)
{
	volatile char much[3 << 20];

	much[0] = 1;
	much[sizeof(much) - 1] = 1;
	stay(shared);
}

GUARDED(deep) void deep(struct child_shared *shared)
{
	stay_deep(shared);
	shared->value++;
}

static void *deep_in_thread(void *arg)
{
	deep(arg);
	return NULL;
}

static void run_deep_in_thread(struct child_shared *shared)
{
	pthread_t thread;

	pthread_create(&thread, NULL, deep_in_thread, shared);
	pthread_join(thread, NULL);
}

static void frames_far_up_the_stack_count(void **state)
{
	static void (*const runs[])(struct child_shared *) = {
		deep, run_deep_in_thread};

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
		pid_t pid = start(runs[i]);

		assert_blocked(pid, (struct guard)GUARD_OF(deep),
		               " in guarded_code");
		end(pid);
	}
}

static ucontext_t main_context, other_context;

static void run_coroutine(struct child_shared *shared)
{
	const size_t size = 1 << 20;

	the_shared = shared;
	getcontext(&other_context);
	other_context.uc_stack.ss_sp = malloc(size);
	other_context.uc_stack.ss_size = size;
	other_context.uc_link = &main_context;
	makecontext(&other_context, (void (*)(void))hold, 1, shared);
	swapcontext(&main_context, &other_context);
}

static void a_coroutine_that_runs_counts(void **state)
{
	pid_t pid = start(run_coroutine);

	(void)state;
	assert_blocked(pid, (struct guard)GUARD_OF(hold), " in guarded_code");
	assert_free(pid, (struct guard)GUARD_OF(spin));
	end(pid);
}

/* ---- Under load ----------------------------------------------------------
 */

/** Sees one version from its begin to its end. */
GUARDED(pair) void pair(struct child_shared *shared)
{
	int version = child_version();

	for (int i = 0; i < 200; i++)
		__asm__ volatile("pause");
	sched_yield();
	shared->wrong += version != child_version();
	shared->value++;
}

static void *call_pair(void *arg)
{
	struct child_shared *shared = arg;

	shared->started++;
	while (!shared->quit) {
		pair(shared);
		usleep(300);
	}
	return NULL;
}

static void *start_pairs(void *arg)
{
	struct child_shared *shared = arg;

	while (!shared->quit) {
		pthread_t thread;

		if (!pthread_create(&thread, NULL,
		                    (void *(*)(void *))(void *)pair, shared))
			pthread_join(thread, NULL);
		usleep(200);
	}
	return NULL;
}

static void on_signal(int signal)
{
	(void)signal;
	pair(the_shared);
}

static void run_pairs(struct child_shared *shared)
{
	pthread_t thread;

	the_shared = shared;
	catch_signal(on_signal, false);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, call_pair, shared);
	pthread_create(&thread, NULL, start_pairs, shared);
	child_wait(shared);
}

static void no_call_sees_both_versions(void **state)
{
	pid_t pid = start(run_pairs);
	struct commit_result result;

	(void)state;
	assert_true(wait_for(&the_shared->value, 100));
	for (int i = 0; i < 100; i++) {
		kill(pid, SIGUSR1);
		assert_no_error(change(pid, 2 - i % 2,
		                       (struct guard)GUARD_OF(pair), PATIENCE,
		                       &result));
	}
	assert_true(wait_for(&the_shared->value, the_shared->value + 100));
	end(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_that_sleeps_inside_is_named),
		cmocka_unit_test(a_thread_inside_is_waited_for),
		cmocka_unit_test(the_main_thread_counts),
		cmocka_unit_test(a_thread_that_runs_inside_is_named),
		cmocka_unit_test(a_return_address_behind_the_end_counts),
		cmocka_unit_test(addresses_that_are_no_frames_do_not_count),
		cmocka_unit_test(a_register_that_is_no_frame_does_not_count),
		cmocka_unit_test(threads_in_the_vdso_are_unwound),
		cmocka_unit_test(a_caller_of_the_vdso_is_named),
		cmocka_unit_test(frames_behind_code_without_tables_count),
		cmocka_unit_test(code_without_tables_alone_is_no_hindrance),
		cmocka_unit_test(what_cannot_be_told_counts_as_inside),
		cmocka_unit_test(a_function_that_a_handler_interrupted_counts),
		cmocka_unit_test(a_handler_on_a_stack_of_its_own_has_two),
		cmocka_unit_test(a_handler_can_be_inside),
		cmocka_unit_test(frames_far_up_the_stack_count),
		cmocka_unit_test(a_coroutine_that_runs_counts),
		cmocka_unit_test(no_call_sees_both_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
