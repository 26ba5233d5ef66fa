/* SPDX-License-Identifier: MIT */
/**
 * @file image_file.h
 *
 * Sections and segments of an image, and the file that they make: the last step
 * of writing an image.
 */
#ifndef HFX_BUNDLER_IMAGE_FILE_H
#define HFX_BUNDLER_IMAGE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <elf.h>

#include "bytes.h"
#include "error.h"
#include "file.h"

/** `segment` of a section that is not loaded. */
#define IMAGE_NO_SEGMENT UINT32_MAX

struct image_section {
	/** `sh_name`, `sh_offset` and, with content, `sh_size` are filled in.
	 */
	Elf64_Shdr header;
	/** A string constant. */
	const char *name;
	/** Borrowed; `NULL` when the bytes are those of its segment. */
	const struct bytes *content;
	/** Index of the PT_LOAD that holds it, or #IMAGE_NO_SEGMENT. */
	uint32_t segment;
};

struct image_segment {
	/** For a PT_LOAD, `p_offset` is filled in. */
	Elf64_Phdr header;
	/** Bytes of a PT_LOAD, borrowed; `NULL` when its sections have them. */
	const uint8_t *bytes;
	/** Section that another segment covers; 0 for none. */
	uint32_t section;
};

struct image_file {
	/** The first is the null section. In the order of their bytes. */
	struct image_section *sections;
	size_t num_sections;
	size_t cap_sections;
	/** PT_LOADs first, by address. */
	struct image_segment *segments;
	size_t num_segments;
	size_t cap_segments;
};

/** A file with the null section. */
HFX_MUST_CHECK struct hfx_error *image_file_init(struct image_file *file);

/** Guard and destructor. */
void image_file_deinit(struct image_file *file);

HFX_MUST_CHECK struct hfx_error *
image_file_add_section(struct image_file *file,
                       const struct image_section *section,
                       uint32_t *index_ret);

HFX_MUST_CHECK struct hfx_error *
image_file_add_segment(struct image_file *file,
                       const struct image_segment *segment);

/**
 * Give everything its place and write the file (gABI, chapters 4 and 5).
 *
 * Adds `.shstrtab`.
 */
HFX_MUST_CHECK struct hfx_error *image_file_write(struct image_file *file,
                                                  struct buffer *ret);

#endif /* HFX_BUNDLER_IMAGE_FILE_H */
