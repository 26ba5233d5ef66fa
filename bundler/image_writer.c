/* SPDX-License-Identifier: MIT */
/*
 * An image is written in four steps: pieces become runs of pages
 * (image_layout.c); symbols, versions and relocations become tables
 * (image_tables.c); this file gives the tables and the unwind information an
 * address behind the runs and describes everything as sections and segments;
 * image_file.c turns these into bytes.
 */
#include "image_writer.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "image.h"
#include "image_debug.h"
#include "image_file.h"
#include "image_layout.h"
#include "image_tables.h"
#include "unwind_table.h"

struct writer {
	const struct image_description *description;
	struct image_layout layout;
	struct image_tables tables;
	struct unwind_frames frames;
	struct bytes note;
	struct bytes dynamic;
	struct bytes symbols;
	struct bytes symbol_names;
	struct image_file file;
	/** What is added begins here, and its next section. */
	uint64_t added_addr;
	uint64_t next_addr;
	/** Sections; 0 for none. */
	uint32_t note_section;
	uint32_t frame_header_section;
	uint32_t dynamic_section;
};

static void writer_deinit(struct writer *writer)
{
	image_layout_deinit(&writer->layout);
	image_tables_deinit(&writer->tables);
	unwind_frames_deinit(&writer->frames);
	bytes_deinit(&writer->note);
	bytes_deinit(&writer->dynamic);
	bytes_deinit(&writer->symbols);
	bytes_deinit(&writer->symbol_names);
	image_file_deinit(&writer->file);
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/** The alignment that @p addr happens to have, up to that of code. */
static uint64_t alignment_of(uint64_t addr)
{
	uint64_t align = 1;

	while (align < 16 && !(addr & align))
		align *= 2;
	return align;
}

static const char *run_name(const struct image_run *run)
{
	if (run->flags & PF_X)
		return ".text";
	return run->flags & PF_W ? ".data" : ".rodata";
}

static struct hfx_error *add_run_section(struct writer *writer,
                                         const struct image_run *run,
                                         const char *name, uint32_t type,
                                         uint64_t start, uint64_t end,
                                         uint32_t *index_ret)
{
	struct image_section section = {
		.name = name,
		.header =
			{
				.sh_type = type,
				.sh_flags = SHF_ALLOC,
				.sh_addr = start,
				.sh_size = end - start,
				.sh_addralign = alignment_of(start),
			},
		.segment = run - writer->layout.runs,
	};

	if (run->flags & PF_W)
		section.header.sh_flags |= SHF_WRITE;
	if (run->flags & PF_X)
		section.header.sh_flags |= SHF_EXECINSTR;
	return image_file_add_section(&writer->file, &section, index_ret);
}

static struct hfx_error *add_run(struct writer *writer, struct image_run *run)
{
	struct image_segment segment = {
		.header =
			{
				.p_type = PT_LOAD,
				.p_flags = run->flags,
				.p_vaddr = run->addr,
				.p_paddr = run->addr,
				.p_filesz = run->file_size,
				.p_memsz = run->size,
				.p_align = IMAGE_PAGE,
			},
		.bytes = run->bytes,
	};
	uint64_t zeros_start = run->kept_start;

	if (run->data_end > run->kept_start) {
		HFX_TRY(add_run_section(writer, run, run_name(run),
		                        SHT_PROGBITS, run->kept_start,
		                        run->data_end, &run->section));
		zeros_start = run->data_end;
	}
	if (zeros_start < run->kept_end)
		HFX_TRY(add_run_section(writer, run, ".bss", SHT_NOBITS,
		                        zeros_start, run->kept_end,
		                        &run->zero_section));
	return image_file_add_segment(&writer->file, &segment);
}

static struct hfx_error *add_runs(struct writer *writer)
{
	for (size_t i = 0; i < writer->layout.num_runs; i++)
		HFX_TRY(add_run(writer, &writer->layout.runs[i]));
	return NULL;
}

/**
 * Add a read-only section at the next free address.
 *
 * @param[in] header Type, alignment, entry size, link and info.
 */
static struct hfx_error *add_table(struct writer *writer, const char *name,
                                   Elf64_Shdr header,
                                   const struct bytes *content,
                                   uint32_t *index_ret)
{
	struct image_section section = {
		.name = name,
		.header = header,
		.content = content,
		.segment = writer->layout.num_runs,
	};

	section.header.sh_flags = SHF_ALLOC;
	section.header.sh_addr =
		align_up(writer->next_addr, header.sh_addralign);
	writer->next_addr = section.header.sh_addr + content->size;
	return image_file_add_section(&writer->file, &section, index_ret);
}

static uint64_t section_addr(const struct writer *writer, uint32_t section)
{
	return writer->file.sections[section].header.sh_addr;
}

static struct hfx_error *add_note(struct writer *writer)
{
	const struct build_id *id = &writer->description->build_id;

	if (!id->size)
		return NULL;
	bytes_u32(&writer->note, sizeof("GNU"));
	bytes_u32(&writer->note, id->size);
	bytes_u32(&writer->note, NT_GNU_BUILD_ID);
	bytes_string(&writer->note, "GNU");
	bytes_put(&writer->note, id->bytes, id->size);
	bytes_align(&writer->note, 4);
	HFX_TRY(bytes_check(&writer->note));
	return add_table(writer, ".note.gnu.build-id",
	                 (Elf64_Shdr){.sh_type = SHT_NOTE, .sh_addralign = 4},
	                 &writer->note, &writer->note_section);
}

static struct hfx_error *check_kept(const struct writer *writer,
                                    uint64_t function_addr, uint64_t addr,
                                    const char *what)
{
	if (!addr || image_layout_find(&writer->layout, addr, 1))
		return NULL;
	return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
	                        "the %s at 0x%" PRIx64
	                        " of the function at 0x%" PRIx64 " is not kept",
	                        what, addr, function_addr);
}

