/* SPDX-License-Identifier: MIT */
/*
 * What the linker was told to keep (--emit-relocs). A program that is linked
 * for a fixed address holds addresses in its code and data that look like any
 * other number: only relocations tell which are which. In any program they tell
 * of which object a reference counts from, where it names one.
 */
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "elf_file.h"
#include "place.h"
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
	       section->kind == SECTION_DATA || section->kind == SECTION_TLS ||
	       !strcmp(section->name, ".init_array") ||
	       !strcmp(section->name, ".preinit_array");
}

/*
 * In data: a pointer, as the dynamic linker would relocate it. The relocations
 * that were there before are sorted, up to `num_sorted`; those of symbols that
 * the dynamic linker resolves after all are among them.
 */
static struct hfx_error *add_pointer(struct program *program, size_t num_sorted,
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
	struct program sorted = {
		.relocations = program->relocations,
		.num_relocations = num_sorted,
	};

	if (program_relocation_at(&sorted, kept->addr))
		return NULL;
	return HFX_ARRAY_PUSH(program, relocations, relocation)
	               ? NULL
	               : hfx_error_no_memory();
}

/* As program_section_at(), but also initial values of thread-local variables.
 */
static const struct section *section_at(const struct program *program,
                                        uint64_t addr)
{
	const struct section *section = program_tls_data_at(program, addr);

	return section ? section : program_section_at(program, addr);
}

/*
 * What the place holds is what the program uses: the linker may have put the
 * address of a PLT stub there, or of what a GOT slot would have held.
 */
static bool read_target(const struct section *section,
                        struct kept_relocation *kept)
{
	uint64_t size = kept->type == R_X86_64_64 ? 8 : 4;
	uint64_t off = kept->addr - section->addr;
	const uint8_t *bytes;
	int32_t narrow;

	if (!section->data || size > section->size - off)
		return false;
	bytes = section->data + off;
	memcpy(&kept->target, bytes, size);
	if (kept->type == R_X86_64_32S) {
		memcpy(&narrow, bytes, sizeof(narrow));
		kept->target = (uint64_t)(int64_t)narrow;
	}
	return true;
}

static struct hfx_error *add_kept(struct program *program, size_t num_sorted,
                                  struct kept_relocation kept)
{
	const struct section *section = section_at(program, kept.addr);
	bool is_code = section && section->kind == SECTION_CODE;

	if (is_code && is_got_load(kept.type)) {
		kept.type = R_X86_64_32S;
		kept.was_got_load = true;
	}
	if (!section || !is_absolute(kept.type) ||
	    (!is_code && !is_pointer_table(section)) ||
	    !read_target(section, &kept))
		return NULL;
	/* A weak symbol that nobody defines: a plain zero. */
	if (!kept.target)
		return NULL;
	if (!is_code && kept.type == R_X86_64_64)
		return add_pointer(program, num_sorted, &kept);
	return HFX_ARRAY_PUSH(program, kept, kept) ? NULL
	                                           : hfx_error_no_memory();
}

/* Whether the linker has made a load from a GOT slot one of the address. */
static bool is_relaxed(const struct program *program, uint64_t addr,
                       uint64_t target)
{
	const uint8_t *bytes = program_bytes(program, addr, 4);
	int32_t distance;

	if (!bytes)
		return false;
	memcpy(&distance, bytes, sizeof(distance));
	return addr + sizeof(distance) + (uint64_t)(int64_t)distance == target;
}

static bool is_object(const GElf_Sym *sym)
{
	return GELF_ST_TYPE(sym->st_info) == STT_OBJECT &&
	       sym->st_shndx != SHN_UNDEF;
}

/* A distance to an object with a name: the reference counts from there. */
static struct hfx_error *add_anchor(struct program *program, uint64_t addr,
                                    uint32_t type, const GElf_Sym *sym)
{
	const struct section *section = program_section_at(program, addr);
	struct kept_relocation kept = {
		.addr = addr,
		.type = R_X86_64_PC32,
		.target = sym->st_value,
		.anchor = sym->st_value,
	};

	if (!section || section->kind != SECTION_CODE ||
	    (type != R_X86_64_PC32 && !is_got_load(type)) || !is_object(sym) ||
	    (is_got_load(type) && !is_relaxed(program, addr, sym->st_value)))
		return NULL;
	return HFX_ARRAY_PUSH(program, kept, kept) ? NULL
	                                           : hfx_error_no_memory();
}

