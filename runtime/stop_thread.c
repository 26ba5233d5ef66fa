/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "proc_status.h"
#include "stop_private.h"

/* Results that the kernel keeps to itself (include/linux/errno.h). */
#define KERNEL_ERESTARTNOHAND 514

/**
 * Whether a system call that failed with EINTR has done nothing yet, so that it
 * can be made again. (close() has, for example.)
 */
static bool is_repeatable(uint64_t number)
{
	switch (number) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_rt_sigtimedwait:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_io_uring_enter:
	case SYS_read:
	case SYS_readv:
	case SYS_write:
	case SYS_writev:
	case SYS_accept:
	case SYS_accept4:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		return true;
	default:
		return false;
	}
}

/**
 * Read the registers. EINTR that our interrupt has caused becomes
 * ERESTARTNOHAND, which the kernel turns back into EINTR if a signal handler
 * runs next, and else makes the call again: as if we had not been there.
 */
static int read_regs(struct stop_thread *thread)
{
	struct user_regs_struct *regs = &thread->regs;

	if (ptrace(PTRACE_GETREGS, thread->tid, NULL, regs))
		return -errno;
	if (thread->reason == STOP_BY_SYSCALL ||
	    regs->rax != (uint64_t)-EINTR || !is_repeatable(regs->orig_rax))
		return 0;
	regs->rax = (uint64_t)-KERNEL_ERESTARTNOHAND;
	return ptrace(PTRACE_SETREGS, thread->tid, NULL, regs) ? -errno : 0;
}

/** @param[in] status Signal and event, as in siginfo's si_status. */
static void note_reason(struct stop_thread *thread, int status)
{
	thread->state = STOP_STOPPED;
	thread->signal = 0;
	if (status >> 8) {
		thread->reason = STOP_BY_EVENT;
	} else if (status == (SIGTRAP | 0x80)) {
		thread->reason = STOP_BY_SYSCALL;
	} else {
		thread->reason = STOP_BY_SIGNAL;
		thread->signal = status;
	}
}

static void note_end(struct stop_thread *thread)
{
	/* Else the zombie stays, and holds up an execve() of the process. */
	(void)waitpid(thread->tid, NULL, __WALL | WNOHANG);
	thread->state = STOP_GONE;
}

/** @return As waitid(), with -errno. */
static int look(const struct stop *stop, pid_t tid, siginfo_t *info)
{
	for (;;) {
		info->si_pid = 0;
		if (!waitid(P_PID, (id_t)tid, info,
		            WSTOPPED | WEXITED | WNOWAIT | __WALL))
			return 0;
		if (errno != EINTR)
			return -errno;
		if (stop_deadline_passed(stop))
			return -ETIMEDOUT;
	}
}

/**
 * Wait once. The thread still runs if it has stopped but been killed meanwhile:
 * its end is yet to come.
 */
static int wait_once(struct stop *stop, struct stop_thread *thread)
{
	pid_t tid = thread->tid;
	siginfo_t info;
	int rc = look(stop, tid, &info);

	if (rc == -ECHILD) {
		thread->state = STOP_GONE;
		return 0;
	}
	if (rc)
		return rc;
	if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) {
		note_end(thread);
		return 0;
	}
	note_reason(thread, info.si_status);
	rc = read_regs(thread);
	if (rc == -ESRCH) {
		thread->state = STOP_RUNNING;
		return stop_deadline_passed(stop) ? -ETIMEDOUT : 0;
	}
	/* May move `thread`: keep it last. */
	if (!rc && info.si_status >> 8 == PTRACE_EVENT_CLONE)
		rc = stop_add_cloned(stop, tid);
	return rc;
}

int stop_wait(struct stop *stop, struct stop_thread *thread)
{
	size_t index = (size_t)(thread - stop_thread(stop, 0));
	int rc = 0;

	while (!rc && stop_thread(stop, index)->state == STOP_RUNNING)
		rc = wait_once(stop, stop_thread(stop, index));
	return rc;
}

int stop_interrupt_one(struct stop_thread *thread)
{
	if (!ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL))
		return 0;
	return errno == ESRCH ? 0 : -errno;
}

int stop_resume(struct stop_thread *thread, int request, int signal)
{
	thread->state = STOP_RUNNING;
	thread->signal = 0;
	if (!ptrace((enum __ptrace_request)request, thread->tid, NULL,
	            (unsigned long)signal))
		return 0;
	if (errno != ESRCH)
		return -errno;
	thread->state = STOP_GONE;
	return 0;
}

/**
 * The first thread of a process that has ended before the others: of it, the
 * kernel tells nothing until they have, too.
 */
static bool is_ended_leader(pid_t pid, pid_t tid)
{
	struct proc_status status;

	return pid == tid && !proc_status_read(pid, tid, &status) &&
	       status.state == 'Z';
}

bool stop_release_thread(pid_t pid, struct stop_thread *thread)
{
	siginfo_t info = {0};

	if (thread->state == STOP_RUNNING) {
		if (waitid(P_PID, (id_t)thread->tid, &info,
		           WSTOPPED | WEXITED | WNOWAIT | WNOHANG | __WALL))
			return true;
		if (!info.si_pid)
			return is_ended_leader(pid, thread->tid);
		note_reason(thread, info.si_status);
		if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
			note_end(thread);
		else
			(void)read_regs(thread);
	}
	if (thread->state != STOP_STOPPED ||
	    !ptrace(PTRACE_DETACH, thread->tid, NULL,
	            (unsigned long)thread->signal))
		return true;
	/* It was killed; whoever traces it has to hear of that. */
	thread->state = STOP_RUNNING;
	return waitpid(thread->tid, NULL, __WALL | WNOHANG) != 0;
}
