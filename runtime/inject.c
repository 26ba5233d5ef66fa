/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "cleanup.h"
#include "code_search.h"
#include "inject.h"
#include "lifeline.h"
#include "maps.h"
#include "proc_status.h"
#include "stop.h"

#define NS_PER_MS UINT64_C(1000000)

/** Between two looks for a thread that waits. */
#define INJECT_PAUSE_NS 5000000

/** Size of the `syscall` instruction. */
#define GATE_SIZE 2

/** syscall */
static const uint8_t gate[] = {0x0f, 0x05};
/** syscall; ret */
static const uint8_t returning_gate[] = {0x0f, 0x05, 0xc3};
/** mov $SYS_rt_sigreturn,%rax; syscall: where signal handlers return to. */
static const uint8_t sigreturn_code[] = {0x48, 0xc7, 0xc0, 0x0f, 0x00,
                                         0x00, 0x00, 0x0f, 0x05};

/**
 * Where a call returns to: mov %rax,%rdi, then as above, in a loop. The tracer
 * sees the result in rdi at the system call, and does not let it be made.
 */
static const uint8_t landing[] = {0x48, 0x89, 0xc7, 0xb8, 0x0f, 0x00,
                                  0x00, 0x00, 0x0f, 0x05, 0xeb, 0xf7};
/** Offset behind the `syscall` in it. */
#define LANDING_END 10

/* Not blocked: the kernel kills a process that blocks one when it is raised. */
#define UNBLOCKED_SIGNALS                                                      \
	(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) |              \
	 BIT(SIGTRAP) | BIT(SIGSYS))
#define BIT(signal) (UINT64_C(1) << ((signal)-1))

/** A thread that is borrowed, and what it was like. */
struct loan {
	struct stop *stop;
	struct stop_thread *thread;
	struct user_regs_struct saved_regs;
	uint64_t saved_mask;
	/** NT_X86_XSTATE of the thread: vector and floating point registers. */
	uint8_t *xstate;
	size_t xstate_size;
	/** Stack pointer to go on with: below it the way back, if there is one.
	 */
	uint64_t sp;
	bool has_lifeline;
	/** Only a thread that waits will do: is_waiting(). */
	bool must_wait;
	/** SIGSTOP came meanwhile; it cannot be blocked. */
	bool was_stopped;
	/** The thread stands at the end of a system call of ours. */
	bool has_passed_gate;
};

static void loan_deinit(struct loan *loan)
{
	stop_destroy(loan->stop);
	free(loan->xstate);
}

/* ---- The gate ------------------------------------------------------------ */

struct hfx_error *inject_init(pid_t pid, struct inject *ret)
{
	struct inject inject = {.pid = pid};

	HFX_TRY(maps_read(pid, &inject.maps));
	if (code_search(pid, &inject.maps, sigreturn_code,
	                sizeof(sigreturn_code), &inject.return_addr) &&
	    code_search(pid, &inject.maps, returning_gate,
	                sizeof(returning_gate), &inject.gate_addr)) {
		*ret = inject;
		return NULL;
	}
	inject.return_addr = 0;
	if (code_search(pid, &inject.maps, gate, sizeof(gate),
	                &inject.gate_addr)) {
		*ret = inject;
		return NULL;
	}
	inject_deinit(&inject);
	return hfx_error_create(HFX_ERROR_UNSUPPORTED,
	                        "process %d has no system call instruction "
	                        "that hfx can find",
	                        pid);
}

void inject_deinit(struct inject *inject)
{
	maps_deinit(&inject->maps);
}

/* ---- Borrowing a thread -------------------------------------------------- */

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

	loan->has_lifeline =
		inject->return_addr &&
		lifeline_has_room(&inject->maps, state.regs.rsp,
	                          state.regs.fs_base) &&
		!lifeline_write(inject->pid, &state, inject->return_addr, &sp);
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
static struct hfx_error *borrow(const struct inject *inject, struct loan *loan)
{
	uint64_t end_ns = stop_now_ns() + INJECT_WAIT_MS * NS_PER_MS;

