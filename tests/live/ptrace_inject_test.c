/* SPDX-License-Identifier: MIT */
/* System calls and calls injected into processes in every state. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ptrace_child.h"
#include "target.h"

static const uint64_t no_args[2];

static enum child_kind main_kind;
static struct child_shared *main_shared;

/** Do rounds of `main_kind` on the main thread, the one that is borrowed. */
static void run_on_main(struct child_shared *shared)
{
	child_run(shared, main_kind);
}

static void check_syscalls(struct target *target)
{
	uint64_t map_args[6] = {0, 65536, PROT_READ,
	                        MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX};
	uint64_t zeros[6] = {0};
	uint64_t unmap_args[6] = {0, 65536};
	char byte = 1;
	int64_t result;

	assert_no_error(
		target->ops->syscall(target, SYS_getpid, zeros, &result));
	assert_int_equal(result, target->pid);
	assert_no_error(
		target->ops->syscall(target, SYS_mmap, map_args, &result));
	assert_true(result > 0);
	unmap_args[0] = (uint64_t)result;
	assert_no_error(target->ops->read(target, (uint64_t)result, &byte, 1));
	assert_int_equal(byte, 0);
	/* Read-only for the process, but not for hfx. */
	byte = 77;
	assert_no_error(
		target->ops->write(target, (uint64_t)result + 65535, &byte, 1));
	byte = 0;
	assert_no_error(
		target->ops->read(target, (uint64_t)result + 65535, &byte, 1));
	assert_int_equal(byte, 77);
	assert_no_error(
		target->ops->syscall(target, SYS_munmap, unmap_args, &result));
	assert_int_equal(result, 0);
	assert_error(target->ops->read(target, unmap_args[0], &byte, 1),
	             HFX_ERROR_OS);
	assert_no_error(target->ops->syscall(target, SYS_close,
	                                     (uint64_t[6]){123456}, &result));
	assert_int_equal(result, -EBADF);
}

static void system_calls_are_made_on_a_thread_in_any_state(void **state)
{
	(void)state;
	for (int kind = 0; kind < CHILD_NUM_KINDS; kind++) {
		struct child_shared *shared = child_share();
		struct target *target;
		pid_t pid;

		main_kind = (enum child_kind)kind;
		pid = child_fork(shared, run_on_main);
		assert_true(wait_for_int(&shared->started, 1));
		assert_no_error(target_create_ptrace(pid, &target));
		for (int i = 0; i < 8; i++)
			check_syscalls(target);
		target_destroy(target);
		assert_true(wait_for(&shared->rounds[kind],
		                     shared->rounds[kind] + 2));
		if (shared->interrupted[kind] || shared->wrong)
			print_error("kind %d\n", kind);
		assert_int_equal(shared->interrupted[kind], 0);
		assert_int_equal(shared->wrong, 0);
		assert_true(child_end(shared, pid));
	}
}

/* ---- Calls ----------------------------------------------------------------
 */

