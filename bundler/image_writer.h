/* SPDX-License-Identifier: MIT */
/**
 * @file image_writer.h
 *
 * Writes a patch image (docs/format.md) from a list of pieces, relocations and
 * symbols. It knows the format, and nothing of how the pieces were chosen.
 */
#ifndef HFX_BUNDLER_IMAGE_WRITER_H
#define HFX_BUNDLER_IMAGE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "file.h"
#include "manifest.h"

/** Bytes of NEW that are kept. Pieces may overlap and come in any order. */
struct image_piece {
	uint64_t addr;
	uint64_t size;
	/** Borrowed; `NULL` for zeros. */
	const uint8_t *data;
	/** PF_R, PF_R | PF_X or PF_R | PF_W (gABI, p_flags). */
	uint32_t flags;
};

/** `symbol` of a relocation without one, and of one against hfx.module. */
#define IMAGE_SYMBOL_NONE   UINT32_MAX
#define IMAGE_SYMBOL_MODULE (UINT32_MAX - 1)

struct image_relocation {
	uint64_t addr;
	/** R_X86_64_*; docs/format.md lists which. */
	uint32_t type;
	/** Index into `imports`, or one of the two above. */
	uint32_t symbol;
	int64_t addend;
};

struct image_import {
	const char *name;
	/** May be empty. */
	const char *version;
	const char *library;
	bool is_weak;
};

/** For `.symtab`. */
struct image_symbol {
	const char *name;
	uint64_t addr;
	uint64_t size;
	bool is_function;
	bool is_local;
};

/**
 * One function's unwind information in NEW, to be carried over. image_writer
 * finds its FDEs in `eh_frame` by the range; a function without one is no
 * error. What unwind_table_references() gives for it must be among the pieces.
 */
struct image_unwind {
	uint64_t addr;
	uint64_t size;
};

struct image_debug;

struct image_description {
	/** DT_SONAME of the image, for people. */
	const char *soname;
	struct build_id build_id;
	struct image_piece *pieces;
	size_t num_pieces;
	size_t cap_pieces;
	struct image_relocation *relocations;
	size_t num_relocations;
	size_t cap_relocations;
	struct image_import *imports;
	size_t num_imports;
	size_t cap_imports;
	struct image_symbol *symbols;
	size_t num_symbols;
	size_t cap_symbols;
	struct image_unwind *unwinds;
	size_t num_unwinds;
	size_t cap_unwinds;
	/** NEW's .eh_frame, borrowed; size 0 if there is none. */
	uint64_t eh_frame_addr;
	const uint8_t *eh_frame;
	size_t eh_frame_size;
	/** Debug information, borrowed; may be `NULL`. */
	const struct image_debug *debug;
	/** Everything that is added stands at or above this address. */
	uint64_t free_addr;
};

/**
 * Lay out and write the image. The same description gives the same bytes.
 *
 * Pieces are merged to whole pages; a page that needs both W and X, or two
 * pieces that say different bytes of one address, are an error. So are
 * relocations and symbols whose place is not kept: #HFX_ERROR_INVALID_ARGUMENT.
 *
 * @param[out] ret File, for buffer_deinit().
 */
HFX_MUST_CHECK struct hfx_error *
image_write(const struct image_description *description, struct buffer *ret);

#endif /* HFX_BUNDLER_IMAGE_WRITER_H */
