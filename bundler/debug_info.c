/* SPDX-License-Identifier: MIT */
#include "debug_info.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "debug_private.h"

/* Deeper than any compiler inlines. */
#define MAX_INLINE_DEPTH 100

struct hfx_error *debug_info_create(Dwarf *dwarf, const char *path,
                                    struct debug_info **ret)
{
	struct debug_info *debug = calloc(1, sizeof(*debug));

	if (!debug)
		return hfx_error_no_memory();
	debug->dwarf = dwarf;
	debug->path = path;
	*ret = debug;
	return NULL;
}

void debug_info_destroy(struct debug_info *debug)
{
	if (!debug)
		return;
	tdestroy(debug->units, debug_unit_destroy);
	free(debug->listed);
	free(debug->indexed);
	free(debug->ranges.items);
	free(debug->variables);
	debug_package_close(debug->package);
	free(debug);
}

struct hfx_error *debug_error_damaged(const struct debug_info *debug,
                                      const char *text)
{
	return hfx_error_create(HFX_ERROR_BAD_ELF,
	                        "%s: DWARF damaged: %s; rebuild it with -g or "
	                        "pass the right --old-debug/--new-debug file",
	                        debug->path, text ? text : dwarf_errmsg(-1));
}

void debug_function_deinit(struct debug_function *function)
{
	free(function->unit);
	free(function->name);
	free(function->linkage_name);
	free(function->source);
	free(function->signature);
	*function = (struct debug_function){0};
}

struct hfx_error *debug_unit_at(struct debug_info *debug, uint64_t addr,
                                struct debug_unit **ret)
{
	uint32_t index;

	*ret = NULL;
	HFX_TRY(debug_units_list(debug));
	index = debug_ranges_find(&debug->ranges, addr);
	if (index == DEBUG_NO_INDEX)
		return NULL;
	return debug_unit_of(debug, debug->listed[index]->cu, ret);
}

struct hfx_error *debug_info_folder_at(struct debug_info *debug, uint64_t addr,
                                       const char **ret)
{
	struct debug_unit *unit;

	HFX_TRY(debug_unit_at(debug, addr, &unit));
	*ret = unit && unit->folder ? unit->folder : "";
	return NULL;
}

struct hfx_error *debug_subprogram_get(struct debug_info *debug, Dwarf_Die *die,
                                       struct debug_subprogram *ret)
{
	struct debug_subprogram function = {.die = *die};
	struct debug_unit *unit;

	HFX_TRY(debug_unit_of(debug, die->cu, &unit));
	HFX_TRY(debug_follow_all(debug, &function.die, DW_AT_abstract_origin,
	                         &function.origin));
	HFX_TRY(debug_follow_all(debug, &function.origin, DW_AT_specification,
	                         &function.declaration));
	HFX_TRY(debug_home_unit(debug, unit, &function.origin, &function.unit));
	*ret = function;
	return NULL;
}

struct hfx_error *debug_subprogram_at(struct debug_info *debug, uint64_t addr,
                                      struct debug_subprogram *ret,
                                      bool *found_ret)
{
	struct debug_unit *unit;
	uint32_t index = DEBUG_NO_INDEX;

	*found_ret = false;
	HFX_TRY(debug_unit_at(debug, addr, &unit));
	if (unit)
		index = debug_ranges_find(&unit->ranges, addr);
	if (index == DEBUG_NO_INDEX)
		return NULL;
	*found_ret = true;
	return debug_subprogram_get(debug, &unit->functions[index], ret);
}

static struct hfx_error *describe_function(struct debug_info *debug,
                                           struct debug_subprogram *function,
                                           struct debug_function *ret)
{
	HFX_TRY(debug_text_set(&ret->unit, "%s", function->unit->name));
	HFX_TRY(debug_text_set(&ret->linkage_name, "%s",
	                       debug_linkage_name(&function->die)));
	HFX_TRY(debug_declaration_place(&function->origin, &ret->source));
	return debug_signature(debug, function, &ret->name, &ret->signature);
}

