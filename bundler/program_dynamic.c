/* SPDX-License-Identifier: MIT */
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "elf_file.h"
#include "program_private.h"

/* Names of symbol versions by their index (LSB Core, Symbol Versioning). */
struct versions {
	struct version {
		const char *name;
		const char *library;
	} * items;
	size_t num_items;
	Elf_Data *indexes;
};

struct dynamic_symbols {
	Elf_Data *data;
	size_t count;
	GElf_Word strings;
	struct versions versions;
};

static bool set_version(struct versions *versions, size_t index,
                        const char *name, const char *library)
{
	if (index >= versions->num_items) {
		size_t count = index + 16;
		struct version *items =
			realloc(versions->items, count * sizeof(*items));
		if (!items)
			return false;
		memset(items + versions->num_items, 0,
		       (count - versions->num_items) * sizeof(*items));
		versions->items = items;
		versions->num_items = count;
	}
	versions->items[index].name = name;
	versions->items[index].library = library;
	return true;
}

/* The versions of one library. Each list ends where the next entry is itself.
 */
static struct hfx_error *read_needed_library(struct program *program,
                                             struct versions *versions,
                                             Elf_Data *data, GElf_Word strings,
                                             const GElf_Verneed *need,
                                             size_t off)
{
	Elf *elf = program->elf->elf;
	GElf_Vernaux aux = {.vna_next = need->vn_aux};

	for (size_t i = 0; i < need->vn_cnt && aux.vna_next; i++) {
		off += aux.vna_next;
		if (!gelf_getvernaux(data, off, &aux))
			return elf_file_error(program->elf, ".gnu.version_r");
		const char *name = elf_strptr(elf, strings, aux.vna_name);
		const char *library = elf_strptr(elf, strings, need->vn_file);
		if (!name || !library)
			return elf_file_error(program->elf, ".gnu.version_r");
		if (!set_version(versions, aux.vna_other & 0x7fff, name,
		                 library))
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *read_needed_versions(struct program *program,
                                              struct versions *versions)
{
	GElf_Shdr shdr;
	Elf_Scn *scn = elf_find_section(program->elf->elf, SHT_GNU_verneed,
	                                NULL, &shdr);
	Elf_Data *data = scn ? elf_getdata(scn, NULL) : NULL;
	GElf_Verneed need = {.vn_next = 1};
	size_t off = 0;

	if (!data)
		return NULL;
	for (size_t n = 0; n < shdr.sh_info && need.vn_next; n++) {
		if (!gelf_getverneed(data, (int)off, &need))
			return elf_file_error(program->elf, ".gnu.version_r");
		HFX_TRY(read_needed_library(program, versions, data,
		                            shdr.sh_link, &need, off));
		off += need.vn_next;
	}
	return NULL;
}

/* What other modules can call. */
static void note_exports(struct program *program,
                         const struct dynamic_symbols *symbols)
{
	GElf_Sym sym;

	for (size_t i = 1; i < symbols->count; i++) {
		if (!gelf_getsym(symbols->data, i, &sym) ||
		    sym.st_shndx == SHN_UNDEF || !sym.st_value)
			continue;
		struct function *function =
			program_function_at(program, sym.st_value);
		if (function && function->addr == sym.st_value)
			function->is_exported = true;
	}
}

static struct hfx_error *read_dynamic_symbols(struct program *program,
                                              struct dynamic_symbols *ret)
{
	Elf *elf = program->elf->elf;
	GElf_Shdr shdr;
	Elf_Scn *scn = elf_find_section(elf, SHT_DYNSYM, NULL, &shdr);

	if (!scn)
		return NULL;
	ret->data = elf_getdata(scn, NULL);
	if (!ret->data || !shdr.sh_entsize)
		return elf_file_error(program->elf, ".dynsym");
	ret->count = shdr.sh_size / shdr.sh_entsize;
	ret->strings = shdr.sh_link;
	note_exports(program, ret);
	scn = elf_find_section(elf, SHT_GNU_versym, NULL, &shdr);
	ret->versions.indexes = scn ? elf_getdata(scn, NULL) : NULL;
	return read_needed_versions(program, &ret->versions);
}

/* What the symbol of a relocation is: its name, version and place. */
static struct hfx_error *resolve_symbol(struct program *program,
                                        const struct dynamic_symbols *symbols,
                                        size_t index,
                                        struct dynamic_relocation *relocation)
{
	GElf_Sym sym;
	GElf_Versym version;

	if (!index)
		return NULL;
	if (!symbols->data || !gelf_getsym(symbols->data, index, &sym))
		return elf_file_error(program->elf, ".dynsym");
	relocation->symbol =
		elf_strptr(program->elf->elf, symbols->strings, sym.st_name);
	if (!relocation->symbol)
		return elf_file_error(program->elf, ".dynstr");
	relocation->is_import = sym.st_shndx == SHN_UNDEF;
	relocation->is_weak = GELF_ST_BIND(sym.st_info) == STB_WEAK;
	if (!relocation->is_import)
		relocation->symbol_addr = sym.st_value;
	if (symbols->versions.indexes &&
	    gelf_getversym(symbols->versions.indexes, index, &version) &&
	    (version & 0x7fff) < symbols->versions.num_items &&
	    symbols->versions.items[version & 0x7fff].name) {
		struct version *found =
			&symbols->versions.items[version & 0x7fff];

		relocation->version = found->name;
		relocation->library = found->library;
	}
	return NULL;
}

static struct hfx_error *read_rela(struct program *program, Elf_Scn *scn,
                                   const GElf_Shdr *shdr,
                                   const struct dynamic_symbols *symbols)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	GElf_Rela rela;

	if (!data || !shdr->sh_entsize)
		return elf_file_error(program->elf, "dynamic relocations");
	for (size_t i = 0; i < shdr->sh_size / shdr->sh_entsize; i++) {
		if (!gelf_getrela(data, i, &rela))
			return elf_file_error(program->elf,
			                      "dynamic relocations");
		struct dynamic_relocation relocation = {
			.addr = rela.r_offset,
			.type = GELF_R_TYPE(rela.r_info),
			.symbol = "",
			.version = "",
			.library = "",
			.addend = rela.r_addend,
		};
		HFX_TRY(resolve_symbol(program, symbols,
		                       GELF_R_SYM(rela.r_info), &relocation));
		if (relocation.type != R_X86_64_NONE &&
		    !HFX_ARRAY_PUSH(program, relocations, relocation))
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *add_relative(struct program *program, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);
	struct dynamic_relocation relocation = {
		.addr = addr,
		.type = R_X86_64_RELATIVE,
		.symbol = "",
		.version = "",
		.library = "",
	};

	if (!section || !section->data ||
	    addr - section->addr + sizeof(uint64_t) > section->size)
		return elf_file_error(program->elf, ".relr.dyn");
	memcpy(&relocation.addend, section->data + (addr - section->addr),
	       sizeof(relocation.addend));
	return HFX_ARRAY_PUSH(program, relocations, relocation)
	               ? NULL
	               : hfx_error_no_memory();
}

/* Packed relative relocations (gABI, SHT_RELR): addresses and bitmaps. */
static struct hfx_error *read_relr(struct program *program, Elf_Scn *scn)
{
	Elf_Data *data = elf_rawdata(scn, NULL);
	uint64_t next = 0;

	if (!data)
		return elf_file_error(program->elf, ".relr.dyn");
	for (size_t off = 0; off + 8 <= data->d_size; off += 8) {
		uint64_t entry;

		memcpy(&entry, (char *)data->d_buf + off, sizeof(entry));
		if (!(entry & 1)) {
			HFX_TRY(add_relative(program, entry));
			next = entry + 8;
			continue;
		}
		for (unsigned int bit = 1; bit < 64; bit++)
			if (entry >> bit & 1)
				HFX_TRY(add_relative(program,
				                     next + (bit - 1) * 8));
		next += 63 * 8;
	}
	return NULL;
}

static int compare_relocations(const void *a, const void *b)
{
	const struct dynamic_relocation *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

void program_sort_relocations(struct program *program)
{
	hfx_array_sort(program->relocations, program->num_relocations,
	               sizeof(*program->relocations), compare_relocations);
}

#ifndef SHT_RELR
#define SHT_RELR 19
#endif

static struct hfx_error *read_relocations(struct program *program,
                                          const struct dynamic_symbols *symbols)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	while ((scn = elf_nextscn(program->elf->elf, scn)) &&
	       gelf_getshdr(scn, &shdr)) {
		if (!(shdr.sh_flags & SHF_ALLOC))
			continue;
		if (shdr.sh_type == SHT_RELA)
			HFX_TRY(read_rela(program, scn, &shdr, symbols));
		else if (shdr.sh_type == SHT_RELR)
			HFX_TRY(read_relr(program, scn));
	}
	program_sort_relocations(program);
	return NULL;
}

/* What linkers put before the jump: bnd, `mov $n, %r11d` (mold), endbr64. */
static uint64_t stub_start(const uint8_t *code, uint64_t jump_off)
{
	uint64_t start = jump_off;

	if (start >= 1 && code[start - 1] == 0xf2)
		start--;
	if (start >= 6 && !memcmp(code + start - 6, "\x41\xbb", 2))
		start -= 6;
	if (start >= 4 && !memcmp(code + start - 4, "\xf3\x0f\x1e\xfa", 4))
		start -= 4;
	return start;
}

/* A slot that the dynamic linker fills, or one that it does not (place.h). */
static bool is_slot(const struct program *program, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);

	return program_relocation_at(program, addr) ||
	       (section && section->kind == SECTION_GOT);
}

/*
 * Stubs are found by what they do, `jmp *slot(%rip)`, whatever the linker and
 * its options made around it: endbr64 and bnd before, lazy binding behind.
 */
static struct hfx_error *scan_stubs(struct program *program,
                                    const struct section *section)
{
	const uint8_t *code = section->data;

	for (uint64_t off = 0; code && off + 6 <= section->size; off++) {
		int32_t displacement;
		uint64_t start = off, end = off + 6;

		if (code[off] != 0xff || code[off + 1] != 0x25)
			continue;
		memcpy(&displacement, code + off + 2, sizeof(displacement));
		uint64_t slot = section->addr + end + displacement;
		if (!is_slot(program, slot))
			continue;
		start = stub_start(code, off);
		struct plt_stub stub = {section->addr + start, end - start,
		                        slot};
		if (!HFX_ARRAY_PUSH(program, stubs, stub))
			return hfx_error_no_memory();
		off = end - 1;
	}
	return NULL;
}

static int compare_stubs(const void *a, const void *b)
{
	const struct plt_stub *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static void read_dynamic_section(struct program *program)
{
	Elf *elf = program->elf->elf;
	GElf_Shdr shdr;
	GElf_Dyn dyn;
	Elf_Scn *scn = elf_find_section(elf, SHT_DYNAMIC, NULL, &shdr);
	Elf_Data *data = scn ? elf_getdata(scn, NULL) : NULL;

	for (int i = 0; data && gelf_getdyn(data, i, &dyn); i++) {
		if (dyn.d_tag == DT_NULL)
			break;
		if (dyn.d_tag == DT_SONAME) {
			const char *name =
				elf_strptr(elf, shdr.sh_link, dyn.d_un.d_val);
			program->soname = name ? name : "";
		}
		if (dyn.d_tag == DT_FLAGS_1 && (dyn.d_un.d_val & DF_1_PIE))
			program->is_executable = true;
	}
}

struct hfx_error *program_load_dynamic(struct program *program)
{
	struct dynamic_symbols symbols = {0};
	struct hfx_error *err = read_dynamic_symbols(program, &symbols);

	if (!err)
		err = read_relocations(program, &symbols);
	free(symbols.versions.items);
	for (size_t i = 0; !err && i < program->num_sections; i++)
		if (program->sections[i].kind == SECTION_PLT)
			err = scan_stubs(program, &program->sections[i]);
	hfx_array_sort(program->stubs, program->num_stubs,
	               sizeof(*program->stubs), compare_stubs);
	read_dynamic_section(program);
	return err;
}
