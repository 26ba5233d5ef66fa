/* SPDX-License-Identifier: MIT */
/*
 * Whose types are compared: the units of the functions that are patched, each
 * with its counterpart, and the units of what was inlined into them, which with
 * link-time optimization are others.
 */
#include "debug_private.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

/** Blocks and inlined functions inside each other. */
#define MAX_DEPTH 64

void debug_unit_pairs_deinit(struct debug_unit_pairs *pairs)
{
	free(pairs->items);
}

static struct hfx_error *add_pair(struct debug_unit_pairs *pairs,
                                  struct debug_unit *old_unit,
                                  struct debug_unit *new_unit)
{
	const struct debug_unit_pair pair = {old_unit, new_unit};

	for (size_t i = 0; i < pairs->num_items; i++) {
		if (pairs->items[i].old_unit == old_unit &&
		    pairs->items[i].new_unit == new_unit)
			return NULL;
	}
	if (!HFX_ARRAY_PUSH(pairs, items, pair))
		return hfx_error_no_memory();
	return NULL;
}

/** How many bytes two folders have in common at their ends. */
static size_t common_end(const char *a, const char *b)
{
	size_t a_length = a ? strlen(a) : 0;
	size_t b_length = b ? strlen(b) : 0;
	size_t count = 0;

	while (count < a_length && count < b_length &&
	       a[a_length - 1 - count] == b[b_length - 1 - count])
		count++;
	return count;
}

/**
 * OLD's unit of the name that a unit of NEW has; `NULL` if there is none. Where
 * make runs in each folder several may be "util.c": that of the folder that
 * ends alike.
 */
static struct hfx_error *unit_like(struct debug_info *debug,
                                   const struct debug_unit *wanted,
                                   struct debug_unit **ret)
{
	struct debug_unit *best = NULL;
	size_t best_length = 0;

	*ret = NULL;
	HFX_TRY(debug_units_list(debug));
	for (size_t i = 0; i < debug->num_listed && wanted->name[0]; i++) {
		struct debug_unit *unit = debug->listed[i];
		size_t length;

		if (strcmp(unit->name, wanted->name) != 0)
			continue;
		length = common_end(unit->folder, wanted->folder);
		if (!best || length > best_length) {
			best = unit;
			best_length = length;
		}
	}
	return best ? debug_unit_of(debug, best->cu, ret) : NULL;
}

static struct hfx_error *add_like(struct debug_pair *pair,
                                  struct debug_unit *new_unit,
                                  struct debug_unit_pairs *pairs)
{
	struct debug_unit *old_unit;

	HFX_TRY(unit_like(pair->old_debug, new_unit, &old_unit));
	return old_unit ? add_pair(pairs, old_unit, new_unit) : NULL;
}

/** The unit of an inlined function and its counterpart. */
static struct hfx_error *add_inlined(struct debug_pair *pair,
                                     Dwarf_Die *inlined,
                                     struct debug_unit_pairs *pairs)
{
	struct debug_unit *unit;
	Dwarf_Die origin;

	HFX_TRY(debug_follow_all(pair->new_debug, inlined,
	                         DW_AT_abstract_origin, &origin));
	HFX_TRY(debug_unit_of(pair->new_debug, origin.cu, &unit));
	return add_like(pair, unit, pairs);
}

static bool may_hold_inlined(int tag)
{
	return tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine;
}

