/* SPDX-License-Identifier: MIT */
/*
 * Which variables code has a name for. That a symbol is local says little:
 * linkers make those so that are not exported. DWARF says what the source
 * declares static, and in which unit.
 */
#include <dwarf.h>

#include "debug_private.h"

/** A function or variable, and the unit of its source. */
struct owner {
	Dwarf_Die die;
	struct debug_unit *unit;
	/** Its code or place is in another unit: gcc's link-time optimization.
	 */
	bool is_apart;
};

static struct hfx_error *find_owner(struct debug_info *debug, Dwarf_Die die,
                                    struct owner *ret)
{
	struct debug_unit *unit;
	Dwarf_Die origin, unit_die;

	*ret = (struct owner){.die = die};
	HFX_TRY(debug_unit_of(debug, die.cu, &ret->unit));
	HFX_TRY(debug_follow_all(debug, &die, DW_AT_abstract_origin, &origin));
	HFX_TRY(debug_unit_of(debug, origin.cu, &unit));
	/* What units share, dwz has moved out of them. */
	unit_die = unit->die;
	if (unit == ret->unit || dwarf_tag(&unit_die) != DW_TAG_compile_unit)
		return NULL;
	ret->unit = unit;
	ret->is_apart = true;
	return NULL;
}

/**
 * Whether the variable is one of a function that each unit may have compiled,
 * and the linker keeps one of: of an inline function, or a template.
 */
static bool is_common(const struct owner *variable)
{
	const struct debug_scope *scope;
	Dwarf_Die die = variable->die;

	if (variable->unit->is_c || variable->is_apart)
		return false;
	for (scope = debug_scope_of(variable->unit, &die); scope;
	     scope = debug_scope_parent(variable->unit, scope)) {
		Dwarf_Die around = scope->die;

		if (dwarf_tag(&around) == DW_TAG_subprogram)
			return true;
	}
	return false;
}

/** Units of one package may have been optimized together, or not. */
static bool may_be_one_module(const struct owner *a, const struct owner *b)
{
	if (a->is_apart || b->is_apart)
		return true;
	if (a->unit->abbreviations_off == UINT64_MAX ||
	    b->unit->abbreviations_off == UINT64_MAX)
		return dwarf_cu_getdwarf(a->unit->cu) ==
		       dwarf_cu_getdwarf(b->unit->cu);
	return a->unit->abbreviations_off == b->unit->abbreviations_off;
}

static struct hfx_error *naming_of(struct debug_info *debug,
                                   const struct owner *function,
                                   const struct debug_variable *entry,
                                   enum debug_naming *ret)
{
	struct owner variable;
	Dwarf_Die die = entry->die;

	HFX_TRY(find_owner(debug, die, &variable));
	*ret = DEBUG_NAMING_CAN;
	if (variable.unit == function->unit ||
	    debug_flag(&die, DW_AT_external) || is_common(&variable))
		return NULL;
	*ret = may_be_one_module(function, &variable) ? DEBUG_NAMING_MAY
	                                              : DEBUG_NAMING_CANNOT;
	return NULL;
}

struct hfx_error *debug_info_naming(struct debug_info *debug,
                                    uint64_t function_addr,
                                    uint64_t variable_addr,
                                    enum debug_naming *ret)
{
	enum debug_naming naming = DEBUG_NAMING_UNKNOWN;
	const struct debug_variable *entry, *end;
	struct debug_subprogram function;
	struct owner owner;
	bool found;

	*ret = DEBUG_NAMING_UNKNOWN;
	HFX_TRY(debug_variable_at(debug, variable_addr, &entry));
	HFX_TRY(debug_subprogram_at(debug, function_addr, &function, &found));
	if (!entry || !found)
		return NULL;
	HFX_TRY(find_owner(debug, function.die, &owner));
	/* Several units may have one: the linker merges what is the same. */
	end = debug->variables + debug->num_variables;
	for (; entry < end && entry->addr == variable_addr && !entry->is_tls &&
	       naming != DEBUG_NAMING_CAN;
	     entry++)
		HFX_TRY(naming_of(debug, &owner, entry, &naming));
	*ret = naming;
	return NULL;
}
