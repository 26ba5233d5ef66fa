/* SPDX-License-Identifier: MIT */
#include "pair_set.h"

#include <stdlib.h>
#include <string.h>

static struct range_pair *find(const struct pair_set *set, uint64_t a,
                               uint64_t b, uint64_t size)
{
	uint64_t hash =
		(a * 0x9e3779b97f4a7c15 ^ b) * 0x9e3779b97f4a7c15 ^ size;
	size_t i = (hash ^ hash >> 32) & (set->num_slots - 1);

	for (;; i = (i + 1) & (set->num_slots - 1)) {
		struct range_pair *slot = &set->slots[i];

		if (!slot->size_plus_1 || (slot->a == a && slot->b == b &&
		                           slot->size_plus_1 == size + 1))
			return slot;
	}
}

bool pair_set_has(const struct pair_set *set, uint64_t a, uint64_t b,
                  uint64_t size)
{
	return set->num_slots && find(set, a, b, size)->size_plus_1;
}

static bool grow(struct pair_set *set)
{
	struct pair_set bigger = {
		.num_slots = set->num_slots ? set->num_slots * 2 : 64,
	};

	bigger.slots = calloc(bigger.num_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	pair_set_add_all(&bigger, set);
	free(set->slots);
	*set = bigger;
	return true;
}

bool pair_set_add(struct pair_set *set, uint64_t a, uint64_t b, uint64_t size)
{
	/* At most half full: a search always meets a free place. */
	if (set->num_pairs * 2 >= set->num_slots && !grow(set))
		return false;
	struct range_pair *slot = find(set, a, b, size);
	if (!slot->size_plus_1)
		set->num_pairs++;
	*slot = (struct range_pair){a, b, size + 1};
	return true;
}

bool pair_set_add_all(struct pair_set *to, const struct pair_set *from)
{
	for (size_t i = 0; i < from->num_slots; i++) {
		const struct range_pair *pair = &from->slots[i];

		if (pair->size_plus_1 &&
		    !pair_set_add(to, pair->a, pair->b, pair->size_plus_1 - 1))
			return false;
	}
	return true;
}

void pair_set_clear(struct pair_set *set)
{
	if (set->num_pairs)
		memset(set->slots, 0, set->num_slots * sizeof(*set->slots));
	set->num_pairs = 0;
}

void pair_set_deinit(struct pair_set *set)
{
	free(set->slots);
}
