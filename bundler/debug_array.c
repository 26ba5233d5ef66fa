/* SPDX-License-Identifier: MIT */
/*
 * Arrays in variables: only from these does code count.
 */
#include <stdlib.h>

#include "cleanup.h"
#include "debug_private.h"

/** Structures inside each other; what is behind more is not known. */
#define MAX_DEPTH 16

/** Follow typedefs and qualifiers from the DW_AT_type of @p die. */
static struct hfx_error *type_behind(struct debug_info *debug, Dwarf_Die *die,
                                     Dwarf_Die *ret, bool *found_ret)
{
	Dwarf_Die type = *die;

	for (int steps = 0; steps < DEBUG_MAX_CHAIN; steps++) {
		HFX_TRY(debug_follow(debug, &type, DW_AT_type, &type,
		                     found_ret));
		if (!*found_ret)
			return NULL;
		HFX_TRY(debug_type_resolve(debug, &type, &type));
		switch (dwarf_tag(&type)) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_atomic_type:
			continue;
		default:
			*ret = type;
			return NULL;
		}
	}
	*found_ret = false;
	return NULL;
}

static struct hfx_error *is_bytes(struct debug_info *debug, Dwarf_Die *array,
                                  bool *ret)
{
	Dwarf_Die element;
	uint64_t size = 0;
	bool found;

	HFX_TRY(type_behind(debug, array, &element, &found));
	*ret = found && debug_number(&element, DW_AT_byte_size, &size) &&
	       size == 1;
	return NULL;
}

static void members_deinit(struct debug_members *members)
{
	free(members->items);
}

static struct hfx_error *has_array(struct debug_info *debug, Dwarf_Die *die,
                                   bool is_shared, int depth, bool *ret);

static struct hfx_error *has_array_inside(struct debug_info *debug,
                                          Dwarf_Die *type, int depth, bool *ret)
{
	HFX_CLEANUP(members_deinit) struct debug_members members = {0};
	bool is_shared;

	*ret = true;
	if (debug_flag(type, DW_AT_declaration) || depth > MAX_DEPTH)
		return NULL;
	HFX_TRY(debug_members_list(debug, type, &members));
	is_shared =
		dwarf_tag(type) == DW_TAG_union_type && members.num_items > 1;
	*ret = false;
	for (size_t i = 0; i < members.num_items && !*ret; i++)
		HFX_TRY(has_array(debug, &members.items[i].die, is_shared,
		                  depth, ret));
	return NULL;
}

/** Whether what is declared by @p die is an array, or has one. */
static struct hfx_error *has_array(struct debug_info *debug, Dwarf_Die *die,
                                   bool is_shared, int depth, bool *ret)
{
	Dwarf_Die type;
	bool found;

	*ret = true;
	HFX_TRY(type_behind(debug, die, &type, &found));
	if (!found)
		return NULL;
	switch (dwarf_tag(&type)) {
	case DW_TAG_base_type:
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
	case DW_TAG_ptr_to_member_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_unspecified_type:
		*ret = false;
		return NULL;
	case DW_TAG_array_type:
		if (is_shared)
			HFX_TRY(is_bytes(debug, &type, ret));
		*ret = is_shared ? !*ret : true;
		return NULL;
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
		return has_array_inside(debug, &type, depth + 1, ret);
	default:
		return NULL;
	}
}

struct hfx_error *debug_info_has_array(struct debug_info *debug, uint64_t addr,
                                       bool *ret)
{
	const struct debug_variable *variable;
	Dwarf_Die die;

	*ret = true;
	HFX_TRY(debug_variable_at(debug, addr, &variable));
	if (!variable)
		return NULL;
	die = variable->die;
	return has_array(debug, &die, false, 0, ret);
}
