/* SPDX-License-Identifier: MIT */
/**
 * @file commit_check.h
 *
 * What is worked out of a commit plan before threads are stopped.
 *
 * A plan may write the same place more than once (a record's state, or the
 * entry of a function when several patches are reverted at once). Only the
 * first of those is compared with memory; each later one must expect what the
 * one before has written.
 */
#ifndef HFX_RUNTIME_COMMIT_CHECK_H
#define HFX_RUNTIME_COMMIT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commit.h"

/** Code bytes that are written: [start_addr, end_addr). */
struct code_range {
	uint64_t start_addr;
	uint64_t end_addr;
};

struct commit_check {
	/** Indexes of the writes to compare with memory, by address. */
	size_t *firsts;
	size_t num_firsts;
	size_t cap_firsts;
	/** By address, disjoint. */
	struct code_range *ranges;
	size_t num_ranges;
	size_t cap_ranges;
};

/**
 * Check a plan and sort it.
 *
 * Errors: #HFX_ERROR_INVALID_ARGUMENT for a write of no or too many bytes,
 * writes that overlap in part, or one that contradicts the one before it.
 */
HFX_MUST_CHECK struct hfx_error *
commit_check_init(const struct commit_plan *plan, struct commit_check *ret);

/** Guard and destructor. */
void commit_check_deinit(struct commit_check *check);

/**
 * The range that a thread at @p live_addr must leave first, or `NULL`. At its
 * first byte it may stay: it will execute what is written there.
 */
const struct code_range *commit_check_find(const struct commit_check *check,
                                           uint64_t live_addr);

#endif /* HFX_RUNTIME_COMMIT_CHECK_H */
