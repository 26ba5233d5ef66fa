/* SPDX-License-Identifier: MIT */
/* One unit of a package as an ELF file of its own. */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cursor.h"
#include "debug_package.h"
#include "section_file.h"

/** Entries of range lists (DWARF 5, 7.25). */
enum {
	RLE_END_OF_LIST = 0,
	RLE_BASE_ADDRESSX = 1,
	RLE_STARTX_ENDX = 2,
	RLE_STARTX_LENGTH = 3,
	RLE_OFFSET_PAIR = 4,
	RLE_BASE_ADDRESS = 5,
	RLE_START_END = 6,
	RLE_START_LENGTH = 7,
};

/** Header of a table of range lists, and of one of string offsets. */
#define RNGLISTS_HEADER_SIZE 12
#define OFFSETS_HEADER_SIZE  8

static const char *const names[NUM_DEBUG_SECTIONS] = {
	[DEBUG_SECTION_INFO] = ".debug_info.dwo",
	[DEBUG_SECTION_ABBREV] = ".debug_abbrev.dwo",
	[DEBUG_SECTION_LINE] = ".debug_line.dwo",
	[DEBUG_SECTION_STR_OFFSETS] = ".debug_str_offsets.dwo",
	[DEBUG_SECTION_RNGLISTS] = ".debug_rnglists.dwo",
	[DEBUG_SECTION_STR] = ".debug_str.dwo",
	[DEBUG_SECTION_ADDR] = ".debug_addr.dwo",
	[DEBUG_SECTION_RANGES] = ".debug_ranges.dwo",
	[DEBUG_SECTION_LINE_STR] = ".debug_line_str.dwo",
};

/* The package's strings are those of all units: take this one's alone. */
static void put_strings(const struct debug_pieces *pieces,
                        struct bytes *offsets, struct bytes *strings)
{
	const struct debug_span *from =
		&pieces->spans[DEBUG_SECTION_STR_OFFSETS];
	const struct debug_span *all = &pieces->spans[DEBUG_SECTION_STR];
	struct cursor cursor = cursor_init(from->data, from->size);
	size_t header_size = pieces->is_dwarf_5 ? OFFSETS_HEADER_SIZE : 0;

	if (from->size < header_size)
		return;
	bytes_put(offsets, from->data, header_size);
	cursor_seek(&cursor, header_size);
	bytes_u8(strings, 0);
	while (cursor_left(&cursor) >= 4) {
		struct cursor text = cursor_init(all->data, all->size);
		const char *string;

		cursor_seek(&text, cursor_u32(&cursor));
		string = cursor_string(&text);
		bytes_u32(offsets, string ? strings->size : 0);
		if (string)
			bytes_string(strings, string);
	}
}

/* Pass over one entry of a list; false at its end. */
static bool skip_entry(struct cursor *cursor)
{
	uint8_t kind = cursor_u8(cursor);

	switch (kind) {
	case RLE_BASE_ADDRESSX:
		cursor_uleb128(cursor);
		break;
	case RLE_STARTX_ENDX:
	case RLE_STARTX_LENGTH:
	case RLE_OFFSET_PAIR:
		cursor_uleb128(cursor);
		cursor_uleb128(cursor);
		break;
	case RLE_BASE_ADDRESS:
		cursor_u64(cursor);
		break;
	case RLE_START_END:
		cursor_u64(cursor);
		cursor_u64(cursor);
		break;
	case RLE_START_LENGTH:
		cursor_u64(cursor);
		cursor_uleb128(cursor);
		break;
	default:
		return false;
	}
	return !cursor->failed;
}

static void put_list(const struct debug_pieces *pieces, struct cursor *cursor,
                     struct bytes *ret)
{
	const struct debug_span *from = &pieces->spans[DEBUG_SECTION_RNGLISTS];
	size_t start = cursor->off;

