/* SPDX-License-Identifier: MIT */
/* What is listed in a type but takes no room: enumerators, virtual functions.
 */
#include "debug_private.h"

#include <inttypes.h>
#include <string.h>

/** Something with a name and a number: an enumerator, a virtual function. */
struct entry {
	Dwarf_Die die;
	const char *name;
	int64_t number;
};

typedef bool (*next_fn)(int status, Dwarf_Die *die, struct entry *ret);

static bool next_enumerator(int status, Dwarf_Die *die, struct entry *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Sword value;

	for (; status == 0; status = dwarf_siblingof(die, die)) {
		if (dwarf_tag(die) != DW_TAG_enumerator ||
		    !dwarf_attr(die, DW_AT_const_value, &attr) ||
		    dwarf_formsdata(&attr, &value))
			continue;
		*ret = (struct entry){*die, debug_name(die), value};
		return true;
	}
	return false;
}

/** Index in the virtual table; -1 if DWARF does not say it. */
static int64_t virtual_slot(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t num_ops;
	uint64_t slot;

	if (debug_number(die, DW_AT_vtable_elem_location, &slot))
		return (int64_t)slot;
	if (!dwarf_attr(die, DW_AT_vtable_elem_location, &attr) ||
	    dwarf_getlocation(&attr, &ops, &num_ops) || num_ops != 1)
		return -1;
	if (ops[0].atom >= DW_OP_lit0 && ops[0].atom <= DW_OP_lit31)
		return ops[0].atom - DW_OP_lit0;
	return (int64_t)ops[0].number;
}

static bool next_virtual(int status, Dwarf_Die *die, struct entry *ret)
{
	for (; status == 0; status = dwarf_siblingof(die, die)) {
		uint64_t virtuality = 0;

		if (dwarf_tag(die) != DW_TAG_subprogram)
			continue;
		debug_number(die, DW_AT_virtuality, &virtuality);
		if (!virtuality)
			continue;
		*ret = (struct entry){*die, debug_linkage_name(die),
		                      virtual_slot(die)};
		return true;
	}
	return false;
}

static bool find(Dwarf_Die *type, next_fn next, const char *name,
                 struct entry *ret)
{
	Dwarf_Die die;
	int status = dwarf_child(type, &die);

	while (next(status, &die, ret)) {
		if (strcmp(ret->name, name) == 0)
			return true;
		status = dwarf_siblingof(&die, &die);
	}
	return false;
}

static bool is_largest(Dwarf_Die *type, const struct entry *entry)
{
	struct entry other;
	Dwarf_Die die;
	int status = dwarf_child(type, &die);

	while (next_enumerator(status, &die, &other)) {
		if (other.number >= entry->number &&
		    strcmp(other.name, entry->name))
			return false;
		status = dwarf_siblingof(&die, &die);
	}
	return true;
}

/**
 * Whether an enumerator only says how many there are: the largest in both, and
 * it grew. No object has it for a value.
 */
static bool is_count(Dwarf_Die *old_type, Dwarf_Die *new_type,
                     const struct entry *old_entry,
                     const struct entry *new_entry)
{
	return new_entry->number > old_entry->number &&
	       is_largest(old_type, old_entry) &&
	       is_largest(new_type, new_entry);
}

/** The first entry of OLD's that NEW has not, or with another number. */
static bool find_lost(Dwarf_Die *old_type, Dwarf_Die *new_type, next_fn next,
                      struct entry *old_ret, struct entry *new_ret,
                      bool *is_removed_ret)
{
	Dwarf_Die die;
	int status = dwarf_child(old_type, &die);

	while (next(status, &die, old_ret)) {
		*is_removed_ret = !find(new_type, next, old_ret->name, new_ret);
		if (*is_removed_ret ||
		    (new_ret->number != old_ret->number &&
		     !(next == next_enumerator &&
		       is_count(old_type, new_type, old_ret, new_ret))))
			return true;
		status = dwarf_siblingof(&die, &die);
	}
	return false;
}

struct hfx_error *debug_enums_differ(struct debug_pair *pair,
                                     Dwarf_Die *old_type, Dwarf_Die *new_type,
                                     char **ret)
{
	struct entry old_entry, new_entry;
	bool is_removed;

	(void)pair;
	if (!find_lost(old_type, new_type, next_enumerator, &old_entry,
	               &new_entry, &is_removed))
		return NULL;
	if (is_removed)
		return debug_text_set(ret, "value %s (%" PRId64 ") removed",
		                      old_entry.name, old_entry.number);
	return debug_text_set(ret, "value %s %" PRId64 " -> %" PRId64,
	                      old_entry.name, old_entry.number,
	                      new_entry.number);
}

static const char *name_of(struct entry *entry)
{
	const char *name = debug_name(&entry->die);

	return name[0] ? name : entry->name;
}

struct hfx_error *debug_virtuals_differ(Dwarf_Die *old_type,
                                        Dwarf_Die *new_type, char **ret)
{
	struct entry old_entry, new_entry;
	bool is_removed;

	if (find_lost(new_type, old_type, next_virtual, &new_entry, &old_entry,
	              &is_removed))
		return is_removed
		               ? debug_text_set(ret,
		                                "virtual function \"%s\" added "
		                                "at slot %" PRId64,
		                                name_of(&new_entry),
		                                new_entry.number)
		               : debug_text_set(
					 ret,
					 "virtual function \"%s\" at slot "
					 "%" PRId64 " -> %" PRId64,
					 name_of(&new_entry), old_entry.number,
					 new_entry.number);
	if (!find_lost(old_type, new_type, next_virtual, &old_entry, &new_entry,
	               &is_removed))
		return NULL;
	return debug_text_set(ret,
	                      "virtual function \"%s\" removed from slot "
	                      "%" PRId64,
	                      name_of(&old_entry), old_entry.number);
}
