/* SPDX-License-Identifier: MIT */
#include "debug_package.h"

#include <dwarf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "cleanup.h"
#include "cursor.h"
#include "debug_private.h"
#include "file.h"

/** A file in memory, and libdw's handles of it. */
struct member {
	struct bytes file;
	Elf *elf;
	Dwarf *dwarf;
};

struct debug_package {
	int fd;
	Elf *elf;
	/** Whole sections; of NUM_DEBUG_SECTIONS those of a package. */
	struct debug_span sections[NUM_DEBUG_SECTIONS];
	/** .debug_cu_index */
	struct debug_span index;
	struct member *members;
	size_t num_members;
	size_t cap_members;
};

/** .debug_cu_index: where its parts begin (DWARF 5, 7.3.5.3). */
struct unit_index {
	uint32_t version;
	uint32_t num_columns;
	uint32_t num_units;
	uint32_t num_slots;
	size_t slots_off;
	size_t rows_off;
	size_t columns_off;
	size_t offsets_off;
	size_t sizes_off;
};

static void member_deinit(struct member *member)
{
	if (member->dwarf)
		dwarf_end(member->dwarf);
	if (member->elf)
		elf_end(member->elf);
	bytes_deinit(&member->file);
}

void debug_package_close(struct debug_package *package)
{
	if (!package)
		return;
	for (size_t i = 0; i < package->num_members; i++)
		member_deinit(&package->members[i]);
	free(package->members);
	if (package->elf)
		elf_end(package->elf);
	hfx_close(&package->fd);
	free(package);
}

/** A section's content, unpacked; empty if there is none. */
static struct debug_span section_of(Elf *elf, const char *name)
{
	Elf_Scn *scn = NULL;
	size_t strings;
	GElf_Shdr shdr;

	if (elf_getshdrstrndx(elf, &strings))
		return (struct debug_span){0};
	while ((scn = elf_nextscn(elf, scn))) {
		const char *its;
		Elf_Data *data;

		if (!gelf_getshdr(scn, &shdr))
			break;
		its = elf_strptr(elf, strings, shdr.sh_name);
		if (!its || strcmp(its, name) != 0)
			continue;
		if (shdr.sh_flags & SHF_COMPRESSED)
			elf_compress(scn, 0, 0);
		data = elf_getdata(scn, NULL);
		if (data && data->d_buf)
			return (struct debug_span){data->d_buf, data->d_size};
	}
	return (struct debug_span){0};
}

static void load_sections(struct debug_package *package)
{
	static const struct {
		enum debug_section section;
		const char *name;
	} parts[] = {
		{DEBUG_SECTION_INFO, ".debug_info.dwo"},
		{DEBUG_SECTION_ABBREV, ".debug_abbrev.dwo"},
		{DEBUG_SECTION_LINE, ".debug_line.dwo"},
		{DEBUG_SECTION_STR_OFFSETS, ".debug_str_offsets.dwo"},
		{DEBUG_SECTION_RNGLISTS, ".debug_rnglists.dwo"},
		{DEBUG_SECTION_STR, ".debug_str.dwo"},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		package->sections[parts[i].section] =
			section_of(package->elf, parts[i].name);
	package->index = section_of(package->elf, ".debug_cu_index");
}

/** Types in units of their own are shared by units: not taken apart. */
static bool has_type_units(Elf *elf)
{
	struct debug_span index = section_of(elf, ".debug_tu_index");
	struct cursor cursor = cursor_init(index.data, index.size);

	cursor_seek(&cursor, 8);
	return cursor_u32(&cursor) > 0;
}

struct hfx_error *debug_package_open(const char *path,
                                     struct debug_package **ret)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	struct debug_package *package;

	*ret = NULL;
	if (asprintf(&name, "%s.dwp", path) < 0) {
		name = NULL;
		return hfx_error_no_memory();
	}
	package = calloc(1, sizeof(*package));
	if (!package)
		return hfx_error_no_memory();
	package->fd = open(name, O_RDONLY | O_CLOEXEC);
	if (package->fd >= 0)
		package->elf = elf_begin(package->fd, ELF_C_READ_MMAP, NULL);
	if (!package->elf || elf_kind(package->elf) != ELF_K_ELF ||
	    has_type_units(package->elf)) {
		debug_package_close(package);
		return NULL;
	}
	load_sections(package);
	*ret = package;
	return NULL;
}