static struct hfx_error *add_all_inlined(struct debug_pair *pair,
                                         Dwarf_Die *parent,
                                         struct debug_unit_pairs *pairs,
                                         unsigned depth)
{
	Dwarf_Die child;
	int status;

	if (depth > MAX_DEPTH)
		return NULL;
	for (status = dwarf_child(parent, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		int tag = dwarf_tag(&child);

		if (!may_hold_inlined(tag))
			continue;
		if (tag == DW_TAG_inlined_subroutine)
			HFX_TRY(add_inlined(pair, &child, pairs));
		HFX_TRY(add_all_inlined(pair, &child, pairs, depth + 1));
	}
	return NULL;
}

/** A unit whose code stands in another one, by gcc's link-time optimization. */
static bool has_no_code(const struct debug_unit *unit)
{
	Dwarf_Die die = unit->die;

	return dwarf_tag(&die) == DW_TAG_compile_unit && unit->name[0] &&
	       !dwarf_hasattr(&die, DW_AT_low_pc) &&
	       !dwarf_hasattr(&die, DW_AT_ranges);
}

/** Whether two units were optimized as one by clang. */
static bool is_one_module(const struct debug_unit *a,
                          const struct debug_unit *b)
{
	return a->abbreviations_off != UINT64_MAX &&
	       a->abbreviations_off == b->abbreviations_off;
}

/**
 * The units that were optimized together with that of @p function. An inlined
 * function leaves no trace where its last instruction was merged with another,
 * so all of them count.
 */
static struct hfx_error *add_optimized(struct debug_pair *pair,
                                       struct debug_subprogram *function,
                                       struct debug_unit_pairs *pairs)
{
	struct debug_info *debug = pair->new_debug;
	bool is_apart = function->die.cu != function->origin.cu;
	struct debug_unit *home;
	struct debug_unit *unit;

	/* After dwz, units refer to each other for other reasons. */
	if (debug->has_partial_units)
		return NULL;
	HFX_TRY(debug_unit_of(debug, function->die.cu, &home));
	for (size_t i = 0; i < debug->num_listed; i++) {
		unit = debug->listed[i];
		if (unit == home ||
		    !(is_apart ? has_no_code(unit) : is_one_module(unit, home)))
			continue;
		HFX_TRY(debug_unit_of(debug, unit->cu, &unit));
		HFX_TRY(add_like(pair, unit, pairs));
	}
	return NULL;
}

struct hfx_error *
debug_unit_pairs_add(struct debug_pair *pair,
                     const struct debug_function_pair *functions,
                     struct debug_unit_pairs *pairs)
{
	struct debug_subprogram old_function;
	struct debug_subprogram new_function;
	struct debug_unit *old_unit;
	bool found;

	HFX_TRY(debug_subprogram_at(pair->new_debug, functions->new_addr,
	                            &new_function, &found));
	if (!found)
		return NULL;
	HFX_TRY(debug_subprogram_at(pair->old_debug, functions->old_addr,
	                            &old_function, &found));
	if (found)
		old_unit = old_function.unit;
	else
		HFX_TRY(unit_like(pair->old_debug, new_function.unit,
		                  &old_unit));
	if (old_unit)
		HFX_TRY(add_pair(pairs, old_unit, new_function.unit));
	HFX_TRY(add_optimized(pair, &new_function, pairs));
	return add_all_inlined(pair, &new_function.die, pairs, 0);
}

/* ---- Types that a unit only declares ------------------------------------ */

struct names {
	const char **items;
	size_t num_items;
	size_t cap_items;
};

static void names_deinit(struct names *names)
{
	free(names->items);
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/**
 * clang describes a class only where its constructor or its first virtual
 * function is, although code of other units knows its layout.
 */
static bool leaves_out_classes(const struct debug_unit *unit)
{
	Dwarf_Die die = unit->die;
	Dwarf_Attribute attr;
	const char *producer =
		dwarf_formstring(dwarf_attr(&die, DW_AT_producer, &attr));

	return !unit->is_c && producer && strstr(producer, "clang");
}

static struct hfx_error *collect_names(const struct debug_unit_pairs *pairs,
                                       struct names *ret)
{
	for (size_t i = 0; i < pairs->num_items; i++) {
		const struct debug_unit *unit = pairs->items[i].new_unit;

		if (!leaves_out_classes(unit))
			continue;
		for (size_t k = 0; k < unit->num_declared; k++) {
			Dwarf_Die die = unit->declared[k];
			const char *name = debug_name(&die);

			if (name[0] && !HFX_ARRAY_PUSH(ret, items, name))
				return hfx_error_no_memory();
		}
	}
	hfx_array_sort(ret->items, ret->num_items, sizeof(*ret->items),
	               compare_names);
	return NULL;
}

static struct hfx_error *add_wanted(struct debug_type_table *table,
                                    struct debug_unit *unit,
                                    const struct names *wanted)
{
	for (size_t i = 0; i < unit->num_types; i++) {
		Dwarf_Die die = unit->types[i];
		const char *name = debug_name(&die);

		if (debug_is_aggregate(&die) &&
		    hfx_array_search(&name, wanted->items, wanted->num_items,
		                     sizeof(*wanted->items), compare_names))
			HFX_TRY(debug_type_table_add(table, &die));
	}
	return NULL;
}

struct hfx_error *
debug_type_table_elsewhere(struct debug_type_table *table,
                           const struct debug_unit_pairs *pairs)
{
	struct debug_info *debug = table->debug;
	HFX_CLEANUP(names_deinit) struct names wanted = {0};
	struct debug_unit *unit;

	HFX_TRY(collect_names(pairs, &wanted));
	for (size_t i = 0; i < debug->num_listed && wanted.num_items; i++) {
		HFX_TRY(debug_unit_of(debug, debug->listed[i]->cu, &unit));
		HFX_TRY(add_wanted(table, unit, &wanted));
	}
	debug_type_table_sort(table);
	return NULL;
}
