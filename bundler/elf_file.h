/* SPDX-License-Identifier: MIT */
/**
 * @file elf_file.h
 *
 * The handles behind a program: its ELF file, and the ELF file and DWARF of its
 * debug information, which may be the same file.
 */
#ifndef HFX_BUNDLER_ELF_FILE_H
#define HFX_BUNDLER_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

#include "bytes.h"
#include "error.h"
#include "manifest.h"

struct elf_file {
	const char *path;
	int fd;
	Elf *elf;
	/** Where the symbols are: `elf` itself, or the debug file. Borrowed. */
	Elf *symbols_elf;
	/** `NULL` when there is none. Borrowed from one of the following. */
	Dwarf *dwarf;
	/** Debug file that the user named. */
	int debug_fd;
	Elf *debug_elf;
	Dwarf *debug_dwarf;
	/** Debug sections of one of these, unpacked; see elf_unpack.h. */
	struct bytes unpacked;
	Elf *unpacked_elf;
	/** Owner of what libdwfl found. */
	Dwfl *dwfl;
};

/**
 * Open a file that can be patched: a linked, position-independent x86-64
 * program or library.
 */
HFX_MUST_CHECK struct hfx_error *
elf_file_open(const char *path, const char *debug_path, struct elf_file **ret);

void elf_file_destroy(struct elf_file *file);

/** Build-id note (NT_GNU_BUILD_ID); size 0 when there is none. */
struct build_id elf_build_id(Elf *elf);

/** Section of a type or name, or `NULL`; @p name may be `NULL`. */
Elf_Scn *elf_find_section(Elf *elf, GElf_Word type, const char *name,
                          GElf_Shdr *shdr_ret);

/** An error about the file that quotes libelf. */
HFX_MUST_CHECK struct hfx_error *elf_file_error(const struct elf_file *file,
                                                const char *what);

#endif /* HFX_BUNDLER_ELF_FILE_H */
