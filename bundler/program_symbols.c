/* SPDX-License-Identifier: MIT */
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "elf_file.h"
#include "program_private.h"

/* The last of its strings: start-up code of the C library has the first. */
const char *comment_text(Elf_Scn *scn)
{
	Elf_Data *data = elf_rawdata(scn, NULL);

	if (!data || !data->d_size || ((char *)data->d_buf)[data->d_size - 1])
		return "";
	const char *text = data->d_buf;
	size_t start = data->d_size - 1;
	while (start && text[start - 1])
		start--;
	return text + start;
}

/*
 * In the order of kinds at one address: code first, so that the symbols of a
 * function stand together.
 */
static int kind_rank(const struct symbol *symbol)
{
	switch (symbol->kind) {
	case SYMBOL_FUNCTION:
	case SYMBOL_IFUNC:
		return 0;
	case SYMBOL_OBJECT:
		return 1;
	default:
		return 2;
	}
}

static int compare_symbols(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;
	bool x_is_tls = x->kind == SYMBOL_TLS, y_is_tls = y->kind == SYMBOL_TLS;

	if (x_is_tls != y_is_tls)
		return x_is_tls ? 1 : -1;
	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (kind_rank(x) != kind_rank(y))
		return kind_rank(x) - kind_rank(y);
	if (x->is_local != y->is_local)
		return x->is_local ? 1 : -1;
	return strcmp(x->name, y->name);
}

static bool symbol_kind_of(const GElf_Sym *sym, enum symbol_kind *ret)
{
	switch (GELF_ST_TYPE(sym->st_info)) {
	case STT_FUNC:
		*ret = sym->st_size ? SYMBOL_FUNCTION : SYMBOL_LABEL;
		return true;
	case STT_GNU_IFUNC:
		*ret = sym->st_size ? SYMBOL_IFUNC : SYMBOL_LABEL;
		return true;
	case STT_OBJECT:
	case STT_COMMON:
		*ret = sym->st_size ? SYMBOL_OBJECT : SYMBOL_LABEL;
		return true;
	case STT_TLS:
		*ret = SYMBOL_TLS;
		return true;
	case STT_NOTYPE:
		*ret = SYMBOL_LABEL;
		return true;
	default:
		return false;
	}
}

static struct hfx_error *add_symbol(struct program *program,
                                    const GElf_Sym *sym, const char *name,
                                    const char *file)
{
	struct symbol symbol = {
		.name = name,
		.file = file,
		.is_local = GELF_ST_BIND(sym->st_info) == STB_LOCAL,
		.is_weak = GELF_ST_BIND(sym->st_info) == STB_WEAK,
		.addr = sym->st_value,
		.size = sym->st_size,
		.peer = NO_INDEX,
	};

	if (!*name || !symbol_kind_of(sym, &symbol.kind))
		return NULL;
	const struct section *found =
		symbol.kind == SYMBOL_TLS
			? NULL
			: program_section_at(program, symbol.addr);
	symbol.section = found ? found - program->sections : NO_INDEX;
	if (symbol.kind != SYMBOL_TLS && symbol.section != NO_INDEX) {
		const struct section *section =
			&program->sections[symbol.section];
		uint64_t room = section->size - (symbol.addr - section->addr);

		if (symbol.size > room)
			return hfx_error_create(
				HFX_ERROR_BAD_ELF,
				"%s: symbol %s reaches behind its section %s; "
				"the file is damaged",
				program->path, name, section->name);
	} else if (symbol.kind != SYMBOL_TLS) {
		symbol.kind = SYMBOL_LABEL;
	}
	if (!HFX_ARRAY_PUSH(program, symbols, symbol))
		return hfx_error_no_memory();
	if (symbol.kind == SYMBOL_TLS)
		program->num_tls_symbols++;
	return NULL;
}

/*
 * Whether the symbol is a place in memory: mold leaves symbols of files that
 * were link-time optimized in sections that are not loaded.
 */
static bool is_in_memory(Elf *elf, const GElf_Sym *sym)
{
	GElf_Shdr shdr;

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS)
		return false;
	return sym->st_shndx >= SHN_LORESERVE ||
	       !gelf_getshdr(elf_getscn(elf, sym->st_shndx), &shdr) ||
	       (shdr.sh_flags & SHF_ALLOC);
}

static struct hfx_error *read_symbol_table(struct program *program, Elf *elf,
                                           Elf_Scn *scn, const GElf_Shdr *shdr)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	const char *file = "";
	GElf_Sym sym;

	if (!data || !shdr->sh_entsize)
		return elf_file_error(program->elf, ".symtab");
	size_t count = shdr->sh_size / shdr->sh_entsize;
	for (size_t i = 1; i < count; i++) {
		if (!gelf_getsym(data, i, &sym))
			return elf_file_error(program->elf, ".symtab");
		const char *name = elf_strptr(elf, shdr->sh_link, sym.st_name);
		if (!name)
			return elf_file_error(program->elf, ".strtab");
		if (GELF_ST_TYPE(sym.st_info) == STT_FILE)
			file = name;
		else if (is_in_memory(elf, &sym))
			HFX_TRY(add_symbol(
				program, &sym, name,
				GELF_ST_BIND(sym.st_info) == STB_LOCAL ? file
								       : ""));
	}
	return NULL;
}

/* For program_object_at() and its like. */
static struct hfx_error *index_objects(struct program *program)
{
	size_t count = program->num_symbols - program->num_tls_symbols;
	uint64_t reach_addr = 0;
	size_t num_objects = 0;

	for (size_t i = 0; i < count; i++)
		num_objects += program->symbols[i].kind == SYMBOL_OBJECT;
	program->objects = calloc(num_objects + 1, sizeof(*program->objects));
	if (!program->objects)
		return hfx_error_no_memory();
	for (uint32_t i = 0; i < count; i++) {
		const struct symbol *symbol = &program->symbols[i];

		if (symbol->kind != SYMBOL_OBJECT)
			continue;
		if (symbol->addr + symbol->size > reach_addr)
			reach_addr = symbol->addr + symbol->size;
		program->objects[program->num_objects++] =
			(struct object_span){symbol->addr, reach_addr, i};
	}
	return NULL;
}

struct hfx_error *program_load_symbols(struct program *program)
{
	Elf *elf = program->elf->symbols_elf;
	GElf_Shdr shdr;
	Elf_Scn *scn = elf_find_section(elf, SHT_SYMTAB, NULL, &shdr);

	if (!scn)
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"%s: no symbols: it is stripped and no debug file was "
			"found beside it; give it with --old-debug or "
			"--new-debug",
			program->path);
	HFX_TRY(read_symbol_table(program, elf, scn, &shdr));
	hfx_array_sort(program->symbols, program->num_symbols,
	               sizeof(*program->symbols), compare_symbols);
	return index_objects(program);
}