/* ---- The index ---------------------------------------------------------- */

static bool read_index(const struct debug_span *span, struct unit_index *ret)
{
	struct cursor cursor = cursor_init(span->data, span->size);
	uint64_t table_size;

	/* 4 bytes before DWARF 5, then 2 and 2 of padding. */
	ret->version = cursor_u32(&cursor) & 0xffff;
	ret->num_columns = cursor_u32(&cursor);
	ret->num_units = cursor_u32(&cursor);
	ret->num_slots = cursor_u32(&cursor);
	if (cursor.failed || (ret->version != 2 && ret->version != 5) ||
	    ret->num_columns > 16 || ret->num_units > 10000000 ||
	    ret->num_slots > 40000000)
		return false;
	table_size = (uint64_t)ret->num_units * ret->num_columns * 4;
	ret->slots_off = cursor.off;
	ret->rows_off = ret->slots_off + (size_t)ret->num_slots * 8;
	ret->columns_off = ret->rows_off + (size_t)ret->num_slots * 4;
	ret->offsets_off = ret->columns_off + (size_t)ret->num_columns * 4;
	ret->sizes_off = ret->offsets_off + table_size;
	return ret->sizes_off + table_size <= span->size;
}

static uint32_t u32_at(const struct debug_span *span, size_t off)
{
	struct cursor cursor = cursor_init(span->data, span->size);

	cursor_seek(&cursor, off);
	return cursor_u32(&cursor);
}

/** Row of a unit, counted from 0; false if there is none. */
static bool find_row(const struct debug_span *span,
                     const struct unit_index *index, uint64_t id, uint32_t *ret)
{
	struct cursor slots = cursor_init(span->data, span->size);

	cursor_seek(&slots, index->slots_off);
	for (uint32_t i = 0; i < index->num_slots; i++) {
		uint32_t row;

		if (cursor_u64(&slots) != id)
			continue;
		row = u32_at(span, index->rows_off + (size_t)i * 4);
		if (row == 0 || row > index->num_units)
			continue;
		*ret = row - 1;
		return true;
	}
	return false;
}

/** Section of a column (DWARF 5, 7.3.5.3, table 7.1; GNU's numbers). */
static bool section_of_column(const struct unit_index *index, uint32_t column,
                              enum debug_section *ret)
{
	switch (column) {
	case 1:
		*ret = DEBUG_SECTION_INFO;
		return true;
	case 3:
		*ret = DEBUG_SECTION_ABBREV;
		return true;
	case 4:
		*ret = DEBUG_SECTION_LINE;
		return true;
	case 6:
		*ret = DEBUG_SECTION_STR_OFFSETS;
		return true;
	case 8:
		*ret = DEBUG_SECTION_RNGLISTS;
		return index->version == 5;
	default:
		return false;
	}
}

/** Cut what a unit contributed out of the sections. */
static bool cut_row(const struct debug_package *package,
                    const struct unit_index *index, uint32_t row,
                    struct debug_pieces *pieces)
{
	for (uint32_t i = 0; i < index->num_columns; i++) {
		size_t place = ((size_t)row * index->num_columns + i) * 4;
		uint32_t off =
			u32_at(&package->index, index->offsets_off + place);
		uint32_t size =
			u32_at(&package->index, index->sizes_off + place);
		uint32_t column = u32_at(&package->index,
		                         index->columns_off + (size_t)i * 4);
		enum debug_section section;

		if (!section_of_column(index, column, &section) || !size)
			continue;
		if (!range_fits(off, size, package->sections[section].size))
			return false;
		pieces->spans[section] = (struct debug_span){
			package->sections[section].data + off, size};
	}
	pieces->spans[DEBUG_SECTION_STR] = package->sections[DEBUG_SECTION_STR];
	pieces->is_dwarf_5 = index->version == 5;
	return pieces->spans[DEBUG_SECTION_INFO].size &&
	       pieces->spans[DEBUG_SECTION_ABBREV].size;
}

