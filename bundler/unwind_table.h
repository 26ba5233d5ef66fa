/* SPDX-License-Identifier: MIT */
/**
 * @file unwind_table.h
 *
 * NEW's unwind information, read once, and the part of it that an image needs,
 * written for another place.
 *
 * The format is that of LSB Core, "Exception Frames", and DWARF 5, 6.4.
 */
#ifndef HFX_BUNDLER_UNWIND_TABLE_H
#define HFX_BUNDLER_UNWIND_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "error.h"
#include "image_writer.h"

struct unwind_table;

/**
 * Read and index a whole `.eh_frame`.
 *
 * Errors: #HFX_ERROR_BAD_ELF, with the offset of the record in the section.
 *
 * @param[in] addr Virtual address of the section.
 * @param[in] data Its bytes, borrowed: they outlive the table.
 * @param[in] size Their count; 0 gives a table in which nothing is found.
 * @param[out] ret Table, for unwind_table_destroy().
 */
HFX_MUST_CHECK struct hfx_error *unwind_table_create(uint64_t addr,
                                                     const uint8_t *data,
                                                     size_t size,
                                                     struct unwind_table **ret);

/** Free a table; `NULL` is allowed. */
void unwind_table_destroy(struct unwind_table *table);

/** Guard for a table. */
void unwind_table_cleanup(struct unwind_table **table);

/**
 * Places in NEW that the unwind information of the code at @p addr refers to
 * and that an image with that code must keep. Takes logarithmic time.
 *
 * @param[in] addr Any address in the code; a cold part has its own references.
 * @param[out] lsda_ret Address of the language-specific data (in
 * .gcc_except_table), or 0.
 * @param[out] personality_ret Address of the pointer to the personality
 * routine (`DW.ref.__gxx_personality_v0`); of the routine itself where NEW
 * refers to it without such a pointer; or 0.
 */
void unwind_table_references(const struct unwind_table *table, uint64_t addr,
                             uint64_t *lsda_ret, uint64_t *personality_ret);

/** Unwind information for one image. */
struct unwind_frames {
	/** `.eh_frame_hdr`, for the address that was asked for. */
	struct bytes header;
	/** `.eh_frame`, for `frame_addr`. Empty, as `header`, without FDEs. */
	struct bytes frame;
	uint64_t frame_addr;
};

/** Guard and destructor. */
void unwind_frames_deinit(struct unwind_frames *frames);

/**
 * Write `.eh_frame_hdr` for @p addr and a `.eh_frame` for the next multiple of
 * 8 behind it, with the FDEs whose range overlaps one of @p wanted.
 *
 * All pointers are written as 32-bit PC-relative ones, so the result does not
 * depend on where it is loaded.
 */
HFX_MUST_CHECK struct hfx_error *
unwind_table_write(const struct unwind_table *table,
                   const struct image_unwind *wanted, size_t num_wanted,
                   uint64_t addr, struct unwind_frames *ret);

#endif /* HFX_BUNDLER_UNWIND_TABLE_H */
