/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "cleanup.h"
#include "cursor.h"
#include "image.h"
#include "image_load.h"
#include "maps.h"

/** Addresses of an image lie below this; keeps sums from overflowing. */
#define MAX_ADDR (UINT64_C(1) << 47)

/** DW_EH_PE_pcrel | DW_EH_PE_sdata4 (LSB Core, "DWARF Extensions"). */
#define DW_EH_PE_PCREL_SDATA4 0x1b

/** What PT_DYNAMIC says, as addresses in the image. */
struct tables {
	uint64_t hash_addr;
	uint64_t symbols_addr;
	uint64_t strings_addr;
	uint64_t strings_size;
	uint64_t versions_addr;
	uint64_t needs_addr;
	uint64_t num_needs;
	uint64_t relocations_addr;
	uint64_t relocations_size;
	uint32_t num_symbols;
};

/** Maps indices of the file's symbol table to imports, while parsing. */
struct parse {
	const uint8_t *data;
	size_t size;
	struct image_load *image;
	/** Of PT_GNU_EH_FRAME, or 0. */
	uint64_t eh_frame_header_addr;
	struct tables tables;
	uint32_t *symbol_map;
};

HFX_PRINTF(1, 2) static struct hfx_error *bad_image(const char *format, ...)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	va_list args;
	int size;

	va_start(args, format);
	size = vasprintf(&text, format, args);
	va_end(args);
	if (size < 0) {
		text = NULL;
		return hfx_error_no_memory();
	}
	return hfx_error_create(HFX_ERROR_BAD_BUNDLE, "the patch image %s",
	                        text);
}

void image_load_deinit(struct image_load *image)
{
	for (size_t i = 0; i < image->num_segments; i++)
		free(image->segments[i].bytes);
	free(image->segments);
	free(image->imports);
	free(image->relocations);
	free(image->strings);
	*image = (struct image_load){0};
}

const struct image_load_segment *image_load_find(const struct image_load *image,
                                                 uint64_t addr, uint64_t size)
{
	size_t low = 0, high = image->num_segments;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct image_load_segment *segment =
			&image->segments[middle];

		if (addr < segment->addr)
			high = middle;
		else if (addr - segment->addr >= segment->mem_size)
			low = middle + 1;
		else
			return range_fits(addr - segment->addr, size,
			                  segment->mem_size)
			               ? segment
			               : NULL;
	}
	return NULL;
}

/** Bytes of a read-only table, or `NULL` if they are not all there. */
static const uint8_t *table_at(const struct image_load *image, uint64_t addr,
                               uint64_t size)
{
	const struct image_load_segment *segment =
		image_load_find(image, addr, size);

	if (!segment || segment->protection != PROT_READ ||
	    !range_fits(addr - segment->addr, size, segment->num_bytes))
		return NULL;
	return segment->bytes + (addr - segment->addr);
}

/* ---- Segments ---------------------------------------------------------- */

static struct hfx_error *check_header(const struct parse *parse,
                                      Elf64_Ehdr *ret)
{
	if (parse->size < sizeof(*ret))
		return bad_image("is cut short");
	memcpy(ret, parse->data, sizeof(*ret));
	if (memcmp(ret->e_ident, ELFMAG, SELFMAG) ||
	    ret->e_ident[EI_CLASS] != ELFCLASS64 ||
	    ret->e_ident[EI_DATA] != ELFDATA2LSB || ret->e_type != ET_DYN ||
	    ret->e_machine != EM_X86_64)
		return bad_image("is no x86-64 ELF shared object");
	if (ret->e_phentsize != sizeof(Elf64_Phdr) ||
	    !range_fits(ret->e_phoff, ret->e_phnum * sizeof(Elf64_Phdr),
	                parse->size))
		return bad_image("has no usable program headers");
	return NULL;
}

static bool protection_of(uint32_t flags, uint32_t *ret)
{
	switch (flags) {
	case PF_R:
		*ret = PROT_READ;
		return true;
	case PF_R | PF_X:
		*ret = PROT_READ | PROT_EXEC;
		return true;
	case PF_R | PF_W:
		*ret = PROT_READ | PROT_WRITE;
		return true;
	}
	return false;
}