	loan->thread = NULL;
	HFX_TRY(borrow_any(inject, loan, false));
	if (loan->thread)
		return NULL;
	do {
		HFX_TRY(borrow_any(inject, loan, true));
		if (loan->thread)
			return NULL;
	} while (stop_count(loan->stop, STOP_RUNNING) &&
	         stop_now_ns() < end_ns);
	if (stop_count(loan->stop, STOP_RUNNING))
		return stop_timeout_error(loan->stop);
	return hfx_error_create(HFX_ERROR_NO_PROCESS, "process %d has ended",
	                        inject->pid);
}

/** A thread that runs may wait a moment later. */
static struct hfx_error *borrow_waiting(const struct inject *inject,
                                        struct loan *loan)
{
	const struct timespec pause = {.tv_nsec = INJECT_PAUSE_NS};
	uint64_t end_ns = stop_now_ns() + INJECT_WAIT_MS * NS_PER_MS;

	loan->must_wait = true;
	for (;;) {
		HFX_TRY(borrow_any(inject, loan, true));
		if (loan->thread)
			return NULL;
		if (stop_now_ns() >= end_ns)
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

/** Stop the thread again if it runs: the call takes too long. */
static int regain(struct loan *loan)
{
	int rc;

	if (loan->thread->state != STOP_RUNNING)
		return 0;
	stop_set_deadline(loan->stop,
	                  stop_now_ns() + INJECT_CALL_MS * NS_PER_MS);
	rc = stop_interrupt_one(loan->thread);
	return rc ? rc : stop_wait(loan->stop, loan->thread);
}

/** From a system call or signal stop to an event stop, dropping the signal. */
static int go_to_event(struct loan *loan)
{
	int rc = stop_interrupt_one(loan->thread);

	if (!rc)
		rc = stop_resume(loan->thread, PTRACE_CONT, 0);
	if (!rc && loan->thread->state != STOP_GONE)
		rc = stop_wait(loan->stop, loan->thread);
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
static int give_back(const struct inject *inject, struct loan *loan)
{
	pid_t tid = loan->thread->tid;
	int rc = regain(loan);

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

/* ---- Running it ---------------------------------------------------------- */

/**
 * Let the thread run to its next system call stop. An event stop that is still
 * to come (or the process being stopped) is passed over.
 *
 * @return 0, -ESRCH if it has ended, -EFAULT if it raised a signal.
 */
static int run_to_syscall(struct loan *loan)
{
	for (;;) {
		int rc = stop_resume(loan->thread, PTRACE_SYSCALL, 0);

		if (!rc && loan->thread->state != STOP_GONE)
			rc = stop_wait(loan->stop, loan->thread);
		if (rc)
			return rc;
		if (loan->thread->state == STOP_GONE)
			return -ESRCH;
		if (loan->thread->reason == STOP_BY_SYSCALL)
			return 0;
		if (loan->thread->signal == SIGSTOP)
			loan->was_stopped = true;
		else if (loan->thread->reason == STOP_BY_SIGNAL)
			return -EFAULT;
	}
}

static int set_regs(struct loan *loan, const struct user_regs_struct *regs)
{
	return ptrace(PTRACE_SETREGS, loan->thread->tid, NULL, regs) ? -errno
	                                                             : 0;
}

/** The registers first, so that the thread can go back by itself from then. */
static int send_off(struct loan *loan, const struct user_regs_struct *regs)
{
	uint64_t mask = ~UNBLOCKED_SIGNALS;
	int rc = set_regs(loan, regs);

	if (!rc &&
	    ptrace(PTRACE_SETSIGMASK, loan->thread->tid, sizeof(mask), &mask))
		rc = -errno;
	return rc;
}

/** Run into the gate and out of it. */
static int pass_gate(struct loan *loan, const struct user_regs_struct *regs)
{
	int rc = send_off(loan, regs);

	if (!rc)
		rc = run_to_syscall(loan);
	if (!rc && loan->thread->regs.rip != regs->rip + GATE_SIZE)
		return -EFAULT;
	if (!rc)
		rc = run_to_syscall(loan);
	loan->has_passed_gate = !rc;
	return rc;
}

static int run_syscall(const struct inject *inject, struct loan *loan,
                       long number, const uint64_t args[6], int64_t *result_ret)
{
	struct user_regs_struct regs = loan->saved_regs;
	int rc;

	regs.rip = inject->gate_addr;
	regs.rsp = loan->sp;
	regs.rax = (uint64_t)number;
	regs.orig_rax = UINT64_MAX;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	rc = pass_gate(loan, &regs);
	if (!rc)
		*result_ret = (int64_t)loan->thread->regs.rax;
	return rc;
}

/** Code is written as a debugger writes it: the page is not writable. */
static int write_code(const struct loan *loan, uint64_t live_addr,
                      const uint8_t *code, size_t size)
{
	for (size_t off = 0; off < size; off += sizeof(long)) {
		long word = 0;
		size_t left = size - off;

		memcpy(&word, code + off,
		       left < sizeof(word) ? left : sizeof(word));
		if (ptrace(PTRACE_POKETEXT, loan->thread->tid,
		           (void *)(uintptr_t)(live_addr + off), (void *)word))
			return -errno;
	}
	return 0;
}

/** Let the function run until it returns to the landing. */
static int run_to_landing(struct loan *loan, uint64_t landing_addr,
                          uint64_t return_sp)
{
	for (;;) {
		const struct user_regs_struct *regs = &loan->thread->regs;
		int rc = run_to_syscall(loan);

		if (rc)
			return rc;
		if (stop_deadline_passed(loan->stop))
			return -ETIMEDOUT;
		if (regs->rip == landing_addr + LANDING_END &&
		    regs->rsp == return_sp)
			return 0;
	}
}

/** Leave the system call that the landing begins, without making it. */
static int cancel_syscall(struct loan *loan)
{
	struct user_regs_struct regs = loan->thread->regs;
	int rc;

	regs.orig_rax = UINT64_MAX;
	rc = set_regs(loan, &regs);
	return rc ? rc : run_to_syscall(loan);
}

/** The stack pointer at a function's entry: what it leaves alone lies above. */
static uint64_t entry_sp(const struct loan *loan)
{
	if (loan->has_lifeline)
		return loan->sp;
	return ((loan->sp - RED_ZONE) & ~UINT64_C(15)) - sizeof(uint64_t);
}

/** Have what the thread is sent to next return to @p addr. */
static int set_return(const struct loan *loan, uint64_t sp, uint64_t addr)
{
	return ptrace(PTRACE_POKEDATA, loan->thread->tid, (void *)(uintptr_t)sp,
	              (void *)addr)
	               ? -errno
	               : 0;
}

/** @param[in] live_addr Function; its stack gets a return address alone. */
static int run_call(struct loan *loan, uint64_t landing_addr,
                    uint64_t live_addr, const uint64_t args[2],
                    uint64_t *result_ret)
{
	struct user_regs_struct regs = loan->saved_regs;
	int rc;

	regs.rip = live_addr;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rsp = entry_sp(loan);
	regs.rax = 0;
	regs.orig_rax = UINT64_MAX;
	/* The psABI wants DF clear at a call; TF would raise SIGTRAP. */
	regs.eflags &= ~UINT64_C(0x500);
	rc = set_return(loan, regs.rsp, landing_addr);
	if (!rc)
		rc = send_off(loan, &regs);
	if (!rc)
		rc = run_to_landing(loan, landing_addr,
		                    regs.rsp + sizeof(uint64_t));
	if (rc)
		return rc;
	*result_ret = loan->thread->regs.rdi;
	return cancel_syscall(loan);
}

/** As run_call(), with vector and floating point registers put back. */
static int run_call_saved(struct loan *loan, uint64_t landing_addr,
                          uint64_t live_addr, const uint64_t args[2],
                          uint64_t *result_ret)
{
	struct iovec vector = {loan->xstate, loan->xstate_size};
	int rc = run_call(loan, landing_addr, live_addr, args, result_ret);

	if (regain(loan))
		return rc;
	if (loan->thread->state == STOP_STOPPED &&
	    ptrace(PTRACE_SETREGSET, loan->thread->tid,
	           (void *)(uintptr_t)NT_X86_XSTATE, &vector) &&
	    !rc)
		rc = -errno;
	return rc;
}

/** Call with a page of our own to land on. */
static int run_call_landing(const struct inject *inject, struct loan *loan,
                            uint64_t live_addr, const uint64_t args[2],
                            uint64_t *result_ret)
{
	uint64_t map_args[6] = {0, PAGE_BYTES, PROT_READ | PROT_EXEC,
	                        MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX};
	uint64_t unmap_args[6] = {0, PAGE_BYTES};
	int64_t page, result;
	int rc = run_syscall(inject, loan, SYS_mmap, map_args, &page);

	if (rc || page < 0)
		return rc ? rc : (int)page;
	rc = write_code(loan, (uint64_t)page, landing, sizeof(landing));
	if (!rc)
		rc = run_call_saved(loan, (uint64_t)page, live_addr, args,
		                    result_ret);
	/* A thread that is not back from the call is still to return there. */
	if (!rc && loan->has_lifeline)
		rc = set_return(loan, loan->sp, inject->return_addr);
	unmap_args[0] = (uint64_t)page;
	if (!rc)
		rc = run_syscall(inject, loan, SYS_munmap, unmap_args, &result);
	return rc;
}

static struct hfx_error *
begin_with(const struct inject *inject, struct loan *loan,
           struct hfx_error *(*borrow_one)(const struct inject *inject,
                                           struct loan *loan))
{
	*loan = (struct loan){.xstate = malloc(XSTATE_MAX)};
	if (!loan->xstate)
		return hfx_error_no_memory();
	HFX_TRY(stop_create(inject->pid, &loan->stop));
	HFX_TRY(borrow_one(inject, loan));
	stop_set_deadline(loan->stop,
	                  stop_now_ns() + INJECT_CALL_MS * NS_PER_MS);
	return NULL;
}

static struct hfx_error *begin(const struct inject *inject, struct loan *loan)
{
	return begin_with(inject, loan, borrow);
}

/** End a loan. @p rc is how the run ended, @p what is named in the error. */
static struct hfx_error *end(const struct inject *inject, struct loan *loan,
                             int rc, const char *what)
{
	pid_t tid = loan->thread->tid;
	int back = give_back(inject, loan);

	if (rc == -ESRCH || back == -ESRCH)
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "thread %d of process %d ended during "
		                        "%s",
		                        tid, inject->pid, what);
	if (back)
		return hfx_error_create(HFX_ERROR_POISONED,
		                        "thread %d of process %d cannot be put "
		                        "back after %s (%s); replace the "
		                        "process",
		                        tid, inject->pid, what,
		                        strerror(-back));
	return rc ? hfx_error_os(-rc, "%s in thread %d of process %d", what,
	                         tid, inject->pid)
	          : NULL;
}

struct hfx_error *inject_syscall(const struct inject *inject, long number,
                                 const uint64_t args[6], int64_t *result_ret)
{
	struct loan loan;
	struct hfx_error *err = begin(inject, &loan);
	int rc;

	if (!err) {
		rc = run_syscall(inject, &loan, number, args, result_ret);
		err = end(inject, &loan, rc, "a system call");
	}
	loan_deinit(&loan);
	return err;
}

static struct hfx_error *call_begun(const struct inject *inject,
                                    struct loan *loan, struct hfx_error *err,
                                    uint64_t live_addr, const uint64_t args[2],
                                    uint64_t *result_ret)
{
	int rc;

	if (!err) {
		rc = run_call_landing(inject, loan, live_addr, args,
		                      result_ret);
		err = end(inject, loan, rc, "a call");
	}
	loan_deinit(loan);
	return err;
}

struct hfx_error *inject_call(const struct inject *inject, uint64_t live_addr,
                              const uint64_t args[2], uint64_t *result_ret)
{
	struct loan loan;
	struct hfx_error *err = begin(inject, &loan);

	return call_begun(inject, &loan, err, live_addr, args, result_ret);
}

struct hfx_error *inject_call_waiting(const struct inject *inject,
                                      uint64_t live_addr,
                                      const uint64_t args[2],
                                      uint64_t *result_ret)
{
	struct loan loan;
	struct hfx_error *err = begin_with(inject, &loan, borrow_waiting);

	return call_begun(inject, &loan, err, live_addr, args, result_ret);
}
