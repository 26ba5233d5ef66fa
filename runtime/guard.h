/* SPDX-License-Identifier: MIT */
/**
 * @file guard.h
 *
 * Ranges of code that no thread may be inside while functions are replaced.
 *
 * Two kinds of addresses tell where a thread is. A program counter is where it
 * goes on: it is inside [start, end). A return address on the stack points
 * behind a call, which may be the last instruction of a function that never
 * comes back: it is inside (start, end].
 *
 * Where a jump is written, the range begins one byte behind the jump's first:
 * a thread that stands there has not begun, and will execute the jump.
 */
#ifndef HFX_RUNTIME_GUARD_H
#define HFX_RUNTIME_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/** Plain data: goes through a pipe (commit_wire.h). */
struct guard {
	uint64_t start_addr;
	uint64_t end_addr;
	/** Offset of the function's name in the texts of the plan. */
	uint32_t name_off;
	/** 0. */
	uint32_t reserved;
};

/** Guards by address, disjoint. */
struct guard_set {
	struct guard *guards;
	size_t num_guards;
	size_t cap_guards;
};

/**
 * Sort @p guards; what overlaps becomes one, with the name of the lower.
 *
 * Errors: #HFX_ERROR_INVALID_ARGUMENT for an empty range.
 *
 * @param[out] ret Set, for guard_set_deinit().
 */
HFX_MUST_CHECK struct hfx_error *guard_set_init(const struct guard *guards,
                                                size_t num_guards,
                                                struct guard_set *ret);

/** Guard and destructor. */
void guard_set_deinit(struct guard_set *set);

/** Guard that a thread with this program counter is inside, or `NULL`. */
const struct guard *guard_set_find(const struct guard_set *set,
                                   uint64_t live_addr);

/** Guard that holds the call that returns to @p live_addr, or `NULL`. */
const struct guard *guard_set_find_return(const struct guard_set *set,
                                          uint64_t live_addr);

/**
 * The first of @p num_words words that can be a program counter or a return
 * address inside a guard.
 *
 * @return Its index, or @p num_words.
 */
size_t guard_set_scan(const struct guard_set *set, const uint64_t *words,
                      size_t num_words);

#endif /* HFX_RUNTIME_GUARD_H */