static struct hfx_error *check_segment(const struct parse *parse,
                                       const Elf64_Phdr *header)
{
	const struct image_load *image = parse->image;

	if (!range_fits(header->p_offset, header->p_filesz, parse->size) ||
	    header->p_filesz > header->p_memsz)
		return bad_image("is cut short");
	if (!range_fits(header->p_vaddr, header->p_memsz, MAX_ADDR))
		return bad_image("has an address out of range");
	if (header->p_vaddr % PAGE_BYTES != header->p_offset % PAGE_BYTES)
		return bad_image("has a segment that is not page-congruent");
	if (image->num_segments &&
	    page_floor(header->p_vaddr) < image->end_addr)
		return bad_image("has segments that overlap or are unordered");
	if (image->num_segments &&
	    page_ceil(header->p_vaddr + header->p_memsz) - image->start_addr >
	            IMAGE_MAX_SPAN)
		return bad_image("spans more than 1 GiB");
	if (header->p_memsz > IMAGE_MAX_SPAN)
		return bad_image("spans more than 1 GiB");
	if (image->num_segments >= IMAGE_MAX_SEGMENTS)
		return bad_image("has too many segments");
	return NULL;
}

static struct hfx_error *add_segment(struct parse *parse,
                                     const Elf64_Phdr *header)
{
	struct image_load *image = parse->image;
	struct image_load_segment segment = {
		.start_addr = page_floor(header->p_vaddr),
		.addr = header->p_vaddr,
		.mem_size = header->p_memsz,
		.num_bytes = header->p_filesz,
	};

	if (!header->p_memsz)
		return NULL;
	if (!protection_of(header->p_flags, &segment.protection))
		return bad_image("has a segment that is not R, RX or RW");
	HFX_TRY(check_segment(parse, header));
	segment.size = page_ceil(header->p_vaddr + header->p_memsz) -
	               segment.start_addr;
	segment.bytes = malloc(header->p_filesz + 1);
	if (!segment.bytes)
		return hfx_error_no_memory();
	memcpy(segment.bytes, parse->data + header->p_offset, header->p_filesz);
	if (!HFX_ARRAY_PUSH(image, segments, segment)) {
		free(segment.bytes);
		return hfx_error_no_memory();
	}
	if (image->num_segments == 1)
		image->start_addr = segment.start_addr;
	image->end_addr = segment.start_addr + segment.size;
	return NULL;
}

static struct hfx_error *add_segments(struct parse *parse,
                                      const Elf64_Ehdr *header,
                                      Elf64_Phdr *dynamic_ret)
{
	bool has_dynamic = false;

	for (size_t i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;

		memcpy(&segment,
		       parse->data + header->e_phoff + i * sizeof(segment),
		       sizeof(segment));
		if (segment.p_type == PT_LOAD)
			HFX_TRY(add_segment(parse, &segment));
		if (segment.p_type == PT_TLS || segment.p_type == PT_INTERP)
			return bad_image("has a segment of type %u, which is "
			                 "not supported",
			                 segment.p_type);
		if (segment.p_type == PT_GNU_EH_FRAME)
			parse->eh_frame_header_addr = segment.p_vaddr;
		if (segment.p_type == PT_DYNAMIC) {
			*dynamic_ret = segment;
			has_dynamic = true;
		}
	}
	if (!parse->image->num_segments || !has_dynamic)
		return bad_image("has nothing to load or no PT_DYNAMIC");
	return NULL;
}

/* ---- Tables ------------------------------------------------------------ */

