/* SPDX-License-Identifier: MIT */
/**
 * @file lifeline.h
 *
 * A way back for a thread that is borrowed (inject.h), should its tracer die.
 *
 * A tracer that is killed lets go of its threads where they stand. So before
 * one is sent anywhere, what it was like is written below its stack, as the
 * kernel writes it for a signal handler. Wherever the thread is sent returns
 * to code that makes the system call rt_sigreturn, and that puts back
 * registers, signal mask, floating point and vector state.
 *
 * A system call that the thread was in begins anew, with its whole timeout.
 *
 * Sources: sigreturn(2), struct rt_sigframe of the kernel
 * (arch/x86/include/asm/sigframe.h), Intel SDM volume 1, chapter 13 (XSAVE).
 */
#ifndef HFX_RUNTIME_LIFELINE_H
#define HFX_RUNTIME_LIFELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "maps.h"

/** Largest extended state of a thread that is saved (AMX takes 11 KiB). */
#define XSTATE_MAX 32768

/** Bytes below the stack pointer that belong to the function (psABI 3.2.2). */
#define RED_ZONE 128

/** What a thread is like. */
struct lifeline_state {
	struct user_regs_struct regs;
	uint64_t signal_mask;
	/** As PTRACE_GETREGSET gives NT_X86_XSTATE. */
	const void *xstate;
	size_t xstate_size;
};

/**
 * Whether there is room below @p sp, on a stack whose end is known: that of the
 * program, or of a thread as glibc makes it, which has the thread's control
 * block (@p fs_base) at its other end. What a program has made itself, such as
 * the stack of a coroutine, may end anywhere.
 */
bool lifeline_has_room(const struct maps *maps, uint64_t sp, uint64_t fs_base);

/**
 * Write the state below the stack of the thread @p tid.
 *
 * @param[in] return_addr Code that makes the system call.
 * @param[out] sp_ret Where @p return_addr stands: the stack pointer for code
 * that ends with a return. As at the entry of a function (psABI 3.2.2).
 * @return 0, or -errno.
 */
int lifeline_write(pid_t tid, const struct lifeline_state *state,
                   uint64_t return_addr, uint64_t *sp_ret);

#endif /* HFX_RUNTIME_LIFELINE_H */