	while (skip_entry(cursor))
		;
	bytes_u8(ret, RLE_BASE_ADDRESS);
	bytes_u64(ret, pieces->base_addr);
	if (!cursor->failed)
		bytes_put(ret, from->data + start, cursor->off - start);
	else
		bytes_u8(ret, RLE_END_OF_LIST);
}

/*
 * Lists count from the address of the skeleton, which libdw does not know here:
 * begin each one with it. The unit knows them by their numbers.
 */
static void put_lists(const struct debug_pieces *pieces, struct bytes *ret)
{
	const struct debug_span *from = &pieces->spans[DEBUG_SECTION_RNGLISTS];
	struct cursor header = cursor_init(from->data, from->size);
	uint32_t count;

	cursor_seek(&header, 8);
	count = cursor_u32(&header);
	if (header.failed || count > cursor_left(&header) / 4)
		return;
	bytes_put(ret, from->data, RNGLISTS_HEADER_SIZE);
	bytes_fill(ret, 0, (size_t)count * 4);
	for (uint32_t i = 0; i < count && !ret->failed; i++) {
		struct cursor list = cursor_init(from->data, from->size);

		bytes_set_u32(ret, RNGLISTS_HEADER_SIZE + (size_t)i * 4,
		              ret->size - RNGLISTS_HEADER_SIZE);
		cursor_seek(&list, RNGLISTS_HEADER_SIZE + cursor_u32(&header));
		put_list(pieces, &list, ret);
	}
	if (!ret->failed)
		bytes_set_u32(ret, 0, ret->size - 4);
}

/* Lists of DWARF 4, with their base added where they have none of their own. */
static void put_ranges(const struct debug_pieces *pieces, struct bytes *ret)
{
	const struct debug_span *from = &pieces->spans[DEBUG_SECTION_RANGES];
	struct cursor cursor = cursor_init(from->data, from->size);
	uint64_t base = pieces->base_addr;

	while (cursor_left(&cursor) >= 16) {
		uint64_t low = cursor_u64(&cursor);
		uint64_t high = cursor_u64(&cursor);
		bool is_end = !low && !high;
		bool is_base = low == UINT64_MAX;

		bytes_u64(ret, is_end || is_base ? low : low + base);
		bytes_u64(ret, is_end || is_base ? high : high + base);
		if (is_end)
			base = pieces->base_addr;
		else if (is_base)
			base = 0;
	}
}

/** Fill in what is not taken as it is. */
static struct hfx_error *put_pieces(const struct debug_pieces *pieces,
                                    struct section_file *file)
{
	HFX_CLEANUP(bytes_deinit) struct bytes offsets = {0};
	HFX_CLEANUP(bytes_deinit) struct bytes strings = {0};
	HFX_CLEANUP(bytes_deinit) struct bytes lists = {0};
	HFX_CLEANUP(bytes_deinit) struct bytes ranges = {0};
	const struct bytes *made[NUM_DEBUG_SECTIONS] = {
		[DEBUG_SECTION_STR_OFFSETS] = &offsets,
		[DEBUG_SECTION_STR] = &strings,
		[DEBUG_SECTION_RNGLISTS] = &lists,
		[DEBUG_SECTION_RANGES] = &ranges,
	};

	put_strings(pieces, &offsets, &strings);
	put_lists(pieces, &lists);
	put_ranges(pieces, &ranges);
	for (int i = 0; i < NUM_DEBUG_SECTIONS; i++) {
		const struct debug_span *span = &pieces->spans[i];

		if (made[i])
			HFX_TRY(bytes_check(made[i]));
		section_file_add(file, names[i],
		                 made[i] ? made[i]->data : span->data,
		                 made[i] ? made[i]->size : span->size);
	}
	return NULL;
}

struct hfx_error *debug_package_compose(const struct debug_pieces *pieces,
                                        struct bytes *ret)
{
	HFX_CLEANUP(section_file_deinit) struct section_file file = {0};

	HFX_TRY(put_pieces(pieces, &file));
	return section_file_end(&file, ret);
}
