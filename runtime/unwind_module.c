/* SPDX-License-Identifier: MIT */
/*
 * Sources: gABI (ELF header, program header), LSB Core (".eh_frame_hdr"), and
 * what libdw does with a file that has no section headers: it takes the table
 * from PT_GNU_EH_FRAME.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "unwind_module.h"
#include "unwind_search.h"

#define MAX_PHDRS 256

/** Where the table begins in the file that is made: a page, as for PT_LOAD. */
#define TABLE_OFF 4096

/* Encodings in `.eh_frame_hdr` (DW_EH_PE_). */
#define PE_ABSOLUTE 0x00
#define PE_UDATA4   0x03
#define PE_SDATA4   0x0b
#define PE_PCREL    0x10
#define PE_DATAREL  0x30
#define PE_OMIT     0xff

/** `.eh_frame_hdr` up to the pointer to `.eh_frame`. */
struct table_header {
	uint8_t version;
	uint8_t pointer_encoding;
	uint8_t count_encoding;
	uint8_t table_encoding;
	uint8_t pointer[8];
};

/** What is known of a module before its table is read. */
struct layout {
	uint64_t start_addr;
	uint64_t end_addr;
	/** `.eh_frame_hdr`, and the end of what is mapped with it. */
	uint64_t header_addr;
	uint64_t header_size;
	uint64_t table_end_addr;
};

bool unwind_read(pid_t tid, uint64_t live_addr, void *buffer, size_t size)
{
	struct iovec local = {buffer, size};
	struct iovec remote = {(void *)(uintptr_t)live_addr, size};

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* ---- The file that is made ---------------------------------------------- */

/** Begin an ELF file: one PT_LOAD of the whole module, and the table. */
static void put_headers(const struct layout *layout, uint64_t table_addr,
                        uint8_t *file)
{
	const Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
	                    ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	};
	const Elf64_Phdr segments[2] = {
		{
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_vaddr = layout->start_addr,
			.p_memsz = layout->end_addr - layout->start_addr,
			.p_align = PAGE_BYTES,
		},
		{
			.p_type = PT_GNU_EH_FRAME,
			.p_flags = PF_R,
			.p_offset =
				TABLE_OFF + (layout->header_addr - table_addr),
			.p_vaddr = layout->header_addr,
			.p_filesz = layout->header_size,
			.p_memsz = layout->header_size,
			.p_align = 4,
		},
	};

	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), segments, sizeof(segments));
}

/** Make the file, with room for the table from @p table_addr on. */
static bool make_file(const struct layout *layout, uint64_t table_addr,
                      struct buffer *ret)
{
	uint64_t size = layout->table_end_addr - table_addr;

	if (size > UNWIND_MODULE_MAX)
		return false;
	ret->size = TABLE_OFF + size;
	ret->data = calloc(1, ret->size);
	if (!ret->data)
		return false;
	put_headers(layout, table_addr, ret->data);
	return true;
}

static void set_range(const struct layout *layout, struct unwind_module *module)
{
	module->start_addr = layout->start_addr;
	module->end_addr = layout->end_addr;
}

/* ---- Modules ------------------------------------------------------------ */

/** Where `.eh_frame` is; 0 if that cannot be told. */
static uint64_t find_table(pid_t tid, const struct layout *layout)
{
	uint64_t pointer_addr =
		layout->header_addr + offsetof(struct table_header, pointer);
	struct table_header header;
	int32_t distance;
	uint64_t absolute;

	if (layout->header_size < sizeof(header) ||
	    !unwind_read(tid, layout->header_addr, &header, sizeof(header)) ||
	    header.version != 1)
		return 0;
	memcpy(&distance, header.pointer, sizeof(distance));
	memcpy(&absolute, header.pointer, sizeof(absolute));
	switch (header.pointer_encoding) {
	case PE_PCREL | PE_SDATA4:
		return pointer_addr + (uint64_t)(int64_t)distance;
	case PE_UDATA4:
		return (uint32_t)distance;
	case PE_ABSOLUTE:
		return absolute;
	default:
		return 0;
	}
}

static bool read_table(pid_t tid, const struct layout *layout,
                       struct unwind_module *module)
{
	uint64_t table_addr = find_table(tid, layout);

	if (!table_addr || table_addr < layout->start_addr ||
	    table_addr >= layout->table_end_addr)
		return false;
	if (layout->header_addr < table_addr)
		table_addr = layout->header_addr;
	if (!make_file(layout, table_addr, &module->elf))
		return false;
	set_range(layout, module);
	return unwind_read(tid, table_addr, module->elf.data + TABLE_OFF,
	                   module->elf.size - TABLE_OFF);
}

