/* SPDX-License-Identifier: MIT */
/**
 * @file cursor.h
 *
 * Bounds-checked reading of bytes that nobody vouches for.
 *
 * A cursor keeps the first failure: after it every read gives zeros, so a
 * caller may read a whole structure and ask once. Values are little-endian.
 */
#ifndef HFX_COMMON_CURSOR_H
#define HFX_COMMON_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct cursor {
	const uint8_t *data;
	size_t size;
	size_t off;
	/** Set by the first read that did not fit. */
	bool failed;
	/** Where that was. */
	size_t failed_off;
};

/** Read from @p size bytes at @p data, which the cursor borrows. */
struct cursor cursor_init(const void *data, size_t size);

uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);

/** Unsigned LEB128 (DWARF 5, 7.6); more than 64 bits fail. */
uint64_t cursor_uleb128(struct cursor *cursor);
/** Signed LEB128 (DWARF 5, 7.6); more than 64 bits fail. */
int64_t cursor_sleb128(struct cursor *cursor);

/** The next @p size bytes, borrowed; `NULL` when they do not fit. */
const uint8_t *cursor_bytes(struct cursor *cursor, size_t size);

/** The string up to the next NUL, borrowed; `NULL` when there is none. */
const char *cursor_string(struct cursor *cursor);

/** Go to offset @p off from the start. */
void cursor_seek(struct cursor *cursor, size_t off);

/** Bytes left; 0 after a failure. */
size_t cursor_left(const struct cursor *cursor);

/**
 * Whether [@p off, @p off + @p size) lies inside @p total, without overflow.
 */
bool range_fits(uint64_t off, uint64_t size, uint64_t total);

#endif /* HFX_COMMON_CURSOR_H */