/* ---- What the program has of a unit ------------------------------------- */

static uint64_t number_of(Dwarf_Die *die, unsigned name, unsigned gnu_name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (!dwarf_formudata(dwarf_attr(die, name, &attr), &value) ||
	    !dwarf_formudata(dwarf_attr(die, gnu_name, &attr), &value))
		return value;
	return 0;
}

static struct debug_span behind(struct debug_span span, uint64_t off)
{
	if (off >= span.size)
		return (struct debug_span){0};
	return (struct debug_span){span.data + off, span.size - off};
}

/** The line table of the skeleton: its file names are the unit's. */
static struct debug_span line_table(Elf *elf, Dwarf_Die *skeleton)
{
	struct debug_span span =
		behind(section_of(elf, ".debug_line"),
	               number_of(skeleton, DW_AT_stmt_list, DW_AT_stmt_list));
	struct cursor cursor = cursor_init(span.data, span.size);
	uint64_t size = 4 + (uint64_t)cursor_u32(&cursor);

	if (cursor.failed || size > span.size)
		return (struct debug_span){0};
	span.size = size;
	return span;
}

static void add_own(Elf *elf, Dwarf_Die *skeleton, struct debug_pieces *pieces)
{
	struct debug_span *spans = pieces->spans;
	Dwarf_Addr low_addr;

	if (!dwarf_lowpc(skeleton, &low_addr))
		pieces->base_addr = low_addr;
	spans[DEBUG_SECTION_ADDR] = behind(
		section_of(elf, ".debug_addr"),
		number_of(skeleton, DW_AT_addr_base, DW_AT_GNU_addr_base));
	if (!pieces->is_dwarf_5)
		spans[DEBUG_SECTION_RANGES] =
			behind(section_of(elf, ".debug_ranges"),
		               number_of(skeleton, DW_AT_GNU_ranges_base,
		                         DW_AT_GNU_ranges_base));
	if (spans[DEBUG_SECTION_LINE].size)
		return;
	spans[DEBUG_SECTION_LINE] = line_table(elf, skeleton);
	spans[DEBUG_SECTION_LINE_STR] = section_of(elf, ".debug_line_str");
}

static bool id_of(Dwarf_Die *skeleton, uint64_t *ret)
{
	uint8_t type;

	return !dwarf_cu_info(skeleton->cu, NULL, &type, NULL, NULL, ret, NULL,
	                      NULL) &&
	       type == DW_UT_skeleton;
}

/** Open a file in memory, whose first unit is the one. */
static struct hfx_error *open_member(struct member *member, Dwarf_Die *ret,
                                     bool *found_ret)
{
	Dwarf_CU *cu = NULL;

	member->elf = elf_memory((char *)member->file.data, member->file.size);
	if (member->elf)
		member->dwarf =
			dwarf_begin_elf(member->elf, DWARF_C_READ, NULL);
	*found_ret = member->dwarf && !dwarf_get_units(member->dwarf, NULL, &cu,
	                                               NULL, NULL, ret, NULL);
	return NULL;
}

struct hfx_error *debug_package_unit(struct debug_package *package, Dwarf *main,
                                     Dwarf_Die *skeleton, Dwarf_Die *ret,
                                     bool *found_ret)
{
	HFX_CLEANUP(member_deinit) struct member member = {0};
	struct debug_pieces pieces = {0};
	struct unit_index index;
	uint64_t id;
	uint32_t row;

	*found_ret = false;
	if (!id_of(skeleton, &id) || !read_index(&package->index, &index) ||
	    !find_row(&package->index, &index, id, &row) ||
	    !cut_row(package, &index, row, &pieces))
		return NULL;
	add_own(dwarf_getelf(main), skeleton, &pieces);
	HFX_TRY(debug_package_compose(&pieces, &member.file));
	HFX_TRY(open_member(&member, ret, found_ret));
	if (!*found_ret)
		return NULL;
	if (!HFX_ARRAY_PUSH(package, members, member))
		return hfx_error_no_memory();
	member = (struct member){0};
	return NULL;
}
