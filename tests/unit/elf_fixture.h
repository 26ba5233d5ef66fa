/* SPDX-License-Identifier: MIT */
/**
 * @file elf_fixture.h
 *
 * For tests: a temporary folder, shared objects compiled in it from a few
 * lines, and tools run on them. Everything fails the test by itself.
 */
#ifndef HFX_TESTS_UNIT_ELF_FIXTURE_H
#define HFX_TESTS_UNIT_ELF_FIXTURE_H

#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "file.h"

/** A file of the fixture, opened with libelf. */
struct fixture_elf {
	struct buffer bytes;
	Elf *elf;
};

/** Make a temporary folder; its name is for free() by fixture_leave(). */
static inline char *fixture_enter(void)
{
	char *folder = strdup("/tmp/hfx-test-XXXXXX");

	assert_non_null(folder);
	assert_non_null(mkdtemp(folder));
	return folder;
}

/** Run a command, with its output (and errors) to @p out; gives its status. */
__attribute__((__format__(__printf__, 3, 4))) static inline int
fixture_run(char *out, size_t out_size, const char *format, ...)
{
	char command[4 * PATH_MAX];
	size_t size = 0;
	va_list args;
	FILE *pipe;
	char drop[4096];

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	if (out_size)
		size = fread(out, 1, out_size - 1, pipe);
	while (fread(drop, 1, sizeof(drop), pipe) > 0)
		;
	if (out_size)
		out[size] = '\0';
	return WEXITSTATUS(pclose(pipe));
}

static inline void fixture_leave(char *folder)
{
	assert_int_equal(fixture_run(NULL, 0, "rm -rf '%s'", folder), 0);
	free(folder);
}

/** Write @p size bytes to FOLDER/NAME. */
static inline void fixture_write(const char *folder, const char *name,
                                 const void *data, size_t size)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/** Compile FOLDER/SOURCE with a command up to the files' names. */
static inline void fixture_compile(const char *folder, const char *command,
                                   const char *source, const char *output)
{
	char text[8192];
	int status =
		fixture_run(text, sizeof(text), "cd '%s' && %s -o %s %s 2>&1",
	                    folder, command, output, source);

	if (status)
		fail_msg("%s %s: %s", command, source, text);
}

static inline struct fixture_elf fixture_open_bytes(struct buffer bytes)
{
	struct fixture_elf file = {.bytes = bytes};

	elf_version(EV_CURRENT);
	file.elf = elf_memory((char *)file.bytes.data, file.bytes.size);
	assert_non_null(file.elf);
	return file;
}

static inline struct fixture_elf fixture_open(const char *folder,
                                              const char *name)
{
	char path[PATH_MAX];
	struct buffer bytes;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_null(file_read(path, 1 << 28, &bytes));
	return fixture_open_bytes(bytes);
}

static inline void fixture_close(struct fixture_elf *file)
{
	elf_end(file->elf);
	buffer_deinit(&file->bytes);
}

/** Section by name, or false. */
static inline bool fixture_section(const struct fixture_elf *file,
                                   const char *name, GElf_Shdr *ret)
{
	Elf_Scn *section = NULL;
	size_t names;

	assert_int_equal(elf_getshdrstrndx(file->elf, &names), 0);
	while ((section = elf_nextscn(file->elf, section))) {
		assert_non_null(gelf_getshdr(section, ret));
		if (!strcmp(elf_strptr(file->elf, names, ret->sh_name), name))
			return true;
	}
	return false;
}

/** Symbol of `.symtab` by name, or false. */
static inline bool fixture_find_symbol(const struct fixture_elf *file,
                                       const char *name, GElf_Sym *ret)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(file->elf, section))) {
		assert_non_null(gelf_getshdr(section, &header));
		if (header.sh_type != SHT_SYMTAB)
			continue;
		for (size_t i = 0; i < header.sh_size / header.sh_entsize;
		     i++) {
			assert_non_null(gelf_getsym(elf_getdata(section, NULL),
			                            i, ret));
			if (!strcmp(elf_strptr(file->elf, header.sh_link,
			                       ret->st_name),
			            name))
				return true;
		}
	}
	return false;
}

static inline GElf_Sym fixture_symbol(const struct fixture_elf *file,
                                      const char *name)
{
	GElf_Sym symbol;

	if (!fixture_find_symbol(file, name, &symbol))
		fail_msg("there is no symbol %s", name);
	return symbol;
}

/** The file's bytes for a virtual address, which must have @p size of them. */
static inline const uint8_t *fixture_bytes_at(const struct fixture_elf *file,
                                              uint64_t addr, uint64_t size)
{
	size_t count;

	assert_int_equal(elf_getphdrnum(file->elf, &count), 0);
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr header;

		assert_non_null(gelf_getphdr(file->elf, i, &header));
		if (header.p_type == PT_LOAD && addr >= header.p_vaddr &&
		    addr + size <= header.p_vaddr + header.p_filesz)
			return file->bytes.data + header.p_offset +
			       (addr - header.p_vaddr);
	}
	fail_msg("no bytes at 0x%llx", (unsigned long long)addr);
	return NULL;
}

#endif /* HFX_TESTS_UNIT_ELF_FIXTURE_H */
