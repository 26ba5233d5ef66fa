/* SPDX-License-Identifier: MIT */
/**
 * @file inject.h
 *
 * Making another process make a system call, or call a function.
 *
 * One thread is borrowed: stopped, sent through a `syscall` instruction that
 * the process has anyway, and put back as it was. Nothing of the process is
 * written for that but what lies below the thread's stack.
 *
 * - The tracer may be killed meanwhile: the thread then goes back by itself
 *   (lifeline.h). Threads that can are tried first; one that cannot, because
 *   its stack may end anywhere or the process lacks the instructions for it, is
 *   borrowed only if there is no other, and then the tracer's end in these
 *   microseconds would end the process.
 *
 * - Signals wait: the thread's signal mask blocks them until it is put back.
 *   What is used to regain control are system call stops, which, unlike steps
 *   and breakpoints, raise no signal.
 * - A system call that the thread was in is restarted, since the last stop is
 *   one in which the kernel decides about that (see stop.h).
 * - A function that is called returns to a page of ours, with a system call
 * that is not made; the page goes afterwards.
 */
#ifndef HFX_RUNTIME_INJECT_H
#define HFX_RUNTIME_INJECT_H

#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "maps.h"

/**
 * How long a thread may take to stop before the next one is tried, how long
 * that goes on, how long a call may wait for something, and how long it may
 * take to return.
 */
#define INJECT_STOP_MS 100
#define INJECT_WAIT_MS 3000
#define INJECT_CALL_MS 1000
#define INJECT_BUSY_MS 10000

struct inject {
	pid_t pid;
	/** Address of a `syscall` instruction (0f 05) in the process. */
	uint64_t gate_addr;
	/** Code that makes rt_sigreturn; if not 0, the gate returns to it. */
	uint64_t return_addr;
	/** As they were: the stacks of threads are found there. */
	struct maps maps;
};

/**
 * Find what is needed in process @p pid; its threads run on.
 *
 * Errors: #HFX_ERROR_UNSUPPORTED if no system call instruction is found.
 */
HFX_MUST_CHECK struct hfx_error *inject_init(pid_t pid, struct inject *ret);

/** Guard and destructor. */
void inject_deinit(struct inject *inject);

/**
 * Make a system call.
 *
 * Threads are tried in their order until one can be borrowed. Errors: those of
 * stop_seize_one(); #HFX_ERROR_STOP if none can be stopped;
 * #HFX_ERROR_PERMISSION if seccomp, which could kill the process for a system
 * call it does not expect, cannot be suspended.
 *
 * @param[out] result_ret What the kernel returned: negative is -errno.
 */
HFX_MUST_CHECK struct hfx_error *inject_syscall(const struct inject *inject,
                                                long number,
                                                const uint64_t args[6],
                                                int64_t *result_ret);

/**
 * Call a function of up to two integer arguments, with all other threads
 * running.
 *
 * @param[out] result_ret What it returned (in rax).
 */
HFX_MUST_CHECK struct hfx_error *inject_call(const struct inject *inject,
                                             uint64_t live_addr,
                                             const uint64_t args[2],
                                             uint64_t *result_ret);

/**
 * As inject_call(), for functions that take locks of the C library: on a thread
 * that waits in a system call in which it holds none of those that allocating
 * memory and starting a thread take. In a signal handler it might.
 *
 * Error: #HFX_ERROR_STOP if there is no such thread for a while.
 */
HFX_MUST_CHECK struct hfx_error *
inject_call_waiting(const struct inject *inject, uint64_t live_addr,
                    const uint64_t args[2], uint64_t *result_ret);

#endif /* HFX_RUNTIME_INJECT_H */
