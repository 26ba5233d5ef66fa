/* SPDX-License-Identifier: MIT */
/**
 * @file unwind_search.h
 *
 * Finds the unwind table of a program that does not say where it is: gcc links
 * static programs without `.eh_frame_hdr`.
 */
#ifndef HFX_RUNTIME_UNWIND_SEARCH_H
#define HFX_RUNTIME_UNWIND_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A frame description: where its code begins, and where it is itself. */
struct unwind_entry {
	uint64_t code_addr;
	uint64_t entry_addr;
};

struct unwind_entries {
	/** Where `.eh_frame` begins. */
	uint64_t table_addr;
	/** By `code_addr`. Owned. */
	struct unwind_entry *items;
	size_t num_items;
	size_t cap_items;
};

/** Constant memory of a module. */
struct unwind_memory {
	const uint8_t *data;
	size_t size;
	/** Live address of its first byte. */
	uint64_t live_addr;
	/** Where the module's code is. */
	uint64_t code_start_addr;
	uint64_t code_end_addr;
};

/**
 * Look for the first `.eh_frame` in a piece of memory: descriptions one after
 * the other up to a length of 0, as libgcc reads them, each for code of the
 * module.
 *
 * @param[out] ret Owned; give it back with unwind_entries_deinit().
 * @return Whether there is one, and memory for its entries.
 */
bool unwind_search(const struct unwind_memory *memory,
                   struct unwind_entries *ret);

void unwind_entries_deinit(struct unwind_entries *entries);

#endif /* HFX_RUNTIME_UNWIND_SEARCH_H */
