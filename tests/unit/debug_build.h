/* SPDX-License-Identifier: MIT */
/**
 * @file debug_build.h
 *
 * For tests of debug_info: compiles a source in a temporary folder and opens
 * the debug information of the result.
 */
#ifndef HFX_TESTS_DEBUG_BUILD_H
#define HFX_TESTS_DEBUG_BUILD_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <gelf.h>

#include "debug_info.h"
#include "file.h"

/** A shared object, as bytes, with handles on them. */
struct build {
	struct buffer file;
	Elf *elf;
	Dwarf *dwarf;
	struct debug_info *debug;
};

static inline void build_remove_folder(const char *folder)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

static inline bool build_can_run(const char *compiler)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1",
	         compiler);
	return system(command) == 0;
}

/** Whether to take the time for everything: HFX_LONG_TESTS is set. */
static inline bool build_is_long(void)
{
	return getenv("HFX_LONG_TESTS") != NULL;
}

/**
 * Whether the next of many ways to compile is tried. One in three is, each test
 * goes on where the last one stopped, and when all take their time, all are.
 */
static inline bool build_has_turn(void)
{
	static unsigned turn;

	return turn++ % 3 == 0 || build_is_long();
}

/** Open `build->file`; false when libdw finds no debug information. */
static inline bool build_open(struct build *build)
{
	struct hfx_error *err;

	elf_version(EV_CURRENT);
	build->elf = elf_memory((char *)build->file.data, build->file.size);
	assert_non_null(build->elf);
	build->dwarf = dwarf_begin_elf(build->elf, DWARF_C_READ, NULL);
	if (!build->dwarf)
		return false;
	err = debug_info_create(build->dwarf, "test.so", &build->debug);
	assert_null(err);
	return true;
}

static inline void build_close(struct build *build)
{
	debug_info_destroy(build->debug);
	dwarf_end(build->dwarf);
	elf_end(build->elf);
	build->debug = NULL;
	build->dwarf = NULL;
	build->elf = NULL;
}

/** Compile @p source, named @p name, in a folder of its own. */
static inline void build_create(const char *command, const char *name,
                                const char *source, struct build *build)
{
	char folder[] = "/tmp/hfx-debug-XXXXXX";
	char line[512];
	char path[128];
	FILE *file;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(source, file) >= 0);
	assert_int_equal(fclose(file), 0);
	snprintf(line, sizeof(line),
	         "cd %s && %s -w -shared -fPIC -o test.so %s", folder, command,
	         name);
	assert_int_equal(system(line), 0);
	snprintf(path, sizeof(path), "%s/test.so", folder);
	assert_null(file_read(path, 1 << 24, &build->file));
	build_remove_folder(folder);
	assert_true(build_open(build));
}

static inline void build_destroy(struct build *build)
{
	build_close(build);
	buffer_deinit(&build->file);
}

/** Section header and data of the symbol table. */
static inline Elf_Data *build_symbols(const struct build *build,
                                      GElf_Shdr *header)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(build->elf, section))) {
		if (gelf_getshdr(section, header) &&
		    header->sh_type == SHT_SYMTAB)
			return elf_getdata(section, NULL);
	}
	fail_msg("no symbol table");
	return NULL;
}

/** Call @p visit for each defined symbol with an address. */
static inline void build_visit(const struct build *build,
                               void (*visit)(const char *name,
                                             const GElf_Sym *symbol,
                                             void *context),
                               void *context)
{
	GElf_Shdr header;
	Elf_Data *data = build_symbols(build, &header);
	GElf_Sym symbol;

	for (int i = 0; gelf_getsym(data, i, &symbol); i++) {
		if (symbol.st_shndx != SHN_UNDEF && symbol.st_value)
			visit(elf_strptr(build->elf, header.sh_link,
			                 symbol.st_name),
			      &symbol, context);
	}
}

struct build_search {
	const char *name;
	GElf_Sym symbol;
	bool is_found;
};

static inline void build_match(const char *name, const GElf_Sym *symbol,
                               void *context)
{
	struct build_search *search = context;

	if (strcmp(name, search->name) != 0)
		return;
	search->symbol = *symbol;
	search->is_found = true;
}

static inline GElf_Sym build_symbol(const struct build *build, const char *name)
{
	struct build_search search = {.name = name};

	build_visit(build, build_match, &search);
	if (!search.is_found)
		fail_msg("no symbol %s", name);
	return search.symbol;
}

static inline uint64_t build_addr(const struct build *build, const char *name)
{
	return build_symbol(build, name).st_value;
}

#endif /* HFX_TESTS_DEBUG_BUILD_H */