static struct hfx_error *note_dynamic(struct tables *tables,
                                      const Elf64_Dyn *entry)
{
	uint64_t value = entry->d_un.d_val;

	switch (entry->d_tag) {
	case DT_HASH:
		tables->hash_addr = value;
		break;
	case DT_SYMTAB:
		tables->symbols_addr = value;
		break;
	case DT_STRTAB:
		tables->strings_addr = value;
		break;
	case DT_STRSZ:
		tables->strings_size = value;
		break;
	case DT_VERSYM:
		tables->versions_addr = value;
		break;
	case DT_VERNEED:
		tables->needs_addr = value;
		break;
	case DT_VERNEEDNUM:
		tables->num_needs = value;
		break;
	case DT_RELA:
		tables->relocations_addr = value;
		break;
	case DT_RELASZ:
		tables->relocations_size = value;
		break;
	case DT_REL:
	case DT_JMPREL:
	case DT_RELR:
	case DT_INIT:
	case DT_FINI:
	case DT_INIT_ARRAY:
	case DT_FINI_ARRAY:
	case DT_PREINIT_ARRAY:
		return bad_image("has the dynamic tag %lld, which is not "
		                 "supported",
		                 (long long)entry->d_tag);
	}
	return NULL;
}

static struct hfx_error *read_dynamic(struct parse *parse,
                                      const Elf64_Phdr *segment)
{
	const uint8_t *bytes =
		table_at(parse->image, segment->p_vaddr, segment->p_filesz);
	size_t count = segment->p_filesz / sizeof(Elf64_Dyn);

	if (!bytes)
		return bad_image("has its PT_DYNAMIC outside read-only data");
	for (size_t i = 0; i < count; i++) {
		Elf64_Dyn entry;

		memcpy(&entry, bytes + i * sizeof(entry), sizeof(entry));
		if (entry.d_tag == DT_NULL)
			break;
		HFX_TRY(note_dynamic(&parse->tables, &entry));
	}
	return NULL;
}

/** Number of symbols: nchain of DT_HASH (gABI, "Hash Table"). */
static struct hfx_error *count_symbols(struct parse *parse)
{
	struct tables *tables = &parse->tables;
	const uint8_t *head = table_at(parse->image, tables->hash_addr, 8);

	if (!head)
		return bad_image("has no DT_HASH in read-only data");
	memcpy(&tables->num_symbols, head + 4, sizeof(tables->num_symbols));
	if (tables->num_symbols > IMAGE_MAX_SYMBOLS)
		return bad_image("has %u dynamic symbols, allowed are %u",
		                 tables->num_symbols, IMAGE_MAX_SYMBOLS);
	return NULL;
}

static struct hfx_error *copy_strings(struct parse *parse)
{
	struct tables *tables = &parse->tables;
	const uint8_t *bytes = table_at(parse->image, tables->strings_addr,
	                                tables->strings_size);

	if (!bytes || !tables->strings_size || bytes[tables->strings_size - 1])
		return bad_image("has no string table in read-only data");
	parse->image->strings = malloc(tables->strings_size);
	if (!parse->image->strings)
		return hfx_error_no_memory();
	memcpy(parse->image->strings, bytes, tables->strings_size);
	return NULL;
}

static struct hfx_error *string_at(const struct parse *parse, uint64_t off,
                                   const char **ret)
{
	if (off >= parse->tables.strings_size ||
	    strlen(parse->image->strings + off) > IMAGE_MAX_STRING)
		return bad_image("has a name outside its string table");
	*ret = parse->image->strings + off;
	return NULL;
}

/* ---- Versions ---------------------------------------------------------- */

/** Find version @p index in the list of one library. */
static struct hfx_error *find_version_of(const struct parse *parse,
                                         uint64_t addr, uint32_t count,
                                         uint32_t index, bool *found_ret,
                                         struct image_load_import *import)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *bytes =
			table_at(parse->image, addr, sizeof(Elf64_Vernaux));
		Elf64_Vernaux need;

		if (!bytes)
			return bad_image("has versions outside its tables");
		memcpy(&need, bytes, sizeof(need));
		if (need.vna_other == index) {
			*found_ret = true;
			return string_at(parse, need.vna_name,
			                 &import->version);
		}
		if (!need.vna_next)
			break;
		addr += need.vna_next;
	}
	return NULL;
}

/** Set version and library of an import from DT_VERNEED. */
static struct hfx_error *find_version(const struct parse *parse, uint32_t index,
                                      struct image_load_import *import)
{
	uint64_t addr = parse->tables.needs_addr;

