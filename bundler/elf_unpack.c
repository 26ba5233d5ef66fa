/* SPDX-License-Identifier: MIT */
#include "elf_unpack.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "cleanup.h"
#include "section_file.h"

/* Not in the elf.h of glibc 2.36. */
#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

/** Limits of what is unpacked: of a section, and times its packed size. */
#define MAX_SIZE  (UINT64_C(16) << 30)
#define MAX_RATIO 10000

/** A debug section: its header and name. */
struct debug_section {
	Elf_Scn *scn;
	GElf_Shdr shdr;
	const char *name;
};

static bool is_debug_name(const char *name)
{
	return !strncmp(name, ".debug_", strlen(".debug_")) ||
	       !strcmp(name, ".gnu_debugaltlink");
}

/** The next debug section behind @p section, or the first. */
static bool next_section(Elf *elf, struct debug_section *section)
{
	size_t strings;

	if (elf_getshdrstrndx(elf, &strings))
		return false;
	while ((section->scn = elf_nextscn(elf, section->scn))) {
		if (!gelf_getshdr(section->scn, &section->shdr))
			return false;
		section->name = elf_strptr(elf, strings, section->shdr.sh_name);
		if (section->name && is_debug_name(section->name) &&
		    section->shdr.sh_type != SHT_NOBITS)
			return true;
	}
	return false;
}

static bool is_zstd(const struct debug_section *section, GElf_Chdr *ret)
{
	return section->shdr.sh_flags & SHF_COMPRESSED &&
	       gelf_getchdr(section->scn, ret) &&
	       ret->ch_type == ELFCOMPRESS_ZSTD;
}

bool elf_needs_unpacking(Elf *elf)
{
	struct debug_section section = {0};
	GElf_Chdr header;

	while (next_section(elf, &section))
		if (is_zstd(&section, &header))
			return true;
	return false;
}

static struct hfx_error *damaged(const char *path, const char *name)
{
	return hfx_error_create(HFX_ERROR_BAD_ELF,
	                        "%s: section %s cannot be unpacked; the file "
	                        "is damaged",
	                        path, name);
}

static struct hfx_error *add_zstd(const struct debug_section *section,
                                  const GElf_Chdr *header, const char *path,
                                  struct section_file *file)
{
	HFX_CLEANUP(hfx_free) uint8_t *content = NULL;
	Elf_Data *data = elf_rawdata(section->scn, NULL);
	const uint8_t *packed;
	size_t size, done;

	if (!data || !data->d_buf || data->d_size < sizeof(Elf64_Chdr))
		return damaged(path, section->name);
	packed = (const uint8_t *)data->d_buf + sizeof(Elf64_Chdr);
	size = data->d_size - sizeof(Elf64_Chdr);
	if (header->ch_size > MAX_SIZE || header->ch_size / MAX_RATIO > size)
		return damaged(path, section->name);
	content = malloc(header->ch_size + 1);
	if (!content)
		return hfx_error_no_memory();
	done = ZSTD_decompress(content, header->ch_size, packed, size);
	if (ZSTD_isError(done) || done != header->ch_size)
		return damaged(path, section->name);
	section_file_add(file, section->name, content, done);
	return NULL;
}

static struct hfx_error *add_section(const struct debug_section *section,
                                     const char *path,
                                     struct section_file *file)
{
	GElf_Chdr header;
	Elf_Data *data;

	if (is_zstd(section, &header))
		return add_zstd(section, &header, path, file);
	if (section->shdr.sh_flags & SHF_COMPRESSED)
		elf_compress(section->scn, 0, 0);
	data = elf_getdata(section->scn, NULL);
	if (!data)
		return damaged(path, section->name);
	section_file_add(file, section->name, data->d_buf, data->d_size);
	return NULL;
}

struct hfx_error *elf_unpack(Elf *elf, const char *path, struct bytes *ret)
{
	HFX_CLEANUP(section_file_deinit) struct section_file file = {0};
	struct debug_section section = {0};

	while (next_section(elf, &section))
		HFX_TRY(add_section(&section, path, &file));
	return section_file_end(&file, ret);
}
