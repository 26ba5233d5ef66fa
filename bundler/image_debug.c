/* SPDX-License-Identifier: MIT */
/*
 * One compilation unit for each run of functions, by address, that one unit of
 * NEW has. A unit holds nothing but its functions, and has a line program of
 * its own.
 */
#include "image_debug.h"

#include <stdlib.h>
#include <string.h>

#include <dwarf.h>

#include "array.h"
#include "cleanup.h"

#define DWARF_VERSION   4
#define ARANGES_VERSION 2
#define ADDRESS_SIZE    8

/** `opcode_base` of a line program: only standard opcodes are used. */
#define FIRST_SPECIAL_OPCODE 13

/** Abbreviations: a unit, and a function without and with linkage name. */
enum { ABBREV_UNIT = 1, ABBREV_FUNCTION, ABBREV_LINKED_FUNCTION };

struct code {
	const struct image_symbol *symbol;
	struct debug_code debug;
};

struct files {
	/** Borrowed. */
	const char **paths;
	size_t num_paths;
	size_t cap_paths;
};

struct writer {
	struct image_debug *out;
	struct code *codes;
	size_t num_codes;
	size_t cap_codes;
};

static void writer_deinit(struct writer *writer)
{
	for (size_t i = 0; i < writer->num_codes; i++)
		debug_code_deinit(&writer->codes[i].debug);
	free(writer->codes);
}

void image_debug_deinit(struct image_debug *image_debug)
{
	bytes_deinit(&image_debug->abbrevs);
	bytes_deinit(&image_debug->units);
	bytes_deinit(&image_debug->lines);
	bytes_deinit(&image_debug->ranges);
	bytes_deinit(&image_debug->addresses);
}

/** Where a length is that is not known yet. */
static size_t begin_length(struct bytes *bytes)
{
	size_t off = bytes->size;

	bytes_u32(bytes, 0);
	return off;
}

static void end_length(struct bytes *bytes, size_t off)
{
	bytes_set_u32(bytes, off, (uint32_t)(bytes->size - off - 4));
}

/* ---- Abbreviations (DWARF 4, 7.5.3) ------------------------------------ */

static void put_abbrev(struct bytes *out, uint64_t code, uint64_t tag,
                       bool has_children, const uint16_t (*attributes)[2])
{
	bytes_uleb128(out, code);
	bytes_uleb128(out, tag);
	bytes_u8(out, has_children);
	for (; (*attributes)[0]; attributes++) {
		bytes_uleb128(out, (*attributes)[0]);
		bytes_uleb128(out, (*attributes)[1]);
	}
	bytes_u16(out, 0);
}

static void put_abbrevs(struct bytes *out)
{
	static const uint16_t unit[][2] = {
		{DW_AT_producer, DW_FORM_string},
		{DW_AT_language, DW_FORM_data2},
		{DW_AT_name, DW_FORM_string},
		{DW_AT_comp_dir, DW_FORM_string},
		{DW_AT_low_pc, DW_FORM_addr},
		{DW_AT_ranges, DW_FORM_sec_offset},
		{DW_AT_stmt_list, DW_FORM_sec_offset},
		{0},
	};
	static const uint16_t function[][2] = {
		{DW_AT_name, DW_FORM_string},
		{DW_AT_external, DW_FORM_flag},
		{DW_AT_low_pc, DW_FORM_addr},
		{DW_AT_high_pc, DW_FORM_data8},
		{0},
	};
	static const uint16_t linked_function[][2] = {
		{DW_AT_linkage_name, DW_FORM_string},
		{DW_AT_name, DW_FORM_string},
		{DW_AT_external, DW_FORM_flag},
		{DW_AT_low_pc, DW_FORM_addr},
		{DW_AT_high_pc, DW_FORM_data8},
		{0},
	};

	put_abbrev(out, ABBREV_UNIT, DW_TAG_compile_unit, true, unit);
	put_abbrev(out, ABBREV_FUNCTION, DW_TAG_subprogram, false, function);
	put_abbrev(out, ABBREV_LINKED_FUNCTION, DW_TAG_subprogram, false,
	           linked_function);
	bytes_u8(out, 0);
}

/* ---- Lines (DWARF 4, 6.2) ---------------------------------------------- */

/** Number of @p path in the program's table, from 1; 0 if memory is short. */
static uint64_t file_number(struct files *files, const char *path)
{
	/* Neighbouring rows are mostly of the file that came last. */
	for (size_t i = files->num_paths; i-- > 0;)
		if (!strcmp(files->paths[i], path))
			return i + 1;
	return HFX_ARRAY_PUSH(files, paths, path) ? files->num_paths : 0;
}

