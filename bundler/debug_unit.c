/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

/** Deepest nesting of DIEs; the largest C++ programs have some 30. */
#define MAX_DEPTH 512

struct walk {
	struct debug_info *debug;
	struct debug_unit *unit;
	uint32_t last_off;
};

static int compare_units(const void *left, const void *right)
{
	const Dwarf_CU *left_cu = ((const struct debug_unit *)left)->cu;
	const Dwarf_CU *right_cu = ((const struct debug_unit *)right)->cu;

	return (left_cu > right_cu) - (left_cu < right_cu);
}

static void forget_index(struct debug_unit *unit)
{
	unit->num_die_offs = 0;
	unit->num_scopes = 0;
	unit->num_functions = 0;
	unit->ranges.num_items = 0;
	unit->num_variables = 0;
	unit->num_types = 0;
	unit->num_declared = 0;
	unit->num_imports = 0;
	unit->has_types = false;
}

/** Give back what forget_index() keeps for the next walk. */
static void free_index(struct debug_unit *unit)
{
	free(unit->die_offs);
	free(unit->scopes);
	free(unit->functions);
	free(unit->ranges.items);
	free(unit->variables);
	free(unit->types);
	free(unit->declared);
	free(unit->imports);
	unit->die_offs = NULL;
	unit->scopes = NULL;
	unit->functions = NULL;
	unit->ranges.items = NULL;
	unit->variables = NULL;
	unit->types = unit->declared = unit->imports = NULL;
	unit->cap_die_offs = unit->cap_scopes = unit->cap_functions = 0;
	unit->ranges.cap_items = unit->cap_variables = unit->cap_types = 0;
	unit->cap_declared = unit->cap_imports = 0;
	forget_index(unit);
}

void debug_unit_destroy(void *pointer)
{
	struct debug_unit *unit = pointer;

	if (!unit)
		return;
	free(unit->name);
	free_index(unit);
	free(unit);
}

static bool is_c_language(int language)
{
	switch (language) {
	case DW_LANG_C89:
	case DW_LANG_C:
	case DW_LANG_C99:
	case DW_LANG_C11:
	case DW_LANG_ObjC:
	case DW_LANG_Mips_Assembler:
	case 0x2c: /* DW_LANG_C17, which this libdw does not name. */
		return true;
	default:
		return false;
	}
}

static struct hfx_error *describe_unit(struct debug_unit *unit)
{
	Dwarf_Attribute attr;

	unit->folder =
		dwarf_formstring(dwarf_attr(&unit->die, DW_AT_comp_dir, &attr));
	unit->is_c = is_c_language(dwarf_srclang(&unit->die));
	return debug_path_relative(debug_name(&unit->die), unit->folder,
	                           &unit->name);
}

static struct hfx_error *create_unit(struct debug_info *debug, Dwarf_CU *cu,
                                     struct debug_unit **ret)
{
	struct debug_unit *unit = calloc(1, sizeof(*unit));
	struct hfx_error *err;

	if (!unit)
		return hfx_error_no_memory();
	unit->cu = cu;
	if (dwarf_cu_info(cu, NULL, NULL, &unit->die, NULL, NULL, NULL, NULL))
		err = debug_error_damaged(debug, NULL);
	else
		err = describe_unit(unit);
	if (!err && !tsearch(unit, &debug->units, compare_units))
		err = hfx_error_no_memory();
	if (err) {
		debug_unit_destroy(unit);
		return err;
	}
	*ret = unit;
	return NULL;
}

/** Find or make the unit without walking it. */
static struct hfx_error *get_unit(struct debug_info *debug, Dwarf_CU *cu,
                                  struct debug_unit **ret)
{
	const struct debug_unit key = {.cu = cu};
	void *node;

	/* Most references stay in their unit. */
	if (debug->last_unit && debug->last_unit->cu == cu) {
		*ret = debug->last_unit;
		return NULL;
	}
	node = tfind(&key, &debug->units, compare_units);
	if (node)
		*ret = *(struct debug_unit **)node;
	else
		HFX_TRY(create_unit(debug, cu, ret));
	debug->last_unit = *ret;
	return NULL;
}