/* Uses the stack as C code may, and all that it need not keep. */
uint64_t call_target(void);
uint64_t call_fault(void);
uint64_t call_forever(void);
long spin_with_registers(volatile void *quit);
__asm__(".text\n"
        ".balign 16\n"
        "call_target:\n"
        "	push %rbp\n"
        "	mov %rsp, %rbp\n"
        "	sub $64, %rsp\n"
        "	pxor %xmm0, %xmm0\n"
        "	movaps %xmm0, -16(%rbp)\n" /* faults if misaligned */
        "	pxor %xmm1, %xmm1\n	pxor %xmm7, %xmm7\n"
        "	pxor %xmm15, %xmm15\n"
        "	mov $39, %eax\n"
        "	syscall\n" /* getpid: a stop that is not the gate's */
        "	xor %ecx, %ecx\n	xor %edx, %edx\n	xor %esi, "
        "%esi\n"
        "	xor %edi, %edi\n	xor %r8d, %r8d\n"
        "	movabs $0x123456789abcdef0, %rax\n"
        "	leave\n"
        "	ret\n"
        ".balign 16\n"
        "call_fault:\n"
        "	xor %eax, %eax\n"
        "	mov (%rax), %rax\n"
        "	ret\n"
        ".balign 16\n"
        "call_forever:\n"
        "	jmp call_forever\n"
        /* Returns how often a register or the red zone was not as set. */
        ".balign 16\n"
        "spin_with_registers:\n"
        "	push %rbx\n"
        "	xor %ebx, %ebx\n"
        "	mov $0x1111, %eax\n	movq %rax, %xmm0\n"
        "	mov $0x2222, %eax\n	movq %rax, %xmm7\n"
        "	mov $0x3333, %eax\n	movq %rax, %xmm15\n"
        "	mov $0x4444, %r8d\n"
        "	mov $0x5555, %ecx\n"
        "	movq $0x6666, -64(%rsp)\n"
        "1:	movq %xmm0, %rax\n	cmp $0x1111, %rax\n	jne 2f\n"
        "	movq %xmm7, %rax\n	cmp $0x2222, %rax\n	jne 2f\n"
        "	movq %xmm15, %rax\n	cmp $0x3333, %rax\n	jne 2f\n"
        "	cmp $0x4444, %r8d\n	jne 2f\n"
        "	cmp $0x5555, %ecx\n	jne 2f\n"
        "	cmpq $0x6666, -64(%rsp)\n	jne 2f\n"
        "	cmpb $0, (%rdi)\n"
        "	je 1b\n"
        "	jmp 3f\n"
        "2:	inc %ebx\n"
        "3:	mov %ebx, %eax\n"
        "	pop %rbx\n"
        "	ret\n");

static void run_registers(struct child_shared *shared)
{
	shared->started++;
	shared->wrong += spin_with_registers(&shared->quit);
}

static void a_call_returns_its_result_and_changes_nothing(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_registers);
	struct target *target;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(pid, &target));
	for (int i = 0; i < 50; i++) {
		uint64_t result = 0;

		assert_no_error(target->ops->call(
			target, (uint64_t)(uintptr_t)call_target, no_args,
			&result));
		assert_true(result == UINT64_C(0x123456789abcdef0));
		check_syscalls(target);
	}
	target_destroy(target);
	assert_true(child_end(shared, pid));
	assert_int_equal(shared->wrong, 0);
}

static void a_call_that_faults_fails_and_the_process_lives(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_registers);
	struct target *target;
	uint64_t result;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(pid, &target));
	assert_error(target->ops->call(target, (uint64_t)(uintptr_t)call_fault,
	                               no_args, &result),
	             HFX_ERROR_OS);
	assert_error(target->ops->call(target, 16, no_args, &result),
	             HFX_ERROR_OS);
	check_syscalls(target);
	target_destroy(target);
	assert_true(child_end(shared, pid));
	assert_int_equal(shared->wrong, 0);
}

static void a_call_that_does_not_return_is_ended(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_registers);
	struct target *target;
	uint64_t result;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(pid, &target));
	assert_error(target->ops->call(target,
	                               (uint64_t)(uintptr_t)call_forever,
	                               no_args, &result),
	             HFX_ERROR_STOP);
	check_syscalls(target);
	target_destroy(target);
	assert_true(child_end(shared, pid));
	assert_int_equal(shared->wrong, 0);
}

/* ---- Tracers that die ------------------------------------------------------
 */

/** Kinds of threads, and behind them one that watches its registers. */
#define KIND_REGISTERS CHILD_NUM_KINDS
#define NUM_DEATHS     40

static void run_for_anyone(struct child_shared *shared)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (main_kind == KIND_REGISTERS)
		run_registers(shared);
	else
		run_on_main(shared);
}

