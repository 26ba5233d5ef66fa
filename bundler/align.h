/* SPDX-License-Identifier: MIT */
/**
 * @file align.h
 *
 * Two sequences side by side: their longest common subsequence (E. Myers, "An
 * O(ND) Difference Algorithm and Its Variations", 1986).
 */
#ifndef HFX_BUNDLER_ALIGN_H
#define HFX_BUNDLER_ALIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/**
 * Differences behind which the rest of both sequences, but for a common end, is
 * taken for different: time and memory are bounded by its square.
 */
#define ALIGN_MAX_DIFFERENCES 1000

struct align_run {
	/** '=': in both, '-': in OLD only, '+': in NEW only. */
	char kind;
	size_t count;
};

/** Runs that cover both sequences; of a gap, '-' comes before '+'. */
struct alignment {
	struct align_run *items;
	size_t num_items;
	size_t cap_items;
};

struct align_input {
	size_t num_old;
	size_t num_new;
	/** Whether element @p o of OLD is element @p n of NEW. */
	bool (*is_same)(const void *context, size_t o, size_t n);
	const void *context;
};

/** @param[out] ret Empty; for alignment_deinit(), also after an error. */
HFX_MUST_CHECK struct hfx_error *align(const struct align_input *input,
                                       struct alignment *ret);

void alignment_deinit(struct alignment *alignment);

#endif /* HFX_BUNDLER_ALIGN_H */
