/* SPDX-License-Identifier: MIT */
/**
 * @file image_load_private.h
 *
 * What the parts of image_load.h share: image_load.c reads segments,
 * image_load_tables.c the tables in them, image_load_relocate.c relocates.
 */
#ifndef HFX_RUNTIME_IMAGE_LOAD_PRIVATE_H
#define HFX_RUNTIME_IMAGE_LOAD_PRIVATE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"
#include "image_load.h"

/** What PT_DYNAMIC says, as addresses in the image. */
struct image_load_tables {
	uint64_t hash_addr;
	uint64_t symbols_addr;
	uint64_t strings_addr;
	uint64_t strings_size;
	uint64_t versions_addr;
	uint64_t needs_addr;
	uint64_t num_needs;
	uint64_t relocations_addr;
	uint64_t relocations_size;
	uint32_t num_symbols;
};

/** An image while it is read. */
struct image_load_parse {
	const uint8_t *data;
	size_t size;
	struct image_load *image;
	/** Of PT_GNU_EH_FRAME, or 0. */
	uint64_t eh_frame_header_addr;
	struct image_load_tables tables;
	/** From indices of the file's symbol table to imports; owned. */
	uint32_t *symbol_map;
};

/** An error for bad bytes; @p format goes on after "the patch image". */
HFX_PRINTF(1, 2) struct hfx_error *image_load_bad(const char *format, ...);

/**
 * Bytes of a read-only table, or `NULL` if they are not all there. Valid until
 * a segment's bytes grow.
 */
const uint8_t *image_load_table_at(const struct image_load *image,
                                   uint64_t addr, uint64_t size);

/**
 * Read what PT_DYNAMIC leads to, and the unwind information's place. Needs the
 * segments.
 *
 * @param[in,out] parse Gets `tables` and `symbol_map`; its image all the rest.
 * @param[in] dynamic Header of PT_DYNAMIC.
 */
struct hfx_error *image_load_read_tables(struct image_load_parse *parse,
                                         const Elf64_Phdr *dynamic);

/** Whether a relocation of @p type writes an address of 4 bytes. */
static inline bool image_load_is_absolute_32(uint32_t type)
{
	return type == R_X86_64_32 || type == R_X86_64_32S;
}

#endif /* HFX_RUNTIME_IMAGE_LOAD_PRIVATE_H */
