/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <stdlib.h>

#include "array.h"
#include "cleanup.h"

void debug_code_deinit(struct debug_code *code)
{
	free(code->lines);
	*code = (struct debug_code){0};
}

static uint64_t row_addr(Dwarf_Lines *rows, size_t i)
{
	Dwarf_Addr addr = 0;

	(void)dwarf_lineaddr(dwarf_onesrcline(rows, i), &addr);
	return addr;
}

/** The first row at @p addr, else the last one before it. */
static size_t row_for(Dwarf_Lines *rows, size_t count, uint64_t addr)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (row_addr(rows, middle) < addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < count && row_addr(rows, low) == addr)
		return low;
	return low ? low - 1 : 0;
}

static struct hfx_error *add_row(struct debug_code *code, Dwarf_Line *row,
                                 uint64_t addr)
{
	struct debug_line line = {.addr = addr};
	int number = 0;
	bool is_end = false;

	if (dwarf_lineendsequence(row, &is_end) || is_end)
		return NULL;
	line.path = dwarf_linesrc(row, NULL, NULL);
	if (!line.path || dwarf_lineno(row, &number) || number < 0 ||
	    dwarf_linebeginstatement(row, &line.is_statement))
		return NULL;
	line.number = (uint32_t)number;
	return HFX_ARRAY_PUSH(code, lines, line) ? NULL : hfx_error_no_memory();
}

static struct hfx_error *add_rows(struct debug_code *code, Dwarf_Die *unit,
                                  uint64_t addr, uint64_t size)
{
	Dwarf_Lines *rows;
	size_t count;

	/* Without lines there is still the name. */
	if (dwarf_getsrclines(unit, &rows, &count) || !count)
		return NULL;
	for (size_t i = row_for(rows, count, addr); i < count; i++) {
		uint64_t start = row_addr(rows, i);

		if (start >= addr + size)
			break;
		HFX_TRY(add_row(code, dwarf_onesrcline(rows, i),
		                start < addr ? addr : start));
	}
	return NULL;
}

struct hfx_error *debug_info_code(struct debug_info *debug, uint64_t addr,
                                  uint64_t size, struct debug_code *ret)
{
	HFX_CLEANUP(debug_code_deinit) struct debug_code code = {0};
	struct debug_subprogram function;
	struct debug_unit *unit;
	bool found;

	HFX_TRY(debug_unit_at(debug, addr, &unit));
	HFX_TRY(debug_subprogram_at(debug, addr, &function, &found));
	if (unit && found) {
		code.unit = debug_name(&function.unit->die);
		code.folder =
			function.unit->folder ? function.unit->folder : "";
		code.language = dwarf_srclang(&function.unit->die);
		code.name = debug_name(&function.declaration);
		if (!*code.name)
			code.name = debug_name(&function.origin);
		HFX_TRY(add_rows(&code, &unit->die, addr, size));
	}
	*ret = code;
	code = (struct debug_code){0};
	return NULL;
}
