/* SPDX-License-Identifier: MIT */
/**
 * @file section_file.h
 *
 * An ELF file in memory that is nothing but sections, for libdw to read.
 */
#ifndef HFX_BUNDLER_SECTION_FILE_H
#define HFX_BUNDLER_SECTION_FILE_H

#include <elf.h>

#include "bytes.h"
#include "error.h"

/** Zero-initialized is empty. A lack of memory is kept until the end. */
struct section_file {
	struct bytes content;
	struct bytes names;
	Elf64_Shdr *headers;
	size_t num_headers;
	size_t cap_headers;
	bool failed;
};

/** Add a section; an empty one is left out, libdw takes it for broken. */
void section_file_add(struct section_file *file, const char *name,
                      const void *data, size_t size);

/** Put the file together. @param[out] ret Empty before. */
HFX_MUST_CHECK struct hfx_error *section_file_end(struct section_file *file,
                                                  struct bytes *ret);

void section_file_deinit(struct section_file *file);

#endif /* HFX_BUNDLER_SECTION_FILE_H */