static struct hfx_error *check_references(const struct writer *writer,
                                          const struct unwind_table *table)
{
	for (size_t i = 0; i < writer->description->num_unwinds; i++) {
		uint64_t addr = writer->description->unwinds[i].addr;
		uint64_t lsda, personality;

		unwind_table_references(table, addr, &lsda, &personality);
		HFX_TRY(check_kept(writer, addr, lsda, "exception table"));
		HFX_TRY(check_kept(writer, addr, personality,
		                   "pointer to the personality routine"));
	}
	return NULL;
}

static struct hfx_error *add_frames(struct writer *writer)
{
	const struct image_description *description = writer->description;
	HFX_CLEANUP(unwind_table_cleanup) struct unwind_table *table = NULL;
	Elf64_Shdr header = {.sh_type = SHT_PROGBITS};
	uint32_t index;

	HFX_TRY(unwind_table_create(description->eh_frame_addr,
	                            description->eh_frame,
	                            description->eh_frame_size, &table));
	HFX_TRY(check_references(writer, table));
	HFX_TRY(unwind_table_write(
		table, description->unwinds, description->num_unwinds,
		align_up(writer->next_addr, 4), &writer->frames));
	if (!writer->frames.frame.size)
		return NULL;
	header.sh_addralign = 4;
	HFX_TRY(add_table(writer, ".eh_frame_hdr", header,
	                  &writer->frames.header,
	                  &writer->frame_header_section));
	header.sh_addralign = 8;
	return add_table(writer, ".eh_frame", header, &writer->frames.frame,
	                 &index);
}

static void put_dynamic(struct writer *writer, int64_t tag, uint64_t value)
{
	bytes_u64(&writer->dynamic, tag);
	bytes_u64(&writer->dynamic, value);
}

static struct hfx_error *add_dynamic(struct writer *writer, uint32_t strings)
{
	Elf64_Shdr header = {
		.sh_type = SHT_DYNAMIC,
		.sh_addralign = 8,
		.sh_entsize = sizeof(Elf64_Dyn),
		.sh_link = strings,
	};

