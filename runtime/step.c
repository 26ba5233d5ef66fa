/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc_status.h"
#include "step.h"

/** For a step whose page has to be read from a disk. */
#define STEP_PATIENCE_NS UINT64_C(10000000000)

#define BIT(signal) (UINT64_C(1) << ((signal)-1))

/**
 * Raised by instructions. The kernel kills a process that blocks one of these
 * when it is raised, so their setting stays.
 */
#define SYNCHRONOUS_SIGNALS                                                    \
	(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) |              \
	 BIT(SIGTRAP) | BIT(SIGSYS))

/** Results with which the kernel will make a system call again. */
static bool waits_in_syscall(const struct user_regs_struct *regs)
{
	int64_t result = (int64_t)regs->rax;

	return (int64_t)regs->orig_rax >= 0 &&
	       (result == -EINTR || (result <= -512 && result >= -516));
}

/** Whether the stop at a SIGTRAP is the end of a step, not the program's. */
static bool is_step_trap(const struct stop_thread *thread)
{
	siginfo_t info;

	return thread->reason == STOP_BY_SIGNAL && thread->signal == SIGTRAP &&
	       !ptrace(PTRACE_GETSIGINFO, thread->tid, NULL, &info) &&
	       (info.si_code == TRAP_TRACE || info.si_code == TRAP_BRKPT);
}

/**
 * A thread is not left within a step: the trap at its end would find nobody who
 * waits for it, and end the process.
 */
static int step_once(struct stop *stop, size_t index)
{
	int rc = stop_resume(stop_thread(stop, index), PTRACE_SINGLESTEP, 0);

	if (rc || stop_thread(stop, index)->state == STOP_GONE)
		return rc;
	return stop_wait_patiently(stop, stop_thread(stop, index),
	                           STEP_PATIENCE_NS);
}

/** @return 0 outside or gone, -EAGAIN inside. */
static int step_some(struct stop *stop, size_t index,
                     const struct commit_check *check)
{
	for (int i = 0; i < STEP_MAX; i++) {
		int rc = step_once(stop, index);
		struct stop_thread *thread = stop_thread(stop, index);

		if (rc || thread->state == STOP_GONE)
			return rc;
		if (thread->reason == STOP_BY_EVENT)
			continue;
		if (!is_step_trap(thread))
			return -EAGAIN;
		thread->signal = 0;
		if (!commit_check_find(check, thread->regs.rip))
			return 0;
		if (stop_deadline_passed(stop))
			return -ETIMEDOUT;
	}
	return -EAGAIN;
}

/** Deliver the signal that the thread was stopped for before it was stepped. */
static void give_back(pid_t pid, struct stop_thread *thread,
                      const siginfo_t *info)
{
	if (thread->state == STOP_STOPPED && !thread->signal &&
	    thread->reason == STOP_BY_SIGNAL &&
	    !ptrace(PTRACE_SETSIGINFO, thread->tid, NULL, info)) {
		thread->signal = info->si_signo;
		return;
	}
	if (syscall(SYS_rt_tgsigqueueinfo, pid, thread->tid, info->si_signo,
	            info))
		syscall(SYS_tgkill, pid, thread->tid, info->si_signo);
}

/** Step with asynchronous signals held back by the thread's signal mask. */
static int step_masked(struct stop *stop, size_t index,
                       const struct commit_check *check)
{
	pid_t tid = stop_thread(stop, index)->tid;
	uint64_t saved;
	uint64_t mask;
	int rc;

	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(saved), &saved))
		return -errno;
	mask = ~SYNCHRONOUS_SIGNALS | (saved & ~BIT(SIGTRAP));
	if (ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask))
		return -errno;
	rc = step_some(stop, index, check);
	if (stop_thread(stop, index)->state == STOP_STOPPED)
		ptrace(PTRACE_SETSIGMASK, tid, sizeof(saved), &saved);
	return rc;
}

int step_out(struct stop *stop, size_t index, pid_t pid,
             const struct commit_check *check)
{
	struct stop_thread *thread = stop_thread(stop, index);
	struct proc_status status;
	int signal = thread->signal;
	siginfo_t info;
	int rc;

	if (waits_in_syscall(&thread->regs))
		return -EAGAIN;
	if (proc_status_read(pid, thread->tid, &status) ||
	    status.ignored_signals & BIT(SIGTRAP))
		return -EAGAIN;
	if (signal && ptrace(PTRACE_GETSIGINFO, thread->tid, NULL, &info))
		return -errno;
	rc = step_masked(stop, index, check);
	if (signal)
		give_back(pid, stop_thread(stop, index), &info);
	return rc;
}
