/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <stdlib.h>

#include "array.h"

struct hfx_error *debug_ranges_add(const struct debug_info *debug,
                                   struct debug_ranges *ranges, Dwarf_Die *die,
                                   uint32_t index)
{
	struct debug_range range = {.index = index};
	Dwarf_Addr base;
	ptrdiff_t place = 0;

	while ((place = dwarf_ranges(die, place, &base, &range.low_addr,
	                             &range.high_addr)) > 0) {
		/* Linkers write 0 or 1 for the start of what they dropped. */
		if (range.low_addr <= 1 || range.low_addr >= range.high_addr)
			continue;
		if (!HFX_ARRAY_PUSH(ranges, items, range))
			return hfx_error_no_memory();
	}
	return place < 0 ? debug_error_damaged(debug, NULL) : NULL;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct debug_range *a = left;
	const struct debug_range *b = right;

	if (a->low_addr != b->low_addr)
		return a->low_addr < b->low_addr ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

void debug_ranges_sort(struct debug_ranges *ranges)
{
	hfx_array_sort(ranges->items, ranges->num_items, sizeof(*ranges->items),
	               compare_ranges);
}

/** Number of ranges that begin at or before @p addr. */
static size_t count_before(const struct debug_ranges *ranges, uint64_t addr)
{
	size_t low = 0;
	size_t high = ranges->num_items;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->items[middle].low_addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t debug_ranges_first(const struct debug_ranges *ranges, uint64_t addr)
{
	size_t behind = count_before(ranges, addr);
	size_t first = behind - 1;

	if (!behind)
		return ranges->num_items;
	while (first > 0 && ranges->items[first - 1].low_addr ==
	                            ranges->items[behind - 1].low_addr)
		first--;
	return first;
}

/*
 * Functions do not overlap, but where code was folded several begin at one
 * address; the first of them stands for all.
 */
uint32_t debug_ranges_find(const struct debug_ranges *ranges, uint64_t addr)
{
	const struct debug_range *items = ranges->items;
	size_t first = debug_ranges_first(ranges, addr);

	for (size_t i = first; i < ranges->num_items &&
	                       items[i].low_addr == items[first].low_addr;
	     i++)
		if (addr < items[i].high_addr)
			return items[i].index;
	return DEBUG_NO_INDEX;
}
