/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cursor.h"

struct cursor cursor_init(const void *data, size_t size)
{
	return (struct cursor){.data = data, .size = size};
}

static void cursor_fail(struct cursor *cursor, size_t off)
{
	if (cursor->failed)
		return;
	cursor->failed = true;
	cursor->failed_off = off;
}

const uint8_t *cursor_bytes(struct cursor *cursor, size_t size)
{
	const uint8_t *bytes;

	if (cursor->failed)
		return NULL;
	if (!range_fits(cursor->off, size, cursor->size)) {
		cursor_fail(cursor, cursor->off);
		return NULL;
	}
	bytes = cursor->data + cursor->off;
	cursor->off += size;
	return bytes;
}

static uint64_t cursor_unsigned(struct cursor *cursor, size_t size)
{
	const uint8_t *bytes = cursor_bytes(cursor, size);
	uint64_t value = 0;

	if (!bytes)
		return 0;
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

uint8_t cursor_u8(struct cursor *cursor)
{
	return (uint8_t)cursor_unsigned(cursor, 1);
}

uint16_t cursor_u16(struct cursor *cursor)
{
	return (uint16_t)cursor_unsigned(cursor, 2);
}

uint32_t cursor_u32(struct cursor *cursor)
{
	return (uint32_t)cursor_unsigned(cursor, 4);
}

uint64_t cursor_u64(struct cursor *cursor)
{
	return cursor_unsigned(cursor, 8);
}

uint64_t cursor_uleb128(struct cursor *cursor)
{
	size_t start_off = cursor->off;
	uint64_t value = 0;

	for (unsigned int shift = 0;; shift += 7) {
		uint8_t byte = cursor_u8(cursor);
		uint64_t bits = byte & 0x7f;

		if (cursor->failed)
			return 0;
		/* Zeros above the 64th bit are padding and allowed. */
		if (shift >= 64 ? bits != 0 : bits << shift >> shift != bits) {
			cursor_fail(cursor, start_off);
			return 0;
		}
		if (shift < 64)
			value |= bits << shift;
		if (!(byte & 0x80))
			return value;
	}
}

/* Whether bits of a signed number from @p shift on are only its sign. */
static bool is_sign_only(uint64_t bits, unsigned int shift, bool is_negative)
{
	uint64_t sign = is_negative ? 0x7f : 0;

	if (shift >= 64)
		return bits == sign;
	if (shift == 63)
		return bits == 0 || bits == 0x7f;
	return true;
}

int64_t cursor_sleb128(struct cursor *cursor)
{
	size_t start_off = cursor->off;
	uint64_t value = 0;

	for (unsigned int shift = 0;; shift += 7) {
		uint8_t byte = cursor_u8(cursor);
		uint64_t bits = byte & 0x7f;

		if (cursor->failed)
			return 0;
		if (!is_sign_only(bits, shift, value >> 63)) {
			cursor_fail(cursor, start_off);
			return 0;
		}
		if (shift < 64)
			value |= bits << shift;
		if (byte & 0x80)
			continue;
		if (shift < 57 && (byte & 0x40))
			value |= UINT64_MAX << (shift + 7);
		return (int64_t)value;
	}
}

const char *cursor_string(struct cursor *cursor)
{
	const uint8_t *start, *end;

	if (cursor->failed)
		return NULL;
	start = cursor->data + cursor->off;
	end = cursor_left(cursor) ? memchr(start, 0, cursor_left(cursor))
	                          : NULL;
	if (!end) {
		cursor_fail(cursor, cursor->off);
		return NULL;
	}
	cursor->off += (size_t)(end - start) + 1;
	return (const char *)start;
}

void cursor_seek(struct cursor *cursor, size_t off)
{
	if (cursor->failed)
		return;
	if (off > cursor->size)
		cursor_fail(cursor, off);
	else
		cursor->off = off;
}

size_t cursor_left(const struct cursor *cursor)
{
	return cursor->failed ? 0 : cursor->size - cursor->off;
}

bool range_fits(uint64_t off, uint64_t size, uint64_t total)
{
	return off <= total && size <= total - off;
}