static void put_line_header(struct bytes *out, const struct files *files)
{
	static const uint8_t operands[FIRST_SPECIAL_OPCODE - 1] = {
		0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};
	size_t length;

	bytes_u16(out, DWARF_VERSION);
	length = begin_length(out);
	bytes_u8(out, 1); /* minimum_instruction_length */
	bytes_u8(out, 1); /* maximum_operations_per_instruction */
	bytes_u8(out, 1); /* default_is_stmt */
	bytes_u8(out, (uint8_t)-1);
	bytes_u8(out, 4); /* line_base, line_range: not used */
	bytes_u8(out, FIRST_SPECIAL_OPCODE);
	bytes_put(out, operands, sizeof(operands));
	bytes_u8(out, 0); /* no folders: the paths are whole */
	for (size_t i = 0; i < files->num_paths; i++) {
		bytes_string(out, files->paths[i]);
		bytes_fill(out, 0, 3);
	}
	bytes_u8(out, 0);
	end_length(out, length);
}

static void put_sequence_start(struct bytes *out, uint64_t addr)
{
	bytes_u8(out, 0);
	bytes_uleb128(out, 1 + ADDRESS_SIZE);
	bytes_u8(out, DW_LNE_set_address);
	bytes_u64(out, addr);
}

static void put_sequence_end(struct bytes *out, uint64_t distance)
{
	bytes_u8(out, DW_LNS_advance_pc);
	bytes_uleb128(out, distance);
	bytes_u8(out, 0);
	bytes_uleb128(out, 1);
	bytes_u8(out, DW_LNE_end_sequence);
}

/** The rows of one function: a sequence of its own. */
static void put_rows(struct bytes *out, struct files *files,
                     const struct code *code)
{
	uint64_t addr = code->symbol->addr;
	uint64_t end = addr + code->symbol->size;
	uint64_t file = 1;
	int64_t number = 1;
	bool is_statement = true;

	put_sequence_start(out, addr);
	for (size_t i = 0; i < code->debug.num_lines; i++) {
		const struct debug_line *line = &code->debug.lines[i];
		uint64_t next = file_number(files, line->path);

		bytes_u8(out, DW_LNS_advance_pc);
		bytes_uleb128(out, line->addr - addr);
		if (next != file) {
			bytes_u8(out, DW_LNS_set_file);
			bytes_uleb128(out, next);
		}
		if (line->number != number) {
			bytes_u8(out, DW_LNS_advance_line);
			bytes_sleb128(out, (int64_t)line->number - number);
		}
		if (line->is_statement != is_statement)
			bytes_u8(out, DW_LNS_negate_stmt);
		bytes_u8(out, DW_LNS_copy);
		addr = line->addr;
		file = next;
		number = line->number;
		is_statement = line->is_statement;
	}
	put_sequence_end(out, end - addr);
}

/** The line program of the functions from @p first on. */
static struct hfx_error *put_lines(struct writer *writer, size_t first,
                                   size_t count)
{
	HFX_CLEANUP(bytes_deinit) struct bytes rows = {0};
	struct bytes *out = &writer->out->lines;
	struct files files = {0};
	size_t length;

	for (size_t i = first; i < first + count; i++)
		if (writer->codes[i].debug.num_lines)
			put_rows(&rows, &files, &writer->codes[i]);
	length = begin_length(out);
	put_line_header(out, &files);
	bytes_put(out, rows.data, rows.size);
	end_length(out, length);
	free(files.paths);
	return bytes_check(&rows);
}

/* ---- Units ------------------------------------------------------------- */

static void put_ranges(struct writer *writer, size_t first, size_t count)
{
	struct bytes *out = &writer->out->ranges;

	for (size_t i = first; i < first + count; i++) {
		const struct image_symbol *symbol = writer->codes[i].symbol;

		bytes_u64(out, symbol->addr);
		bytes_u64(out, symbol->addr + symbol->size);
	}
	bytes_fill(out, 0, 16);
}

/** DWARF 4, 6.1.2: which addresses the unit at @p unit_off has. */
static void put_addresses(struct writer *writer, size_t unit_off, size_t first,
                          size_t count)
{
	struct bytes *out = &writer->out->addresses;
	size_t length = begin_length(out);

	bytes_u16(out, ARANGES_VERSION);
	bytes_u32(out, (uint32_t)unit_off);
	bytes_u8(out, ADDRESS_SIZE);
	bytes_u8(out, 0);
	/* The table is aligned to its entries from the section's start. */
	bytes_align(out, 2 * ADDRESS_SIZE);
	for (size_t i = first; i < first + count; i++) {
		bytes_u64(out, writer->codes[i].symbol->addr);
		bytes_u64(out, writer->codes[i].symbol->size);
	}
	bytes_fill(out, 0, 16);
	end_length(out, length);
}