/** Read the program headers that are mapped with the ELF header. */
static size_t read_segments(pid_t tid, const struct mapping *mapping,
                            Elf64_Phdr *segments)
{
	uint64_t room = mapping->end_addr - mapping->start_addr;
	Elf64_Ehdr header;

	if (mapping->file_off || room < sizeof(header) ||
	    !unwind_read(tid, mapping->start_addr, &header, sizeof(header)) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_phentsize != sizeof(*segments) ||
	    header.e_phnum > MAX_PHDRS || header.e_phoff > room ||
	    !unwind_read(tid, mapping->start_addr + header.e_phoff, segments,
	                 header.e_phnum * sizeof(*segments)))
		return 0;
	return header.e_phnum;
}

/** The bias that makes the PT_LOAD of the file's start begin at @p addr. */
static bool find_bias(const Elf64_Phdr *segments, size_t count, uint64_t addr,
                      uint64_t *ret)
{
	for (size_t i = 0; i < count; i++)
		if (segments[i].p_type == PT_LOAD &&
		    segments[i].p_offset < PAGE_BYTES) {
			*ret = addr - page_floor(segments[i].p_vaddr);
			return true;
		}
	return false;
}

/** Widen the module by a PT_LOAD. @return False if that is not mapped so. */
static bool add_segment(const struct maps *maps, const Elf64_Phdr *segment,
                        uint64_t bias, struct layout *layout)
{
	uint64_t start = page_floor(bias + segment->p_vaddr);
	uint64_t end = page_ceil(bias + segment->p_vaddr + segment->p_memsz);

	/* A file that is mapped to be read only is no module. */
	if (end <= start || ((segment->p_flags & PF_X) &&
	                     !maps_cover(maps, start, PAGE_BYTES, PROT_EXEC)))
		return false;
	if (!layout->end_addr || start < layout->start_addr)
		layout->start_addr = start;
	if (end > layout->end_addr)
		layout->end_addr = end;
	return true;
}

/** @return False if this is no module; it may be one without a table. */
static bool lay_out(const struct maps *maps, const Elf64_Phdr *segments,
                    size_t count, uint64_t bias, struct layout *layout)
{
	for (size_t i = 0; i < count; i++) {
		if (segments[i].p_type == PT_LOAD &&
		    !add_segment(maps, &segments[i], bias, layout))
			return false;
		if (segments[i].p_type != PT_GNU_EH_FRAME)
			continue;
		layout->header_addr = bias + segments[i].p_vaddr;
		layout->header_size = segments[i].p_memsz;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t start = bias + segments[i].p_vaddr;

		if (segments[i].p_type == PT_LOAD &&
		    layout->header_addr >= start &&
		    layout->header_addr < start + segments[i].p_filesz)
			layout->table_end_addr = start + segments[i].p_filesz;
	}
	return true;
}

/* ---- Modules that do not say where their table is ------------------------ */

/** Bytes of a sorted table before its first pair, and of a pair. */
#define SORTED_HEAD (sizeof(struct table_header) + sizeof(uint32_t))
#define SORTED_PAIR (2 * sizeof(int32_t))

/** `.eh_frame_hdr` as the linker would have made it. */
static bool put_sorted_table(const struct unwind_entries *entries,
                             uint64_t header_addr, uint8_t *out)
{
	struct table_header header = {
		.version = 1,
		.pointer_encoding = PE_ABSOLUTE,
		.count_encoding = PE_UDATA4,
		.table_encoding = PE_DATAREL | PE_SDATA4,
	};
	uint32_t count = entries->num_items;

	memcpy(header.pointer, &entries->table_addr, sizeof(header.pointer));
	memcpy(out, &header, sizeof(header));
	memcpy(out + sizeof(header), &count, sizeof(count));
	out += SORTED_HEAD;
	for (size_t i = 0; i < entries->num_items; i++, out += SORTED_PAIR) {
		const struct unwind_entry *entry = &entries->items[i];
		int64_t code = (int64_t)(entry->code_addr - header_addr);
		int32_t pair[2] = {
			(int32_t)code,
			(int32_t)(entry->entry_addr - header_addr),
		};

		if (code != pair[0])
			return false;
		memcpy(out, pair, sizeof(pair));
	}
	return true;
}

/** Make the file of a table that was found in @p memory. */
static bool make_sorted_file(const struct unwind_memory *memory,
                             const struct unwind_entries *entries,
                             struct layout *layout,
                             struct unwind_module *module)
{
	size_t table_off = entries->table_addr - memory->live_addr;

