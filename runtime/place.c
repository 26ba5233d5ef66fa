/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "image.h"
#include "place.h"

/** Kept free at both ends of IMAGE_REACH. */
#define REACH_SLACK (UINT64_C(1) << 20)

/** Free addresses between two mappings. */
struct gap {
	uint64_t start_addr;
	uint64_t end_addr;
	const struct mapping *below;
	const struct mapping *above;
};

static bool is_named(const struct mapping *mapping, const char *name)
{
	return mapping && !strcmp(mapping->name, name);
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t saturating_sub(uint64_t a, uint64_t b)
{
	return a < b ? 0 : a - b;
}

static uint64_t max_addr(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_addr(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/** Take from the gap what its neighbours may grow into. */
static void leave_room(struct gap *gap, const struct place_request *request,
                       bool leave_heap_room)
{
	bool heap_may_be_below =
		is_named(gap->below, "[heap]") ||
		(gap->below && gap->below->end_addr == request->near_end_addr);

	if (is_named(gap->above, "[stack]"))
		gap->end_addr =
			saturating_sub(gap->end_addr, request->stack_room);
	else if (gap->above)
		gap->end_addr = saturating_sub(gap->end_addr, PAGE_BYTES);
	if (leave_heap_room && heap_may_be_below)
		gap->start_addr =
			saturating_add(gap->start_addr, PLACE_HEAP_ROOM);
}

/** Take from the gap what is out of reach. */
static void keep_in_reach(struct gap *gap, const struct place_request *request)
{
	uint64_t reach = IMAGE_REACH - REACH_SLACK;

	gap->start_addr = max_addr(
		gap->start_addr, saturating_sub(request->near_end_addr, reach));
	gap->end_addr = min_addr(
		gap->end_addr, saturating_add(request->near_start_addr, reach));
	if (request->max_end_addr)
		gap->end_addr = min_addr(gap->end_addr, request->max_end_addr);
}

/** Place in the gap that is nearest; false if it does not fit. */
static bool fit(const struct gap *gap, const struct place_request *request,
                uint64_t *addr_ret)
{
	uint64_t start = gap->start_addr > UINT64_MAX - PAGE_BYTES
	                         ? UINT64_MAX
	                         : page_ceil(gap->start_addr);
	uint64_t end = page_floor(gap->end_addr);

	if (start >= end || end - start < request->size)
		return false;
	*addr_ret =
		end <= request->near_start_addr ? end - request->size : start;
	return true;
}

/** Whether @p a is better than @p b: below before above, then nearer. */
static bool is_better(const struct place_request *request, uint64_t a,
                      uint64_t b)
{
	bool a_is_below = a < request->near_start_addr;
	bool b_is_below = b < request->near_start_addr;

	if (a_is_below != b_is_below)
		return a_is_below;
	return a_is_below ? a > b : a < b;
}

static bool find_in_gaps(const struct maps *maps,
                         const struct place_request *request,
                         bool leave_heap_room, uint64_t *addr_ret)
{
	uint64_t start = max_addr(request->min_addr, PLACE_LOWEST_ADDR);
	const struct mapping *below = NULL;
	bool found = false;

	for (size_t i = 0; i <= maps->num_mappings; i++) {
		const struct mapping *above =
			i < maps->num_mappings ? &maps->mappings[i] : NULL;
		uint64_t end = above ? above->start_addr : PLACE_END_ADDR;
		struct gap gap = {start, min_addr(end, PLACE_END_ADDR), below,
		                  above};
		uint64_t addr;

		leave_room(&gap, request, leave_heap_room);
		keep_in_reach(&gap, request);
		if (fit(&gap, request, &addr) &&
		    (!found || is_better(request, addr, *addr_ret))) {
			*addr_ret = addr;
			found = true;
		}
		if (above)
			start = max_addr(start, above->end_addr);
		below = above;
	}
	return found;
}

bool place_find(const struct maps *maps, const struct place_request *request,
                uint64_t *addr_ret)
{
	return find_in_gaps(maps, request, true, addr_ret) ||
	       find_in_gaps(maps, request, false, addr_ret);
}