/** Borrow the thread again and again, until the end. */
static void borrow_without_end(pid_t pid, struct child_shared *shared)
{
	uint64_t zeros[6] = {0}, returned;
	struct target *target;
	int64_t result;

	if (target_create_ptrace(pid, &target))
		_exit(1);
	for (;;) {
		struct hfx_error *err = target->ops->syscall(target, SYS_getpid,
		                                             zeros, &result);

		if (!err)
			err = target->ops->call(
				target, (uint64_t)(uintptr_t)call_target,
				no_args, &returned);
		if (err)
			_exit(1);
		shared->value++;
	}
}

static void kill_a_tracer(pid_t pid, struct child_shared *shared, int delay_us)
{
	long before = shared->value;
	pid_t tracer = fork();

	if (!tracer)
		borrow_without_end(pid, shared);
	assert_true(wait_for(&shared->value, before + 1));
	usleep((useconds_t)delay_us);
	kill(tracer, SIGKILL);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
}

static void a_thread_goes_on_when_its_tracer_is_killed(void **state)
{
	(void)state;
	for (int kind = 0; kind <= KIND_REGISTERS; kind++) {
		struct child_shared *shared = child_share();
		pid_t pid;

		main_kind = (enum child_kind)kind;
		pid = child_fork(shared, run_for_anyone);
		assert_true(wait_for_int(&shared->started, 1));
		for (int i = 0; i < NUM_DEATHS; i++)
			kill_a_tracer(pid, shared, i * 37 % 1000);
		if (kind < KIND_REGISTERS)
			assert_true(wait_for(&shared->rounds[kind],
			                     shared->rounds[kind] + 2));
		assert_true(child_end(shared, pid));
		assert_int_equal(shared->wrong, 0);
	}
}

/* ---- Signals --------------------------------------------------------------
 */

static void a_stopped_process_makes_system_calls_and_stays_stopped(void **state)
{
	struct child_shared *shared = child_share();
	struct target *target;
	pid_t pid;

	(void)state;
	main_kind = CHILD_NANOSLEEP;
	pid = child_fork(shared, run_on_main);
	assert_true(wait_for_int(&shared->started, 1));
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	assert_no_error(target_create_ptrace(pid, &target));
	for (int i = 0; i < 5; i++)
		check_syscalls(target);
	target_destroy(target);
	usleep(20000);
	assert_int_equal(child_state(pid), 'T');
	kill(pid, SIGCONT);
	assert_true(wait_for(&shared->rounds[main_kind],
	                     shared->rounds[main_kind] + 2));
	assert_int_equal(shared->interrupted[main_kind], 0);
	assert_true(child_end(shared, pid));
}

#define NUM_SIGNALS 2000

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	main_shared->wrong += info->si_code != SI_QUEUE;
	main_shared->signal_sum += info->si_value.sival_int;
	main_shared->signals++;
}

static void run_signals(struct child_shared *shared)
{
	struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	main_shared = shared;
	sigaction(SIGRTMIN, &action, NULL);
	child_run(shared, main_kind);
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

static void check_signals(enum child_kind kind)
{
	struct child_shared *shared = child_share();
	struct target *target;
	pthread_t sender;
	pid_t pid;

	main_kind = kind;
	pid = child_fork(shared, run_signals);
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(pid, &target));
	pthread_create(&sender, NULL, send_signals, &pid);
	for (int i = 0; shared->signals < NUM_SIGNALS && i < 500; i++) {
		uint64_t result;

		check_syscalls(target);
		assert_no_error(target->ops->call(
			target, (uint64_t)(uintptr_t)call_target, no_args,
			&result));
	}
	pthread_join(sender, NULL);
	assert_true(wait_for(&shared->signals, NUM_SIGNALS));
	target_destroy(target);
	usleep(10000);
	assert_int_equal(shared->signals, NUM_SIGNALS);
	assert_int_equal(shared->signal_sum,
	                 (long)NUM_SIGNALS * (NUM_SIGNALS + 1) / 2);
	assert_true(child_end(shared, pid));
}

/* ---- Signals for the tracer -----------------------------------------------
 */

static const struct timespec nap = {.tv_nsec = 300000000};

