/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

/** Members compared for one type, with those of nested unnamed ones. */
#define MAX_MEMBERS 100000

/** A complete type and what it is called. */
struct named_type {
	/** With keyword in C, qualified in C++; owned. */
	char *name;
	Dwarf_Die die;
	/** What declares the name: the type, or the typedef that names it. */
	Dwarf_Die declaration;
};

/** The types of a unit and of all that it imports. */
struct type_table {
	struct debug_info *debug;
	bool is_c;
	struct named_type *items;
	size_t num_items;
	size_t cap_items;
	/** Units seen, which is also the list of those still to read. */
	struct debug_unit **units;
	size_t num_units;
	size_t cap_units;
};

struct unit_pair {
	struct debug_unit *old_unit;
	struct debug_unit *new_unit;
};

struct unit_pairs {
	struct unit_pair *items;
	size_t num_items;
	size_t cap_items;
};

struct comparison {
	struct debug_info *old_debug;
	struct debug_info *new_debug;
	unsigned num_members;
	/** First difference, owned; `NULL` while there is none. */
	char *text;
};

static void change_deinit(struct debug_type_change *change)
{
	free(change->name);
	free(change->member);
	free(change->source);
}

void debug_type_changes_deinit(struct debug_type_changes *changes)
{
	for (size_t i = 0; i < changes->num_items; i++)
		change_deinit(&changes->items[i]);
	free(changes->items);
	*changes = (struct debug_type_changes){0};
}

static void table_deinit(struct type_table *table)
{
	for (size_t i = 0; i < table->num_items; i++)
		free(table->items[i].name);
	free(table->items);
	free(table->units);
}

static void pairs_deinit(struct unit_pairs *pairs)
{
	free(pairs->items);
}

static void members_deinit(struct debug_members *members)
{
	free(members->items);
}

static void comparison_deinit(struct comparison *comparison)
{
	free(comparison->text);
}

static const char *keyword(Dwarf_Die *type)
{
	return dwarf_tag(type) == DW_TAG_union_type ? "union " : "struct ";
}

static struct hfx_error *add_named(struct type_table *table, Dwarf_Die *type,
                                   Dwarf_Die *declaration)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	struct named_type named = {.die = *type, .declaration = *declaration};

	HFX_TRY(debug_qualified_name(table->debug, declaration, &name));
	if (table->is_c && type->addr == declaration->addr)
		HFX_TRY(debug_text_set(&name, "%s%s", keyword(type), name));
	named.name = name;
	if (!HFX_ARRAY_PUSH(table, items, named))
		return hfx_error_no_memory();
	name = NULL;
	return NULL;
}

/** An aggregate with a name, or a typedef that names one without. */
static struct hfx_error *add_type(struct type_table *table, Dwarf_Die *die)
{
	Dwarf_Die type;
	bool found;

	if (dwarf_tag(die) != DW_TAG_typedef)
		return debug_name(die)[0] ? add_named(table, die, die) : NULL;
	HFX_TRY(debug_follow(table->debug, die, DW_AT_type, &type, &found));
	if (!found || !debug_is_aggregate(&type))
		return NULL;
	HFX_TRY(debug_type_resolve(table->debug, &type, &type));
	if (debug_name(&type)[0] || dwarf_hasattr(&type, DW_AT_declaration))
		return NULL;
	return add_named(table, &type, die);
}

static struct hfx_error *add_unit(struct type_table *table,
                                  struct debug_unit *unit, uint64_t visit)
{
	if (unit->visit == visit)
		return NULL;
	unit->visit = visit;
	if (!HFX_ARRAY_PUSH(table, units, unit))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *add_imports(struct type_table *table,
                                     struct debug_unit *unit, uint64_t visit)
{
	for (size_t i = 0; i < unit->num_imports; i++) {
		struct debug_unit *imported;

		HFX_TRY(debug_unit_of(table->debug, unit->imports[i].cu,
		                      &imported));
		HFX_TRY(add_unit(table, imported, visit));
	}
	return NULL;
}

static int compare_named(const void *left, const void *right)
{
	const struct named_type *a = left;
	const struct named_type *b = right;
	const char *a_place = a->declaration.addr;
	const char *b_place = b->declaration.addr;
	int order = strcmp(a->name, b->name);

	return order ? order : (a_place > b_place) - (a_place < b_place);
}

static struct hfx_error *fill_table(struct type_table *table,
                                    struct debug_unit *unit)
{
	uint64_t visit = ++table->debug->last_visit;

	table->is_c = unit->is_c;
	HFX_TRY(add_unit(table, unit, visit));
	for (size_t i = 0; i < table->num_units; i++) {
		unit = table->units[i];
		for (size_t k = 0; k < unit->num_types; k++)
			HFX_TRY(add_type(table, &unit->types[k]));
		HFX_TRY(add_imports(table, unit, visit));
	}
	if (table->num_items > 1)
		qsort(table->items, table->num_items, sizeof(*table->items),
		      compare_named);
	return NULL;
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
	return NULL;
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