/** The skeleton of a unit has its ranges, its split part all else. */
static struct hfx_error *list_skeleton(struct debug_info *debug,
                                       Dwarf_Die *skeleton, Dwarf_Die *split)
{
	struct debug_unit *unit;
	bool found = split->addr;

	if (!found && debug->package)
		HFX_TRY(debug_package_unit(debug->package, debug->dwarf,
		                           skeleton, split, &found));
	if (!found) {
		debug->num_missing++;
		return NULL;
	}
	HFX_TRY(get_unit(debug, split->cu, &unit));
	unit->skeleton = *skeleton;
	unit->abbreviations_off = UINT64_MAX;
	HFX_TRY(debug_ranges_add(debug, &debug->ranges, skeleton,
	                         debug->num_listed));
	if (!unit->folder) {
		Dwarf_Attribute attr;

		unit->folder = dwarf_formstring(
			dwarf_attr(skeleton, DW_AT_comp_dir, &attr));
	}
	if (!HFX_ARRAY_PUSH(debug, listed, unit))
		return hfx_error_no_memory();
	return NULL;
}

/**
 * Where the unit's abbreviations are: clang's link-time optimization gives all
 * units of a program one table, else each object file has its own.
 */
static uint64_t abbreviations_of(struct debug_info *debug, Dwarf_Die *die)
{
	Dwarf_Off off = dwarf_dieoffset(die) - dwarf_cuoffset(die);
	Dwarf_Off next, abbreviations_off;
	size_t header_size;

	if (dwarf_next_unit(debug->dwarf, off, &next, &header_size, NULL,
	                    &abbreviations_off, NULL, NULL, NULL, NULL))
		return UINT64_MAX;
	return abbreviations_off;
}

static struct hfx_error *list_unit(struct debug_info *debug, Dwarf_CU *cu)
{
	struct debug_unit *unit;
	Dwarf_Die skeleton, split;
	uint8_t type;
	int tag;

	if (!dwarf_cu_info(cu, NULL, &type, &skeleton, &split, NULL, NULL,
	                   NULL) &&
	    type == DW_UT_skeleton)
		return list_skeleton(debug, &skeleton, &split);
	HFX_TRY(get_unit(debug, cu, &unit));
	if (debug->num_listed >= DEBUG_NO_INDEX)
		return debug_error_damaged(debug, "too many units");
	tag = dwarf_tag(&unit->die);
	if (tag == DW_TAG_type_unit)
		debug->has_type_units = true;
	else if (tag == DW_TAG_partial_unit)
		debug->has_partial_units = true;
	else if (tag == DW_TAG_compile_unit)
		HFX_TRY(debug_ranges_add(debug, &debug->ranges, &unit->die,
		                         debug->num_listed));
	unit->abbreviations_off = tag == DW_TAG_compile_unit
	                                  ? abbreviations_of(debug, &unit->die)
	                                  : UINT64_MAX;
	if (!HFX_ARRAY_PUSH(debug, listed, unit))
		return hfx_error_no_memory();
	return NULL;
}

struct hfx_error *debug_units_list(struct debug_info *debug)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;
	int status;

	if (debug->is_listed)
		return NULL;
	if (!debug->package)
		HFX_TRY(debug_package_open(debug->path, &debug->package));
	debug->num_listed = 0;
	debug->num_missing = 0;
	debug->ranges.num_items = 0;
	while ((status = dwarf_get_units(debug->dwarf, cu, &cu, NULL, NULL,
	                                 &die, NULL)) == 0) {
		/* A unit of a version that libdw does not know has no DIE. */
		if (dwarf_tag(&die) > 0)
			HFX_TRY(list_unit(debug, cu));
	}
	if (status < 0)
		return debug_error_damaged(debug, NULL);
	debug_ranges_sort(&debug->ranges);
	debug->is_listed = true;
	return NULL;
}

static struct hfx_error *add_function(struct walk *walk, Dwarf_Die *die)
{
	struct debug_unit *unit = walk->unit;

