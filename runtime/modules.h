/* SPDX-License-Identifier: MIT */
/**
 * @file modules.h
 *
 * The programs and shared libraries of a process, read from its memory.
 *
 * Files are not looked at: the one on disk may be stripped, replaced or gone.
 * Everything that is read is checked against the ranges that the module's own
 * program headers and the process's mappings agree on.
 *
 * Sources: gABI (program header, note section, dynamic section), x86-64 psABI,
 * <link.h> for the list that the dynamic linker keeps.
 */
#ifndef HFX_RUNTIME_MODULES_H
#define HFX_RUNTIME_MODULES_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "manifest.h"
#include "maps.h"
#include "target.h"

#define MODULES_MAX          65536u
#define MODULE_MAX_PHDRS     256u
#define MODULE_MAX_DYNAMIC   4096u
#define MODULE_MAX_NOTE_SIZE (1u << 20)
#define MODULE_MAX_NAME      4096u

/** Live addresses of the tables of PT_DYNAMIC; 0 for what is absent. */
struct module_dynamic {
	uint64_t live_addr;
	uint64_t symbols_addr;
	uint64_t strings_addr;
	uint64_t strings_size;
	uint64_t hash_addr;
	uint64_t gnu_hash_addr;
	uint64_t versions_addr;
	uint64_t definitions_addr;
	uint64_t num_definitions;
	uint64_t needs_addr;
	uint64_t num_needs;
	uint64_t relocations_addr;
	uint64_t relocations_size;
	/** Value of DT_DEBUG: address of the dynamic linker's r_debug. */
	uint64_t debug_addr;
	/** Offset of DT_SONAME in the strings, plus one. */
	uint64_t soname_off;
};

struct module {
	/** Path as the mappings give it, owned. */
	char *path;
	/** DT_SONAME, owned; "" when there is none. */
	char *soname;
	/** Lowest and highest (exclusive) live address of all PT_LOADs. */
	uint64_t start_addr;
	uint64_t end_addr;
	/** Added to an address of the file to get the live one. */
	uint64_t bias;
	struct build_id build_id;
	Elf64_Phdr *segments;
	size_t num_segments;
	struct module_dynamic dynamic;
	bool has_tls;
	/** The program itself: first in the dynamic linker's list. */
	bool is_main;
};

/** Modules, in the order in which symbols are looked up. */
struct modules {
	struct module *modules;
	size_t num_modules;
	size_t cap_modules;
};

/** Find all modules of @p target; 32-bit ones and the vDSO are left out. */
HFX_MUST_CHECK struct hfx_error *modules_read(struct target *target,
                                              const struct maps *maps,
                                              struct modules *ret);

/** Guard and destructor. */
void modules_deinit(struct modules *modules);

/** File name of the module without folders, and without " (deleted)". */
void module_file_name(const struct module *module,
                      char name_ret[static MODULE_MAX_NAME]);

/**
 * Whether [@p live_addr, @p live_addr + @p size) lies in one PT_LOAD that has
 * all of @p flags (PF_R, PF_W, PF_X).
 */
bool module_holds(const struct module *module, uint64_t live_addr,
                  uint64_t size, uint32_t flags);

/**
 * Read bytes of the module. Bytes outside its segments are an error.
 */
HFX_MUST_CHECK struct hfx_error *module_read(struct target *target,
                                             const struct module *module,
                                             uint64_t live_addr, void *buffer,
                                             size_t size);

/**
 * Whether the string of the module's string table at @p string_off is @p text.
 * What cannot be read is not equal.
 */
bool module_string_is(struct target *target, const struct module *module,
                      uint64_t string_off, const char *text);

/**
 * Whether the module needs versions of symbols (DT_VERNEED) of the library
 * with this DT_SONAME. What cannot be read is not needed.
 */
bool module_needs(struct target *target, const struct module *module,
                  const char *soname);

/**
 * The module's TLS index, as __tls_get_addr() takes it.
 *
 * glibc keeps it private; but a module that uses dynamic TLS models of its own
 * variables has it in a slot that R_X86_64_DTPMOD64 fills.
 */
HFX_MUST_CHECK struct hfx_error *module_tls_index(struct target *target,
                                                  const struct module *module,
                                                  uint64_t *ret);

#endif /* HFX_RUNTIME_MODULES_H */