struct hfx_error *debug_info_count_missing(struct debug_info *debug,
                                           size_t *ret)
{
	HFX_TRY(debug_units_list(debug));
	*ret = debug->num_missing;
	return NULL;
}

static struct hfx_error *describe_nothing(struct debug_function *ret)
{
	HFX_TRY(debug_text_set(&ret->unit, "%s", ""));
	HFX_TRY(debug_text_set(&ret->name, "%s", ""));
	HFX_TRY(debug_text_set(&ret->linkage_name, "%s", ""));
	HFX_TRY(debug_text_set(&ret->source, "%s", ""));
	return debug_text_set(&ret->signature, "%s", "");
}

struct hfx_error *debug_info_function(struct debug_info *debug, uint64_t addr,
                                      struct debug_function *ret)
{
	HFX_CLEANUP(debug_function_deinit) struct debug_function made = {0};
	struct debug_subprogram function;
	bool found;

	HFX_TRY(debug_subprogram_at(debug, addr, &function, &found));
	if (found)
		HFX_TRY(describe_function(debug, &function, &made));
	else
		HFX_TRY(describe_nothing(&made));
	*ret = made;
	made = (struct debug_function){0};
	return NULL;
}

/** Child of @p die whose code holds @p addr and may hold inlined code. */
static bool inner_at(Dwarf_Die *die, uint64_t addr, Dwarf_Die *ret)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(die, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		int tag = dwarf_tag(&child);

		if ((tag == DW_TAG_inlined_subroutine ||
		     tag == DW_TAG_lexical_block) &&
		    dwarf_haspc(&child, addr) > 0) {
			*ret = child;
			return true;
		}
	}
	return false;
}

/** Whether @p die is declared in a header of the system: not what changed. */
static bool is_of_system(Dwarf_Die *die)
{
	const char *file = debug_declaration_file(die);

	return file && !strncmp(file, "/usr/", strlen("/usr/"));
}

struct hfx_error *debug_info_inlined_at(struct debug_info *debug, uint64_t addr,
                                        char **name_ret)
{
	struct debug_subprogram function;
	const char *name = NULL;
	char *copy = NULL;
	Dwarf_Die die;
	bool found;

	HFX_TRY(debug_subprogram_at(debug, addr, &function, &found));
	die = function.die;
	while (found && inner_at(&die, addr, &die)) {
		if (dwarf_tag(&die) == DW_TAG_inlined_subroutine &&
		    !is_of_system(&die))
			name = debug_linkage_name(&die);
	}
	if (name)
		HFX_TRY(debug_text_set(&copy, "%s", name));
	*name_ret = copy;
	return NULL;
}

static bool has_inlined(Dwarf_Die *die, const char *name, unsigned int depth)
{
	const char *inlined;
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(die, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		int tag = dwarf_tag(&child);

		if (tag != DW_TAG_inlined_subroutine &&
		    tag != DW_TAG_lexical_block)
			continue;
		inlined = tag == DW_TAG_inlined_subroutine
		                  ? debug_linkage_name(&child)
		                  : NULL;
		if ((inlined && !strcmp(inlined, name)) ||
		    (depth && has_inlined(&child, name, depth - 1)))
			return true;
	}
	return false;
}

struct hfx_error *debug_info_inlines(struct debug_info *debug, uint64_t addr,
                                     const char *name, bool *ret)
{
	struct debug_subprogram function;
	bool found;

	HFX_TRY(debug_subprogram_at(debug, addr, &function, &found));
	*ret = found && has_inlined(&function.die, name, MAX_INLINE_DEPTH);
	return NULL;
}

/**
 * Line of @p addr. Code that is of no line (clang's line 0) counts to the line
 * before it.
 */
