/* SPDX-License-Identifier: MIT */
#include <string.h>

#include <dwarf.h>

#include "debug_private.h"

/** Typedefs and qualifiers that are followed; what is behind more is not known.
 */
#define MAX_NAMES 16

/* Whether what @p die has a type is a structure, class or union, or may be. */
static struct hfx_error *is_aggregate(struct debug_info *debug, Dwarf_Die *die,
                                      bool *ret)
{
	Dwarf_Die type = *die;
	bool is_found;

	*ret = true;
	for (int i = 0; i < MAX_NAMES; i++) {
		HFX_TRY(debug_follow(debug, &type, DW_AT_type, &type,
		                     &is_found));
		*ret = is_found;
		if (!is_found)
			return NULL;
		switch (dwarf_tag(&type)) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
			continue;
		case DW_TAG_base_type:
		case DW_TAG_pointer_type:
		case DW_TAG_enumeration_type:
		case DW_TAG_reference_type:
		case DW_TAG_rvalue_reference_type:
			*ret = false;
			return NULL;
		default:
			return NULL;
		}
	}
	return NULL;
}

/*
 * Registers of the general kind that it takes at most: two for a structure, and
 * one for the place of a large result. -1 when there may be more.
 */
static struct hfx_error *count_arguments(struct debug_info *debug,
                                         Dwarf_Die *function, int *ret)
{
	bool is_wide;
	Dwarf_Die child;
	int count, status = dwarf_child(function, &child);

	*ret = -1;
	if (!dwarf_hasattr(function, DW_AT_prototyped))
		return NULL;
	HFX_TRY(is_aggregate(debug, function, &is_wide));
	count = is_wide;
	for (; status == 0; status = dwarf_siblingof(&child, &child)) {
		if (dwarf_tag(&child) == DW_TAG_unspecified_parameters)
			return NULL;
		if (dwarf_tag(&child) != DW_TAG_formal_parameter)
			continue;
		HFX_TRY(is_aggregate(debug, &child, &is_wide));
		count += 1 + is_wide;
	}
	*ret = count;
	return NULL;
}

static bool is_declaration_of(Dwarf_Die *die, const char *name)
{
	const char *own_name;

	if (dwarf_tag(die) != DW_TAG_subprogram)
		return false;
	own_name = dwarf_diename(die);
	return (own_name && !strcmp(own_name, name)) ||
	       !strcmp(debug_linkage_name(die), name);
}

struct hfx_error *debug_info_declared_arguments(struct debug_info *debug,
                                                uint64_t caller_addr,
                                                const char *name, int *ret)
{
	struct debug_subprogram caller;
	Dwarf_Die child;
	bool is_found;

	*ret = -1;
	HFX_TRY(debug_subprogram_at(debug, caller_addr, &caller, &is_found));
	if (!is_found)
		return NULL;
	for (int status = dwarf_child(&caller.unit->die, &child); status == 0;
	     status = dwarf_siblingof(&child, &child))
		if (is_declaration_of(&child, name))
			return count_arguments(debug, &child, ret);
	return NULL;
}
