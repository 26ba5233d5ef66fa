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
	free(table->enums);
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

static bool is_behind(int tag)
{
	return tag == DW_TAG_pointer_type || tag == DW_TAG_array_type ||
	       tag == DW_TAG_const_type || tag == DW_TAG_volatile_type;
}

/**
 * The type without a name that a typedef leads to, perhaps through pointers,
 * arrays and qualifiers: `typedef struct { ... } *handle`.
 */
static struct hfx_error *nameless_behind(struct debug_info *debug,
                                         Dwarf_Die *definition, Dwarf_Die *ret,
                                         bool *found_ret)
{
	Dwarf_Die type = *definition;
	bool found;

	*found_ret = false;
	for (int steps = 0; steps < DEBUG_MAX_CHAIN; steps++) {
		HFX_TRY(debug_follow(debug, &type, DW_AT_type, &type, &found));
		if (!found)
			return NULL;
		if (!is_behind(dwarf_tag(&type)))
			break;
	}
	if (!has_content(&type))
		return NULL;
	HFX_TRY(debug_type_resolve(debug, &type, ret));
	*found_ret =
		!debug_name(ret)[0] && !dwarf_hasattr(ret, DW_AT_declaration);
	return NULL;
}

/** A type with a name, or a typedef that names one without. */
static struct hfx_error *add_type(struct debug_type_table *table,
                                  Dwarf_Die *die)
{
	Dwarf_Die type;
	bool found;

	if (dwarf_tag(die) != DW_TAG_typedef) {
		if (debug_name(die)[0])
			return add_named(table, die, die);
		if (dwarf_tag(die) == DW_TAG_enumeration_type &&
		    !HFX_ARRAY_PUSH(table, enums, *die))
			return hfx_error_no_memory();
		return NULL;
	}
	HFX_TRY(nameless_behind(table->debug, die, &type, &found));
	return found ? add_named(table, &type, die) : NULL;
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

void debug_type_table_sort(struct debug_type_table *table)
{
	hfx_array_sort(table->items, table->num_items, sizeof(*table->items),
	               compare_named);
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
	debug_type_table_sort(table);
	return NULL;
}

struct hfx_error *debug_type_table_add(struct debug_type_table *table,
                                       Dwarf_Die *type)
{
	return add_named(table, type, type);
}

bool debug_type_table_names(const struct debug_type_table *table,
                            const Dwarf_Die *type)
{
	for (size_t i = 0; i < table->num_items; i++)
		if (table->items[i].die.addr == type->addr)
			return true;
	return false;
}

struct hfx_error *debug_nameless_enum(struct debug_info *debug, Dwarf_Die *type,
                                      char **ret)
{
	HFX_CLEANUP(hfx_free) char *scope = NULL;
	bool has_more;
	const char *first = debug_enum_first(type, &has_more);

	HFX_TRY(debug_qualified_name(debug, type, &scope));
	return debug_text_set(ret, "enum %s{%s%s}", scope, first,
	                      has_more ? ", ..." : "");
}
