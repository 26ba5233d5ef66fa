/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cursor.h"
#include "image.h"
#include "image_load_private.h"

/** DW_EH_PE_pcrel | DW_EH_PE_sdata4 (LSB Core, "DWARF Extensions"). */
#define DW_EH_PE_PCREL_SDATA4 0x1b

/* ---- PT_DYNAMIC -------------------------------------------------------- */

static struct hfx_error *note_dynamic(struct image_load_tables *tables,
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
		return image_load_bad("has the dynamic tag %lld, which is not "
		                      "supported",
		                      (long long)entry->d_tag);
	}
	return NULL;
}

static struct hfx_error *read_dynamic(struct image_load_parse *parse,
                                      const Elf64_Phdr *segment)
{
	const uint8_t *bytes = image_load_table_at(
		parse->image, segment->p_vaddr, segment->p_filesz);
	size_t count = segment->p_filesz / sizeof(Elf64_Dyn);

	if (!bytes)
		return image_load_bad(
			"has its PT_DYNAMIC outside read-only data");
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
static struct hfx_error *count_symbols(struct image_load_parse *parse)
{
	struct image_load_tables *tables = &parse->tables;
	const uint8_t *head =
		image_load_table_at(parse->image, tables->hash_addr, 8);

	if (!head)
		return image_load_bad("has no DT_HASH in read-only data");
	memcpy(&tables->num_symbols, head + 4, sizeof(tables->num_symbols));
	if (tables->num_symbols > IMAGE_MAX_SYMBOLS)
		return image_load_bad("has %u dynamic symbols, allowed are %u",
		                      tables->num_symbols, IMAGE_MAX_SYMBOLS);
	return NULL;
}

static struct hfx_error *copy_strings(struct image_load_parse *parse)
{
	struct image_load_tables *tables = &parse->tables;
	const uint8_t *bytes = image_load_table_at(
		parse->image, tables->strings_addr, tables->strings_size);

	if (!bytes || !tables->strings_size || bytes[tables->strings_size - 1])
		return image_load_bad("has no string table in read-only data");
	parse->image->strings = malloc(tables->strings_size);
	if (!parse->image->strings)
		return hfx_error_no_memory();
	memcpy(parse->image->strings, bytes, tables->strings_size);
	return NULL;
}

static struct hfx_error *string_at(const struct image_load_parse *parse,
                                   uint64_t off, const char **ret)
{
	if (off >= parse->tables.strings_size ||
	    strlen(parse->image->strings + off) > IMAGE_MAX_STRING)
		return image_load_bad("has a name outside its string table");
	*ret = parse->image->strings + off;
	return NULL;
}

/* ---- Versions ---------------------------------------------------------- */

/** Find version @p index in the list of one library. */
static struct hfx_error *find_version_of(const struct image_load_parse *parse,
                                         uint64_t addr, uint32_t count,
                                         uint32_t index, bool *found_ret,
                                         struct image_load_import *import)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *bytes = image_load_table_at(
			parse->image, addr, sizeof(Elf64_Vernaux));
		Elf64_Vernaux need;

		if (!bytes)
			return image_load_bad(
				"has versions outside its tables");
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
static struct hfx_error *find_version(const struct image_load_parse *parse,
                                      uint32_t index,
                                      struct image_load_import *import)
{
	uint64_t addr = parse->tables.needs_addr;

	for (uint64_t i = 0; i < parse->tables.num_needs; i++) {
		const uint8_t *bytes = image_load_table_at(
			parse->image, addr, sizeof(Elf64_Verneed));
		Elf64_Verneed needs;
		bool found = false;

		if (!bytes)
			return image_load_bad(
				"has versions outside its tables");
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
	return image_load_bad("imports %s with a version that it does not name",
	                      import->name);
}

static struct hfx_error *read_version(const struct image_load_parse *parse,
                                      uint32_t i,
                                      struct image_load_import *import)
{
	const uint8_t *bytes;
	uint16_t version;

	import->version = "";
	import->library = "";
	if (!parse->tables.versions_addr)
		return NULL;
	bytes = image_load_table_at(
		parse->image, parse->tables.versions_addr + i * sizeof(version),
		sizeof(version));
	if (!bytes)
		return image_load_bad("has no version for each symbol");
	memcpy(&version, bytes, sizeof(version));
	version &= 0x7fff;
	if (version <= VER_NDX_GLOBAL)
		return NULL;
	return find_version(parse, version, import);
}

/* ---- Symbols and relocations ------------------------------------------- */

static struct hfx_error *read_symbol(struct image_load_parse *parse, uint32_t i,
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
		return image_load_bad("imports a symbol without a name");
	HFX_TRY(read_version(parse, i, &import));
	import.is_weak = ELF64_ST_BIND(symbol->st_info) == STB_WEAK;
	parse->symbol_map[i] = (uint32_t)image->num_imports;
	image->imports[image->num_imports++] = import;
	return NULL;
}

static struct hfx_error *read_symbols(struct image_load_parse *parse)
{
	uint32_t count = parse->tables.num_symbols;
	const uint8_t *bytes =
		image_load_table_at(parse->image, parse->tables.symbols_addr,
	                            count * sizeof(Elf64_Sym));

	if (!bytes)
		return image_load_bad("has no symbol table in read-only data");
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

static uint64_t place_size(uint32_t type)
{
	return type == R_X86_64_PC32 || image_load_is_absolute_32(type) ? 4 : 8;
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

static struct hfx_error *read_relocation(struct image_load_parse *parse,
                                         const Elf64_Rela *rela,
                                         struct image_load_relocation *ret)
{
	struct image_load *image = parse->image;
	uint64_t index = ELF64_R_SYM(rela->r_info);
	const struct image_load_segment *segment;

	if (index >= parse->tables.num_symbols && index)
		return image_load_bad("relocates against a symbol it has not");
	*ret = (struct image_load_relocation){
		.addr = rela->r_offset,
		.type = (uint32_t)ELF64_R_TYPE(rela->r_info),
		.symbol =
			index ? parse->symbol_map[index] : IMAGE_LOAD_NO_SYMBOL,
		.addend = rela->r_addend,
	};
	if (!is_allowed(ret->type, ret->symbol))
		return image_load_bad(
			"has a relocation of type %u, which is not "
			"supported there",
			ret->type);
	segment = image_load_find(image, ret->addr, place_size(ret->type));
	if (!segment)
		return image_load_bad("relocates a place outside its segments");
	ret->segment = (uint32_t)(segment - image->segments);
	if ((segment->protection & PROT_EXEC) &&
	    ret->symbol < IMAGE_LOAD_MODULE)
		return image_load_bad("relocates code against an import");
	image->needs_low_addr |= image_load_is_absolute_32(ret->type);
	image->needs_tls_index |= ret->type == R_X86_64_DTPMOD64;
	if (ret->type == R_X86_64_JUMP_SLOT)
		image->imports[ret->symbol].is_call = true;
	return hold_place(&image->segments[ret->segment],
	                  ret->addr - segment->addr + place_size(ret->type));
}

static struct hfx_error *read_relocations(struct image_load_parse *parse)
{
	struct image_load *image = parse->image;
	uint64_t addr = parse->tables.relocations_addr;
	uint64_t count = parse->tables.relocations_size / sizeof(Elf64_Rela);

	if (!count)
		return NULL;
	if (count > IMAGE_MAX_RELOCATIONS)
		return image_load_bad("has too many relocations");
	if (!image_load_table_at(image, addr, count * sizeof(Elf64_Rela)))
		return image_load_bad(
			"has its relocations outside read-only data");
	image->relocations = calloc(count, sizeof(*image->relocations));
	if (!image->relocations)
		return hfx_error_no_memory();
	for (uint64_t i = 0; i < count; i++) {
		Elf64_Rela rela;

		/* Asked for anew: holding a place may move the bytes. */
		memcpy(&rela,
		       image_load_table_at(image, addr + i * sizeof(rela),
		                           sizeof(rela)),
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
static struct hfx_error *read_eh_frame(struct image_load_parse *parse)
{
	const uint8_t header[4] = {1, DW_EH_PE_PCREL_SDATA4};
	uint64_t addr = parse->eh_frame_header_addr;
	const uint8_t *bytes;
	int32_t distance;

	if (!addr)
		return NULL;
	bytes = image_load_table_at(parse->image, addr, 8);
	if (!bytes || memcmp(bytes, header, 2) != 0)
		return image_load_bad(
			"has unwind information of an unknown form");
	memcpy(&distance, bytes + 4, sizeof(distance));
	addr += 4 + (uint64_t)(int64_t)distance;
	if (!image_load_table_at(parse->image, addr, 4))
		return image_load_bad("has its unwind information outside "
		                      "read-only data");
	parse->image->eh_frame_addr = addr;
	return NULL;
}

struct hfx_error *image_load_read_tables(struct image_load_parse *parse,
                                         const Elf64_Phdr *dynamic)
{
	HFX_TRY(read_dynamic(parse, dynamic));
	HFX_TRY(read_eh_frame(parse));
	HFX_TRY(count_symbols(parse));
	HFX_TRY(copy_strings(parse));
	HFX_TRY(read_symbols(parse));
	return read_relocations(parse);
}
