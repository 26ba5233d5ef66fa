/* SPDX-License-Identifier: MIT */
/*
 * Source: LSB Core, "Exception Frames". A table is taken only whole: every
 * entry must fit behind the one before, lead to a CIE of this table, and
 * describe code of the module. Bytes that are something else do not pass by
 * chance, and a table whose beginning was missed has no frames for the code
 * that is described there, so that a walk ends early, which counts as inside.
 */
#include "unwind_search.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cursor.h"

/** Entries that are looked at before the search is given up. */
#define MAX_STEPS (UINT64_C(1) << 24)

/** Where an entry's members are: behind its length and its kind. */
#define KIND_OFF 4
#define BODY_OFF 8

/* Encodings of pointers (DW_EH_PE_). */
#define PE_ABSOLUTE 0x00
#define PE_UDATA4   0x03
#define PE_SDATA4   0x0b
#define PE_PCREL    0x10
#define PE_FORM     0x0f
#define PE_INDIRECT 0x80

struct search {
	const struct unwind_memory *memory;
	uint64_t num_steps;
	/** Of the CIE that was read last. */
	size_t cie_off;
	uint8_t cie_encoding;
};

void unwind_entries_deinit(struct unwind_entries *entries)
{
	free(entries->items);
	*entries = (struct unwind_entries){0};
}

static uint32_t word_at(const struct search *search, size_t off)
{
	uint32_t word;

	memcpy(&word, search->memory->data + off, sizeof(word));
	return word;
}

/** Pass over a pointer to a personality routine. */
static bool skip_pointer(struct cursor *cursor, uint8_t encoding)
{
	switch (encoding & PE_FORM) {
	case PE_ABSOLUTE:
		cursor_u64(cursor);
		return true;
	case PE_UDATA4:
	case PE_SDATA4:
		cursor_u32(cursor);
		return true;
	default:
		return false;
	}
}

/** What the letters of the augmentation say of pointers to code. */
static bool read_augmentation(struct cursor *cursor, const char *letters,
                              uint8_t *encoding_ret)
{
	*encoding_ret = PE_ABSOLUTE;
	if (!*letters)
		return true;
	if (*letters++ != 'z')
		return false;
	cursor_uleb128(cursor);
	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			*encoding_ret = cursor_u8(cursor);
			break;
		case 'P':
			if (!skip_pointer(cursor, cursor_u8(cursor)))
				return false;
			break;
		case 'L':
			cursor_u8(cursor);
			break;
		case 'S':
		case 'B':
			break;
		default:
			return false;
		}
	}
	return true;
}

/** @param size Bytes of the entry, its length not counted. */
static bool read_cie(struct search *search, size_t off, size_t size)
{
	struct cursor cursor =
		cursor_init(search->memory->data + off, size + KIND_OFF);
	uint8_t version;
	const char *letters;

	cursor_seek(&cursor, BODY_OFF);
	version = cursor_u8(&cursor);
	letters = cursor_string(&cursor);
	if ((version != 1 && version != 3) || !letters)
		return false;
	cursor_uleb128(&cursor);
	cursor_sleb128(&cursor);
	cursor_uleb128(&cursor);
	if (!read_augmentation(&cursor, letters, &search->cie_encoding))
		return false;
	search->cie_off = off;
	return !cursor.failed;
}

/** Make the CIE of the entry at @p off the one that was read last. */
static bool find_cie(struct search *search, size_t start, size_t off)
{
	uint32_t distance = word_at(search, off + KIND_OFF);
	size_t cie_off = off + KIND_OFF - distance;

	if (distance > off + KIND_OFF - start)
		return false;
	if (cie_off == search->cie_off)
		return true;
	/* It was read before: only its place is in question. */
	return !(cie_off % 4) && cie_off + BODY_OFF <= off &&
	       !word_at(search, cie_off + KIND_OFF) &&
	       word_at(search, cie_off) <= off - cie_off - KIND_OFF &&
	       read_cie(search, cie_off, word_at(search, cie_off));
}

static bool read_code_addr(const struct search *search, size_t off,
                           uint64_t *ret)
{
	const struct unwind_memory *memory = search->memory;
	int32_t distance = (int32_t)word_at(search, off);

	switch (search->cie_encoding) {
	case PE_PCREL | PE_SDATA4:
		*ret = memory->live_addr + off + (uint64_t)(int64_t)distance;
		break;
	case PE_UDATA4:
		*ret = (uint32_t)distance;
		break;
	case PE_ABSOLUTE:
		if (memory->size - off < sizeof(*ret))
			return false;
		memcpy(ret, memory->data + off, sizeof(*ret));
		break;
	default:
		return false;
	}
	return *ret >= memory->code_start_addr && *ret < memory->code_end_addr;
}

static bool read_fde(struct search *search, size_t start, size_t off,
                     size_t size, struct unwind_entries *entries)
{
	struct unwind_entry entry = {
		.entry_addr = search->memory->live_addr + off,
	};

	if (size < 3 * sizeof(uint32_t) || !find_cie(search, start, off) ||
	    !read_code_addr(search, off + BODY_OFF, &entry.code_addr))
		return false;
	return HFX_ARRAY_PUSH(entries, items, entry);
}

/** Whether a table begins here; its entries are added then. */
static bool read_table(struct search *search, size_t start,
                       struct unwind_entries *entries)
{
	const struct unwind_memory *memory = search->memory;
	size_t off = start;

	while (memory->size - off >= BODY_OFF) {
		uint32_t size = word_at(search, off);

		if (!size)
			return entries->num_items;
		if (++search->num_steps > MAX_STEPS || size < KIND_OFF ||
		    size % 4 || size > memory->size - off - KIND_OFF)
			return false;
		if (word_at(search, off + KIND_OFF)
		            ? !read_fde(search, start, off, size, entries)
		            : !read_cie(search, off, size))
			return false;
		off += KIND_OFF + size;
	}
	return memory->size - off >= KIND_OFF && !word_at(search, off) &&
	       entries->num_items;
}

static int compare_entries(const void *left, const void *right)
{
	const struct unwind_entry *a = left, *b = right;

	return (a->code_addr > b->code_addr) - (a->code_addr < b->code_addr);
}

bool unwind_search(const struct unwind_memory *memory,
                   struct unwind_entries *ret)
{
	struct search search = {.memory = memory};
	struct unwind_entries entries = {0};

	for (size_t off = -memory->live_addr % 4;
	     off < memory->size && memory->size - off >= BODY_OFF &&
	     search.num_steps < MAX_STEPS;
	     off += 4) {
		if (word_at(&search, off + KIND_OFF) || !word_at(&search, off))
			continue;
		search.cie_off = SIZE_MAX;
		entries.num_items = 0;
		if (!read_table(&search, off, &entries))
			continue;
		entries.table_addr = memory->live_addr + off;
		hfx_array_sort(entries.items, entries.num_items,
		               sizeof(*entries.items), compare_entries);
		*ret = entries;
		return true;
	}
	unwind_entries_deinit(&entries);
	return false;
}
