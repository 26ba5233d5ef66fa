/* SPDX-License-Identifier: MIT */
/** @file image_parts.h Descriptions of images, put together piece by piece. */
#ifndef HFX_TESTS_UNIT_IMAGE_PARTS_H
#define HFX_TESTS_UNIT_IMAGE_PARTS_H

#include "elf_fixture.h"
#include "image_writer.h"

/** Space for the descriptions that tests put together. */
struct parts {
	struct image_piece pieces[16];
	struct image_relocation relocations[16];
	struct image_import imports[8];
	struct image_symbol symbols[16];
	struct image_unwind unwinds[8];
	struct image_description image;
};

static inline void parts_init(struct parts *parts)
{
	*parts = (struct parts){0};
	parts->image.soname = "test.so";
	parts->image.pieces = parts->pieces;
	parts->image.relocations = parts->relocations;
	parts->image.imports = parts->imports;
	parts->image.symbols = parts->symbols;
	parts->image.unwinds = parts->unwinds;
}

static inline void add_piece(struct parts *parts, uint64_t addr,
                             const void *data, uint64_t size, uint32_t flags)
{
	parts->pieces[parts->image.num_pieces++] = (struct image_piece){
		.addr = addr, .size = size, .data = data, .flags = flags};
}

static inline void add_relocation(struct parts *parts, uint64_t addr,
                                  uint32_t type, uint32_t symbol,
                                  int64_t addend)
{
	parts->relocations[parts->image.num_relocations++] =
		(struct image_relocation){
			.addr = addr,
			.type = type,
			.symbol = symbol,
			.addend = addend,
		};
}

static inline void add_import(struct parts *parts, const char *name,
                              const char *version, const char *library)
{
	parts->imports[parts->image.num_imports++] = (struct image_import){
		.name = name, .version = version, .library = library};
}

static inline void add_symbol(struct parts *parts, const char *name,
                              uint64_t addr, uint64_t size, bool is_function,
                              bool is_local)
{
	parts->symbols[parts->image.num_symbols++] = (struct image_symbol){
		.name = name,
		.addr = addr,
		.size = size,
		.is_function = is_function,
		.is_local = is_local,
	};
}

static inline struct fixture_elf write_image(const struct parts *parts)
{
	struct hfx_error *err;
	struct buffer bytes;

	err = image_write(&parts->image, &bytes);
	if (err)
		fail_msg("%s", hfx_error_message(err));
	return fixture_open_bytes(bytes);
}

static inline void assert_refused(const struct parts *parts,
                                  enum hfx_error_code code, const char *text)
{
	struct buffer bytes = {.size = 42};
	struct hfx_error *err = image_write(&parts->image, &bytes);

	assert_non_null(err);
	if (!strstr(hfx_error_message(err), text))
		fail_msg("\"%s\" does not say \"%s\"", hfx_error_message(err),
		         text);
	assert_int_equal(hfx_error_code(err), code);
	hfx_error_destroy(err);
	assert_int_equal(bytes.size, 42);
}

#endif /* HFX_TESTS_UNIT_IMAGE_PARTS_H */
