/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "code_search.h"
#include "inject.h"
#include "lifeline.h"
#include "loan.h"
#include "maps.h"
#include "proc_status.h"
#include "stop.h"

#define NS_PER_MS UINT64_C(1000000)

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

/* ---- The gate ------------------------------------------------------------ */

struct hfx_error *inject_init(pid_t pid, struct inject *ret)
{
	struct inject inject = {.pid = pid};
	const pid_t tid = proc_memory_thread(pid);

	HFX_TRY(maps_read(pid, &inject.maps));
	if (code_search(tid, &inject.maps, sigreturn_code,
	                sizeof(sigreturn_code), &inject.return_addr) &&
	    code_search(tid, &inject.maps, returning_gate,
	                sizeof(returning_gate), &inject.gate_addr)) {
		*ret = inject;
		return NULL;
	}
	inject.return_addr = 0;
	if (code_search(tid, &inject.maps, gate, sizeof(gate),
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

/* ---- Running it ---------------------------------------------------------- */

/** How to wait for a thread that runs. */
typedef int wait_fn(struct stop *stop, struct stop_thread *thread);

/**
 * For what the kernel does in the thread: that ends, however slow the thread
 * is. What sleeps is taken back when its time is over.
 */
static int wait_for_kernel(struct stop *stop, struct stop_thread *thread)
{
	return stop_wait_patiently(stop, thread, 0);
}

/**
 * Wait until the thread, which runs, is at its next system call stop. An event
 * stop that is still to come (or the process being stopped) is passed over.
 *
 * @return 0, -ESRCH if it has ended, -EFAULT if it raised a signal.
 */
static int wait_for_syscall(struct loan *loan, wait_fn *wait)
{
	for (;;) {
		int rc = 0;

		if (loan->thread->state != STOP_GONE)
			rc = wait(loan->stop, loan->thread);
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
		rc = stop_resume(loan->thread, PTRACE_SYSCALL, 0);
		if (rc)
			return rc;
	}
}

/** Let the thread run to its next system call stop. */
static int run_to_syscall(struct loan *loan, wait_fn *wait)
{
	int rc = stop_resume(loan->thread, PTRACE_SYSCALL, 0);

	return rc ? rc : wait_for_syscall(loan, wait);
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
		rc = run_to_syscall(loan, wait_for_kernel);
	if (!rc && loan->thread->regs.rip != regs->rip + GATE_SIZE)
		return -EFAULT;
	if (!rc)
		rc = run_to_syscall(loan, wait_for_kernel);
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

/** Whether the thread waits for something, and not for its turn. */
static bool is_asleep(const struct inject *inject, const struct loan *loan)
{
	struct proc_status status;

	return proc_status_read(inject->pid, loan->thread->tid, &status) ||
	       status.state == 'S';
}

/**
 * As run_to_syscall(). A function that is taken back where it just runs may
 * have a lock, which it would keep for ever. One that waits has to be, or the
 * thread would; one that only waits for its turn on a busy machine is given
 * more time, until @p end_ns.
 */
static int run_patiently(const struct inject *inject, struct loan *loan,
                         uint64_t end_ns)
{
	int rc;

	stop_set_deadline(loan->stop,
	                  stop_now_ns() + INJECT_CALL_MS * NS_PER_MS);
	rc = run_to_syscall(loan, stop_wait);
	while (rc == -ETIMEDOUT && stop_now_ns() < end_ns &&
	       !is_asleep(inject, loan)) {
		stop_set_deadline(loan->stop,
		                  stop_now_ns() + INJECT_CALL_MS * NS_PER_MS);
		rc = wait_for_syscall(loan, stop_wait);
	}
	return rc;
}

/** Let the function run until it returns to the landing. */
static int run_to_landing(const struct inject *inject, struct loan *loan,
                          uint64_t landing_addr, uint64_t return_sp)
{
	uint64_t end_ns = stop_now_ns() + INJECT_BUSY_MS * NS_PER_MS;

	for (;;) {
		const struct user_regs_struct *regs = &loan->thread->regs;
		int rc = run_patiently(inject, loan, end_ns);

		if (rc)
			return rc;
		if (regs->rip == landing_addr + LANDING_END &&
		    regs->rsp == return_sp)
			return 0;
		if (stop_now_ns() >= end_ns)
			return -ETIMEDOUT;
	}
}

/** Leave the system call that the landing begins, without making it. */
static int cancel_syscall(struct loan *loan)
{
	struct user_regs_struct regs = loan->thread->regs;
	int rc;

	regs.orig_rax = UINT64_MAX;
	rc = set_regs(loan, &regs);
	return rc ? rc : run_to_syscall(loan, wait_for_kernel);
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
static int run_call(const struct inject *inject, struct loan *loan,
                    uint64_t landing_addr, uint64_t live_addr,
                    const uint64_t args[2], uint64_t *result_ret)
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
		rc = run_to_landing(inject, loan, landing_addr,
		                    regs.rsp + sizeof(uint64_t));
	if (rc)
		return rc;
	*result_ret = loan->thread->regs.rdi;
	return cancel_syscall(loan);
}

/** As run_call(), with vector and floating point registers put back. */
static int run_call_saved(const struct inject *inject, struct loan *loan,
                          uint64_t landing_addr, uint64_t live_addr,
                          const uint64_t args[2], uint64_t *result_ret)
{
	struct iovec vector = {loan->xstate, loan->xstate_size};
	int rc = run_call(inject, loan, landing_addr, live_addr, args,
	                  result_ret);

	if (loan_regain(loan))
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
		rc = run_call_saved(inject, loan, (uint64_t)page, live_addr,
		                    args, result_ret);
	/* A thread that is not back from the call is still to return there. */
	if (!rc && loan->has_lifeline)
		rc = set_return(loan, loan->sp, inject->return_addr);
	unmap_args[0] = (uint64_t)page;
	if (!rc)
		rc = run_syscall(inject, loan, SYS_munmap, unmap_args, &result);
	return rc;
}

/** End a loan. @p rc is how the run ended, @p what is named in the error. */
static struct hfx_error *end(const struct inject *inject, struct loan *loan,
                             int rc, const char *what)
{
	pid_t tid = loan->thread->tid;
	int back = loan_give_back(inject, loan);

	if (rc == -ESRCH || back == -ESRCH)
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "thread %d of process %d ended during "
		                        "%s",
		                        tid, inject->pid, what);
	/* It has not got to the end of what it does, but will return from
	 * there. */
	if (back == -ETIMEDOUT && loan->has_lifeline)
		return hfx_error_create(HFX_ERROR_STOP,
		                        "thread %d of process %d is held up in "
		                        "%s; it goes back by itself when hfx "
		                        "has ended; try again later",
		                        tid, inject->pid, what);
	if (back)
		return hfx_error_create(HFX_ERROR_POISONED,
		                        "thread %d of process %d cannot be put "
		                        "back after %s (%s); replace the "
		                        "process",
		                        tid, inject->pid, what,
		                        strerror(-back));
	if (rc == -ETIMEDOUT)
		return hfx_error_create(HFX_ERROR_STOP,
		                        "thread %d of process %d did not "
		                        "return from %s in time, and was put "
		                        "back",
		                        tid, inject->pid, what);
	return rc ? hfx_error_os(-rc, "%s in thread %d of process %d", what,
	                         tid, inject->pid)
	          : NULL;
}

struct hfx_error *inject_syscall(const struct inject *inject, long number,
                                 const uint64_t args[6], int64_t *result_ret)
{
	struct loan loan;
	struct hfx_error *err = loan_begin(inject, false, &loan);
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
	struct hfx_error *err = loan_begin(inject, false, &loan);

	return call_begun(inject, &loan, err, live_addr, args, result_ret);
}

struct hfx_error *inject_call_waiting(const struct inject *inject,
                                      uint64_t live_addr,
                                      const uint64_t args[2],
                                      uint64_t *result_ret)
{
	struct loan loan;
	struct hfx_error *err = loan_begin(inject, true, &loan);

	return call_begun(inject, &loan, err, live_addr, args, result_ret);
}
