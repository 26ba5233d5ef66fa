/* SPDX-License-Identifier: MIT */
/**
 * @file stack_scan.h
 *
 * A quick look at a stopped thread: can it be inside a guard at all?
 *
 * A frame of a guarded function has left a return address on the thread's
 * stack, or the thread's program counter is inside. So where no register and no
 * word of the used stack is such an address, there is no frame either: this
 * needs no unwind tables and holds for code that has none. A word that looks
 * like one may be left over from a call that has returned, or be data; the
 * unwinder tells (unwinder.h).
 *
 * The used stack goes from the stack pointer up to where memory ends. What the
 * kernel saves for a signal handler is on it, too, and leads to the stack that
 * was interrupted when the handler has one of its own (sigaltstack(2)).
 */
#ifndef HFX_RUNTIME_STACK_SCAN_H
#define HFX_RUNTIME_STACK_SCAN_H

#include "guard.h"
#include "maps.h"
#include "stop.h"

/** What is copied of a stack at most when its end is known, and when not. */
#define STACK_SCAN_MAX     (UINT64_C(16) << 20)
#define STACK_SCAN_UNKNOWN (UINT64_C(256) << 10)

/** Stacks of one thread that are followed at most. */
#define STACK_SCAN_STACKS 8

enum stack_scan_result {
	/** The thread is inside no guard. */
	STACK_SCAN_CLEAR = 0,
	/** Its program counter is. */
	STACK_SCAN_INSIDE,
	/** Some word looks like it. */
	STACK_SCAN_SUSPECT,
	/** Not all of its stacks could be looked at. */
	STACK_SCAN_OPEN,
};

struct stack_scan {
	/** Borrowed. */
	const struct guard_set *guards;
	/**
	 * Mappings read while all threads ran, borrowed, and how many threads
	 * were known before that: the stacks of these are still where they
	 * were.
	 */
	const struct maps *maps;
	size_t num_known;
	/** Set by stack_scan_thread(): the thread, and the address that made it
	 * suspect. */
	pid_t tid;
	uint64_t found_addr;
	uint64_t words[8192];
};

/**
 * Look at the stopped thread at @p index of @p stop.
 *
 * @return A #stack_scan_result, or -ETIMEDOUT.
 */
int stack_scan_thread(struct stack_scan *scan, struct stop *stop, size_t index);

#endif /* HFX_RUNTIME_STACK_SCAN_H */
