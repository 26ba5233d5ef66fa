/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

struct unit_pair {
	struct debug_unit *old_unit;
	struct debug_unit *new_unit;
};

struct unit_pairs {
	struct unit_pair *items;
	size_t num_items;
	size_t cap_items;
};

static void change_deinit(struct debug_type_change *change)
{
	free(change->name);
	free(change->member);
	free(change->source);
	type_parts_deinit(&change->old_parts);
	type_parts_deinit(&change->new_parts);
	free(change->key);
	free(change->users);
	free(change->holder);
}

void debug_type_changes_deinit(struct debug_type_changes *changes)
{
	for (size_t i = 0; i < changes->num_items; i++)
		change_deinit(&changes->items[i]);
	free(changes->items);
	*changes = (struct debug_type_changes){0};
}

static void pairs_deinit(struct unit_pairs *pairs)
{
	free(pairs->items);
}

static struct hfx_error *add_change(struct debug_type_change *change,
                                    struct debug_named_type *type,
                                    struct debug_type_changes *changes)
{
	Dwarf_Die *declaration = &type->declaration;

	change->is_typedef = type->die.addr != declaration->addr;
	HFX_TRY(debug_text_set(&change->name, "%s", type->name));
	HFX_TRY(debug_text_set(&change->key, "%s", debug_name(declaration)));
	HFX_TRY(debug_text_set(&change->holder, "%s", ""));
	HFX_TRY(debug_declaration_place(declaration, &change->source));
	for (size_t i = 0; i < changes->num_items; i++) {
		if (strcmp(changes->items[i].name, change->name) == 0 &&
		    strcmp(changes->items[i].source, change->source) == 0)
			return NULL;
	}
	if (!HFX_ARRAY_PUSH(changes, items, *change))
		return hfx_error_no_memory();
	*change = (struct debug_type_change){0};
	return NULL;
}

static struct hfx_error *compare_type(struct debug_pair *pair,
                                      struct debug_named_type *old_type,
                                      struct debug_named_type *new_type,
                                      struct debug_type_changes *changes)
{
	HFX_CLEANUP(change_deinit) struct debug_type_change change = {0};

	debug_number(&old_type->die, DW_AT_byte_size, &change.old_size);
	debug_number(&new_type->die, DW_AT_byte_size, &change.new_size);
	HFX_TRY(debug_types_differ(pair, &old_type->die, &new_type->die,
	                           &change.member));
	if (!change.member && change.old_size == change.new_size)
		return NULL;
	if (!change.member)
		HFX_TRY(debug_text_set(&change.member, "%s", ""));
	HFX_TRY(debug_type_parts(pair->old_debug, &old_type->die,
	                         &change.old_parts));
	HFX_TRY(debug_type_parts(pair->new_debug, &new_type->die,
	                         &change.new_parts));
	return add_change(&change, new_type, changes);
}

/** Walk two sorted tables; of several types with one name the first counts. */
static struct hfx_error *compare_tables(struct debug_pair *pair,
                                        struct debug_type_table *old_table,
                                        struct debug_type_table *new_table,
                                        struct debug_type_changes *changes)
{
	size_t old_index = 0;
	const char *last = "";

	for (size_t i = 0; i < new_table->num_items; i++) {
		struct debug_named_type *type = &new_table->items[i];

		if (strcmp(type->name, last) == 0)
			continue;
		last = type->name;
		while (old_index < old_table->num_items &&
		       strcmp(old_table->items[old_index].name, last) < 0)
			old_index++;
		if (old_index < old_table->num_items &&
		    strcmp(old_table->items[old_index].name, last) == 0)
			HFX_TRY(compare_type(pair, &old_table->items[old_index],
			                     type, changes));
	}
	return NULL;
}

static struct hfx_error *compare_units(struct debug_pair *pair,
                                       const struct unit_pair *units,
                                       struct debug_type_changes *changes)
{
	HFX_CLEANUP(debug_type_table_deinit)
	struct debug_type_table old_table = {.debug = pair->old_debug};
	HFX_CLEANUP(debug_type_table_deinit)
	struct debug_type_table new_table = {.debug = pair->new_debug};

	HFX_TRY(debug_type_table_fill(&old_table, units->old_unit));
	HFX_TRY(debug_type_table_fill(&new_table, units->new_unit));
	return compare_tables(pair, &old_table, &new_table, changes);
}

static struct hfx_error *add_pair(struct unit_pairs *pairs,
                                  const struct unit_pair *pair)
{
	for (size_t i = 0; i < pairs->num_items; i++) {
		if (pairs->items[i].old_unit == pair->old_unit &&
		    pairs->items[i].new_unit == pair->new_unit)
			return NULL;
	}
	if (!HFX_ARRAY_PUSH(pairs, items, *pair))
		return hfx_error_no_memory();
	return NULL;
}

