/* SPDX-License-Identifier: MIT */
/**
 * @file elf_unpack.h
 *
 * Debug information that is compressed with zstd (gABI, ELFCOMPRESS_ZSTD),
 * which this libelf does not unpack.
 */
#ifndef HFX_BUNDLER_ELF_UNPACK_H
#define HFX_BUNDLER_ELF_UNPACK_H

#include <stdbool.h>

#include <libelf.h>

#include "bytes.h"
#include "error.h"

/** Whether a debug section is compressed so. */
bool elf_needs_unpacking(Elf *elf);

/**
 * Make an ELF file of the debug sections alone, none of them compressed.
 *
 * @param[in] path Of the file, for messages.
 */
HFX_MUST_CHECK struct hfx_error *elf_unpack(Elf *elf, const char *path,
                                            struct bytes *ret);

#endif /* HFX_BUNDLER_ELF_UNPACK_H */
