/* SPDX-License-Identifier: MIT */
/**
 * @file pair_set.h
 *
 * A set of pairs of ranges: [a, a + size) with [b, b + size).
 */
#ifndef HFX_BUNDLER_PAIR_SET_H
#define HFX_BUNDLER_PAIR_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Zero bytes are an empty set. */
struct pair_set {
	struct range_pair {
		uint64_t a;
		uint64_t b;
		/** One more than the size: 0 marks a free place. */
		uint64_t size_plus_1;
	} * slots;
	size_t num_slots;
	size_t num_pairs;
};

bool pair_set_has(const struct pair_set *set, uint64_t a, uint64_t b,
                  uint64_t size);

/** @return False when memory is short. */
bool pair_set_add(struct pair_set *set, uint64_t a, uint64_t b, uint64_t size);

/** Add all pairs of @p from to @p to; false when memory is short. */
bool pair_set_add_all(struct pair_set *to, const struct pair_set *from);

void pair_set_clear(struct pair_set *set);

void pair_set_deinit(struct pair_set *set);

#endif /* HFX_BUNDLER_PAIR_SET_H */
