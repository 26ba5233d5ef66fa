/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/** Members compared for one type, with those of nested unnamed ones. */
#define MAX_MEMBERS 100000

struct comparison {
	struct debug_pair *pair;
	unsigned num_members;
	/** First difference, owned; `NULL` while there is none. */
	char *text;
};

static void members_deinit(struct debug_members *members)
{
	free(members->items);
}

static void comparison_deinit(struct comparison *comparison)
{
	free(comparison->text);
}

/** How many members before the one at @p index have its name. */
static size_t count_namesakes(const struct debug_members *members, size_t index)
{
	const char *name = members->items[index].name;
	size_t count = 0;

	for (size_t i = 0; i < index; i++)
		count += strcmp(members->items[i].name, name) == 0;
	return count;
}

/**
 * The member of @p others that @p members ' one at @p index is: of the same
 * name, and where several have it (unnamed ones), of the same rank.
 */
static const struct debug_member *
find_member(const struct debug_members *others,
            const struct debug_members *members, size_t index)
{
	const char *name = members->items[index].name;
	size_t rank;

	if (index < others->num_items &&
	    strcmp(others->items[index].name, name) == 0)
		return &others->items[index];
	rank = count_namesakes(members, index);
	for (size_t i = 0; i < others->num_items; i++) {
		if (strcmp(others->items[i].name, name) == 0 && rank-- == 0)
			return &others->items[i];
	}
	return NULL;
}

/** `member "x"`. */
static struct hfx_error *label(const struct debug_member *member, char **ret)
{
	const char *kind = member->is_base ? "base class" : "member";

	if (!member->name[0])
		return debug_text_set(ret, "unnamed %s", kind);
	return debug_text_set(ret, "%s \"%s\"", kind, member->name);
}

/** Say that @p member is only on one side. */
static struct hfx_error *tell_single(struct comparison *comparison,
                                     const struct debug_member *member,
                                     uint64_t base_off, const char *verb)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;

	HFX_TRY(label(member, &name));
	return debug_text_set(&comparison->text, "%s %s at offset %" PRIu64,
	                      name, verb, (base_off + member->bit_off) / 8);
}

static struct hfx_error *tell_numbers(struct comparison *comparison,
                                      const struct debug_member *member,
                                      const char *what, uint64_t old_number,
                                      uint64_t new_number)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;

	HFX_TRY(label(member, &name));
	return debug_text_set(&comparison->text,
	                      "%s %s %" PRIu64 " -> %" PRIu64, name, what,
	                      old_number, new_number);
}

static struct hfx_error *compare_members(struct comparison *comparison,
                                         Dwarf_Die *old_type,
                                         Dwarf_Die *new_type, uint64_t old_off,
                                         uint64_t new_off, unsigned depth);

/** The members of a structure without name belong to the one around it. */
static struct hfx_error *compare_nested(struct comparison *comparison,
                                        const struct debug_member *old_member,
                                        const struct debug_member *new_member,
                                        uint64_t old_off, uint64_t new_off,
                                        unsigned depth)
{
	Dwarf_Die old_type = old_member->type;
	Dwarf_Die new_type = new_member->type;

	if (!old_member->is_aggregate || !new_member->is_aggregate ||
	    debug_name(&old_type)[0] || debug_name(&new_type)[0])
		return NULL;
	return compare_members(comparison, &old_type, &new_type, old_off,
	                       new_off, depth + 1);
}

/** Two members of one name, place and size. */
static struct hfx_error *
compare_member_types(struct comparison *comparison,
                     const struct debug_member *old_member,
                     const struct debug_member *new_member)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	HFX_CLEANUP(hfx_free) char *old_text = NULL;
	HFX_CLEANUP(hfx_free) char *new_text = NULL;
	Dwarf_Die old_die = old_member->die;
	Dwarf_Die new_die = new_member->die;
	bool equal;

	HFX_TRY(debug_types_equal(comparison->pair, &old_die, &new_die,
	                          &equal));
	if (equal)
		return NULL;
	HFX_TRY(label(new_member, &name));
	HFX_TRY(debug_declared_type(comparison->pair->old_debug, &old_die,
	                            &old_text));
	HFX_TRY(debug_declared_type(comparison->pair->new_debug, &new_die,
	                            &new_text));
	const char *inside = comparison->pair->difference;
	return debug_text_set(&comparison->text,
	                      "%s at offset %" PRIu64 " type %s -> %s%s%s",
	                      name, new_member->bit_off / 8, old_text, new_text,
	                      inside ? ": " : "", inside ? inside : "");
}

