/* SPDX-License-Identifier: MIT */
/**
 * @file program_load.h
 *
 * From an ELF file, and the file with its debug information, to a program.
 */
#ifndef HFX_BUNDLER_PROGRAM_LOAD_H
#define HFX_BUNDLER_PROGRAM_LOAD_H

#include "error.h"
#include "model.h"

/**
 * Load a program: sections, symbols, functions, relocations and PLT.
 *
 * Symbols come from the file's own `.symtab`, else from its separate debug
 * file: @p debug_path, or what libdwfl finds by .gnu_debuglink and by build-id
 * (beside the file, in .debug beside it, in /usr/lib/debug).
 *
 * Errors: #HFX_ERROR_BAD_ELF with the file, what is wrong and what to do.
 *
 * @param[in] path File; borrowed for the program's life.
 * @param[in] debug_path Separate debug file, or `NULL`.
 * @param[out] ret Program, for program_destroy().
 */
HFX_MUST_CHECK struct hfx_error *
program_load(const char *path, const char *debug_path, struct program **ret);

#endif /* HFX_BUNDLER_PROGRAM_LOAD_H */
