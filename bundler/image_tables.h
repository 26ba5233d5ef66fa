/* SPDX-License-Identifier: MIT */
/**
 * @file image_tables.h
 *
 * What PT_DYNAMIC of an image leads to: symbols that are looked up elsewhere,
 * their versions (LSB Core, "Symbol Versioning") and the relocations. The
 * content only; image_writer.c gives it a place.
 */
#ifndef HFX_BUNDLER_IMAGE_TABLES_H
#define HFX_BUNDLER_IMAGE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "error.h"
#include "image_layout.h"
#include "image_writer.h"

struct image_tables {
	/** `.dynsym`: the null symbol, hfx.module, the imports in order. */
	struct bytes symbols;
	/** `.dynstr`. */
	struct bytes strings;
	/** `.hash`. */
	struct bytes hash;
	/** `.gnu.version`; of no use when `needs` is empty. */
	struct bytes versions;
	/** `.gnu.version_r`; empty when no import has a version. */
	struct bytes needs;
	/** Libraries in `needs`. */
	uint32_t num_needs;
	/** `.rela.dyn`, by address. */
	struct bytes relocations;
	/** Whether a relocation lies in memory that is not writable. */
	bool has_text_relocations;
	/** Offset of DT_SONAME in `strings`; 0 for none. */
	uint32_t soname;
};

/**
 * Build the tables.
 *
 * Errors: #HFX_ERROR_UNSUPPORTED for a relocation in a page of code that is not
 * of type PC32; #HFX_ERROR_INVALID_ARGUMENT for a relocation whose place is not
 * kept, whose type an image may not have or that overlaps another one, and for
 * an import without name or with a version of no library.
 */
HFX_MUST_CHECK struct hfx_error *
image_tables_init(struct image_tables *tables,
                  const struct image_description *description,
                  const struct image_layout *layout);

/** Guard and destructor. */
void image_tables_deinit(struct image_tables *tables);

#endif /* HFX_BUNDLER_IMAGE_TABLES_H */
