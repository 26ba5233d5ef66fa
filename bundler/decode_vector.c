/* SPDX-License-Identifier: MIT */
#include "decode_vector.h"

#define MAX_SIZE 15

#define VEX2 0xc5
#define VEX3 0xc4
#define EVEX 0x62

/** Opcode maps: 0F, 0F 38, 0F 3A; EVEX also has 5 and 6. */
#define MAP_0F   1
#define MAP_0F3A 3

/* Segments and address size; no other prefix goes with these. */
static bool is_prefix(uint8_t byte)
{
	return byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x26 ||
	       byte == 0x64 || byte == 0x65 || byte == 0x67;
}

/* What stands before the opcode: its size, the opcode's map, the width. */
static size_t parse_prefix(const uint8_t *code, size_t size, uint8_t *map_ret,
                           uint8_t *width_ret)
{
	switch (code[0]) {
	case VEX2:
		*map_ret = MAP_0F;
		*width_ret = size > 1 && code[1] & 4 ? 32 : 16;
		return 2;
	case VEX3:
		*map_ret = size > 1 ? code[1] & 0x1f : 0;
		*width_ret = size > 2 && code[2] & 4 ? 32 : 16;
		return 3;
	case EVEX:
		*map_ret = size > 1 ? code[1] & 7 : 0;
		*width_ret = size > 3 ? 16 << (code[3] >> 5 & 3) : 0;
		return 4;
	default:
		return 0;
	}
}

static bool has_immediate(uint8_t map, uint8_t opcode)
{
	if (map == MAP_0F)
		return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 ||
		       (opcode >= 0xc4 && opcode <= 0xc6);
	return map == MAP_0F3A;
}

/* vzeroupper and vzeroall. */
static bool has_operands(uint8_t map, uint8_t opcode)
{
	return map != MAP_0F || opcode != 0x77;
}

/* ModRM, SIB and displacement, from `off`; the end, which may be too far. */
static size_t parse_operand(const uint8_t *code, size_t size, size_t off,
                            uint8_t *displacement_off_ret)
{
	if (off >= size)
		return size + 1;
	uint8_t mode = code[off] >> 6, base = code[off] & 7;

	off++;
	if (mode == 3)
		return off;
	if (!mode && base == 5) {
		*displacement_off_ret = off;
		return off + 4;
	}
	if (base == 4) {
		base = off < size ? code[off] & 7 : 0;
		off++;
	}
	if (mode == 1)
		return off + 1;
	return mode == 2 || base == 5 ? off + 4 : off;
}

bool vector_form(const uint8_t *code, size_t size, struct vector_form *ret)
{
	size_t off = 0, length;
	uint8_t map;

	*ret = (struct vector_form){0};
	if (size > MAX_SIZE)
		size = MAX_SIZE;
	for (; off < size && is_prefix(code[off]); off++)
		ret->uses_fs |= code[off] == 0x64;
	if (off >= size)
		return false;
	length = parse_prefix(code + off, size - off, &map, &ret->width);
	off += length;
	if (!length || !map || off >= size)
		return false;
	uint8_t opcode = code[off++];
	if (has_operands(map, opcode))
		off = parse_operand(code, size, off, &ret->displacement_off);
	off += has_immediate(map, opcode);
	ret->size = off;
	return off <= size;
}
