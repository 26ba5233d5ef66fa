/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a text or a table without a name. It may be more of the
 * same ("a\0b", or numbers that look like a text), and it may be other texts
 * that nothing refers to: compilers leave such behind, and linkers put texts in
 * an order of their own, so these differ though nothing changed.
 *
 * They are taken for others where all of them are texts, and each stands in the
 * other build, too. Few enough are left to be mistaken for more of the same: a
 * text that goes on behind a NUL with what was said elsewhere, or said in
 * another order.
 */
#include <string.h>

#include "compare_private.h"
#include "place.h"

/* Shorter ones are as likely to be numbers. */
#define MIN_TEXT 4
/* Compilers align only long ones, so that zeros stand before them. */
#define MIN_ALIGNED_TEXT 16
#define ALIGNMENT        8

struct piece {
	const uint8_t *bytes;
	/* With what ends it. */
	uint64_t size;
	/* Of one character: 1, or 4 as in L"text". */
	unsigned int unit;
};

/* Bytes of a text of wchar_t to its end, included; 0 if it is none. */
static uint64_t wide_text_size(const struct program *program, uint64_t addr,
                               uint64_t end)
{
	if (addr % sizeof(uint32_t))
		return 0;
	for (uint64_t at = addr; at < end; at += sizeof(uint32_t)) {
		const uint8_t *bytes =
			program_bytes(program, at, sizeof(uint32_t));
		uint32_t character;

		if (!bytes)
			return 0;
		memcpy(&character, bytes, sizeof(character));
		if (!character)
			return at + sizeof(character) - addr;
		if (character > 0x10ffff)
			return 0;
	}
	return 0;
}

static uint64_t skip_padding(const struct program *program, uint64_t addr,
                             uint64_t end)
{
	const uint8_t *byte;

	for (uint64_t at = addr; at < end && at < addr + ALIGNMENT; at++) {
		byte = program_bytes(program, at, 1);
		if (!byte || *byte)
			return at;
	}
	return addr + ALIGNMENT < end ? addr + ALIGNMENT : end;
}

static bool piece_at(const struct program *program, uint64_t addr, uint64_t end,
                     bool is_padded, struct piece *ret)
{
	uint64_t least = is_padded ? MIN_ALIGNED_TEXT : MIN_TEXT;

	ret->unit = 1;
	ret->size = text_size(program, addr);
	if (ret->size <= least || (is_padded && addr % ALIGNMENT)) {
		ret->unit = sizeof(uint32_t);
		ret->size = wide_text_size(program, addr, end);
		if (ret->size <= MIN_TEXT * sizeof(uint32_t))
			return false;
	}
	ret->bytes = program_bytes(program, addr, ret->size);
	return ret->bytes;
}

/* A whole text, not the tail of another one. */
static bool section_has(const struct section *section,
                        const struct piece *piece)
{
	const uint8_t *at = section->data;
	const uint8_t *end = at + section->size;

	while ((at = memmem(at, (size_t)(end - at), piece->bytes,
	                    piece->size))) {
		if (piece->unit > 1 || at == section->data || !at[-1])
			return true;
		at++;
	}
	return false;
}

static bool program_has(const struct program *program,
                        const struct piece *piece)
{
	for (size_t i = 0; i < program->num_sections; i++) {
		const struct section *section = &program->sections[i];

		if (section->kind == SECTION_CONST && section->data &&
		    section_has(section, piece))
			return true;
	}
	return false;
}

bool rest_is_of_others(const struct program *program,
                       const struct program *other, uint64_t addr, uint64_t end)
{
	while (addr < end) {
		struct piece piece;
		uint64_t start = skip_padding(program, addr, end);

		if (start == end)
			return true;
		if (!piece_at(program, start, end, start != addr, &piece) ||
		    !program_has(other, &piece))
			return false;
		addr = start + piece.size;
	}
	return true;
}