/** Signals that a borrowed thread had blocked when the test got SIGTERM. */
static pid_t borrowed;
static atomic_int seen_blocked;

static int blocks_signals(pid_t tid)
{
	char path[32], text[4096];
	const char *mask;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = open(path, O_RDONLY);
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = '\0';
	mask = strstr(text, "SigBlk:");
	return mask ? strtoull(mask + strlen("SigBlk:"), NULL, 16) != 0 : -1;
}

static void note_blocked(int signal)
{
	(void)signal;
	atomic_store(&seen_blocked, blocks_signals(borrowed));
}

static void a_signal_to_the_tracer_waits_until_the_thread_is_back(void **state)
{
	const uint64_t args[6] = {(uint64_t)(uintptr_t)&nap};
	const struct itimerspec soon = {.it_value = {.tv_nsec = 100000000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
	                         .sigev_signo = SIGTERM};
	struct child_shared *shared = child_share();
	struct target *target;
	timer_t timer;
	int64_t result;

	(void)state;
	main_kind = CHILD_SPIN;
	borrowed = child_fork(shared, run_on_main);
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(borrowed, &target));
	atomic_store(&seen_blocked, -1);
	signal(SIGTERM, note_blocked);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &soon, NULL), 0);
	assert_no_error(
		target->ops->syscall(target, SYS_nanosleep, args, &result));
	assert_int_equal(result, 0);
	assert_int_equal(atomic_load(&seen_blocked), 0);
	timer_delete(timer);
	signal(SIGTERM, SIG_DFL);
	target_destroy(target);
	assert_true(child_end(shared, borrowed));
}

static void signals_wait_until_a_system_call_is_made(void **state)
{
	(void)state;
	check_signals(CHILD_SPIN);
	check_signals(CHILD_FUTEX);
	check_signals(CHILD_MALLOC);
}

/** epoll_wait() must fail with EINTR when a handler has run, and only then. */
static void run_epoll_signal(struct child_shared *shared)
{
	struct sigaction action = {.sa_sigaction = on_signal,
	                           .sa_flags = SA_SIGINFO};

	main_shared = shared;
	sigaction(SIGRTMIN, &action, NULL);
	child_run(shared, CHILD_EPOLL_PWAIT);
}

static void a_real_signal_still_interrupts_a_system_call(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_epoll_signal);
	struct target *target;
	union sigval value = {.sival_int = 1};

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(pid, &target));
	for (int i = 0; i < 50; i++) {
		check_syscalls(target);
		sigqueue(pid, SIGRTMIN, value);
		check_syscalls(target);
		/* Two signals that wait together interrupt one call. */
		assert_true(wait_for(&shared->signals, i + 1));
		assert_true(wait_for(&shared->rounds[CHILD_EPOLL_PWAIT],
		                     shared->rounds[CHILD_EPOLL_PWAIT] + 1));
	}
	target_destroy(target);
	assert_true(wait_for(&shared->signals, 50));
	usleep(10000);
	/* A signal can come while it is not in the call, but seldom does. */
	assert_true(shared->interrupted[CHILD_EPOLL_PWAIT] >= 30);
	assert_true(shared->interrupted[CHILD_EPOLL_PWAIT] <= 50);
	assert_true(child_end(shared, pid));
}

/* ---- Seccomp and refusals -------------------------------------------------
 */

/** Any getpid() kills the process. */
static void run_seccomp(struct child_shared *shared)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, filter};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(97);
	child_run(shared, CHILD_NANOSLEEP);
}

/** With the capability it works, without it is refused; never a kill. */
static void seccomp_does_not_kill_the_process(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_seccomp);
	struct target *target;
	struct hfx_error *err;
	int64_t result = 0;

	(void)state;
	assert_true(wait_for_int(&shared->started, 1));
	assert_no_error(target_create_ptrace(pid, &target));
	err = target->ops->syscall(target, SYS_getpid, (uint64_t[6]){0},
	                           &result);
	if (err)
		assert_error(err, HFX_ERROR_PERMISSION);
	else
		assert_int_equal(result, pid);
	target_destroy(target);
	assert_true(wait_for(&shared->rounds[CHILD_NANOSLEEP],
	                     shared->rounds[CHILD_NANOSLEEP] + 2));
	assert_true(child_end(shared, pid));
}