	if (writer->tables.has_text_relocations) {
		put_dynamic(writer, DT_TEXTREL, 0);
		put_dynamic(writer, DT_FLAGS, DF_TEXTREL);
	}
	put_dynamic(writer, DT_NULL, 0);
	HFX_TRY(bytes_check(&writer->dynamic));
	return add_table(writer, ".dynamic", header, &writer->dynamic,
	                 &writer->dynamic_section);
}

static struct hfx_error *add_symbol_tables(struct writer *writer,
                                           uint32_t *symbols_ret,
                                           uint32_t *strings_ret)
{
	struct image_tables *tables = &writer->tables;
	Elf64_Shdr header = {.sh_type = SHT_DYNSYM, .sh_addralign = 8};
	uint32_t hash;

	header.sh_entsize = sizeof(Elf64_Sym);
	header.sh_info = 1;
	/* The strings are the section that follows. */
	header.sh_link = writer->file.num_sections + 1;
	HFX_TRY(add_table(writer, ".dynsym", header, &tables->symbols,
	                  symbols_ret));
	header = (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_addralign = 1};
	HFX_TRY(add_table(writer, ".dynstr", header, &tables->strings,
	                  strings_ret));
	header = (Elf64_Shdr){.sh_type = SHT_HASH, .sh_addralign = 8};
	header.sh_entsize = sizeof(Elf64_Word);
	header.sh_link = *symbols_ret;
	HFX_TRY(add_table(writer, ".hash", header, &tables->hash, &hash));

	if (tables->soname)
		put_dynamic(writer, DT_SONAME, tables->soname);
	put_dynamic(writer, DT_HASH, section_addr(writer, hash));
	put_dynamic(writer, DT_STRTAB, section_addr(writer, *strings_ret));
	put_dynamic(writer, DT_STRSZ, tables->strings.size);
	put_dynamic(writer, DT_SYMTAB, section_addr(writer, *symbols_ret));
	put_dynamic(writer, DT_SYMENT, sizeof(Elf64_Sym));
	return NULL;
}

static struct hfx_error *add_versions(struct writer *writer, uint32_t symbols,
                                      uint32_t strings)
{
	struct image_tables *tables = &writer->tables;
	Elf64_Shdr header = {.sh_type = SHT_GNU_versym, .sh_addralign = 2};
	uint32_t index;

	if (!tables->num_needs)
		return NULL;
	header.sh_entsize = sizeof(Elf64_Versym);
	header.sh_link = symbols;
	HFX_TRY(add_table(writer, ".gnu.version", header, &tables->versions,
	                  &index));
	put_dynamic(writer, DT_VERSYM, section_addr(writer, index));
	header = (Elf64_Shdr){.sh_type = SHT_GNU_verneed, .sh_addralign = 8};
	header.sh_link = strings;
	header.sh_info = tables->num_needs;
	HFX_TRY(add_table(writer, ".gnu.version_r", header, &tables->needs,
	                  &index));
	put_dynamic(writer, DT_VERNEED, section_addr(writer, index));
	put_dynamic(writer, DT_VERNEEDNUM, tables->num_needs);
	return NULL;
}

static struct hfx_error *add_relocations(struct writer *writer,
                                         uint32_t symbols)
{
	struct image_tables *tables = &writer->tables;
	Elf64_Shdr header = {
		.sh_type = SHT_RELA,
		.sh_addralign = 8,
		.sh_entsize = sizeof(Elf64_Rela),
		.sh_link = symbols,
	};
	uint32_t index;

	HFX_TRY(add_table(writer, ".rela.dyn", header, &tables->relocations,
	                  &index));
	put_dynamic(writer, DT_RELA, section_addr(writer, index));
	put_dynamic(writer, DT_RELASZ, tables->relocations.size);
	put_dynamic(writer, DT_RELAENT, sizeof(Elf64_Rela));
	return NULL;
}

static struct hfx_error *add_view(struct writer *writer, uint32_t type,
                                  uint32_t section)
{
	struct image_segment segment = {
		.header = {.p_type = type, .p_flags = PF_R},
		.section = section,
	};

	return section ? image_file_add_segment(&writer->file, &segment) : NULL;
}

