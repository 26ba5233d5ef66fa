/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "inject.h"
#include "maps.h"
#include "proc_status.h"
#include "stop.h"

#define NS_PER_MS UINT64_C(1000000)

/** Size of the `syscall` instruction. */
#define GATE_SIZE 2

/** A mapping is searched for it no further than this, in bytes. */
#define GATE_SEARCH_MAX (1u << 20)

/** Largest extended state of a thread that is saved (AMX takes 11 KiB). */
#define XSTATE_MAX 32768

/** Bytes below the stack pointer that belong to the function (psABI 3.2.2). */
#define RED_ZONE 128

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
	/** SIGSTOP came meanwhile; it cannot be blocked. */
	bool was_stopped;
	/** The thread stands at the end of a system call of ours. */
	bool has_passed_gate;
};

/* ---- The gate ------------------------------------------------------------ */

static bool search_mapping(pid_t pid, const struct mapping *mapping,
                           uint64_t *gate_ret)
{
	static const uint8_t gate[GATE_SIZE] = {0x0f, 0x05};
	uint64_t size = mapping->end_addr - mapping->start_addr;
	struct iovec remote = {(void *)(uintptr_t)mapping->start_addr,
	                       size < GATE_SEARCH_MAX ? size : GATE_SEARCH_MAX};
	HFX_CLEANUP(hfx_free) uint8_t *bytes = malloc(remote.iov_len);
	struct iovec local = {bytes, remote.iov_len};
	const uint8_t *found;
	ssize_t got;

	if (!bytes)
		return false;
	got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	found = got > 0 ? memmem(bytes, (size_t)got, gate, GATE_SIZE) : NULL;
	if (found)
		*gate_ret = mapping->start_addr + (uint64_t)(found - bytes);
	return found;
}

static bool is_code(const struct mapping *mapping)
{
	return mapping->protection & PROT_EXEC &&
	       mapping->protection & PROT_READ &&
	       !(mapping->protection & PROT_WRITE) &&
	       strcmp(mapping->name, "[vsyscall]");
}

/** The vDSO first: a process does not unmap it. */
static bool find_gate(pid_t pid, const struct maps *maps, uint64_t *gate_ret)
{
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < maps->num_mappings; i++) {
			const struct mapping *mapping = &maps->mappings[i];
			bool is_vdso = !strcmp(mapping->name, "[vdso]");

			if (is_vdso == !pass && is_code(mapping) &&
			    search_mapping(pid, mapping, gate_ret))
				return true;
		}
	}
	return false;
}

struct hfx_error *inject_init(pid_t pid, struct inject *ret)
{
	HFX_CLEANUP(maps_deinit) struct maps maps = {0};
	uint64_t gate_addr;

	HFX_TRY(maps_read(pid, &maps));
	if (!find_gate(pid, &maps, &gate_addr))
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "process %d has no system call "
		                        "instruction that hfx can find",
		                        pid);
	*ret = (struct inject){.pid = pid, .gate_addr = gate_addr};
	return NULL;
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

/** Borrow the thread @p tid; `loan->thread` is `NULL` if that cannot be. */
static struct hfx_error *borrow_thread(const struct inject *inject,
                                       struct loan *loan, pid_t tid)
{
	uint64_t mask = ~UNBLOCKED_SIGNALS;
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
	loan->saved_regs = loan->thread->regs;
	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(loan->saved_mask),
	           &loan->saved_mask) ||
	    ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask))
		return hfx_error_os(errno, "block signals of thread %d", tid);
	return NULL;
}

/** Borrow the first thread that can be, trying each once. */
static struct hfx_error *borrow_any(const struct inject *inject,
                                    struct loan *loan)
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
	while (!err && !loan->thread && (entry = readdir(dir)))
		if (atoi(entry->d_name) > 0)
			err = borrow_thread(inject, loan, atoi(entry->d_name));
	closedir(dir);
	return err;
}

/** On a busy machine even a thread that runs may take long to get its turn. */
static struct hfx_error *borrow(const struct inject *inject, struct loan *loan)
{
	uint64_t end_ns = stop_now_ns() + INJECT_WAIT_MS * NS_PER_MS;

