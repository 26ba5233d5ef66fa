/* SPDX-License-Identifier: MIT */
#include "program_load.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "debug_info.h"
#include "elf_file.h"
#include "program_private.h"

static enum section_kind data_kind(const GElf_Shdr *shdr, bool is_relro)
{
	if (shdr->sh_type == SHT_NOBITS)
		return SECTION_BSS;
	return is_relro ? SECTION_CONST : SECTION_DATA;
}

static bool is_table_type(GElf_Word type)
{
	return type == SHT_INIT_ARRAY || type == SHT_FINI_ARRAY ||
	       type == SHT_PREINIT_ARRAY || type == SHT_DYNAMIC;
}

static enum section_kind section_kind_of(const GElf_Shdr *shdr,
                                         const char *name, bool is_relro)
{
	if (shdr->sh_flags & SHF_TLS)
		return SECTION_TLS;
	if (!strncmp(name, ".plt", 4) || !strcmp(name, ".iplt"))
		return SECTION_PLT;
	if (!strncmp(name, ".got", 4) || !strcmp(name, ".igot"))
		return SECTION_GOT;
	if (shdr->sh_flags & SHF_EXECINSTR)
		return SECTION_CODE;
	if (is_table_type(shdr->sh_type))
		return SECTION_OTHER;
	if (shdr->sh_flags & SHF_WRITE)
		return data_kind(shdr, is_relro);
	if (shdr->sh_type != SHT_PROGBITS || !strncmp(name, ".eh_frame", 9) ||
	    !strcmp(name, ".interp"))
		return SECTION_OTHER;
	return SECTION_CONST;
}

/* Segments: the span of the program, RELRO and TLS. */
static void load_segments(struct program *program, Elf *elf,
                          struct address_range *relro_ret)
{
	size_t count = 0;
	GElf_Phdr phdr;

	elf_getphdrnum(elf, &count);
	program->start_addr = UINT64_MAX;
	for (size_t i = 0; i < count && gelf_getphdr(elf, i, &phdr); i++) {
		uint64_t end = phdr.p_vaddr + phdr.p_memsz;

		if (phdr.p_type == PT_LOAD) {
			if (phdr.p_vaddr < program->start_addr)
				program->start_addr = phdr.p_vaddr;
			if (end > program->end_addr)
				program->end_addr = end;
		} else if (phdr.p_type == PT_GNU_RELRO) {
			relro_ret->start = phdr.p_vaddr;
			relro_ret->end = end;
		} else if (phdr.p_type == PT_TLS) {
			program->tls_size = phdr.p_memsz;
			program->tls_align = phdr.p_align;
		}
	}
}

static struct hfx_error *load_section(struct program *program, Elf_Scn *scn,
                                      const GElf_Shdr *shdr, const char *name,
                                      const struct address_range *relro)
{
	bool is_relro = shdr->sh_addr >= relro->start &&
	                shdr->sh_addr + shdr->sh_size <= relro->end;
	struct section section = {
		.name = name,
		.kind = section_kind_of(shdr, name, is_relro),
		.addr = shdr->sh_addr,
		.size = shdr->sh_size,
		.align = shdr->sh_addralign,
		.flags = shdr->sh_flags,
	};

	if (shdr->sh_addr + shdr->sh_size < shdr->sh_addr)
		return hfx_error_create(HFX_ERROR_BAD_ELF,
		                        "%s: section %s wraps around the "
		                        "address space; the file is damaged",
		                        program->path, name);
	if (shdr->sh_type != SHT_NOBITS && shdr->sh_size) {
		Elf_Data *data = elf_rawdata(scn, NULL);

		if (!data || !data->d_buf || data->d_size != shdr->sh_size)
			return elf_file_error(program->elf, name);
		section.data = data->d_buf;
	}
	program->sections[program->num_sections++] = section;
	return NULL;
}