/** OLD's unit of the name that a unit of NEW has; `NULL` if there is none. */
static struct hfx_error *unit_by_name(struct debug_info *debug,
                                      const char *name, struct debug_unit **ret)
{
	*ret = NULL;
	HFX_TRY(debug_units_list(debug));
	for (size_t i = 0; i < debug->num_listed && name[0]; i++)
		if (strcmp(debug->listed[i]->name, name) == 0)
			return debug_unit_of(debug, debug->listed[i]->cu, ret);
	return NULL;
}

static struct hfx_error *add_units(struct debug_pair *pair,
                                   const struct debug_function_pair *functions,
                                   struct unit_pairs *pairs)
{
	struct debug_subprogram old_function;
	struct debug_subprogram new_function;
	struct unit_pair units;
	bool found;

	HFX_TRY(debug_subprogram_at(pair->new_debug, functions->new_addr,
	                            &new_function, &found));
	if (!found)
		return NULL;
	units.new_unit = new_function.unit;
	HFX_TRY(debug_subprogram_at(pair->old_debug, functions->old_addr,
	                            &old_function, &found));
	if (found)
		units.old_unit = old_function.unit;
	else
		HFX_TRY(unit_by_name(pair->old_debug, new_function.unit->name,
		                     &units.old_unit));
	return units.old_unit ? add_pair(pairs, &units) : NULL;
}

struct hfx_error *
debug_info_compare_types(struct debug_info *old_debug,
                         struct debug_info *new_debug,
                         const struct debug_function_pair *functions,
                         size_t count, struct debug_type_changes *ret)
{
	struct debug_pair pair = {.old_debug = old_debug,
	                          .new_debug = new_debug};
	HFX_CLEANUP(debug_type_changes_deinit)
	struct debug_type_changes changes = {0};
	HFX_CLEANUP(pairs_deinit) struct unit_pairs pairs = {0};

	for (size_t i = 0; i < count; i++)
		HFX_TRY(add_units(&pair, &functions[i], &pairs));
	for (size_t i = 0; i < pairs.num_items; i++)
		HFX_TRY(compare_units(&pair, &pairs.items[i], &changes));
	HFX_TRY(debug_types_find_uses(&pair, functions, count, &changes));
	*ret = changes;
	changes = (struct debug_type_changes){0};
	return NULL;
}

struct hfx_error *debug_info_same_call(struct debug_info *old_debug,
                                       struct debug_info *new_debug,
                                       uint64_t old_addr, uint64_t new_addr,
                                       bool *ret)
{
	struct debug_pair pair = {.old_debug = old_debug,
	                          .new_debug = new_debug};
	struct debug_subprogram old_function;
	struct debug_subprogram new_function;
	bool found;

	*ret = true;
	HFX_TRY(debug_subprogram_at(old_debug, old_addr, &old_function,
	                            &found));
	if (found)
		HFX_TRY(debug_subprogram_at(new_debug, new_addr, &new_function,
		                            &found));
	if (!found)
		return NULL;
	return debug_functions_equal(&pair, &old_function, &new_function, ret);
}

struct hfx_error *debug_info_same_variable(struct debug_info *old_debug,
                                           struct debug_info *new_debug,
                                           uint64_t old_addr, uint64_t new_addr,
                                           bool *ret, char **old_type_ret,
                                           char **new_type_ret)
{
	HFX_CLEANUP(hfx_free) char *old_text = NULL;
	struct debug_pair pair = {.old_debug = old_debug,
	                          .new_debug = new_debug};
	const struct debug_variable *old_variable;
	const struct debug_variable *new_variable;

	*ret = true;
	*old_type_ret = *new_type_ret = NULL;
	HFX_TRY(debug_variable_at(old_debug, old_addr, &old_variable));
	HFX_TRY(debug_variable_at(new_debug, new_addr, &new_variable));
	if (!old_variable || !new_variable)
		return NULL;
	Dwarf_Die old_die = old_variable->die, new_die = new_variable->die;
	HFX_TRY(debug_types_equal(&pair, &old_die, &new_die, ret));
	if (*ret)
		return NULL;
	HFX_TRY(debug_declared_type(old_debug, &old_die, &old_text));
	HFX_TRY(debug_declared_type(new_debug, &new_die, new_type_ret));
	*old_type_ret = HFX_TAKE(old_text);
	return NULL;
}

struct hfx_error *debug_info_variable_source(struct debug_info *debug,
                                             uint64_t addr, char **ret)
{
	const struct debug_variable *variable;

	HFX_TRY(debug_variable_at(debug, addr, &variable));
	*ret = NULL;
	if (!variable)
		return debug_text_set(ret, "%s", "");
	Dwarf_Die die = variable->die;
	return debug_declaration_place(&die, ret);
}
