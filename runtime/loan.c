/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "inject.h"
#include "lifeline.h"
#include "loan.h"
#include "proc_status.h"
#include "stop.h"

#define NS_PER_MS UINT64_C(1000000)

/** Between two looks for a thread that waits. */
#define LOAN_PAUSE_NS 5000000

static struct hfx_error *seccomp_error(pid_t pid, pid_t tid,
                                       struct hfx_error *err)
{
	hfx_error_destroy(err);
	return hfx_error_create(
		HFX_ERROR_PERMISSION,
		"thread %d of process %d runs under seccomp, which can only be "
		"suspended with CAP_SYS_ADMIN; run as root, outside of "
		"containers",
		tid, pid);
}

static struct hfx_error *seize(const struct inject *inject, struct loan *loan,
                               pid_t tid)
{
	unsigned long options = 0;
	struct proc_status status;
	struct hfx_error *err;

	if (proc_status_read(inject->pid, tid, &status))
		return NULL;
	if (status.seccomp)
		options = PTRACE_O_SUSPEND_SECCOMP;
	err = stop_seize_one(loan->stop, tid, options, &loan->thread);
	if (err && options && !status.tracer_pid &&
	    hfx_error_code(err) == HFX_ERROR_PERMISSION)
		return seccomp_error(inject->pid, tid, err);
	return err;
}

/**
 * Bring the thread to an event stop. Signals that were on their way are
 * delivered: it then stands at the first instruction of the handler.
 *
 * @return 0, also if the thread has ended.
 */
static int settle(struct loan *loan)
{
	int rc = stop_interrupt_one(loan->thread);

	if (!rc)
		rc = stop_wait(loan->stop, loan->thread);
	while (!rc && loan->thread->state == STOP_STOPPED &&
	       loan->thread->reason != STOP_BY_EVENT) {
		rc = stop_resume(loan->thread, PTRACE_CONT,
		                 loan->thread->signal);
		if (!rc && loan->thread->state != STOP_GONE)
			rc = stop_wait(loan->stop, loan->thread);
	}
	return rc;
}

/** Note what the thread is like. */
static int save(struct loan *loan)
{
	struct iovec vector = {loan->xstate, XSTATE_MAX};
	pid_t tid = loan->thread->tid;

	loan->saved_regs = loan->thread->regs;
	loan->sp = loan->saved_regs.rsp;
	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(loan->saved_mask),
	           &loan->saved_mask) ||
	    ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_X86_XSTATE,
	           &vector))
		return -errno;
	loan->xstate_size = vector.iov_len;
	return 0;
}

/** Write the way back, where that can be done without harm. */
static void write_lifeline(const struct inject *inject, struct loan *loan)
{
	struct lifeline_state state = {
		.regs = loan->saved_regs,
		.signal_mask = loan->saved_mask,
		.xstate = loan->xstate,
		.xstate_size = loan->xstate_size,
	};
	uint64_t sp;

	loan->has_lifeline = inject->return_addr &&
	                     lifeline_has_room(&inject->maps, state.regs.rsp,
	                                       state.regs.fs_base) &&
	                     !lifeline_write(loan->thread->tid, &state,
	                                     inject->return_addr, &sp);
	if (loan->has_lifeline)
		loan->sp = sp;
}

/** Borrow the thread @p tid; `loan->thread` is `NULL` if that cannot be. */
static struct hfx_error *borrow_thread(const struct inject *inject,
                                       struct loan *loan, pid_t tid)
{
	int rc;

	loan->thread = NULL;
	HFX_TRY(seize(inject, loan, tid));
	if (!loan->thread)
		return NULL;
	stop_set_deadline(loan->stop,
	                  stop_now_ns() + INJECT_STOP_MS * NS_PER_MS);
	stop_hold_signals(loan->stop);
	stop_hurry(loan->stop);
	rc = settle(loan);
	if (rc || loan->thread->state == STOP_GONE) {
		loan->thread = NULL;
		return rc && rc != -ETIMEDOUT
		               ? hfx_error_os(-rc, "stop thread %d", tid)
		               : NULL;
	}
	rc = save(loan);
	if (rc)
		return hfx_error_os(-rc, "read the state of thread %d", tid);
	write_lifeline(inject, loan);
	return NULL;
}