static Dwarf_Line *line_at(struct debug_unit *of, uint64_t addr,
                           int *number_ret)
{
	Dwarf_Die *unit = of->skeleton.addr ? &of->skeleton : &of->die;
	Dwarf_Line *line = dwarf_getsrc_die(unit, addr);
	Dwarf_Lines *lines;
	size_t count;
	bool is_behind = false;

	*number_ret = 0;
	if (!line || dwarf_lineno(line, number_ret) || *number_ret > 0 ||
	    dwarf_getsrclines(unit, &lines, &count))
		return line;
	while (count-- > 0 && *number_ret <= 0) {
		Dwarf_Line *other = dwarf_onesrcline(lines, count);
		bool is_end = false;

		is_behind = is_behind || other == line;
		if (!is_behind)
			continue;
		if (dwarf_lineendsequence(other, &is_end) || is_end)
			break;
		line = other;
		if (dwarf_lineno(line, number_ret))
			break;
	}
	return line;
}

struct hfx_error *debug_info_line_at(struct debug_info *debug, uint64_t addr,
                                     char **ret)
{
	struct debug_unit *unit;
	const char *file = NULL;
	Dwarf_Line *line;
	int number = 0;
	char *text = NULL;

	HFX_TRY(debug_unit_at(debug, addr, &unit));
	line = unit ? line_at(unit, addr, &number) : NULL;
	if (line)
		file = dwarf_linesrc(line, NULL, NULL);
	HFX_TRY(debug_place_text(file, unit ? unit->folder : NULL, number,
	                         &text));
	*ret = text;
	return NULL;
}

static struct hfx_error *function_unit(struct debug_info *debug, uint64_t addr,
                                       struct debug_unit **ret)
{
	struct debug_subprogram function;
	bool found;

	HFX_TRY(debug_subprogram_at(debug, addr, &function, &found));
	if (!found) /* Assembly has units, but perhaps no functions. */
		return debug_unit_at(debug, addr, ret);
	*ret = function.unit;
	return NULL;
}

struct hfx_error *debug_info_has_types(struct debug_info *debug, uint64_t addr,
                                       bool *ret)
{
	struct debug_unit *unit;

	HFX_TRY(function_unit(debug, addr, &unit));
	*ret = unit && (unit->has_types ||
	                dwarf_srclang(&unit->die) == DW_LANG_Mips_Assembler);
	return NULL;
}

static struct hfx_error *variable_unit(struct debug_info *debug, uint64_t addr,
                                       struct debug_unit **ret)
{
	const struct debug_variable *variable;

	HFX_TRY(debug_variable_at(debug, addr, &variable));
	*ret = NULL;
	return variable ? debug_variable_unit(debug, variable, ret) : NULL;
}

struct hfx_error *debug_info_unit_at(struct debug_info *debug, uint64_t addr,
                                     bool is_variable, char **ret)
{
	struct debug_unit *unit;
	char *text = NULL;

	if (is_variable)
		HFX_TRY(variable_unit(debug, addr, &unit));
	else
		HFX_TRY(function_unit(debug, addr, &unit));
	HFX_TRY(debug_text_set(&text, "%s", unit ? unit->name : ""));
	*ret = text;
	return NULL;
}

static bool is_called_in(Dwarf_Die *inlined, uint64_t line)
{
	Dwarf_Attribute attr;
	Dwarf_Word found;

	return dwarf_attr(inlined, DW_AT_call_line, &attr) &&
	       !dwarf_formudata(&attr, &found) && found == line;
}

struct hfx_error *debug_info_is_of_line(struct debug_info *debug, uint64_t addr,
                                        uint64_t line, bool *ret)
{
	struct debug_subprogram function;
	struct debug_unit *unit;
	bool found, is_of_line;
	int number = 0;

	HFX_TRY(debug_unit_at(debug, addr, &unit));
	if (unit)
		line_at(unit, addr, &number);
	is_of_line = number > 0 && (uint64_t)number == line;
	HFX_TRY(debug_subprogram_at(debug, addr, &function, &found));
	while (found && !is_of_line &&
	       inner_at(&function.die, addr, &function.die))
		if (dwarf_tag(&function.die) == DW_TAG_inlined_subroutine)
			is_of_line = is_called_in(&function.die, line);
	*ret = is_of_line;
	return NULL;
}
