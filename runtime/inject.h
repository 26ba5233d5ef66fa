/* SPDX-License-Identifier: MIT */
/**
 * @file inject.h
 *
 * Making another process make a system call, or call a function.
 *
 * One thread is borrowed: stopped, sent through a `syscall` instruction that
 * the process has anyway (in the vDSO), and put back as it was. Nothing of the
 * process is written for that.
 *
 * - Signals wait: the thread's signal mask blocks them until it is put back.
 *   What is used to regain control are system call stops, which, unlike steps
 *   and breakpoints, raise no signal.
 * - A system call that the thread was in is restarted, since the last stop is
 *   one in which the kernel decides about that (see stop.h).
 * - A function that is called returns to the same `syscall` instruction: its
 *   result is then the number of a system call that is not made.
 */
#ifndef HFX_RUNTIME_INJECT_H
#define HFX_RUNTIME_INJECT_H

#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/**
 * How long a thread may take to stop before the next one is tried, how long
 * that goes on, and how long a call may take to return.
 */
#define INJECT_STOP_MS 100
#define INJECT_WAIT_MS 3000
#define INJECT_CALL_MS 1000

struct inject {
	pid_t pid;
	/** Address of a `syscall` instruction (0f 05) in the process. */
	uint64_t gate_addr;
};

/**
 * Find what is needed in process @p pid; its threads run on.
 *
 * Errors: #HFX_ERROR_UNSUPPORTED if no system call instruction is found.
 */
HFX_MUST_CHECK struct hfx_error *inject_init(pid_t pid, struct inject *ret);

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

#endif /* HFX_RUNTIME_INJECT_H */
