/* SPDX-License-Identifier: MIT */
/**
 * @file bytes.h
 *
 * Bytes that are written piece by piece, little-endian.
 *
 * A lack of memory is kept: after it nothing is written, and bytes_check()
 * reports it, so a caller may write a whole structure and ask once.
 */
#ifndef HFX_BUNDLER_BYTES_H
#define HFX_BUNDLER_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/** Zero-initialized is empty. `data` is from malloc(). */
struct bytes {
	uint8_t *data;
	size_t size;
	size_t capacity;
	bool failed;
};

/** Guard and destructor: frees the data; it is then empty again. */
void bytes_deinit(struct bytes *bytes);

/** The error for lack of memory if any write failed so. */
HFX_MUST_CHECK struct hfx_error *bytes_check(const struct bytes *bytes);

void bytes_put(struct bytes *bytes, const void *data, size_t size);
void bytes_fill(struct bytes *bytes, uint8_t value, size_t count);
void bytes_u8(struct bytes *bytes, uint8_t value);
void bytes_u16(struct bytes *bytes, uint16_t value);
void bytes_u32(struct bytes *bytes, uint32_t value);
void bytes_u64(struct bytes *bytes, uint64_t value);
/** LEB128 (DWARF 5, 7.6). */
void bytes_uleb128(struct bytes *bytes, uint64_t value);
void bytes_sleb128(struct bytes *bytes, int64_t value);

/** A string with its NUL. */
void bytes_string(struct bytes *bytes, const char *string);

/** Append zeros until the size is a multiple of @p align, a power of two. */
void bytes_align(struct bytes *bytes, size_t align);

/** Overwrite 4 bytes that were written before. */
void bytes_set_u32(struct bytes *bytes, size_t off, uint32_t value);

#endif /* HFX_BUNDLER_BYTES_H */