	layout->header_size = SORTED_HEAD + entries->num_items * SORTED_PAIR;
	if (entries->table_addr <= layout->header_size)
		return false;
	layout->header_addr = entries->table_addr - layout->header_size;
	layout->table_end_addr = memory->live_addr + memory->size;
	if (!make_file(layout, layout->header_addr, &module->elf))
		return false;
	memcpy(module->elf.data + TABLE_OFF + layout->header_size,
	       memory->data + table_off, memory->size - table_off);
	set_range(layout, module);
	return put_sorted_table(entries, layout->header_addr,
	                        module->elf.data + TABLE_OFF);
}

static bool search_segment(pid_t tid, struct unwind_memory *memory,
                           struct layout *layout, struct unwind_module *module)
{
	HFX_CLEANUP(unwind_entries_deinit) struct unwind_entries entries = {0};
	HFX_CLEANUP(hfx_free) uint8_t *data = malloc(memory->size);

	memory->data = data;
	return data &&
	       unwind_read(tid, memory->live_addr, data, memory->size) &&
	       unwind_search(memory, &entries) &&
	       make_sorted_file(memory, &entries, layout, module);
}

static bool search_table(pid_t tid, const Elf64_Phdr *segments, size_t count,
                         uint64_t bias, struct layout *layout,
                         struct unwind_module *module)
{
	struct unwind_memory memory = {.code_start_addr = UINT64_MAX};

	for (size_t i = 0; i < count; i++) {
		uint64_t start = bias + segments[i].p_vaddr;
		uint64_t end = start + segments[i].p_memsz;

		if (segments[i].p_type != PT_LOAD ||
		    !(segments[i].p_flags & PF_X))
			continue;
		if (start < memory.code_start_addr)
			memory.code_start_addr = start;
		if (end > memory.code_end_addr)
			memory.code_end_addr = end;
	}
	for (size_t i = 0; i < count; i++) {
		memory.live_addr = bias + segments[i].p_vaddr;
		memory.size = segments[i].p_filesz;
		if (segments[i].p_type != PT_LOAD ||
		    (segments[i].p_flags & PF_W) || !memory.size ||
		    memory.size > UNWIND_MODULE_MAX)
			continue;
		if (search_segment(tid, &memory, layout, module))
			return true;
		buffer_deinit(&module->elf);
	}
	return false;
}

bool unwind_module_read(pid_t tid, const struct maps *maps,
                        const struct mapping *mapping,
                        struct unwind_module *ret)
{
	Elf64_Phdr segments[MAX_PHDRS];
	size_t count = read_segments(tid, mapping, segments);
	struct unwind_module module = {0};
	struct layout layout = {0};
	uint64_t bias;

	if (!count || !find_bias(segments, count, mapping->start_addr, &bias) ||
	    !lay_out(maps, segments, count, bias, &layout))
		return false;
	if (!(layout.header_addr && layout.table_end_addr
	              ? read_table(tid, &layout, &module)
	              : search_table(tid, segments, count, bias, &layout,
	                             &module))) {
		buffer_deinit(&module.elf);
		return false;
	}
	*ret = module;
	return true;
}

/* ---- Images ------------------------------------------------------------- */

/** A header without the sorted table: libdw then goes through all entries. */
static void put_table_header(uint64_t eh_frame_addr, uint8_t *out)
{
	struct table_header header = {
		.version = 1,
		.pointer_encoding = PE_ABSOLUTE,
		.count_encoding = PE_OMIT,
		.table_encoding = PE_OMIT,
	};

	memcpy(header.pointer, &eh_frame_addr, sizeof(eh_frame_addr));
	memcpy(out, &header, sizeof(header));
}

bool unwind_module_read_image(pid_t tid, const struct maps *maps,
                              const struct commit_image *image,
                              struct unwind_module *ret)
{
	const struct mapping *mapping = maps_find(maps, image->eh_frame_addr);
	struct unwind_module module = {0};
	struct layout layout = {
		.start_addr = page_floor(image->start_addr),
		.end_addr = page_ceil(image->end_addr),
		.header_addr =
			image->eh_frame_addr - sizeof(struct table_header),
		.header_size = sizeof(struct table_header),
	};

	if (!mapping || mapping->end_addr > layout.end_addr)
		return false;
	layout.table_end_addr = mapping->end_addr;
	if (!make_file(&layout, layout.header_addr, &module.elf))
		return false;
	set_range(&layout, &module);
	put_table_header(image->eh_frame_addr, module.elf.data + TABLE_OFF);
	if (!unwind_read(tid, image->eh_frame_addr,
	                 module.elf.data + TABLE_OFF +
	                         sizeof(struct table_header),
	                 mapping->end_addr - image->eh_frame_addr)) {
		buffer_deinit(&module.elf);
		return false;
	}
	*ret = module;
	return true;
}
