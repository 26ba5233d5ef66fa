/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

static void part_deinit(struct type_part *part)
{
	free(part->name);
	free(part->value);
}

void type_parts_deinit(struct type_parts *parts)
{
	for (size_t i = 0; i < parts->num_items; i++)
		part_deinit(&parts->items[i]);
	free(parts->items);
	*parts = (struct type_parts){0};
}

bool type_part_same(const struct type_part *a, const struct type_part *b)
{
	return strcmp(a->name, b->name) == 0 &&
	       strcmp(a->value, b->value) == 0 && a->bit_off == b->bit_off &&
	       a->bit_size == b->bit_size;
}

static void members_deinit(struct debug_members *members)
{
	free(members->items);
}

static struct hfx_error *add_member(struct debug_info *debug,
                                    const struct debug_member *member,
                                    struct type_parts *ret)
{
	HFX_CLEANUP(part_deinit)
	struct type_part part = {
		.has_place = true,
		.bit_off = member->bit_off,
		.bit_size =
			member->bit_size ? member->bit_size : member->size * 8,
	};
	Dwarf_Die die = member->die;

	HFX_TRY(debug_text_set(&part.name, "%s", member->name));
	HFX_TRY(debug_declared_type(debug, &die, &part.value));
	if (!HFX_ARRAY_PUSH(ret, items, part))
		return hfx_error_no_memory();
	part = (struct type_part){0};
	return NULL;
}

static struct hfx_error *add_members(struct debug_info *debug, Dwarf_Die *type,
                                     struct type_parts *ret)
{
	HFX_CLEANUP(members_deinit) struct debug_members members = {0};

	HFX_TRY(debug_members_list(debug, type, &members));
	for (size_t i = 0; i < members.num_items && i < TYPE_MAX_PARTS; i++)
		HFX_TRY(add_member(debug, &members.items[i], ret));
	return NULL;
}

static struct hfx_error *add_value(Dwarf_Die *enumerator,
                                   struct type_parts *ret)
{
	HFX_CLEANUP(part_deinit) struct type_part part = {0};
	Dwarf_Attribute attr;
	Dwarf_Sword number;

	if (!dwarf_attr(enumerator, DW_AT_const_value, &attr) ||
	    dwarf_formsdata(&attr, &number))
		return NULL;
	HFX_TRY(debug_text_set(&part.name, "%s", debug_name(enumerator)));
	HFX_TRY(debug_text_set(&part.value, "%" PRId64, (int64_t)number));
	if (!HFX_ARRAY_PUSH(ret, items, part))
		return hfx_error_no_memory();
	part = (struct type_part){0};
	return NULL;
}

static struct hfx_error *add_values(Dwarf_Die *type, struct type_parts *ret)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(type, &child);
	     status == 0 && ret->num_items < TYPE_MAX_PARTS;
	     status = dwarf_siblingof(&child, &child))
		if (dwarf_tag(&child) == DW_TAG_enumerator)
			HFX_TRY(add_value(&child, ret));
	return NULL;
}

struct hfx_error *debug_type_parts(struct debug_info *debug, Dwarf_Die *type,
                                   struct type_parts *ret)
{
	if (dwarf_tag(type) == DW_TAG_enumeration_type)
		return add_values(type, ret);
	return debug_is_aggregate(type) ? add_members(debug, type, ret) : NULL;
}