	loan->thread = NULL;
	do {
		HFX_TRY(borrow_any(inject, loan));
		if (loan->thread)
			return NULL;
	} while (stop_count(loan->stop, STOP_RUNNING) &&
	         stop_now_ns() < end_ns);
	if (stop_count(loan->stop, STOP_RUNNING))
		return stop_timeout_error(loan->stop);
	return hfx_error_create(HFX_ERROR_NO_PROCESS, "process %d has ended",
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
	if (ptrace(PTRACE_SETREGS, tid, NULL, &loan->saved_regs) ||
	    ptrace(PTRACE_SETSIGMASK, tid, sizeof(loan->saved_mask),
	           &loan->saved_mask))
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

/** With the registers set: run into the gate and out of it. */
static int pass_gate(struct loan *loan, const struct user_regs_struct *regs)
{
	int rc = set_regs(loan, regs);

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

/** Let the function run until it returns to the gate. */
static int run_to_gate(const struct inject *inject, struct loan *loan,
                       uint64_t return_sp)
{
	for (;;) {
		const struct user_regs_struct *regs = &loan->thread->regs;
		int rc = run_to_syscall(loan);

		if (rc)
			return rc;
		if (stop_deadline_passed(loan->stop))
			return -ETIMEDOUT;
		if (regs->rip == inject->gate_addr + GATE_SIZE &&
		    regs->rsp == return_sp)
			return 0;
	}
}

/** Leave the system call that the return has become, without making it. */
static int cancel_syscall(struct loan *loan)
{
	struct user_regs_struct regs = loan->thread->regs;
	int rc;

	regs.orig_rax = UINT64_MAX;
	rc = set_regs(loan, &regs);
	return rc ? rc : run_to_syscall(loan);
}

/** @param[in] live_addr Function; its stack gets a return address alone. */
static int run_call(const struct inject *inject, struct loan *loan,
                    uint64_t live_addr, const uint64_t args[2],
                    uint64_t *result_ret)
{
	struct user_regs_struct regs = loan->saved_regs;
	int rc;

	regs.rip = live_addr;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rsp = ((regs.rsp - RED_ZONE) & ~UINT64_C(15)) - sizeof(uint64_t);
	regs.rax = 0;
	regs.orig_rax = UINT64_MAX;
	/* The psABI wants DF clear at a call; TF would raise SIGTRAP. */
	regs.eflags &= ~UINT64_C(0x500);
	if (ptrace(PTRACE_POKEDATA, loan->thread->tid,
	           (void *)(uintptr_t)regs.rsp, (void *)inject->gate_addr))
		return -errno;
	rc = set_regs(loan, &regs);
	if (!rc)
		rc = run_to_gate(inject, loan, regs.rsp + sizeof(uint64_t));
	if (rc)
		return rc;
	*result_ret = loan->thread->regs.orig_rax;
	return cancel_syscall(loan);
}

/** As run_call(), with vector and floating point registers put back. */
static int run_call_saved(const struct inject *inject, struct loan *loan,
                          uint64_t live_addr, const uint64_t args[2],
                          uint64_t *result_ret)
{
	HFX_CLEANUP(hfx_free) void *xstate = malloc(XSTATE_MAX);
	struct iovec vector = {xstate, XSTATE_MAX};
	pid_t tid = loan->thread->tid;
	void *kind = (void *)(uintptr_t)NT_X86_XSTATE;
	int rc;

	if (!xstate)
		return -ENOMEM;
	if (ptrace(PTRACE_GETREGSET, tid, kind, &vector))
		return -errno;
	rc = run_call(inject, loan, live_addr, args, result_ret);
	if (regain(loan))
		return rc;
	if (loan->thread->state == STOP_STOPPED &&
	    ptrace(PTRACE_SETREGSET, tid, kind, &vector) && !rc)
		rc = -errno;
	return rc;
}

static struct hfx_error *begin(const struct inject *inject, struct loan *loan)
{
	*loan = (struct loan){0};
	HFX_TRY(stop_create(inject->pid, &loan->stop));
	HFX_TRY(borrow(inject, loan));
	stop_set_deadline(loan->stop,
	                  stop_now_ns() + INJECT_CALL_MS * NS_PER_MS);
	return NULL;
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
	stop_destroy(loan.stop);
	return err;
}

struct hfx_error *inject_call(const struct inject *inject, uint64_t live_addr,
                              const uint64_t args[2], uint64_t *result_ret)
{
	struct loan loan;
	struct hfx_error *err = begin(inject, &loan);
	int rc;

	if (!err) {
		rc = run_call_saved(inject, &loan, live_addr, args, result_ret);
		err = end(inject, &loan, rc, "a call");
	}
	stop_destroy(loan.stop);
	return err;
}
