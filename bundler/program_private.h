/* SPDX-License-Identifier: MIT */
/**
 * @file program_private.h
 *
 * The parts of program_load(): symbols, and what the dynamic linker reads.
 */
#ifndef HFX_BUNDLER_PROGRAM_PRIVATE_H
#define HFX_BUNDLER_PROGRAM_PRIVATE_H

#include <libelf.h>

#include "error.h"
#include "model.h"

struct address_range {
	uint64_t start;
	uint64_t end;
};

/** Fill `symbols`; the sections are loaded. */
HFX_MUST_CHECK struct hfx_error *program_load_symbols(struct program *program);

/** Fill `relocations`, `stubs`, `soname` and `is_executable`. */
HFX_MUST_CHECK struct hfx_error *program_load_dynamic(struct program *program);

/**
 * Fill `kept`, and add to `relocations` what a program for a fixed address has
 * in its data.
 *
 * Errors: #HFX_ERROR_BAD_ELF if the linker kept none for such a program.
 */
HFX_MUST_CHECK struct hfx_error *program_load_kept(struct program *program);

/** Sort `relocations` by their places. */
void program_sort_relocations(struct program *program);

/** Text of .comment up to its end, or "" if it is not text. Borrowed. */
const char *comment_text(Elf_Scn *scn);

#endif /* HFX_BUNDLER_PROGRAM_PRIVATE_H */
