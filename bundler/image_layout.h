/* SPDX-License-Identifier: MIT */
/**
 * @file image_layout.h
 *
 * The first step of writing an image: pieces of NEW become runs of whole
 * pages, each with one protection and with all its bytes.
 */
#ifndef HFX_BUNDLER_IMAGE_LAYOUT_H
#define HFX_BUNDLER_IMAGE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "image.h"
#include "image_writer.h"

/** Size of the pages that an image is made of. */
#define IMAGE_PAGE UINT64_C(4096)

/** More runs than this are refused: the tables are one segment more. */
#define IMAGE_MAX_RUNS (IMAGE_MAX_SEGMENTS - 1)

/** Consecutive pages of one protection. */
struct image_run {
	/** Page aligned. */
	uint64_t addr;
	/** Whole pages. */
	uint64_t size;
	/** PF_R, PF_R | PF_X or PF_R | PF_W. */
	uint32_t flags;
	/** From the first piece to the end of the last one. */
	uint64_t kept_start;
	uint64_t kept_end;
	/** End of the last piece with bytes; zeros follow to `kept_end`. */
	uint64_t data_end;
	/** Bytes for the file from `addr`: the rest of `size` is zeros. */
	uint8_t *bytes;
	size_t file_size;
	/** For image_writer.c: sections up to `data_end` and behind it. */
	uint32_t section;
	uint32_t zero_section;
};

struct image_layout {
	/** By address. */
	struct image_run *runs;
	size_t num_runs;
	size_t cap_runs;
};

/**
 * Merge the pieces of a description.
 *
 * Errors: #HFX_ERROR_INVALID_ARGUMENT for pieces that contradict one another or
 * have other flags than image_writer.h allows, #HFX_ERROR_UNSUPPORTED for
 * a page that would be writable and executable and for a span over the limit.
 */
HFX_MUST_CHECK struct hfx_error *
image_layout_init(struct image_layout *layout,
                  const struct image_description *description);

/** Guard and destructor. */
void image_layout_deinit(struct image_layout *layout);

/**
 * Run between whose first and last piece all of [@p addr, @p addr + @p size)
 * lies, or `NULL`.
 */
struct image_run *image_layout_find(const struct image_layout *layout,
                                    uint64_t addr, uint64_t size);

/** Address behind the last run; 0 without runs. */
uint64_t image_layout_end(const struct image_layout *layout);

#endif /* HFX_BUNDLER_IMAGE_LAYOUT_H */
