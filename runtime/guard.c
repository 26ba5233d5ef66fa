/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>

#include "array.h"
#include "cleanup.h"
#include "guard.h"

static int by_start(const void *a, const void *b)
{
	const struct guard *left = a, *right = b;

	if (left->start_addr != right->start_addr)
		return left->start_addr < right->start_addr ? -1 : 1;
	return (left->end_addr > right->end_addr) -
	       (left->end_addr < right->end_addr);
}

static struct hfx_error *copy_guards(const struct guard *guards,
                                     size_t num_guards, struct guard_set *set)
{
	for (size_t i = 0; i < num_guards; i++) {
		if (guards[i].start_addr >= guards[i].end_addr)
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"commit plan: the guarded range at 0x%" PRIx64
				" is empty",
				guards[i].start_addr);
		if (!HFX_ARRAY_PUSH(set, guards, guards[i]))
			return hfx_error_no_memory();
	}
	return NULL;
}

static void join_overlaps(struct guard_set *set)
{
	size_t kept = 0;

	for (size_t i = 0; i < set->num_guards; i++) {
		const struct guard *guard = &set->guards[i];
		struct guard *last = kept ? &set->guards[kept - 1] : NULL;

		if (!last || guard->start_addr >= last->end_addr)
			set->guards[kept++] = *guard;
		else if (guard->end_addr > last->end_addr)
			last->end_addr = guard->end_addr;
	}
	set->num_guards = kept;
}

struct hfx_error *guard_set_init(const struct guard *guards, size_t num_guards,
                                 struct guard_set *ret)
{
	HFX_CLEANUP(guard_set_deinit) struct guard_set set = {0};

	HFX_TRY(copy_guards(guards, num_guards, &set));
	hfx_array_sort(set.guards, set.num_guards, sizeof(*set.guards),
	               by_start);
	join_overlaps(&set);
	*ret = set;
	set = (struct guard_set){0};
	return NULL;
}

void guard_set_deinit(struct guard_set *set)
{
	free(set->guards);
	*set = (struct guard_set){0};
}

/** The last guard that begins at or before @p live_addr, or `NULL`. */
static const struct guard *guard_before(const struct guard_set *set,
                                        uint64_t live_addr)
{
	size_t low = 0, high = set->num_guards;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->guards[middle].start_addr <= live_addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &set->guards[low - 1] : NULL;
}

const struct guard *guard_set_find(const struct guard_set *set,
                                   uint64_t live_addr)
{
	const struct guard *guard = guard_before(set, live_addr);

	return guard && live_addr < guard->end_addr ? guard : NULL;
}

const struct guard *guard_set_find_return(const struct guard_set *set,
                                          uint64_t live_addr)
{
	return live_addr ? guard_set_find(set, live_addr - 1) : NULL;
}

size_t guard_set_scan(const struct guard_set *set, const uint64_t *words,
                      size_t num_words)
{
	uint64_t start, size;

	if (!set->num_guards)
		return num_words;
	/* One comparison is enough for most words. */
	start = set->guards[0].start_addr;
	size = set->guards[set->num_guards - 1].end_addr - start;
	for (size_t i = 0; i < num_words; i++) {
		if (words[i] - start <= size &&
		    words[i] <= guard_before(set, words[i])->end_addr)
			return i;
	}
	return num_words;
}
