/* SPDX-License-Identifier: MIT */
/*
 * A program that is linked for a fixed address holds addresses in its code and
 * data that look like any other number. Only the relocations that the linker
 * was told to keep (--emit-relocs) tell which are which.
 */
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "elf_file.h"
#include "program_private.h"

#define REMEDY                                                                 \
	"link both builds with -Wl,--emit-relocs, or build them with "         \
	"-fPIE -pie"

/* Whether the type is of a GOT slot, which linkers resolve to the symbol. */
static bool is_got_load(uint32_t type)
{
	return type == R_X86_64_GOTPCREL || type == R_X86_64_GOTPCRELX ||
	       type == R_X86_64_REX_GOTPCRELX;
}

static bool is_absolute(uint32_t type)
{
	return type == R_X86_64_64 || type == R_X86_64_32 ||
	       type == R_X86_64_32S;
}

static bool is_pointer_table(const struct section *section)
{
	return section->kind == SECTION_CONST ||
	       section->kind == SECTION_DATA ||
	       !strcmp(section->name, ".init_array") ||
	       !strcmp(section->name, ".preinit_array");
}

/* In data: a pointer, as the dynamic linker would relocate it. */
static struct hfx_error *add_pointer(struct program *program,
                                     const struct kept_relocation *kept)
{
	struct dynamic_relocation relocation = {
		.addr = kept->addr,
		.type = R_X86_64_RELATIVE,
		.symbol = "",
		.version = "",
		.library = "",
		.addend = kept->target,
	};

	/* Of a symbol that the dynamic linker resolves after all. */
	if (program_relocation_at(program, kept->addr))
		return NULL;
	return HFX_ARRAY_PUSH(program, relocations, relocation)
	               ? NULL
	               : hfx_error_no_memory();
}

static struct hfx_error *add_kept(struct program *program,
                                  struct kept_relocation kept)
{
	const struct section *section = program_section_at(program, kept.addr);

	if (!section)
		return NULL;
	if (section->kind == SECTION_CODE &&
	    (is_absolute(kept.type) || is_got_load(kept.type))) {
		if (is_got_load(kept.type)) {
			/* Distance from the field's end, of a slot no more. */
			kept.type = R_X86_64_32S;
			kept.target += 4;
		}
		return HFX_ARRAY_PUSH(program, kept, kept)
		               ? NULL
		               : hfx_error_no_memory();
	}
	if (!is_absolute(kept.type) || !is_pointer_table(section))
		return NULL;
	if (kept.type == R_X86_64_64)
		return add_pointer(program, &kept);
	return HFX_ARRAY_PUSH(program, kept, kept) ? NULL
	                                           : hfx_error_no_memory();
}

static struct hfx_error *read_section(struct program *program, Elf *elf,
                                      Elf_Scn *scn, const GElf_Shdr *shdr)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	Elf_Data *symbols = elf_getdata(elf_getscn(elf, shdr->sh_link), NULL);
	GElf_Rela rela;
	GElf_Sym sym;

	if (!data || !symbols || !shdr->sh_entsize)
		return elf_file_error(program->elf, "kept relocations");
	for (size_t i = 0; i < shdr->sh_size / shdr->sh_entsize; i++) {
		if (!gelf_getrela(data, i, &rela) ||
		    !gelf_getsym(symbols, GELF_R_SYM(rela.r_info), &sym))
			return elf_file_error(program->elf, "kept relocations");
		HFX_TRY(add_kept(program,
		                 (struct kept_relocation){
					 .addr = rela.r_offset,
					 .type = GELF_R_TYPE(rela.r_info),
					 .target = sym.st_value + rela.r_addend,
				 }));
	}
	return NULL;
}

static int compare_kept(const void *a, const void *b)
{
	const struct kept_relocation *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static struct hfx_error *read_kept(struct program *program, Elf *elf,
                                   bool *found_ret)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &shdr)) {
		if (shdr.sh_type != SHT_RELA || (shdr.sh_flags & SHF_ALLOC))
			continue;
		HFX_TRY(read_section(program, elf, scn, &shdr));
		*found_ret = true;
	}
	return NULL;
}

struct hfx_error *program_load_kept(struct program *program)
{
	struct elf_file *file = program->elf;
	bool found = false;
	GElf_Ehdr ehdr;

	if (!gelf_getehdr(file->elf, &ehdr) || ehdr.e_type != ET_EXEC)
		return NULL;
	program->is_fixed = program->is_executable = true;
	HFX_TRY(read_kept(program, file->elf, &found));
	if (!found && file->symbols_elf != file->elf)
		HFX_TRY(read_kept(program, file->symbols_elf, &found));
	if (!found)
		return hfx_error_create(HFX_ERROR_BAD_ELF,
		                        "%s: linked for a fixed address, and "
		                        "its relocations are not kept; " REMEDY,
		                        program->path);
	if (program->num_kept)
		qsort(program->kept, program->num_kept, sizeof(*program->kept),
		      compare_kept);
	program_sort_relocations(program);
	return NULL;
}

size_t program_kept_from(const struct program *program, uint64_t addr)
{
	size_t low = 0, high = program->num_kept;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (program->kept[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