/** Pieces of functions keep the suffix that tells them from the function. */
static const char *name_of(const struct code *code)
{
	const char *name = code->debug.name;

	if (!*name || strstr(code->symbol->name, ".cold") ||
	    strstr(code->symbol->name, ".part"))
		return code->symbol->name;
	return name;
}

static void put_function(struct bytes *out, const struct code *code)
{
	const struct image_symbol *symbol = code->symbol;
	bool is_mangled = !strncmp(symbol->name, "_Z", 2);

	bytes_uleb128(out,
	              is_mangled ? ABBREV_LINKED_FUNCTION : ABBREV_FUNCTION);
	if (is_mangled)
		bytes_string(out, symbol->name);
	bytes_string(out, name_of(code));
	bytes_u8(out, !symbol->is_local);
	bytes_u64(out, symbol->addr);
	bytes_u64(out, symbol->size);
}

static struct hfx_error *put_unit(struct writer *writer, size_t first,
                                  size_t count)
{
	const struct debug_code *debug = &writer->codes[first].debug;
	struct bytes *out = &writer->out->units;
	size_t unit_off = out->size;
	size_t length = begin_length(out);

	bytes_u16(out, DWARF_VERSION);
	bytes_u32(out, 0);
	bytes_u8(out, ADDRESS_SIZE);
	bytes_uleb128(out, ABBREV_UNIT);
	bytes_string(out, "hfx-bundle " HFX_VERSION);
	bytes_u16(out, debug->language > 0 ? (uint16_t)debug->language
	                                   : DW_LANG_C99);
	bytes_string(out, debug->unit);
	bytes_string(out, debug->folder);
	bytes_u64(out, 0);
	bytes_u32(out, (uint32_t)writer->out->ranges.size);
	bytes_u32(out, (uint32_t)writer->out->lines.size);
	for (size_t i = first; i < first + count; i++)
		put_function(out, &writer->codes[i]);
	bytes_u8(out, 0);
	end_length(out, length);

	put_ranges(writer, first, count);
	put_addresses(writer, unit_off, first, count);
	return put_lines(writer, first, count);
}

/* ---- All of it --------------------------------------------------------- */

static bool is_same_unit(const struct code *a, const struct code *b)
{
	return !strcmp(a->debug.unit, b->debug.unit) &&
	       !strcmp(a->debug.folder, b->debug.folder);
}

static int by_addr(const void *a, const void *b)
{
	const struct code *left = a, *right = b;

	if (left->symbol->addr != right->symbol->addr)
		return left->symbol->addr < right->symbol->addr ? -1 : 1;
	return strcmp(left->symbol->name, right->symbol->name);
}

static struct hfx_error *add_code(struct writer *writer,
                                  const struct image_symbol *symbol,
                                  struct debug_info *debug)
{
	struct code code = {.symbol = symbol};

	HFX_TRY(debug_info_code(debug, symbol->addr, symbol->size,
	                        &code.debug));
	if (!code.debug.unit)
		return NULL;
	if (HFX_ARRAY_PUSH(writer, codes, code))
		return NULL;
	debug_code_deinit(&code.debug);
	return hfx_error_no_memory();
}

static struct hfx_error *put_units(struct writer *writer)
{
	size_t first = 0;

	put_abbrevs(&writer->out->abbrevs);
	for (size_t i = 1; i <= writer->num_codes; i++) {
		if (i < writer->num_codes &&
		    is_same_unit(&writer->codes[first], &writer->codes[i]))
			continue;
		HFX_TRY(put_unit(writer, first, i - first));
		first = i;
	}
	HFX_TRY(bytes_check(&writer->out->abbrevs));
	HFX_TRY(bytes_check(&writer->out->units));
	HFX_TRY(bytes_check(&writer->out->lines));
	HFX_TRY(bytes_check(&writer->out->ranges));
	return bytes_check(&writer->out->addresses);
}

struct hfx_error *image_debug_init(struct image_debug *image_debug,
                                   const struct image_description *description,
                                   struct debug_info *debug)
{
	HFX_CLEANUP(writer_deinit) struct writer writer = {.out = image_debug};

	*image_debug = (struct image_debug){0};
	for (size_t i = 0; debug && i < description->num_symbols; i++) {
		const struct image_symbol *symbol = &description->symbols[i];

		if (symbol->is_function && symbol->size)
			HFX_TRY(add_code(&writer, symbol, debug));
	}
	if (!writer.num_codes)
		return NULL;
	hfx_array_sort(writer.codes, writer.num_codes, sizeof(*writer.codes),
	               by_addr);
	return put_units(&writer);
}