static struct hfx_error *load_sections(struct program *program)
{
	Elf *elf = program->elf->elf;
	struct address_range relro = {0, 0};
	size_t count, strings;
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	load_segments(program, elf, &relro);
	if (elf_getshdrnum(elf, &count) || elf_getshdrstrndx(elf, &strings))
		return elf_file_error(program->elf, "section headers");
	program->sections = calloc(count, sizeof(*program->sections));
	if (!program->sections)
		return hfx_error_no_memory();
	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &shdr)) {
		const char *name = elf_strptr(elf, strings, shdr.sh_name);

		if (!name)
			return elf_file_error(program->elf, "section names");
		if (shdr.sh_flags & SHF_ALLOC)
			HFX_TRY(load_section(program, scn, &shdr, name,
			                     &relro));
		else if (!strcmp(name, ".comment"))
			program->comment = comment_text(scn);
	}
	return NULL;
}

static int compare_placed(const void *a, const void *b, void *context)
{
	const struct section *sections = context;
	const struct section *x = &sections[*(const uint32_t *)a];
	const struct section *y = &sections[*(const uint32_t *)b];

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* For program_section_at(). */
static struct hfx_error *index_sections(struct program *program)
{
	program->placed_sections = calloc(program->num_sections + 1,
	                                  sizeof(*program->placed_sections));
	if (!program->placed_sections)
		return hfx_error_no_memory();
	for (uint32_t i = 0; i < program->num_sections; i++)
		if (program->sections[i].kind != SECTION_TLS &&
		    program->sections[i].size)
			program->placed_sections
				[program->num_placed_sections++] = i;
	qsort_r(program->placed_sections, program->num_placed_sections,
	        sizeof(*program->placed_sections), compare_placed,
	        program->sections);
	return NULL;
}

static int compare_functions(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static const uint8_t *code_at(const struct program *program,
                              const struct symbol *symbol)
{
	if (symbol->section == NO_INDEX)
		return NULL;
	const struct section *section = &program->sections[symbol->section];

	if (section->kind != SECTION_CODE || !section->data ||
	    symbol->addr - section->addr > section->size - symbol->size)
		return NULL;
	return section->data + (symbol->addr - section->addr);
}

static bool is_code_symbol(const struct symbol *symbol)
{
	return symbol->kind == SYMBOL_FUNCTION || symbol->kind == SYMBOL_IFUNC;
}

/* Symbols of one address that are code: one function. */
static bool add_function(struct program *program, uint32_t first,
                         uint32_t count)
{
	const struct symbol *symbols = program->symbols;
	struct function function = {
		.addr = symbols[first].addr,
		.first_symbol = first,
		.num_symbols = count,
		.symbol = first,
		.parent = NO_INDEX,
		.peer = NO_INDEX,
	};

	for (uint32_t i = first; i < first + count; i++) {
		if (symbols[i].size > function.size)
			function.size = symbols[i].size;
		if (symbols[function.symbol].is_local && !symbols[i].is_local)
			function.symbol = i;
	}
	struct symbol whole = symbols[first];
	whole.size = function.size;
	function.code = code_at(program, &whole);
	return !function.code || HFX_ARRAY_PUSH(program, functions, function);
}

static struct hfx_error *load_functions(struct program *program)
{
	const struct symbol *symbols = program->symbols;
	size_t count = program->num_symbols - program->num_tls_symbols;

	for (size_t i = 0, end; i < count; i = end) {
		end = i + 1;
		if (!is_code_symbol(&symbols[i]))
			continue;
		while (end < count && symbols[end].addr == symbols[i].addr &&
		       is_code_symbol(&symbols[end]))
			end++;
		if (!add_function(program, i, end - i))
			return hfx_error_no_memory();
	}
	if (!program->num_functions)
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"%s: no function symbols; give a file that is not "
			"stripped, or its debug file with --old-debug or "
			"--new-debug",
			program->path);
	hfx_array_sort(program->functions, program->num_functions,
	               sizeof(*program->functions), compare_functions);
	for (size_t i = 0; i + 1 < program->num_functions; i++) {
		struct function *f = &program->functions[i];

		if (f->addr + f->size > f[1].addr)
			f->is_opaque = f[1].is_opaque = true;
	}
	return NULL;
}

/* A name of a function, cut before ".cold", to look up wholes by. */
struct whole_name {
	const char *name;
	size_t length;
	const char *file;
	uint32_t function;
};

static int compare_names(const void *a, const void *b)
{
	const struct whole_name *x = a, *y = b;
	size_t shorter = x->length < y->length ? x->length : y->length;
	int order = memcmp(x->name, y->name, shorter);

	if (order)
		return order;
	return x->length < y->length ? -1 : x->length > y->length;
}

static struct whole_name *collect_names(const struct program *program,
                                        size_t *count_ret)
{
	struct whole_name *names = calloc(program->num_symbols, sizeof(*names));
	size_t count = 0;

	for (uint32_t i = 0; names && i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];

		for (uint32_t s = 0; s < function->num_symbols; s++) {
			const struct symbol *symbol =
				&program->symbols[function->first_symbol + s];

			names[count++] = (struct whole_name){
				symbol->name, strlen(symbol->name),
				symbol->file, i};
		}
	}
	if (names)
		hfx_array_sort(names, count, sizeof(*names), compare_names);
	*count_ret = count;
	return names;
}

