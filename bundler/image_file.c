/* SPDX-License-Identifier: MIT */
#include "image_file.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "image_layout.h"

struct hfx_error *image_file_init(struct image_file *file)
{
	const struct image_section null = {
		.name = "",
		.segment = IMAGE_NO_SEGMENT,
	};

	*file = (struct image_file){0};
	return HFX_ARRAY_PUSH(file, sections, null) ? NULL
	                                            : hfx_error_no_memory();
}

void image_file_deinit(struct image_file *file)
{
	free(file->sections);
	free(file->segments);
	*file = (struct image_file){0};
}

struct hfx_error *image_file_add_section(struct image_file *file,
                                         const struct image_section *section,
                                         uint32_t *index_ret)
{
	if (!HFX_ARRAY_PUSH(file, sections, *section))
		return hfx_error_no_memory();
	*index_ret = file->num_sections - 1;
	return NULL;
}

struct hfx_error *image_file_add_segment(struct image_file *file,
                                         const struct image_segment *segment)
{
	return HFX_ARRAY_PUSH(file, segments, *segment) ? NULL
	                                                : hfx_error_no_memory();
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return align > 1 ? (value + align - 1) & ~(align - 1) : value;
}

/** Offset of @p name in @p names: there are few different ones. */
static uint32_t name_offset(struct bytes *names, const char *name)
{
	size_t off = 0;

	while (off < names->size) {
		const char *other = (const char *)names->data + off;

		if (strcmp(other, name) == 0)
			return off;
		off += strlen(other) + 1;
	}
	bytes_string(names, name);
	return off;
}

static struct hfx_error *add_names(struct image_file *file, struct bytes *names)
{
	struct image_section section = {
		.name = ".shstrtab",
		.header = {.sh_type = SHT_STRTAB, .sh_addralign = 1},
		.content = names,
		.segment = IMAGE_NO_SEGMENT,
	};
	uint32_t index;

	HFX_TRY(image_file_add_section(file, &section, &index));
	for (size_t i = 0; i < file->num_sections; i++)
		file->sections[i].header.sh_name =
			name_offset(names, file->sections[i].name);
	return bytes_check(names);
}

/** Offsets of PT_LOADs: whole pages, as their addresses are. */
static uint64_t place_segments(struct image_file *file)
{
	uint64_t off =
		sizeof(Elf64_Ehdr) + file->num_segments * sizeof(Elf64_Phdr);

	for (size_t i = 0; i < file->num_segments; i++) {
		Elf64_Phdr *header = &file->segments[i].header;

		if (header->p_type != PT_LOAD)
			continue;
		off = align_up(off, IMAGE_PAGE);
		header->p_offset = off;
		off += header->p_filesz;
	}
	return off;
}

static uint64_t place_sections(struct image_file *file, uint64_t off)
{
	for (size_t i = 1; i < file->num_sections; i++) {
		struct image_section *section = &file->sections[i];
		Elf64_Shdr *header = &section->header;

		if (section->content)
			header->sh_size = section->content->size;
		if (section->segment != IMAGE_NO_SEGMENT) {
			const Elf64_Phdr *segment =
				&file->segments[section->segment].header;

			header->sh_offset =
				segment->p_offset +
				(header->sh_addr - segment->p_vaddr);
			continue;
		}
		off = align_up(off, header->sh_addralign);
		header->sh_offset = off;
		off += header->sh_size;
	}
	return off;
}

/** The segments that are a part of the last PT_LOAD under another name. */
static void place_views(struct image_file *file)
{
	for (size_t i = 0; i < file->num_segments; i++) {
		struct image_segment *segment = &file->segments[i];
		Elf64_Phdr *header = &segment->header;
		const Elf64_Shdr *section;

		if (!segment->section)
			continue;
		section = &file->sections[segment->section].header;
		header->p_offset = section->sh_offset;
		header->p_vaddr = section->sh_addr;
		header->p_paddr = section->sh_addr;
		header->p_filesz = section->sh_size;
		header->p_memsz = section->sh_size;
		header->p_align = section->sh_addralign;
	}
}

static void put_elf_header(const struct image_file *file, uint64_t sections_off,
                           struct bytes *out)
{
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
	                    ELFDATA2LSB, EV_CURRENT, ELFOSABI_SYSV},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_shoff = sections_off,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = file->num_segments,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = file->num_sections,
		.e_shstrndx = file->num_sections - 1,
	};

	bytes_put(out, &header, sizeof(header));
}

/** Bytes for the place @p off, which nothing that is written has reached. */
static void put_at(struct bytes *out, uint64_t off, const void *data,
                   size_t size)
{
	if (off > out->size)
		bytes_fill(out, 0, off - out->size);
	bytes_put(out, data, size);
}

static void put_everything(const struct image_file *file, uint64_t sections_off,
                           struct bytes *out)
{
	put_elf_header(file, sections_off, out);
	for (size_t i = 0; i < file->num_segments; i++)
		bytes_put(out, &file->segments[i].header, sizeof(Elf64_Phdr));
	for (size_t i = 0; i < file->num_segments; i++) {
		const struct image_segment *segment = &file->segments[i];

		if (segment->bytes)
			put_at(out, segment->header.p_offset, segment->bytes,
			       segment->header.p_filesz);
	}
	for (size_t i = 0; i < file->num_sections; i++) {
		const struct image_section *section = &file->sections[i];

		if (section->content)
			put_at(out, section->header.sh_offset,
			       section->content->data, section->content->size);
	}
	put_at(out, sections_off, NULL, 0);
	for (size_t i = 0; i < file->num_sections; i++)
		bytes_put(out, &file->sections[i].header, sizeof(Elf64_Shdr));
}

struct hfx_error *image_file_write(struct image_file *file, struct buffer *ret)
{
	HFX_CLEANUP(bytes_deinit) struct bytes names = {0}, out = {0};
	uint64_t end;

	HFX_TRY(add_names(file, &names));
	end = place_sections(file, place_segments(file));
	place_views(file);
	put_everything(file, align_up(end, 8), &out);
	HFX_TRY(bytes_check(&out));
	ret->data = HFX_TAKE(out.data);
	ret->size = out.size;
	return NULL;
}
