/* SPDX-License-Identifier: MIT */
/**
 * @file image_debug.h
 *
 * Debug information of an image: the names of its functions and the lines of
 * their code, so that debuggers and profilers show both where nothing but the
 * patch is at hand.
 *
 * It is written anew and covers exactly the code that is in the image. NEW's
 * own debug information could be used at the same addresses, but it describes
 * all of NEW, and the addresses of what the image leaves out belong to other
 * modules in the process.
 */
#ifndef HFX_BUNDLER_IMAGE_DEBUG_H
#define HFX_BUNDLER_IMAGE_DEBUG_H

#include "bytes.h"
#include "debug_info.h"
#include "error.h"
#include "image_writer.h"

/** Content of the sections (DWARF 4). All empty if nothing is known. */
struct image_debug {
	/** `.debug_abbrev`, `.debug_info`, `.debug_line`. */
	struct bytes abbrevs;
	struct bytes units;
	struct bytes lines;
	/** `.debug_ranges`, `.debug_aranges`. */
	struct bytes ranges;
	struct bytes addresses;
};

/** Describe the functions among the symbols of @p description. */
HFX_MUST_CHECK struct hfx_error *
image_debug_init(struct image_debug *image_debug,
                 const struct image_description *description,
                 struct debug_info *debug);

/** Guard and destructor. */
void image_debug_deinit(struct image_debug *image_debug);

#endif /* HFX_BUNDLER_IMAGE_DEBUG_H */