/* Of the functions with the wanted name, that of the same file, or any. */
static uint32_t find_whole(const struct whole_name *names, size_t count,
                           const struct whole_name *wanted)
{
	const struct whole_name *found = hfx_array_search(
		wanted, names, count, sizeof(*names), compare_names);

	if (!found)
		return NO_INDEX;
	while (found > names && !compare_names(found - 1, wanted))
		found--;
	uint32_t any = found->function;
	for (; found < names + count && !compare_names(found, wanted); found++)
		if (!strcmp(found->file, wanted->file))
			return found->function;
	return any;
}

/* foo.cold belongs to foo. */
static struct hfx_error *find_parents(struct program *program)
{
	size_t count;
	HFX_CLEANUP(hfx_free)
	struct whole_name *names = collect_names(program, &count);

	if (!names)
		return hfx_error_no_memory();
	for (size_t i = 0; i < program->num_functions; i++) {
		struct function *part = &program->functions[i];
		const struct symbol *symbol = &program->symbols[part->symbol];
		const char *suffix = strstr(symbol->name, ".cold");
		struct whole_name wanted = {.name = symbol->name,
		                            .file = symbol->file};

		if (!suffix)
			continue;
		wanted.length = suffix - symbol->name;
		part->parent = find_whole(names, count, &wanted);
	}
	return NULL;
}

static struct hfx_error *load_debug_info(struct program *program)
{
	if (!program->elf->dwarf)
		return NULL;
	return debug_info_create(program->elf->dwarf, program->path,
	                         &program->debug);
}

struct hfx_error *program_load(const char *path, const char *debug_path,
                               struct program **ret)
{
	struct program *program = calloc(1, sizeof(*program));
	if (!program)
		return hfx_error_no_memory();
	program->path = path;
	program->soname = program->comment = "";

	struct hfx_error *err = elf_file_open(path, debug_path, &program->elf);
	if (!err) {
		program->build_id = elf_build_id(program->elf->elf);
		err = load_sections(program);
	}
	if (!err)
		err = index_sections(program);
	if (!err)
		err = program_load_symbols(program);
	if (!err)
		err = load_functions(program);
	if (!err)
		err = program_load_dynamic(program);
	if (!err)
		err = program_load_kept(program);
	if (!err)
		err = find_parents(program);
	if (!err)
		err = load_debug_info(program);
	if (err) {
		program_destroy(program);
		return err;
	}
	*ret = program;
	return NULL;
}
