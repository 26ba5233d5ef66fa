/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <string.h>

#include "array.h"

bool debug_is_aggregate(Dwarf_Die *die)
{
	switch (dwarf_tag(die)) {
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
		return true;
	default:
		return false;
	}
}

struct hfx_error *debug_type_resolve(struct debug_info *debug, Dwarf_Die *type,
                                     Dwarf_Die *ret)
{
	Dwarf_Die definition;
	bool found;

	HFX_TRY(debug_follow(debug, type, DW_AT_signature, &definition,
	                     &found));
	*ret = found ? definition : *type;
	return NULL;
}

bool debug_subrange_length(Dwarf_Die *subrange, uint64_t *ret)
{
	uint64_t upper;

	if (debug_number(subrange, DW_AT_count, ret))
		return true;
	if (!debug_number(subrange, DW_AT_upper_bound, &upper))
		return false;
	/* The bound of an array of no elements is -1, in some width. */
	*ret = upper == UINT32_MAX ? 0 : upper + 1;
	return true;
}

static uint64_t array_length(Dwarf_Die *array)
{
	uint64_t total = 1;
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(array, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		uint64_t length;

		if (dwarf_tag(&child) != DW_TAG_subrange_type)
			continue;
		if (!debug_subrange_length(&child, &length) ||
		    __builtin_mul_overflow(total, length, &total))
			return 0;
	}
	return total;
}

/** Size that a type says itself; false when its DW_AT_type has to say it. */
static bool own_size(Dwarf_Die *type, uint64_t *ret)
{
	if (debug_number(type, DW_AT_byte_size, ret))
		return true;
	switch (dwarf_tag(type)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
	case DW_TAG_ptr_to_member_type:
		*ret = sizeof(uint64_t);
		return true;
	default:
		return false;
	}
}

/** Size and, behind typedefs, qualifiers and arrays, the type of @p member. */
static struct hfx_error *resolve_member(struct debug_info *debug,
                                        struct debug_member *member)
{
	uint64_t count = 1;
	uint64_t size = 0;
	bool found;

	HFX_TRY(debug_follow(debug, &member->die, DW_AT_type, &member->type,
	                     &found));
	for (int steps = 0; found && steps < DEBUG_MAX_CHAIN; steps++) {
		HFX_TRY(debug_type_resolve(debug, &member->type,
		                           &member->type));
		if (dwarf_tag(&member->type) == DW_TAG_array_type &&
		    __builtin_mul_overflow(count, array_length(&member->type),
		                           &count))
			count = 0;
		else if (own_size(&member->type, &size))
			break;
		HFX_TRY(debug_follow(debug, &member->type, DW_AT_type,
		                     &member->type, &found));
	}
	member->is_aggregate = found && debug_is_aggregate(&member->type);
	if (__builtin_mul_overflow(count, size, &member->size))
		member->size = 0;
	return NULL;
}

/** Offset of a member in its structure, in bytes; 0 where there is none. */
static uint64_t member_off(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Word off;
	Dwarf_Op *ops;
	size_t num_ops;

	if (!dwarf_attr(die, DW_AT_data_member_location, &attr))
		return 0;
	if (dwarf_formudata(&attr, &off) == 0)
		return off;
	/* An expression: the older way to write a constant, or virtual bases.
	 */
	if (dwarf_getlocation(&attr, &ops, &num_ops) == 0 && num_ops == 1 &&
	    ops[0].atom == DW_OP_plus_uconst)
		return ops[0].number;
	return 0;
}

/*
 * DW_AT_bit_offset counts from the most significant bit of the storage unit to
 * that of the field, DW_AT_data_bit_offset from the structure's start (DWARF 4,
 * section 5.5.6). Both become the latter. Damaged values may wrap around.
 */
static void place_member(struct debug_member *member)
{
	uint64_t storage_size = member->size;
	uint64_t high_bit_off;

	member->bit_off = member_off(&member->die) * 8;
	if (!debug_number(&member->die, DW_AT_bit_size, &member->bit_size))
		return;
	if (debug_number(&member->die, DW_AT_data_bit_offset, &member->bit_off))
		return;
	if (!debug_number(&member->die, DW_AT_bit_offset, &high_bit_off))
		return;
	debug_number(&member->die, DW_AT_byte_size, &storage_size);
	member->bit_off += storage_size * 8 - high_bit_off - member->bit_size;
}

/** Whether @p die takes room in its structure. */
static bool is_member(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	if (tag != DW_TAG_member && tag != DW_TAG_inheritance)
		return false;
	/* Static members are declarations. */
	return !debug_flag(die, DW_AT_declaration) &&
	       !debug_flag(die, DW_AT_external);
}

static struct hfx_error *add_member(struct debug_info *debug, Dwarf_Die *die,
                                    struct debug_members *members)
{
	struct debug_member member = {.die = *die};

	member.is_base = dwarf_tag(die) == DW_TAG_inheritance;
	HFX_TRY(resolve_member(debug, &member));
	place_member(&member);
	if (member.is_base && member.is_aggregate)
		member.name = debug_name(&member.type);
	else
		member.name = debug_name(die);
	if (!HFX_ARRAY_PUSH(members, items, member))
		return hfx_error_no_memory();
	return NULL;
}

struct hfx_error *debug_members_list(struct debug_info *debug, Dwarf_Die *type,
                                     struct debug_members *ret)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(type, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		if (is_member(&child))
			HFX_TRY(add_member(debug, &child, ret));
	}
	return NULL;
}