static void what_is_no_process_is_refused(void **state)
{
	struct child_shared *shared = child_share();
	struct target *target = NULL;
	pid_t pid;

	(void)state;
	assert_error(target_create_ptrace(getpid(), &target),
	             HFX_ERROR_INVALID_ARGUMENT);
	assert_error(target_create_ptrace(0, &target), HFX_ERROR_NO_PROCESS);
	assert_error(target_create_ptrace(-1, &target), HFX_ERROR_NO_PROCESS);
	pid = child_fork(shared, child_wait);
	kill(pid, SIGKILL);
	while (child_state(pid) != 'Z')
		usleep(1000);
	assert_error(target_create_ptrace(pid, &target), HFX_ERROR_NO_PROCESS);
	waitpid(pid, NULL, 0);
	assert_error(target_create_ptrace(pid, &target), HFX_ERROR_NO_PROCESS);
	assert_null(target);
}

static void a_process_that_ends_meanwhile_is_told(void **state)
{
	struct child_shared *shared = child_share();
	struct target *target = NULL;
	pid_t pid = child_fork(shared, child_wait);
	int64_t result;
	char byte;

	(void)state;
	assert_no_error(target_create_ptrace(pid, &target));
	child_kill(pid);
	assert_error(target->ops->read(target,
	                               (uint64_t)(uintptr_t)child_version,
	                               &byte, 1),
	             HFX_ERROR_NO_PROCESS);
	assert_error(target->ops->syscall(target, SYS_getpid, (uint64_t[6]){0},
	                                  &result),
	             HFX_ERROR_NO_PROCESS);
	target_destroy(target);
}

static void *wait_in_thread(void *arg)
{
	struct child_shared *shared = arg;

	shared->value = gettid();
	child_wait(shared);
	return NULL;
}

static void run_second_thread(struct child_shared *shared)
{
	pthread_t thread;

	pthread_create(&thread, NULL, wait_in_thread, shared);
	pthread_join(thread, NULL);
}

static void a_thread_id_is_refused_with_its_process(void **state)
{
	struct child_shared *shared = child_share();
	pid_t pid = child_fork(shared, run_second_thread);
	struct target *target = NULL;
	struct hfx_error *err;
	char text[32];

	(void)state;
	assert_true(wait_for(&shared->value, 1));
	err = target_create_ptrace((pid_t)shared->value, &target);
	assert_non_null(err);
	snprintf(text, sizeof(text), "%d", pid);
	assert_non_null(strstr(hfx_error_message(err), text));
	assert_error(err, HFX_ERROR_NO_PROCESS);
	assert_true(child_end(shared, pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			system_calls_are_made_on_a_thread_in_any_state),
		cmocka_unit_test(a_call_returns_its_result_and_changes_nothing),
		cmocka_unit_test(
			a_call_that_faults_fails_and_the_process_lives),
		cmocka_unit_test(a_call_that_does_not_return_is_ended),
		cmocka_unit_test(a_thread_goes_on_when_its_tracer_is_killed),
		cmocka_unit_test(
			a_stopped_process_makes_system_calls_and_stays_stopped),
		cmocka_unit_test(signals_wait_until_a_system_call_is_made),
		cmocka_unit_test(
			a_signal_to_the_tracer_waits_until_the_thread_is_back),
		cmocka_unit_test(a_real_signal_still_interrupts_a_system_call),
		cmocka_unit_test(seccomp_does_not_kill_the_process),
		cmocka_unit_test(what_is_no_process_is_refused),
		cmocka_unit_test(a_process_that_ends_meanwhile_is_told),
		cmocka_unit_test(a_thread_id_is_refused_with_its_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
