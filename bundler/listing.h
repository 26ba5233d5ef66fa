/* SPDX-License-Identifier: MIT */
/**
 * @file listing.h
 *
 * The machine code of a function for people, with what it refers to by name, so
 * that code that merely moved reads the same.
 */
#ifndef HFX_BUNDLER_LISTING_H
#define HFX_BUNDLER_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"
#include "error.h"
#include "model.h"
#include "source_text.h"

/** Instructions of one function that are listed; the rest is left out. */
#define LISTING_MAX_LINES 20000

struct listing_line {
	/** From the start of the function. */
	uint32_t off;
	/** Index into the places, or NO_INDEX. */
	uint32_t place;
	/** Offset that a jump within the function leads to, or NO_INDEX. */
	uint32_t jump_off;
	/**
	 * How much of the text says what the instruction does: that of a jump
	 * within the function has the offset behind it.
	 */
	uint32_t key_size;
	/** `call parse_header`, `lea rdi, ["no such key"]`. Owned. */
	char *text;
};

struct listing_place {
	/** "file:line". Owned. */
	char *name;
	/** The line's text; `NULL` where it is not known for sure. Owned. */
	char *text;
};

struct listing {
	struct listing_line *lines;
	size_t num_lines;
	size_t cap_lines;
	struct listing_place *places;
	size_t num_places;
	size_t cap_places;
	/** There is more than #LISTING_MAX_LINES. */
	bool is_cut;
};

/**
 * @param[in] sources Where to take source lines from, or `NULL` for none.
 * @param[out] ret Empty; for listing_deinit(), also after an error.
 */
HFX_MUST_CHECK struct hfx_error *listing_make(const struct program *program,
                                              const struct function *function,
                                              struct decoder *decoder,
                                              struct source_texts *sources,
                                              struct listing *ret);

void listing_deinit(struct listing *listing);

/** Whether both lines do the same, but for where a jump within leads to. */
bool listing_same(const struct listing_line *a, const struct listing_line *b);

#endif /* HFX_BUNDLER_LISTING_H */