/** What waits on a condition, and not on a lock of the C library. */
static bool waits_on_condition(const struct user_regs_struct *regs)
{
	return (regs->rsi & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

/**
 * Whether the thread is in a system call in which programs wait for others, and
 * the C library holds no lock that malloc() or pthread_create() take. Not
 * sigsuspend(): garbage collectors stop threads by it, anywhere.
 */
static bool is_waiting(const struct loan *loan)
{
	switch ((int64_t)loan->saved_regs.orig_rax) {
	case SYS_futex:
		return waits_on_condition(&loan->saved_regs);
	case SYS_accept:
	case SYS_accept4:
	case SYS_clock_nanosleep:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_epoll_wait:
	case SYS_nanosleep:
	case SYS_pause:
	case SYS_poll:
	case SYS_ppoll:
	case SYS_pselect6:
	case SYS_read:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_restart_syscall:
	case SYS_rt_sigtimedwait:
	case SYS_select:
	case SYS_wait4:
	case SYS_waitid:
		return true;
	default:
		return false;
	}
}

/** A thread that can go back by itself, or if @p is_last any. */
static bool is_wanted(const struct inject *inject, const struct loan *loan,
                      bool is_last)
{
	if (loan->must_wait && !is_waiting(loan))
		return false;
	return loan->has_lifeline || is_last || !inject->return_addr;
}

/** Borrow the first thread that can be, trying each once. */
static struct hfx_error *borrow_any(const struct inject *inject,
                                    struct loan *loan, bool is_last)
{
	struct hfx_error *err = NULL;
	struct dirent *entry;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", inject->pid);
	dir = opendir(path);
	if (!dir)
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "process %d has ended", inject->pid);
	while (!err && !loan->thread && (entry = readdir(dir))) {
		if (atoi(entry->d_name) <= 0)
			continue;
		err = borrow_thread(inject, loan, atoi(entry->d_name));
		if (!err && loan->thread && !is_wanted(inject, loan, is_last)) {
			stop_release(loan->stop);
			loan->thread = NULL;
		}
	}
	closedir(dir);
	return err;
}

/** On a busy machine even a thread that runs may take long to get its turn. */
static bool may_still_come(const struct loan *loan, uint64_t start_ns)
{
	uint64_t waited_ns = stop_now_ns() - start_ns;

	if (!stop_count(loan->stop, STOP_RUNNING))
		return false;
	return waited_ns < INJECT_WAIT_MS * NS_PER_MS ||
	       (waited_ns < INJECT_BUSY_MS * NS_PER_MS &&
	        stop_has_slow(loan->stop));
}

static struct hfx_error *borrow(const struct inject *inject, struct loan *loan)
{
	uint64_t start_ns = stop_now_ns();

	loan->thread = NULL;
	HFX_TRY(borrow_any(inject, loan, false));
	if (loan->thread)
		return NULL;
	do {
		HFX_TRY(borrow_any(inject, loan, true));
		if (loan->thread)
			return NULL;
	} while (may_still_come(loan, start_ns));
	if (stop_count(loan->stop, STOP_RUNNING))
		return stop_timeout_error(loan->stop);
	return hfx_error_create(HFX_ERROR_NO_PROCESS, "process %d has ended",
	                        inject->pid);
}

/** A thread that runs may wait a moment later. */
static struct hfx_error *borrow_waiting(const struct inject *inject,
                                        struct loan *loan)
{
	const struct timespec pause = {.tv_nsec = LOAN_PAUSE_NS};
	uint64_t start_ns = stop_now_ns();
	uint64_t end_ns = start_ns + INJECT_WAIT_MS * NS_PER_MS;

	for (;;) {
		HFX_TRY(borrow_any(inject, loan, true));
		if (loan->thread)
			return NULL;
		if (stop_now_ns() >= end_ns && !may_still_come(loan, start_ns))
			break;
		nanosleep(&pause, NULL);
	}
	return hfx_error_create(HFX_ERROR_STOP,
	                        "no thread of process %d waits where it can "
	                        "start another one (for input, for time, for "
	                        "a child); try again, or have the program "
	                        "apply the patch itself",
	                        inject->pid);
}

static int wait_patiently(struct loan *loan)
{
	return stop_wait_patiently(loan->stop, loan->thread,
	                           INJECT_BUSY_MS * NS_PER_MS);
}

/** Stop the thread again if it runs: the call takes too long. */
int loan_regain(struct loan *loan)
{
	int rc;

	if (loan->thread->state != STOP_RUNNING)
		return 0;
	rc = stop_interrupt_one(loan->thread);
	return rc ? rc : wait_patiently(loan);
}

/** From a system call or signal stop to an event stop, dropping the signal. */
static int go_to_event(struct loan *loan)
{
	int rc = stop_interrupt_one(loan->thread);

	if (!rc)
		rc = stop_resume(loan->thread, PTRACE_CONT, 0);
	if (!rc && loan->thread->state != STOP_GONE)
		rc = wait_patiently(loan);
	return rc;
}

/**
 * From a system call stop the kernel goes straight to the program; only in an
 * event stop it looks at the registers again to restart a system call. That
 * stop is saved a thread that was not in one.
 */
static bool must_go_to_event(const struct loan *loan)
{
	if (loan->thread->state != STOP_STOPPED ||
	    loan->thread->reason == STOP_BY_EVENT)
		return false;
	return !loan->has_passed_gate ||
	       (int64_t)loan->saved_regs.orig_rax >= 0;
}

/** Put the thread back. */
int loan_give_back(const struct inject *inject, struct loan *loan)
{
	pid_t tid = loan->thread->tid;
	int rc = loan_regain(loan);

	while (!rc && must_go_to_event(loan))
		rc = go_to_event(loan);
	if (rc)
		return rc;
	if (loan->thread->state == STOP_GONE)
		return -ESRCH;
	/* The registers last: up to there the thread can go back by itself. */
	if (ptrace(PTRACE_SETSIGMASK, tid, sizeof(loan->saved_mask),
	           &loan->saved_mask) ||
	    ptrace(PTRACE_SETREGS, tid, NULL, &loan->saved_regs))
		return -errno;
	loan->thread->signal = 0;
	stop_release(loan->stop);
	if (loan->was_stopped)
		kill(inject->pid, SIGSTOP);
	return 0;
}

struct hfx_error *loan_begin(const struct inject *inject, bool must_wait,
                             struct loan *loan)
{
	*loan = (struct loan){
		.xstate = malloc(XSTATE_MAX),
		.must_wait = must_wait,
	};
	if (!loan->xstate)
		return hfx_error_no_memory();
	HFX_TRY(stop_create(inject->pid, &loan->stop));
	HFX_TRY(must_wait ? borrow_waiting(inject, loan)
	                  : borrow(inject, loan));
	stop_set_deadline(loan->stop,
	                  stop_now_ns() + INJECT_CALL_MS * NS_PER_MS);
	return NULL;
}

void loan_deinit(struct loan *loan)
{
	stop_destroy(loan->stop);
	free(loan->xstate);
}
