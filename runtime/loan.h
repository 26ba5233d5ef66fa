/* SPDX-License-Identifier: MIT */
/**
 * @file loan.h
 *
 * Borrowing a thread of another process, for inject.h: stopping it where it
 * can be sent elsewhere, noting what it is like, and putting it back.
 */
#ifndef HFX_RUNTIME_LOAN_H
#define HFX_RUNTIME_LOAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#include "error.h"
#include "inject.h"
#include "stop.h"

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

/**
 * Borrow a thread. Threads that can go back by themselves are tried first.
 *
 * It stands in an event stop then, and the stop's deadline is that of one call.
 * Errors: see inject_syscall() and inject_call_waiting().
 *
 * @param[in] must_wait Only one that waits, as inject_call_waiting() wants it.
 * @param[out] loan To be given to loan_deinit(), also after an error.
 */
HFX_MUST_CHECK struct hfx_error *loan_begin(const struct inject *inject,
                                            bool must_wait, struct loan *loan);

/** Destructor. The thread must have been put back, or be none. */
void loan_deinit(struct loan *loan);

/**
 * Stop the thread again if it runs.
 *
 * @return 0, also if it has ended, or -errno.
 */
int loan_regain(struct loan *loan);

/**
 * Put the thread back as it was, and let it run.
 *
 * @return 0, -ESRCH if it has ended, or another -errno: it is not put back.
 */
int loan_give_back(const struct inject *inject, struct loan *loan);

#endif /* HFX_RUNTIME_LOAN_H */