static struct hfx_error *add_segments(struct writer *writer)
{
	struct image_segment added = {
		.header =
			{
				.p_type = PT_LOAD,
				.p_flags = PF_R,
				.p_vaddr = writer->added_addr,
				.p_paddr = writer->added_addr,
				.p_filesz =
					writer->next_addr - writer->added_addr,
				.p_align = IMAGE_PAGE,
			},
	};
	struct image_segment stack = {
		.header =
			{
				.p_type = PT_GNU_STACK,
				.p_flags = PF_R | PF_W,
				.p_align = 16,
			},
	};

	added.header.p_memsz = added.header.p_filesz;
	HFX_TRY(image_file_add_segment(&writer->file, &added));
	HFX_TRY(add_view(writer, PT_DYNAMIC, writer->dynamic_section));
	HFX_TRY(add_view(writer, PT_NOTE, writer->note_section));
	HFX_TRY(add_view(writer, PT_GNU_EH_FRAME,
	                 writer->frame_header_section));
	return image_file_add_segment(&writer->file, &stack);
}

static struct hfx_error *check_span(const struct writer *writer)
{
	uint64_t start = writer->layout.num_runs ? writer->layout.runs[0].addr
	                                         : writer->added_addr;

	if (writer->next_addr - start <= IMAGE_MAX_SPAN)
		return NULL;
	return hfx_error_create(HFX_ERROR_UNSUPPORTED,
	                        "the image would span 0x%" PRIx64
	                        " bytes, more than the limit of 0x%" PRIx64,
	                        writer->next_addr - start, IMAGE_MAX_SPAN);
}

/** Everything behind NEW's highest address, in one read-only segment. */
static struct hfx_error *add_added(struct writer *writer)
{
	uint64_t addr = writer->description->free_addr;
	uint32_t symbols, strings;

	if (addr < image_layout_end(&writer->layout))
		addr = image_layout_end(&writer->layout);
	if (addr > UINT64_MAX / 2)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "no room behind address 0x%" PRIx64,
		                        addr);
	writer->added_addr = align_up(addr, IMAGE_PAGE);
	writer->next_addr = writer->added_addr;
	HFX_TRY(add_note(writer));
	HFX_TRY(add_frames(writer));
	HFX_TRY(add_symbol_tables(writer, &symbols, &strings));
	HFX_TRY(add_versions(writer, symbols, strings));
	HFX_TRY(add_relocations(writer, symbols));
	HFX_TRY(add_dynamic(writer, strings));
	HFX_TRY(check_span(writer));
	return add_segments(writer);
}

/** Local symbols come first (gABI, sh_info of a symbol table). */
static int compare_symbols(const void *left, const void *right)
{
	const struct image_symbol *a = left, *b = right;

	if (a->is_local != b->is_local)
		return a->is_local ? -1 : 1;
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return strcmp(a->name, b->name);
}

static void put_symbol(struct writer *writer, const char *name,
                       Elf64_Sym symbol)
{
	if (*name) {
		symbol.st_name = writer->symbol_names.size;
		bytes_string(&writer->symbol_names, name);
	}
	bytes_put(&writer->symbols, &symbol, sizeof(symbol));
}

static struct hfx_error *put_kept_symbol(struct writer *writer,
                                         const struct image_symbol *symbol)
{
	const struct image_run *run =
		image_layout_find(&writer->layout, symbol->addr, 0);
	unsigned char bind = symbol->is_local ? STB_LOCAL : STB_GLOBAL;
	unsigned char type = symbol->is_function ? STT_FUNC : STT_OBJECT;

	if (!run)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the symbol %s at 0x%" PRIx64
		                        " lies in nothing that is kept",
		                        symbol->name, symbol->addr);
	put_symbol(writer, symbol->name,
	           (Elf64_Sym){
			   .st_info = ELF64_ST_INFO(bind, type),
			   .st_shndx = symbol->addr < run->data_end
	                                       ? run->section
	                                       : run->zero_section,
			   .st_value = symbol->addr,
			   .st_size = symbol->size,
		   });
	return NULL;
}