	for (uint64_t i = 0; i < parse->tables.num_needs; i++) {
		const uint8_t *bytes =
			table_at(parse->image, addr, sizeof(Elf64_Verneed));
		Elf64_Verneed needs;
		bool found = false;

		if (!bytes)
			return bad_image("has versions outside its tables");
		memcpy(&needs, bytes, sizeof(needs));
		HFX_TRY(find_version_of(parse, addr + needs.vn_aux,
		                        needs.vn_cnt, index, &found, import));
		if (found)
			return string_at(parse, needs.vn_file,
			                 &import->library);
		if (!needs.vn_next)
			break;
		addr += needs.vn_next;
	}
	return bad_image("imports %s with a version that it does not name",
	                 import->name);
}

static struct hfx_error *read_version(const struct parse *parse, uint32_t i,
                                      struct image_load_import *import)
{
	const uint8_t *bytes;
	uint16_t version;

	import->version = "";
	import->library = "";
	if (!parse->tables.versions_addr)
		return NULL;
	bytes = table_at(parse->image,
	                 parse->tables.versions_addr + i * sizeof(version),
	                 sizeof(version));
	if (!bytes)
		return bad_image("has no version for each symbol");
	memcpy(&version, bytes, sizeof(version));
	version &= 0x7fff;
	if (version <= VER_NDX_GLOBAL)
		return NULL;
	return find_version(parse, version, import);
}

/* ---- Symbols and relocations ------------------------------------------- */

static struct hfx_error *read_symbol(struct parse *parse, uint32_t i,
                                     const Elf64_Sym *symbol)
{
	struct image_load *image = parse->image;
	struct image_load_import import = {0};

	parse->symbol_map[i] = IMAGE_LOAD_NO_SYMBOL;
	/* Names of what the image has itself are for people. */
	if (i == 0 || symbol->st_shndx != SHN_UNDEF)
		return NULL;
	HFX_TRY(string_at(parse, symbol->st_name, &import.name));
	if (!strcmp(import.name, IMAGE_MODULE_SYMBOL)) {
		parse->symbol_map[i] = IMAGE_LOAD_MODULE;
		return NULL;
	}
	if (!*import.name)
		return bad_image("imports a symbol without a name");
	HFX_TRY(read_version(parse, i, &import));
	import.is_weak = ELF64_ST_BIND(symbol->st_info) == STB_WEAK;
	parse->symbol_map[i] = (uint32_t)image->num_imports;
	image->imports[image->num_imports++] = import;
	return NULL;
}

static struct hfx_error *read_symbols(struct parse *parse)
{
	uint32_t count = parse->tables.num_symbols;
	const uint8_t *bytes =
		table_at(parse->image, parse->tables.symbols_addr,
	                 count * sizeof(Elf64_Sym));

	if (!bytes)
		return bad_image("has no symbol table in read-only data");
	parse->symbol_map = calloc(count + 1ul, sizeof(*parse->symbol_map));
	parse->image->imports =
		calloc(count + 1ul, sizeof(*parse->image->imports));
	if (!parse->symbol_map || !parse->image->imports)
		return hfx_error_no_memory();
	for (uint32_t i = 0; i < count; i++) {
		Elf64_Sym symbol;

		memcpy(&symbol, bytes + i * sizeof(symbol), sizeof(symbol));
		HFX_TRY(read_symbol(parse, i, &symbol));
	}
	return NULL;
}

/** Whether docs/format.md lists this pair. */
static bool is_allowed(uint32_t type, uint32_t symbol)
{
	switch (type) {
	case R_X86_64_RELATIVE:
		return symbol == IMAGE_LOAD_NO_SYMBOL;
	case R_X86_64_32:
	case R_X86_64_32S:
		return symbol >= IMAGE_LOAD_MODULE;
	case R_X86_64_PC32:
	case R_X86_64_DTPMOD64:
		return symbol == IMAGE_LOAD_MODULE;
	case R_X86_64_64:
		return symbol != IMAGE_LOAD_NO_SYMBOL;
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
		return symbol < IMAGE_LOAD_MODULE;
	}
	return false;
}

static bool is_absolute_32(uint32_t type)
{
	return type == R_X86_64_32 || type == R_X86_64_32S;
}

static uint64_t place_size(uint32_t type)
{
	return type == R_X86_64_PC32 || is_absolute_32(type) ? 4 : 8;
}

