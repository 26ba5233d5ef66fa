/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

static struct hfx_error *collect(struct debug_info *debug)
{
	for (size_t i = 0; i < debug->num_listed; i++)
		HFX_TRY(debug_unit_variables(debug, debug->listed[i]));
	return NULL;
}

/* A variable may be told several times: the first in the file counts. */
static int compare_variables(const void *left, const void *right)
{
	const struct debug_variable *a = left;
	const struct debug_variable *b = right;
	const char *a_place = a->die.addr;
	const char *b_place = b->die.addr;

	if (a->is_tls != b->is_tls)
		return a->is_tls - b->is_tls;
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return (a_place > b_place) - (a_place < b_place);
}

static struct hfx_error *index_variables(struct debug_info *debug)
{
	if (debug->has_variables)
		return NULL;
	debug->num_variables = 0;
	HFX_TRY(debug_units_list(debug));
	HFX_TRY(collect(debug));
	hfx_array_sort(debug->variables, debug->num_variables,
	               sizeof(*debug->variables), compare_variables);
	debug->has_variables = true;
	return NULL;
}

static bool is_before(const struct debug_variable *variable, uint64_t addr,
                      bool is_tls)
{
	return variable->is_tls != is_tls ? is_tls : variable->addr < addr;
}

struct hfx_error *debug_variable_find(struct debug_info *debug, uint64_t addr,
                                      bool is_tls,
                                      const struct debug_variable **ret)
{
	size_t low = 0;
	size_t high;

	HFX_TRY(index_variables(debug));
	high = debug->num_variables;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (is_before(&debug->variables[middle], addr, is_tls))
			low = middle + 1;
		else
			high = middle;
	}
	*ret = NULL;
	if (low < debug->num_variables && debug->variables[low].addr == addr &&
	    debug->variables[low].is_tls == is_tls)
		*ret = &debug->variables[low];
	return NULL;
}

struct hfx_error *debug_variable_at(struct debug_info *debug, uint64_t addr,
                                    const struct debug_variable **ret)
{
	return debug_variable_find(debug, addr, false, ret);
}

struct hfx_error *debug_variable_unit(struct debug_info *debug,
                                      const struct debug_variable *variable,
                                      struct debug_unit **ret)
{
	Dwarf_Die die = variable->die;
	struct debug_unit *unit;
	Dwarf_Die origin;

	HFX_TRY(debug_unit_of(debug, die.cu, &unit));
	HFX_TRY(debug_follow_all(debug, &die, DW_AT_abstract_origin, &origin));
	return debug_home_unit(debug, unit, &origin, ret);
}

/**
 * Count the variables named as @p variable below @p die that come before it.
 *
 * @return True when @p variable was reached.
 */
static bool count_namesakes(Dwarf_Die *die, Dwarf_Die *variable,
                            const char *name, size_t *count)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(die, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		if (child.addr == variable->addr)
			return true;
		if (dwarf_tag(&child) == DW_TAG_variable &&
		    strcmp(debug_name(&child), name) == 0)
			++*count;
		/* What was inlined is not this function's own. */
		if (dwarf_tag(&child) != DW_TAG_inlined_subroutine &&
		    count_namesakes(&child, variable, name, count))
			return true;
	}
	return false;
}

/**
 * Put "FUNCTION/INDEX" of a variable in @p scope 's function before @p text.
 *
 * Not the linkage name: abstract instances may have none, and then the text
 * would change when the function gets inlined everywhere.
 */
static struct hfx_error *add_function(struct debug_info *debug,
                                      const struct debug_scope *scope,
                                      Dwarf_Die *variable, char **text)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	struct debug_subprogram function;
	Dwarf_Die die = scope->die;
	size_t index = 0;

	HFX_TRY(debug_subprogram_get(debug, &die, &function));
	HFX_TRY(debug_function_name(debug, &function, &name));
	count_namesakes(&die, variable, debug_name(variable), &index);
	return debug_text_set(text, "%s/%zu/%s", name, index, *text);
}

/** Put the namespaces and classes around @p scope, and it, before @p text. */
static struct hfx_error *add_namespaces(const struct debug_unit *unit,
                                        const struct debug_scope *scope,
                                        char **text)
{
	for (; scope; scope = debug_scope_parent(unit, scope)) {
		Dwarf_Die die = scope->die;
		const char *name = debug_name(&die);

		HFX_TRY(debug_text_set(text, "%s/%s",
		                       name[0] ? name : "(anonymous)", *text));
	}
	return NULL;
}

/* A function is named with its namespaces, so it ends the path. */
static struct hfx_error *scope_text(struct debug_info *debug, Dwarf_Die *die,
                                    char **text)
{
	const struct debug_scope *innermost;
	const struct debug_scope *scope;
	struct debug_unit *unit;

	HFX_TRY(debug_unit_of(debug, die->cu, &unit));
	HFX_TRY(debug_text_set(text, "%s", debug_name(die)));
	innermost = debug_scope_of(unit, die);
	for (scope = innermost; scope;
	     scope = debug_scope_parent(unit, scope)) {
		Dwarf_Die scope_die = scope->die;

		if (dwarf_tag(&scope_die) == DW_TAG_subprogram)
			return add_function(debug, scope, die, text);
	}
	return add_namespaces(unit, innermost, text);
}

struct hfx_error *debug_info_variable_scope(struct debug_info *debug,
                                            uint64_t addr, char **ret)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	const struct debug_variable *variable;
	struct debug_unit *unit;
	Dwarf_Die die;

	HFX_TRY(debug_variable_at(debug, addr, &variable));
	if (!variable) {
		HFX_TRY(debug_text_set(&text, "%s", ""));
		*ret = HFX_TAKE(text);
		return NULL;
	}
	die = variable->die;
	HFX_TRY(debug_follow_all(debug, &die, DW_AT_abstract_origin, &die));
	HFX_TRY(debug_follow_all(debug, &die, DW_AT_specification, &die));
	HFX_TRY(debug_variable_unit(debug, variable, &unit));
	HFX_TRY(scope_text(debug, &die, &text));
	HFX_TRY(debug_text_set(&text, "%s/%s", unit->name, text));
	*ret = HFX_TAKE(text);
	return NULL;
}