	if (!dwarf_hasattr(die, DW_AT_low_pc) &&
	    !dwarf_hasattr(die, DW_AT_ranges))
		return NULL;
	HFX_TRY(debug_ranges_add(walk->debug, &unit->ranges, die,
	                         unit->num_functions));
	if (!HFX_ARRAY_PUSH(unit, functions, *die))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *add_variable(struct walk *walk, Dwarf_Die *die)
{
	struct debug_variable variable = {.die = *die};

	if (debug_fixed_location(die, &variable) &&
	    !HFX_ARRAY_PUSH(walk->unit, variables, variable))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *add_type(struct walk *walk, Dwarf_Die *die)
{
	bool is_declared = dwarf_hasattr(die, DW_AT_declaration);

	if (is_declared ? !HFX_ARRAY_PUSH(walk->unit, declared, *die)
	                : !HFX_ARRAY_PUSH(walk->unit, types, *die))
		return hfx_error_no_memory();
	return NULL;
}

/** Note the unit that an attribute of @p die leads to. */
static struct hfx_error *add_import(struct walk *walk, Dwarf_Die *die,
                                    unsigned name, bool is_signature_only)
{
	Dwarf_Attribute attr;
	Dwarf_Die target;

	if (!dwarf_attr(die, name, &attr) ||
	    (is_signature_only && dwarf_whatform(&attr) != DW_FORM_ref_sig8))
		return NULL;
	if (!dwarf_formref_die(&attr, &target))
		return NULL;
	if (!HFX_ARRAY_PUSH(walk->unit, imports, target))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *add_die(struct walk *walk, Dwarf_Die *die)
{
	walk->unit->has_types |= dwarf_hasattr(die, DW_AT_type);
	switch (dwarf_tag(die)) {
	case DW_TAG_subprogram:
		return add_function(walk, die);
	case DW_TAG_variable:
		return add_variable(walk, die);
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_typedef:
		return add_type(walk, die);
	case DW_TAG_imported_unit:
		return add_import(walk, die, DW_AT_import, false);
	default:
		return NULL;
	}
}

static bool is_scope(Dwarf_Die *die)
{
	switch (dwarf_tag(die)) {
	case DW_TAG_namespace:
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
		return true;
	default:
		return debug_is_aggregate(die);
	}
}

/** Whether DW_AT_sibling, if there is one, leads on in the same unit. */
static bool is_sibling_ahead(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Die sibling;

	if (!dwarf_attr(die, DW_AT_sibling, &attr))
		return true;
	return dwarf_formref_die(&attr, &sibling) && sibling.cu == die->cu &&
	       (char *)sibling.addr > (char *)die->addr;
}

/** Each DIE lies behind the one before it. */
static struct hfx_error *check_step(struct walk *walk, Dwarf_Die *die)
{
	Dwarf_Off off = dwarf_cuoffset(die);

	if (off <= walk->last_off || off >= UINT32_MAX)
		return debug_error_damaged(walk->debug, "entries that overlap");
	if (!is_sibling_ahead(die))
		return debug_error_damaged(walk->debug,
		                           "DW_AT_sibling points backwards");
	walk->last_off = off;
	if (!HFX_ARRAY_PUSH(walk->unit, die_offs, (uint32_t)off))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *walk_children(struct walk *walk, Dwarf_Die *parent,
                                       uint32_t scope, unsigned depth);

static struct hfx_error *walk_scope(struct walk *walk, Dwarf_Die *die,
                                    uint32_t parent, unsigned depth)
{
	const struct debug_scope scope = {
		.die = *die, .off = walk->last_off, .parent = parent};
	uint32_t index = walk->unit->num_scopes;

	if (!HFX_ARRAY_PUSH(walk->unit, scopes, scope))
		return hfx_error_no_memory();
	HFX_TRY(walk_children(walk, die, index, depth));
	walk->unit->scopes[index].last_off = walk->last_off;
	return NULL;
}

static struct hfx_error *walk_die(struct walk *walk, Dwarf_Die *die,
                                  uint32_t scope, unsigned depth)
{
	HFX_TRY(check_step(walk, die));
	HFX_TRY(add_die(walk, die));
	if (walk->debug->has_type_units) {
		HFX_TRY(add_import(walk, die, DW_AT_type, true));
		HFX_TRY(add_import(walk, die, DW_AT_signature, true));
	}
	if (!dwarf_haschildren(die))
		return NULL;
	if (is_scope(die))
		return walk_scope(walk, die, scope, depth);
	return walk_children(walk, die, scope, depth);
}

/*
 * A sibling is asked for only after everything in between was walked and so
 * checked: where DW_AT_sibling is missing libdw walks there itself.
 */
static struct hfx_error *walk_children(struct walk *walk, Dwarf_Die *parent,
                                       uint32_t scope, unsigned depth)
{
	Dwarf_Die die;
	int status = dwarf_child(parent, &die);

	if (depth > MAX_DEPTH)
		return debug_error_damaged(walk->debug, "nested too deep");
	while (status == 0) {
		HFX_TRY(walk_die(walk, &die, scope, depth + 1));
		status = dwarf_siblingof(&die, &die);
	}
	if (status < 0)
		return debug_error_damaged(walk->debug, NULL);
	return NULL;
}

static struct hfx_error *walk_unit(struct debug_info *debug,
                                   struct debug_unit *unit)
{
	struct walk walk = {.debug = debug, .unit = unit};

	forget_index(unit);
	HFX_TRY(check_step(&walk, &unit->die));
	return walk_children(&walk, &unit->die, DEBUG_NO_INDEX, 0);
}

static struct hfx_error *index_unit(struct debug_info *debug,
                                    struct debug_unit *unit)
{
	HFX_TRY(walk_unit(debug, unit));
	debug_ranges_sort(&unit->ranges);
	if (!HFX_ARRAY_PUSH(debug, indexed, unit))
		return hfx_error_no_memory();
	unit->is_indexed = true;
	return NULL;
}

static struct hfx_error *take_variables(struct debug_info *debug,
                                        const struct debug_unit *unit)
{
	for (size_t i = 0; i < unit->num_variables; i++)
		if (!HFX_ARRAY_PUSH(debug, variables, unit->variables[i]))
			return hfx_error_no_memory();
	return NULL;
}

struct hfx_error *debug_unit_variables(struct debug_info *debug,
                                       struct debug_unit *unit)
{
	struct hfx_error *err;

	if (unit->is_indexed)
		return take_variables(debug, unit);
	err = walk_unit(debug, unit);
	if (!err)
		err = take_variables(debug, unit);
	free_index(unit);
	return err;
}

struct hfx_error *debug_unit_of(struct debug_info *debug, Dwarf_CU *cu,
                                struct debug_unit **ret)
{
	struct debug_unit *unit;

	/* Whether there are type units decides what the index holds. */
	HFX_TRY(debug_units_list(debug));
	HFX_TRY(get_unit(debug, cu, &unit));
	if (!unit->is_indexed)
		HFX_TRY(index_unit(debug, unit));
	*ret = unit;
	return NULL;
}

static int compare_offs(const void *left, const void *right)
{
	uint32_t left_off = *(const uint32_t *)left;
	uint32_t right_off = *(const uint32_t *)right;

	return (left_off > right_off) - (left_off < right_off);
}

struct hfx_error *debug_follow(struct debug_info *debug, Dwarf_Die *die,
                               unsigned name, Dwarf_Die *ret, bool *found_ret)
{
	Dwarf_Attribute attr_mem;
	Dwarf_Attribute *attr;
	struct debug_unit *unit;
	Dwarf_Die target;
	uint32_t off;

	/* The type of a parameter or variable stands with its origin. */
	attr = name == DW_AT_type ? dwarf_attr_integrate(die, name, &attr_mem)
	                          : dwarf_attr(die, name, &attr_mem);
	*found_ret = attr;
	if (!attr)
		return NULL;
	if (!dwarf_formref_die(attr, &target))
		return debug_error_damaged(debug, NULL);
	HFX_TRY(debug_unit_of(debug, target.cu, &unit));
	off = dwarf_cuoffset(&target);
	if (!hfx_array_search(&off, unit->die_offs, unit->num_die_offs,
	                      sizeof(off), compare_offs))
		return debug_error_damaged(debug,
		                           "a reference leads to no entry");
	*ret = target;
	return NULL;
}

struct hfx_error *debug_follow_all(struct debug_info *debug, Dwarf_Die *die,
                                   unsigned name, Dwarf_Die *ret)
{
	Dwarf_Die end = *die;
	bool found = true;

	for (int steps = 0; found; steps++) {
		if (steps > DEBUG_MAX_CHAIN)
			return debug_error_damaged(debug,
			                           "references in a circle");
		HFX_TRY(debug_follow(debug, &end, name, &end, &found));
	}
	*ret = end;
	return NULL;
}

struct hfx_error *debug_home_unit(struct debug_info *debug,
                                  struct debug_unit *unit, Dwarf_Die *origin,
                                  struct debug_unit **ret)
{
	struct debug_unit *home;

	HFX_TRY(debug_unit_of(debug, origin->cu, &home));
	/* Partial units, where dwz puts what units share, have no name. */
	*ret = home->name[0] ? home : unit;
	return NULL;
}

/** The last scope that begins before @p off; the count of them if none. */
static size_t scope_before(const struct debug_unit *unit, uint32_t off)
{
	size_t low = 0;
	size_t high = unit->num_scopes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (unit->scopes[middle].off < off)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? low - 1 : unit->num_scopes;
}

const struct debug_scope *debug_scope_of(const struct debug_unit *unit,
                                         Dwarf_Die *die)
{
	uint32_t off = dwarf_cuoffset(die);
	size_t index = scope_before(unit, off);
	const struct debug_scope *scope;

	if (index == unit->num_scopes)
		return NULL;
	scope = &unit->scopes[index];
	while (scope && scope->last_off < off)
		scope = debug_scope_parent(unit, scope);
	return scope;
}

const struct debug_scope *debug_scope_parent(const struct debug_unit *unit,
                                             const struct debug_scope *scope)
{
	if (scope->parent == DEBUG_NO_INDEX)
		return NULL;
	return &unit->scopes[scope->parent];
}
