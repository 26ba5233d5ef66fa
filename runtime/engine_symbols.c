/* SPDX-License-Identifier: MIT */
/*
 * What debuggers and profilers want of an image: its symbol table and its debug
 * information. These are in no segment; so the two parts of the file that are
 * not loaded, its headers and what stands behind the segments, are kept at the
 * end of the record's pages. With them and the segments a reader has the file
 * again (docs/format.md, "The region").
 */
#include "engine_apply.h"

/** More than this is not taken along: it is memory of the process. */
#define MAX_SYMBOLS_SIZE (UINT64_C(64) << 20)

/** Symbols that are looked through. */
#define MAX_SYMBOLS 4000000u

uint64_t record_symbols_size(const struct record_symbols *symbols)
{
	uint64_t size = (uint64_t)symbols->head_size + symbols->tail_size;

	return (size + 7) & ~UINT64_C(7);
}

void apply_measure_symbols(struct apply *apply)
{
	const struct image_load *image = &apply->image;
	struct record_symbols *symbols = &apply->patch->symbols;

	*symbols = (struct record_symbols){0};
	if (!image->tail_size ||
	    image->head_size + image->tail_size > MAX_SYMBOLS_SIZE)
		return;
	symbols->head_size = (uint32_t)image->head_size;
	symbols->tail_size = (uint32_t)image->tail_size;
	symbols->tail_off = image->tail_off;
}

struct hfx_error *apply_write_symbols(struct apply *apply)
{
	struct target *target = apply->engine->target;
	const uint8_t *file = apply->image_bytes->data;
	struct record_symbols *symbols = &apply->patch->symbols;
	uint64_t addr = apply->region.addr + RECORD_OFF;

	if (!symbols->tail_size)
		return NULL;
	symbols->off = apply->region.record_room - record_symbols_size(symbols);
	HFX_TRY(target->ops->write(target, addr + symbols->off, file,
	                           symbols->head_size));
	return target->ops->write(target,
	                          addr + symbols->off + symbols->head_size,
	                          file + symbols->tail_off, symbols->tail_size);
}