/** The place is inside bytes of the file, or becomes so: zeros are added. */
static struct hfx_error *hold_place(struct image_load_segment *segment,
                                    uint64_t end)
{
	uint8_t *bytes;

	if (end <= segment->num_bytes)
		return NULL;
	bytes = realloc(segment->bytes, end + 1);
	if (!bytes)
		return hfx_error_no_memory();
	memset(bytes + segment->num_bytes, 0, end - segment->num_bytes);
	segment->bytes = bytes;
	segment->num_bytes = end;
	return NULL;
}

static struct hfx_error *read_relocation(struct parse *parse,
                                         const Elf64_Rela *rela,
                                         struct image_load_relocation *ret)
{
	struct image_load *image = parse->image;
	uint64_t index = ELF64_R_SYM(rela->r_info);
	const struct image_load_segment *segment;

	if (index >= parse->tables.num_symbols && index)
		return bad_image("relocates against a symbol it has not");
	*ret = (struct image_load_relocation){
		.addr = rela->r_offset,
		.type = (uint32_t)ELF64_R_TYPE(rela->r_info),
		.symbol =
			index ? parse->symbol_map[index] : IMAGE_LOAD_NO_SYMBOL,
		.addend = rela->r_addend,
	};
	if (!is_allowed(ret->type, ret->symbol))
		return bad_image("has a relocation of type %u, which is not "
		                 "supported there",
		                 ret->type);
	segment = image_load_find(image, ret->addr, place_size(ret->type));
	if (!segment)
		return bad_image("relocates a place outside its segments");
	ret->segment = (uint32_t)(segment - image->segments);
	if ((segment->protection & PROT_EXEC) &&
	    ret->symbol < IMAGE_LOAD_MODULE)
		return bad_image("relocates code against an import");
	image->needs_low_addr |= is_absolute_32(ret->type);
	image->needs_tls_index |= ret->type == R_X86_64_DTPMOD64;
	if (ret->type == R_X86_64_JUMP_SLOT)
		image->imports[ret->symbol].is_call = true;
	return hold_place(&image->segments[ret->segment],
	                  ret->addr - segment->addr + place_size(ret->type));
}

static struct hfx_error *read_relocations(struct parse *parse)
{
	struct image_load *image = parse->image;
	uint64_t addr = parse->tables.relocations_addr;
	uint64_t count = parse->tables.relocations_size / sizeof(Elf64_Rela);

	if (!count)
		return NULL;
	if (count > IMAGE_MAX_RELOCATIONS)
		return bad_image("has too many relocations");
	if (!table_at(image, addr, count * sizeof(Elf64_Rela)))
		return bad_image("has its relocations outside read-only data");
	image->relocations = calloc(count, sizeof(*image->relocations));
	if (!image->relocations)
		return hfx_error_no_memory();
	for (uint64_t i = 0; i < count; i++) {
		Elf64_Rela rela;

		/* Asked for anew: holding a place may move the bytes. */
		memcpy(&rela,
		       table_at(image, addr + i * sizeof(rela), sizeof(rela)),
		       sizeof(rela));
		HFX_TRY(read_relocation(parse, &rela, &image->relocations[i]));
	}
	image->num_relocations = count;
	return NULL;
}

/**
 * From .eh_frame_hdr to .eh_frame (LSB Core, "Exception Frames"): the bundler
 * writes the pointer in one encoding only.
 */
static struct hfx_error *read_eh_frame(struct parse *parse)
{
	const uint8_t header[4] = {1, DW_EH_PE_PCREL_SDATA4};
	uint64_t addr = parse->eh_frame_header_addr;
	const uint8_t *bytes;
	int32_t distance;

	if (!addr)
		return NULL;
	bytes = table_at(parse->image, addr, 8);
	if (!bytes || memcmp(bytes, header, 2) != 0)
		return bad_image("has unwind information of an unknown form");
	memcpy(&distance, bytes + 4, sizeof(distance));
	addr += 4 + (uint64_t)(int64_t)distance;
	if (!table_at(parse->image, addr, 4))
		return bad_image("has its unwind information outside "
		                 "read-only data");
	parse->image->eh_frame_addr = addr;
	return NULL;
}