/** The symbols of what is kept, then the undefined ones. */
static struct hfx_error *put_symbols(struct writer *writer,
                                     uint32_t *num_local_ret)
{
	const struct image_description *description = writer->description;
	HFX_CLEANUP(hfx_free) struct image_symbol *sorted = NULL;
	size_t count = description->num_symbols;
	Elf64_Sym undefined = {
		.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE),
	};

	sorted = calloc(count + 1, sizeof(*sorted));
	if (!sorted)
		return hfx_error_no_memory();
	for (size_t i = 0; i < count; i++)
		sorted[i] = description->symbols[i];
	hfx_array_sort(sorted, count, sizeof(*sorted), compare_symbols);

	*num_local_ret = 1;
	bytes_u8(&writer->symbol_names, 0);
	put_symbol(writer, "", (Elf64_Sym){0});
	for (size_t i = 0; i < count; i++) {
		*num_local_ret += sorted[i].is_local;
		HFX_TRY(put_kept_symbol(writer, &sorted[i]));
	}
	put_symbol(writer, IMAGE_MODULE_SYMBOL, undefined);
	for (size_t i = 0; i < description->num_imports; i++) {
		const struct image_import *import = &description->imports[i];
		unsigned char bind = import->is_weak ? STB_WEAK : STB_GLOBAL;

		undefined.st_info = ELF64_ST_INFO(bind, STT_NOTYPE);
		put_symbol(writer, import->name, undefined);
	}
	HFX_TRY(bytes_check(&writer->symbols));
	return bytes_check(&writer->symbol_names);
}

static struct hfx_error *add_symbols(struct writer *writer)
{
	struct image_section section = {
		.name = ".symtab",
		.header =
			{
				.sh_type = SHT_SYMTAB,
				.sh_addralign = 8,
				.sh_entsize = sizeof(Elf64_Sym),
				/* The names are the section that follows. */
				.sh_link = writer->file.num_sections + 1,
			},
		.content = &writer->symbols,
		.segment = IMAGE_NO_SEGMENT,
	};
	struct image_section names = {
		.name = ".strtab",
		.header = {.sh_type = SHT_STRTAB, .sh_addralign = 1},
		.content = &writer->symbol_names,
		.segment = IMAGE_NO_SEGMENT,
	};
	uint32_t index;

	HFX_TRY(put_symbols(writer, &section.header.sh_info));
	HFX_TRY(image_file_add_section(&writer->file, &section, &index));
	return image_file_add_section(&writer->file, &names, &index);
}

static struct hfx_error *add_debug_section(struct writer *writer,
                                           const char *name,
                                           const struct bytes *content)
{
	struct image_section section = {
		.name = name,
		.header = {.sh_type = SHT_PROGBITS, .sh_addralign = 1},
		.content = content,
		.segment = IMAGE_NO_SEGMENT,
	};
	uint32_t index;

	return image_file_add_section(&writer->file, &section, &index);
}

static struct hfx_error *add_debug(struct writer *writer)
{
	const struct image_debug *debug = writer->description->debug;

	if (!debug || !debug->units.size)
		return NULL;
	HFX_TRY(add_debug_section(writer, ".debug_aranges", &debug->addresses));
	HFX_TRY(add_debug_section(writer, ".debug_info", &debug->units));
	HFX_TRY(add_debug_section(writer, ".debug_abbrev", &debug->abbrevs));
	HFX_TRY(add_debug_section(writer, ".debug_line", &debug->lines));
	return add_debug_section(writer, ".debug_ranges", &debug->ranges);
}

struct hfx_error *image_write(const struct image_description *description,
                              struct buffer *ret)
{
	HFX_CLEANUP(writer_deinit)
	struct writer writer = {
		.description = description,
	};

	HFX_TRY(image_layout_init(&writer.layout, description));
	HFX_TRY(image_tables_init(&writer.tables, description, &writer.layout));
	HFX_TRY(image_file_init(&writer.file));
	HFX_TRY(add_runs(&writer));
	HFX_TRY(add_added(&writer));
	HFX_TRY(add_debug(&writer));
	HFX_TRY(add_symbols(&writer));
	return image_file_write(&writer.file, ret);
}
