/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

void debug_type_table_deinit(struct debug_type_table *table)
{
	for (size_t i = 0; i < table->num_items; i++)
		free(table->items[i].name);
	free(table->items);
	free(table->units);
}

static const char *keyword(Dwarf_Die *type)
{
	switch (dwarf_tag(type)) {
	case DW_TAG_union_type:
		return "union ";
	case DW_TAG_enumeration_type:
		return "enum ";
	default:
		return "struct ";
	}
}

static struct hfx_error *add_named(struct debug_type_table *table,
                                   Dwarf_Die *type, Dwarf_Die *declaration)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	struct debug_named_type named = {.die = *type,
	                                 .declaration = *declaration};

	HFX_TRY(debug_qualified_name(table->debug, declaration, &name));
	if (table->is_c && type->addr == declaration->addr)
		HFX_TRY(debug_text_set(&name, "%s%s", keyword(type), name));
	named.name = name;
	if (!HFX_ARRAY_PUSH(table, items, named))
		return hfx_error_no_memory();
	name = NULL;
	return NULL;
}

static bool has_content(Dwarf_Die *type)
{
	return debug_is_aggregate(type) ||
	       dwarf_tag(type) == DW_TAG_enumeration_type;
}

/** A type with a name, or a typedef that names one without. */
static struct hfx_error *add_type(struct debug_type_table *table,
                                  Dwarf_Die *die)
{
	Dwarf_Die type;
	bool found;

	if (dwarf_tag(die) != DW_TAG_typedef)
		return debug_name(die)[0] ? add_named(table, die, die) : NULL;
	HFX_TRY(debug_follow(table->debug, die, DW_AT_type, &type, &found));
	if (!found || !has_content(&type))
		return NULL;
	HFX_TRY(debug_type_resolve(table->debug, &type, &type));
	if (debug_name(&type)[0] || dwarf_hasattr(&type, DW_AT_declaration))
		return NULL;
	return add_named(table, &type, die);
}

static struct hfx_error *add_unit(struct debug_type_table *table,
                                  struct debug_unit *unit, uint64_t visit)
{
	if (unit->visit == visit)
		return NULL;
	unit->visit = visit;
	if (!HFX_ARRAY_PUSH(table, units, unit))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *add_imports(struct debug_type_table *table,
                                     struct debug_unit *unit, uint64_t visit)
{
	for (size_t i = 0; i < unit->num_imports; i++) {
		struct debug_unit *imported;

		HFX_TRY(debug_unit_of(table->debug, unit->imports[i].cu,
		                      &imported));
		HFX_TRY(add_unit(table, imported, visit));
	}
	return NULL;
}

static int compare_named(const void *left, const void *right)
{
	const struct debug_named_type *a = left;
	const struct debug_named_type *b = right;
	const char *a_place = a->declaration.addr;
	const char *b_place = b->declaration.addr;
	int order = strcmp(a->name, b->name);

	return order ? order : (a_place > b_place) - (a_place < b_place);
}

struct hfx_error *debug_type_table_fill(struct debug_type_table *table,
                                        struct debug_unit *unit)
{
	uint64_t visit = ++table->debug->last_visit;

	table->is_c = unit->is_c;
	HFX_TRY(add_unit(table, unit, visit));
	for (size_t i = 0; i < table->num_units; i++) {
		unit = table->units[i];
		for (size_t k = 0; k < unit->num_types; k++)
			HFX_TRY(add_type(table, &unit->types[k]));
		HFX_TRY(add_imports(table, unit, visit));
	}
	hfx_array_sort(table->items, table->num_items, sizeof(*table->items),
	               compare_named);
	return NULL;
}