static struct hfx_error *read_all(struct parse *parse)
{
	Elf64_Phdr dynamic = {0};
	Elf64_Ehdr header;

	HFX_TRY(check_header(parse, &header));
	HFX_TRY(add_segments(parse, &header, &dynamic));
	HFX_TRY(read_dynamic(parse, &dynamic));
	HFX_TRY(read_eh_frame(parse));
	HFX_TRY(count_symbols(parse));
	HFX_TRY(copy_strings(parse));
	HFX_TRY(read_symbols(parse));
	return read_relocations(parse);
}

struct hfx_error *image_load_parse(const void *data, size_t size,
                                   struct image_load *ret)
{
	HFX_CLEANUP(image_load_deinit) struct image_load image = {0};
	struct parse parse = {.data = data, .size = size, .image = &image};
	struct hfx_error *err = read_all(&parse);

	free(parse.symbol_map);
	HFX_TRY(err);
	*ret = image;
	image = (struct image_load){0};
	return NULL;
}

/* ---- Relocating -------------------------------------------------------- */

static uint64_t symbol_value(const struct image_load_relocation *relocation,
                             const struct image_load_values *values)
{
	switch (relocation->symbol) {
	case IMAGE_LOAD_NO_SYMBOL:
		return values->image_bias;
	case IMAGE_LOAD_MODULE:
		return values->module_bias;
	default:
		return values->imports[relocation->symbol];
	}
}

static struct hfx_error *
relocate_distance(const struct image_load_relocation *relocation,
                  const struct image_load_values *values, uint8_t *place)
{
	int64_t distance =
		(int64_t)(values->module_bias + (uint64_t)relocation->addend -
	                  (values->image_bias + relocation->addr));
	int32_t field = (int32_t)distance;

	if (field != distance)
		return hfx_error_create(
			HFX_ERROR_NO_ADDRESS_SPACE,
			"the new code at %#llx is too far from what it refers "
			"to",
			(unsigned long long)relocation->addr);
	memcpy(place, &field, sizeof(field));
	return NULL;
}

/** An address in 32 bits, as code that is linked for a fixed place has it. */
static struct hfx_error *
relocate_low(const struct image_load_relocation *relocation,
             const struct image_load_values *values, uint8_t *place)
{
	uint64_t value = symbol_value(relocation, values) +
	                 (uint64_t)relocation->addend;
	uint32_t field = (uint32_t)value;
	bool fits = relocation->type == R_X86_64_32
	                    ? value == field
	                    : value == (uint64_t)(int64_t)(int32_t)field;

	if (!fits)
		return hfx_error_create(
			HFX_ERROR_NO_ADDRESS_SPACE,
			"the new code at %#llx refers to an address that does "
			"not fit 32 bits",
			(unsigned long long)relocation->addr);
	memcpy(place, &field, sizeof(field));
	return NULL;
}

/** Value of an 8-byte place. */
static uint64_t word_value(const struct image_load_relocation *relocation,
                           const struct image_load_values *values)
{
	uint64_t value = symbol_value(relocation, values);

	switch (relocation->type) {
	case R_X86_64_DTPMOD64:
		return values->tls_index;
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
		return value;
	}
	return value + (uint64_t)relocation->addend;
}

struct hfx_error *image_load_relocate(struct image_load *image,
                                      const struct image_load_values *values)
{
	for (size_t i = 0; i < image->num_relocations; i++) {
		const struct image_load_relocation *relocation =
			&image->relocations[i];
		struct image_load_segment *segment =
			&image->segments[relocation->segment];
		uint8_t *place =
			segment->bytes + (relocation->addr - segment->addr);
		uint64_t value;

		if (relocation->type == R_X86_64_PC32) {
			HFX_TRY(relocate_distance(relocation, values, place));
			continue;
		}
		if (is_absolute_32(relocation->type)) {
			HFX_TRY(relocate_low(relocation, values, place));
			continue;
		}
		value = word_value(relocation, values);
		memcpy(place, &value, sizeof(value));
	}
	return NULL;
}
