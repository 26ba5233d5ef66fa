/* SPDX-License-Identifier: MIT */
#include <string.h>

#include <dwarf.h>

#include "debug_private.h"

/** Typedefs and qualifiers that are followed; what is behind more is not known.
 */
#define MAX_NAMES 16

static enum debug_class class_of_base(Dwarf_Die *type)
{
	uint64_t encoding = 0, size = 0;

	debug_number(type, DW_AT_encoding, &encoding);
	debug_number(type, DW_AT_byte_size, &size);
	if (size > 8)
		return DEBUG_CLASS_ANY;
	return encoding == DW_ATE_float || encoding == DW_ATE_complex_float
	               ? DEBUG_CLASS_FLOATING
	               : DEBUG_CLASS_GENERAL;
}

/* In what a value of the type of @p die is passed. */
static struct hfx_error *class_of(struct debug_info *debug, Dwarf_Die *die,
                                  enum debug_class *ret)
{
	Dwarf_Die type = *die;
	bool is_found;

	*ret = DEBUG_CLASS_ANY;
	for (int i = 0; i < MAX_NAMES; i++) {
		HFX_TRY(debug_follow(debug, &type, DW_AT_type, &type,
		                     &is_found));
		if (!is_found) {
			*ret = DEBUG_CLASS_NONE;
			return NULL;
		}
		switch (dwarf_tag(&type)) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
			continue;
		case DW_TAG_base_type:
			*ret = class_of_base(&type);
			return NULL;
		case DW_TAG_pointer_type:
		case DW_TAG_enumeration_type:
		case DW_TAG_reference_type:
		case DW_TAG_rvalue_reference_type:
			*ret = DEBUG_CLASS_GENERAL;
			return NULL;
		default:
			return NULL;
		}
	}
	return NULL;
}

static void count_argument(enum debug_class class, struct debug_arguments *ret)
{
	ret->num_general += class == DEBUG_CLASS_ANY ? 2 : 1;
	ret->has_floating |= class != DEBUG_CLASS_GENERAL;
}

static struct hfx_error *count_arguments(struct debug_info *debug,
                                         Dwarf_Die *function,
                                         struct debug_arguments *ret)
{
	struct debug_arguments arguments = {.is_known = true};
	enum debug_class class;
	Dwarf_Die child;
	int status = dwarf_child(function, &child);

	if (!dwarf_hasattr(function, DW_AT_prototyped))
		return NULL;
	/* The place for a large result is an argument. */
	HFX_TRY(class_of(debug, function, &class));
	arguments.num_general = class == DEBUG_CLASS_ANY;
	for (; status == 0; status = dwarf_siblingof(&child, &child)) {
		if (dwarf_tag(&child) == DW_TAG_unspecified_parameters)
			return NULL;
		if (dwarf_tag(&child) != DW_TAG_formal_parameter)
			continue;
		HFX_TRY(class_of(debug, &child, &class));
		count_argument(class, &arguments);
	}
	*ret = arguments;
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
                                                const char *name,
                                                struct debug_arguments *ret)
{
	struct debug_subprogram caller;
	Dwarf_Die child;
	bool is_found;

	*ret = (struct debug_arguments){0};
	HFX_TRY(debug_subprogram_at(debug, caller_addr, &caller, &is_found));
	if (!is_found)
		return NULL;
	for (int status = dwarf_child(&caller.unit->die, &child); status == 0;
	     status = dwarf_siblingof(&child, &child))
		if (is_declaration_of(&child, name))
			return count_arguments(debug, &child, ret);
	return NULL;
}

struct hfx_error *debug_info_result_class(struct debug_info *debug,
                                          uint64_t addr, enum debug_class *ret)
{
	struct debug_subprogram function;
	bool is_found;

	*ret = DEBUG_CLASS_ANY;
	HFX_TRY(debug_subprogram_at(debug, addr, &function, &is_found));
	return is_found ? class_of(debug, &function.declaration, ret) : NULL;
}
