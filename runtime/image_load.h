/* SPDX-License-Identifier: MIT */
/**
 * @file image_load.h
 *
 * A patch image (docs/format.md, "The image") read from untrusted bytes, and
 * relocated in a copy. Nothing here touches a process.
 */
#ifndef HFX_RUNTIME_IMAGE_LOAD_H
#define HFX_RUNTIME_IMAGE_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define IMAGE_MAX_SYMBOLS     200000u
#define IMAGE_MAX_RELOCATIONS 16000000u
#define IMAGE_MAX_STRING      65536u

/** `symbol` of a relocation without one, or against hfx.module. */
#define IMAGE_LOAD_NO_SYMBOL UINT32_MAX
#define IMAGE_LOAD_MODULE    (UINT32_MAX - 1)

/** One PT_LOAD. */
struct image_load_segment {
	/** Address and size in whole pages. */
	uint64_t start_addr;
	uint64_t size;
	/** PROT_*. */
	uint32_t protection;
	/** Address of the first byte of `bytes`. */
	uint64_t addr;
	/** Size in memory, from `addr`. */
	uint64_t mem_size;
	/**
	 * Owned copy, the only thing that relocation changes. What lies behind
	 * its size, to `mem_size`, is zero.
	 */
	uint8_t *bytes;
	size_t num_bytes;
};

struct image_load_import {
	/** Borrowed from the image's own copy of its bytes; never `NULL`. */
	const char *name;
	const char *version;
	const char *library;
	bool is_weak;
	/** Some relocation of it is R_X86_64_JUMP_SLOT. */
	bool is_call;
};

struct image_load_relocation {
	uint64_t addr;
	uint32_t type;
	/** Index into `imports`, or one of the two above. */
	uint32_t symbol;
	int64_t addend;
	/** Segment that holds the place. */
	uint32_t segment;
};

struct image_load {
	/** Lowest and highest (exclusive) address, in whole pages. */
	uint64_t start_addr;
	uint64_t end_addr;
	struct image_load_segment *segments;
	size_t num_segments;
	size_t cap_segments;
	struct image_load_import *imports;
	size_t num_imports;
	struct image_load_relocation *relocations;
	size_t num_relocations;
	/** Some relocation wants the image below 2 GiB. */
	bool needs_low_addr;
	/** `.eh_frame`, as PT_GNU_EH_FRAME leads to it, or 0. */
	uint64_t eh_frame_addr;
	/**
	 * What debuggers need of the file besides its segments: the bytes
	 * before them, and those behind. `tail_size` is 0 without a section
	 * table there.
	 */
	size_t head_size;
	size_t tail_off;
	size_t tail_size;
	/** Some relocation needs the TLS index of the module. */
	bool needs_tls_index;
	/** Owner of the names. */
	char *strings;
};

/** What the relocations refer to. */
struct image_load_values {
	uint64_t image_bias;
	uint64_t module_bias;
	/** Needed if `needs_tls_index`. */
	uint64_t tls_index;
	/** Live addresses of the imports, in their order. */
	const uint64_t *imports;
};

/**
 * Read an image; @p data is not kept.
 *
 * Errors: #HFX_ERROR_BAD_BUNDLE for all that docs/format.md does not allow.
 *
 * @param[out] ret Image, for image_load_deinit().
 */
HFX_MUST_CHECK struct hfx_error *image_load_parse(const void *data, size_t size,
                                                  struct image_load *ret);

/**
 * Relocate the copy. Once only.
 *
 * Errors: #HFX_ERROR_NO_ADDRESS_SPACE for a distance that exceeds 32 bits.
 */
HFX_MUST_CHECK struct hfx_error *
image_load_relocate(struct image_load *image,
                    const struct image_load_values *values);

/** Segment that holds all of [@p addr, @p addr + @p size), or `NULL`. */
const struct image_load_segment *image_load_find(const struct image_load *image,
                                                 uint64_t addr, uint64_t size);

/** Guard and destructor. */
void image_load_deinit(struct image_load *image);

#endif /* HFX_RUNTIME_IMAGE_LOAD_H */
