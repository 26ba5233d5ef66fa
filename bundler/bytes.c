/* SPDX-License-Identifier: MIT */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

void bytes_deinit(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0};
}

struct hfx_error *bytes_check(const struct bytes *bytes)
{
	return bytes->failed ? hfx_error_no_memory() : NULL;
}

/** Room for @p size more bytes, counted as written; `NULL` without memory. */
static uint8_t *bytes_grow(struct bytes *bytes, size_t size)
{
	size_t end, capacity = bytes->capacity ? bytes->capacity : 256;
	uint8_t *data;

	if (bytes->failed)
		return NULL;
	if (__builtin_add_overflow(bytes->size, size, &end) ||
	    end > SIZE_MAX / 2)
		goto fail;
	if (end > bytes->capacity) {
		while (capacity < end)
			capacity *= 2;
		data = realloc(bytes->data, capacity);
		if (!data)
			goto fail;
		bytes->data = data;
		bytes->capacity = capacity;
	}
	data = bytes->data + bytes->size;
	bytes->size = end;
	return data;

fail:
	bytes->failed = true;
	return NULL;
}

void bytes_put(struct bytes *bytes, const void *data, size_t size)
{
	uint8_t *place = size ? bytes_grow(bytes, size) : NULL;

	if (place)
		memcpy(place, data, size);
}

void bytes_fill(struct bytes *bytes, uint8_t value, size_t count)
{
	uint8_t *place = count ? bytes_grow(bytes, count) : NULL;

	if (place)
		memset(place, value, count);
}

static void bytes_little_endian(struct bytes *bytes, uint64_t value,
                                size_t size)
{
	uint8_t text[8];

	for (size_t i = 0; i < size; i++)
		text[i] = value >> (8 * i);
	bytes_put(bytes, text, size);
}

void bytes_u8(struct bytes *bytes, uint8_t value)
{
	bytes_little_endian(bytes, value, 1);
}

void bytes_u16(struct bytes *bytes, uint16_t value)
{
	bytes_little_endian(bytes, value, 2);
}

void bytes_u32(struct bytes *bytes, uint32_t value)
{
	bytes_little_endian(bytes, value, 4);
}

void bytes_u64(struct bytes *bytes, uint64_t value)
{
	bytes_little_endian(bytes, value, 8);
}

void bytes_uleb128(struct bytes *bytes, uint64_t value)
{
	while (value >= 0x80) {
		bytes_u8(bytes, (value & 0x7f) | 0x80);
		value >>= 7;
	}
	bytes_u8(bytes, value);
}

void bytes_sleb128(struct bytes *bytes, int64_t value)
{
	/* Done when the rest is only copies of the sign in bit 6. */
	while (value < -0x40 || value >= 0x40) {
		bytes_u8(bytes, (value & 0x7f) | 0x80);
		value >>= 7;
	}
	bytes_u8(bytes, value & 0x7f);
}

void bytes_string(struct bytes *bytes, const char *string)
{
	bytes_put(bytes, string, strlen(string) + 1);
}

void bytes_align(struct bytes *bytes, size_t align)
{
	bytes_fill(bytes, 0, -bytes->size & (align - 1));
}

void bytes_set_u32(struct bytes *bytes, size_t off, uint32_t value)
{
	if (bytes->failed || bytes->size < 4 || off > bytes->size - 4)
		return;
	for (size_t i = 0; i < 4; i++)
		bytes->data[off + i] = value >> (8 * i);
}
