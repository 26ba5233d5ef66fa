/* SPDX-License-Identifier: MIT */
/**
 * @file place.h
 *
 * Where an image can go: a free range of addresses near its module. A pure
 * function over a list of mappings.
 */
#ifndef HFX_RUNTIME_PLACE_H
#define HFX_RUNTIME_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "maps.h"

/** First address that no process of x86-64 has, with 4-level page tables. */
#define PLACE_END_ADDR (UINT64_C(0x800000000000) - PAGE_BYTES)

/**
 * Room that is left for what grows: behind the heap and the module (where the
 * heap may begin), unless there is no other place.
 */
#define PLACE_HEAP_ROOM (UINT64_C(1) << 30)

/** Never placed below, even where the kernel would allow it. */
#define PLACE_LOWEST_ADDR UINT64_C(0x10000)

struct place_request {
	/** Live range that must be in reach of every byte of the region. */
	uint64_t near_start_addr;
	uint64_t near_end_addr;
	/** Bytes wanted: whole pages. */
	uint64_t size;
	/** The kernel's vm.mmap_min_addr. */
	uint64_t min_addr;
	/** Highest end of the region; 0 for no limit. */
	uint64_t max_end_addr;
	/** Left free below `[stack]`: its limit and its guard. */
	uint64_t stack_room;
};

/**
 * Find a place, preferably just below the near range, else as near as can be.
 *
 * Every distance between a byte of the region and one of the near range is
 * below IMAGE_REACH.
 *
 * @return False when there is none.
 */
bool place_find(const struct maps *maps, const struct place_request *request,
                uint64_t *addr_ret);

#endif /* HFX_RUNTIME_PLACE_H */