/** Two members of one name. */
static struct hfx_error *compare_member(struct comparison *comparison,
                                        const struct debug_member *old_member,
                                        const struct debug_member *new_member,
                                        uint64_t old_off, uint64_t new_off,
                                        unsigned depth)
{
	bool is_field = old_member->bit_size || new_member->bit_size;

	old_off += old_member->bit_off;
	new_off += new_member->bit_off;
	if (old_off != new_off)
		return tell_numbers(comparison, new_member,
		                    is_field ? "at bit" : "at offset",
		                    is_field ? old_off : old_off / 8,
		                    is_field ? new_off : new_off / 8);
	HFX_TRY(compare_nested(comparison, old_member, new_member, old_off,
	                       new_off, depth));
	if (comparison->text)
		return NULL;
	if (old_member->bit_size != new_member->bit_size)
		return tell_numbers(comparison, new_member, "width in bits",
		                    old_member->bit_size ? old_member->bit_size
		                                         : old_member->size * 8,
		                    new_member->bit_size
		                            ? new_member->bit_size
		                            : new_member->size * 8);
	if (old_member->size != new_member->size)
		return tell_numbers(comparison, new_member, "size",
		                    old_member->size, new_member->size);
	return compare_member_types(comparison, old_member, new_member);
}

/** Compare what stands at @p index of both lists. */
static struct hfx_error *compare_index(struct comparison *comparison,
                                       const struct debug_members *old_members,
                                       const struct debug_members *new_members,
                                       size_t index, uint64_t old_off,
                                       uint64_t new_off, unsigned depth)
{
	const struct debug_member *old_member;
	const struct debug_member *new_member;

	if (index < old_members->num_items &&
	    !find_member(new_members, old_members, index))
		return tell_single(comparison, &old_members->items[index],
		                   old_off, "removed");
	if (index >= new_members->num_items)
		return NULL;
	new_member = &new_members->items[index];
	old_member = find_member(old_members, new_members, index);
	if (!old_member)
		return tell_single(comparison, new_member, new_off, "added");
	return compare_member(comparison, old_member, new_member, old_off,
	                      new_off, depth);
}

static struct hfx_error *compare_lists(struct comparison *comparison,
                                       const struct debug_members *old_members,
                                       const struct debug_members *new_members,
                                       uint64_t old_off, uint64_t new_off,
                                       unsigned depth)
{
	for (size_t i = 0; !comparison->text && (i < old_members->num_items ||
	                                         i < new_members->num_items);
	     i++)
		HFX_TRY(compare_index(comparison, old_members, new_members, i,
		                      old_off, new_off, depth));
	return NULL;
}

static struct hfx_error *compare_members(struct comparison *comparison,
                                         Dwarf_Die *old_type,
                                         Dwarf_Die *new_type, uint64_t old_off,
                                         uint64_t new_off, unsigned depth)
{
	HFX_CLEANUP(members_deinit) struct debug_members old_members = {0};
	HFX_CLEANUP(members_deinit) struct debug_members new_members = {0};

	HFX_TRY(debug_members_list(comparison->pair->old_debug, old_type,
	                           &old_members));
	HFX_TRY(debug_members_list(comparison->pair->new_debug, new_type,
	                           &new_members));
	comparison->num_members += 1 + new_members.num_items;
	if (comparison->num_members > MAX_MEMBERS || depth > DEBUG_MAX_CHAIN)
		return debug_error_damaged(comparison->pair->new_debug,
		                           "a type inside itself");
	return compare_lists(comparison, &old_members, &new_members, old_off,
	                     new_off, depth);
}

static struct hfx_error *compare_alignment(Dwarf_Die *old_type,
                                           Dwarf_Die *new_type, char **text)
{
	uint64_t old_number = 0;
	uint64_t new_number = 0;

	debug_number(old_type, DW_AT_alignment, &old_number);
	debug_number(new_type, DW_AT_alignment, &new_number);
	if (*text || old_number == new_number)
		return NULL;
	return debug_text_set(text, "alignment %" PRIu64 " -> %" PRIu64,
	                      old_number, new_number);
}

struct hfx_error *debug_types_differ(struct debug_pair *pair,
                                     Dwarf_Die *old_type, Dwarf_Die *new_type,
                                     char **ret)
{
	HFX_CLEANUP(comparison_deinit)
	struct comparison comparison = {.pair = pair};
	bool is_enum = dwarf_tag(old_type) == DW_TAG_enumeration_type;

	*ret = NULL;
	if (dwarf_tag(new_type) != dwarf_tag(old_type) &&
	    (is_enum || dwarf_tag(new_type) == DW_TAG_enumeration_type))
		return debug_text_set(ret, "another kind of type");
	if (is_enum)
		return debug_enums_differ(pair, old_type, new_type, ret);
	HFX_TRY(compare_members(&comparison, old_type, new_type, 0, 0, 0));
	if (!comparison.text)
		HFX_TRY(debug_virtuals_differ(old_type, new_type,
		                              &comparison.text));
	HFX_TRY(compare_alignment(old_type, new_type, &comparison.text));
	*ret = HFX_TAKE(comparison.text);
	return NULL;
}