	HFX_TRY(debug_members_list(comparison->old_debug, old_type,
	                           &old_members));
	HFX_TRY(debug_members_list(comparison->new_debug, new_type,
	                           &new_members));
	comparison->num_members += 1 + new_members.num_items;
	if (comparison->num_members > MAX_MEMBERS || depth > DEBUG_MAX_CHAIN)
		return debug_error_damaged(comparison->new_debug,
		                           "a type inside itself");
	return compare_lists(comparison, &old_members, &new_members, old_off,
	                     new_off, depth);
}

static struct hfx_error *add_change(struct debug_type_change *change,
                                    Dwarf_Die *declaration, const char *name,
                                    struct debug_type_changes *changes)
{
	HFX_TRY(debug_text_set(&change->name, "%s", name));
	HFX_TRY(debug_declaration_place(declaration, &change->source));
	for (size_t i = 0; i < changes->num_items; i++) {
		if (strcmp(changes->items[i].name, name) == 0 &&
		    strcmp(changes->items[i].source, change->source) == 0)
			return NULL;
	}
	if (!HFX_ARRAY_PUSH(changes, items, *change))
		return hfx_error_no_memory();
	*change = (struct debug_type_change){0};
	return NULL;
}

static struct hfx_error *compare_type(struct debug_info *old_debug,
                                      struct debug_info *new_debug,
                                      struct named_type *old_type,
                                      struct named_type *new_type,
                                      struct debug_type_changes *changes)
{
	HFX_CLEANUP(comparison_deinit)
	struct comparison comparison = {.old_debug = old_debug,
	                                .new_debug = new_debug};
	HFX_CLEANUP(change_deinit) struct debug_type_change change = {0};

	debug_number(&old_type->die, DW_AT_byte_size, &change.old_size);
	debug_number(&new_type->die, DW_AT_byte_size, &change.new_size);
	HFX_TRY(compare_members(&comparison, &old_type->die, &new_type->die, 0,
	                        0, 0));
	if (!comparison.text && change.old_size == change.new_size)
		return NULL;
	HFX_TRY(debug_text_set(&change.member, "%s",
	                       comparison.text ? comparison.text : ""));
	return add_change(&change, &new_type->declaration, new_type->name,
	                  changes);
}

/** Walk two sorted tables; of several types with one name the first counts. */
static struct hfx_error *compare_tables(struct type_table *old_table,
                                        struct type_table *new_table,
                                        struct debug_type_changes *changes)
{
	size_t old_index = 0;
	const char *last = "";

	for (size_t i = 0; i < new_table->num_items; i++) {
		struct named_type *type = &new_table->items[i];

		if (strcmp(type->name, last) == 0)
			continue;
		last = type->name;
		while (old_index < old_table->num_items &&
		       strcmp(old_table->items[old_index].name, last) < 0)
			old_index++;
		if (old_index < old_table->num_items &&
		    strcmp(old_table->items[old_index].name, last) == 0)
			HFX_TRY(compare_type(old_table->debug, new_table->debug,
			                     &old_table->items[old_index], type,
			                     changes));
	}
	return NULL;
}

static struct hfx_error *compare_units(struct debug_info *old_debug,
                                       struct debug_info *new_debug,
                                       const struct unit_pair *pair,
                                       struct debug_type_changes *changes)
{
	HFX_CLEANUP(table_deinit)
	struct type_table old_table = {.debug = old_debug};
	HFX_CLEANUP(table_deinit)
	struct type_table new_table = {.debug = new_debug};

	HFX_TRY(fill_table(&old_table, pair->old_unit));
	HFX_TRY(fill_table(&new_table, pair->new_unit));
	return compare_tables(&old_table, &new_table, changes);
}

static struct hfx_error *add_pair(struct unit_pairs *pairs,
                                  const struct unit_pair *pair)
{
	for (size_t i = 0; i < pairs->num_items; i++) {
		if (pairs->items[i].old_unit == pair->old_unit &&
		    pairs->items[i].new_unit == pair->new_unit)
			return NULL;
	}
	if (!HFX_ARRAY_PUSH(pairs, items, *pair))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *add_functions(struct debug_info *old_debug,
                                       struct debug_info *new_debug,
                                       uint64_t old_addr, uint64_t new_addr,
                                       struct unit_pairs *pairs)
{
	struct debug_subprogram old_function;
	struct debug_subprogram new_function;
	struct unit_pair pair;
	bool found;

	HFX_TRY(debug_subprogram_at(old_debug, old_addr, &old_function,
	                            &found));
	if (!found)
		return NULL;
	HFX_TRY(debug_subprogram_at(new_debug, new_addr, &new_function,
	                            &found));
	if (!found)
		return NULL;
	pair.old_unit = old_function.unit;
	pair.new_unit = new_function.unit;
	return add_pair(pairs, &pair);
}

struct hfx_error *debug_info_compare_types(struct debug_info *old_debug,
                                           struct debug_info *new_debug,
                                           const uint64_t *old_addrs,
                                           const uint64_t *new_addrs,
                                           size_t count,
                                           struct debug_type_changes *ret)
{
	HFX_CLEANUP(debug_type_changes_deinit)
	struct debug_type_changes changes = {0};
	HFX_CLEANUP(pairs_deinit) struct unit_pairs pairs = {0};

	for (size_t i = 0; i < count; i++)
		HFX_TRY(add_functions(old_debug, new_debug, old_addrs[i],
		                      new_addrs[i], &pairs));
	for (size_t i = 0; i < pairs.num_items; i++)
		HFX_TRY(compare_units(old_debug, new_debug, &pairs.items[i],
		                      &changes));
	*ret = changes;
	changes = (struct debug_type_changes){0};
	return NULL;
}