static struct hfx_error *read_section(struct program *program,
                                      size_t num_sorted, Elf *elf, Elf_Scn *scn,
                                      const GElf_Shdr *shdr)
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
		uint32_t type = GELF_R_TYPE(rela.r_info);
		HFX_TRY(add_anchor(program, rela.r_offset, type, &sym));
		if (program->is_fixed)
			HFX_TRY(add_kept(
				program, num_sorted,
				(struct kept_relocation){
					.addr = rela.r_offset,
					.type = type,
					.anchor = is_object(&sym) ? sym.st_value
			                                          : 0,
				}));
	}
	return NULL;
}

static int compare_kept(const void *a, const void *b)
{
	const struct kept_relocation *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static struct hfx_error *read_kept(struct program *program, size_t num_sorted,
                                   Elf *elf, bool *found_ret)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &shdr)) {
		if (shdr.sh_type != SHT_RELA || (shdr.sh_flags & SHF_ALLOC))
			continue;
		HFX_TRY(read_section(program, num_sorted, elf, scn, &shdr));
		*found_ret = true;
	}
	return NULL;
}

/* Slots of the GOT that hold an address of the program itself. */
static struct hfx_error *add_slots(struct program *program, size_t num_sorted,
                                   const struct section *section)
{
	for (uint64_t off = 0; section->data && off + 8 <= section->size;
	     off += 8) {
		struct kept_relocation kept = {
			.addr = section->addr + off,
			.type = R_X86_64_64,
		};

		memcpy(&kept.target, section->data + off, 8);
		if (kept.target >= program->start_addr &&
		    kept.target < program->end_addr)
			HFX_TRY(add_pointer(program, num_sorted, &kept));
	}
	return NULL;
}

static struct hfx_error *add_all_slots(struct program *program,
                                       size_t num_sorted)
{
	for (size_t i = 0; i < program->num_sections; i++)
		if (program->sections[i].kind == SECTION_GOT)
			HFX_TRY(add_slots(program, num_sorted,
			                  &program->sections[i]));
	return NULL;
}

struct hfx_error *program_load_kept(struct program *program)
{
	struct elf_file *file = program->elf;
	size_t num_sorted = program->num_relocations;
	bool found = false;
	GElf_Ehdr ehdr;

	if (!gelf_getehdr(file->elf, &ehdr))
		return elf_file_error(file, "ELF header");
	if (ehdr.e_type == ET_EXEC)
		program->is_fixed = program->is_executable = true;
	HFX_TRY(read_kept(program, num_sorted, file->elf, &found));
	if (!found && file->symbols_elf != file->elf)
		HFX_TRY(read_kept(program, num_sorted, file->symbols_elf,
		                  &found));
	if (!found && program->is_fixed)
		return hfx_error_create(HFX_ERROR_BAD_ELF,
		                        "%s: linked for a fixed address, and "
		                        "its relocations are not kept; " REMEDY,
		                        program->path);
	if (program->is_fixed)
		HFX_TRY(add_all_slots(program, num_sorted));
	hfx_array_sort(program->kept, program->num_kept, sizeof(*program->kept),
	               compare_kept);
	program_sort_relocations(program);
	return NULL;
}

size_t program_kept_from(const struct program *program, uint64_t addr)
{
	const struct kept_relocation key = {.addr = addr};

	return hfx_array_lower_bound(&key, program->kept, program->num_kept,
	                             sizeof(key), compare_kept);
}

const struct symbol *program_anchor_at(const struct program *program,
                                       uint64_t addr)
{
	size_t i = program_kept_from(program, addr);

	for (; i < program->num_kept && program->kept[i].addr == addr; i++) {
		const struct kept_relocation *kept = &program->kept[i];

		if (!kept->anchor || kept->was_got_load)
			continue;
		const struct symbol *symbol =
			program_object_at(program, kept->anchor);
		return symbol && symbol->addr == kept->anchor ? symbol : NULL;
	}
	return NULL;
}
