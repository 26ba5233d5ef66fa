/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

static void change_deinit(struct debug_type_change *change)
{
	free(change->name);
	free(change->member);
	free(change->source);
	type_parts_deinit(&change->old_parts);
	type_parts_deinit(&change->new_parts);
	free(change->key);
	free(change->users);
	free(change->passers);
	free(change->holder);
}

void debug_type_changes_deinit(struct debug_type_changes *changes)
{
	for (size_t i = 0; i < changes->num_items; i++)
		change_deinit(&changes->items[i]);
	free(changes->items);
	*changes = (struct debug_type_changes){0};
}

/** Add @p change unless it is there; takes its content if it was added. */
static struct hfx_error *add_once(struct debug_type_change *change,
                                  struct debug_type_changes *changes)
{
	for (size_t i = 0; i < changes->num_items; i++) {
		if (strcmp(changes->items[i].name, change->name) == 0 &&
		    strcmp(changes->items[i].source, change->source) == 0)
			return NULL;
	}
	if (!HFX_ARRAY_PUSH(changes, items, *change))
		return hfx_error_no_memory();
	*change = (struct debug_type_change){0};
	return NULL;
}

static struct hfx_error *add_change(struct debug_type_change *change,
                                    struct debug_named_type *type,
                                    struct debug_type_changes *changes)
{
	Dwarf_Die *declaration = &type->declaration;

	change->is_typedef = type->die.addr != declaration->addr;
	HFX_TRY(debug_text_set(&change->name, "%s", type->name));
	HFX_TRY(debug_text_set(&change->key, "%s", debug_name(declaration)));
	HFX_TRY(debug_text_set(&change->holder, "%s", ""));
	HFX_TRY(debug_declaration_place(declaration, &change->source));
	return add_once(change, changes);
}

/** Fill in the difference; `member` stays `NULL` when there is none. */
static struct hfx_error *describe_change(struct debug_pair *pair,
                                         Dwarf_Die *old_type,
                                         Dwarf_Die *new_type,
                                         struct debug_type_change *change)
{
	change->is_enum = dwarf_tag(new_type) == DW_TAG_enumeration_type;
	debug_number(old_type, DW_AT_byte_size, &change->old_size);
	debug_number(new_type, DW_AT_byte_size, &change->new_size);
	HFX_TRY(debug_types_differ(pair, old_type, new_type, &change->member));
	if (!change->member && change->old_size != change->new_size)
		HFX_TRY(debug_text_set(&change->member, "%s", ""));
	if (!change->member && change->is_enum) {
		HFX_TRY(debug_enum_count(old_type, new_type, &change->member));
		change->is_harmless = change->member;
	}
	if (!change->member)
		return NULL;
	HFX_TRY(debug_type_parts(pair->old_debug, old_type,
	                         &change->old_parts));
	return debug_type_parts(pair->new_debug, new_type, &change->new_parts);
}

/** The entries of a table from @p first on that have one name. */
static size_t count_namesakes(const struct debug_type_table *table,
                              size_t first)
{
	size_t end = first;

	while (end < table->num_items &&
	       strcmp(table->items[end].name, table->items[first].name) == 0)
		end++;
	return end - first;
}

/** Types of one name, as blocks of a function have them: by their rank. */
static struct hfx_error *
compare_namesakes(struct debug_pair *pair, struct debug_named_type *old_types,
                  size_t num_old, struct debug_named_type *new_types,
                  size_t num_new, struct debug_type_changes *changes)
{
	for (size_t i = 0; i < num_new; i++) {
		size_t rank = i < num_old ? i : num_old - 1;
		HFX_CLEANUP(change_deinit)
		struct debug_type_change change = {0};

		HFX_TRY(describe_change(pair, &old_types[rank].die,
		                        &new_types[i].die, &change));
		if (change.member)
			HFX_TRY(add_change(&change, &new_types[i], changes));
	}
	return NULL;
}

/** Walk two sorted tables. */
static struct hfx_error *compare_tables(struct debug_pair *pair,
                                        struct debug_type_table *old_table,
                                        struct debug_type_table *new_table,
                                        struct debug_type_changes *changes)
{
	size_t old_index = 0;
	size_t count;

	for (size_t i = 0; i < new_table->num_items; i += count) {
		const char *name = new_table->items[i].name;
		size_t num_old;

		count = count_namesakes(new_table, i);
		while (old_index < old_table->num_items &&
		       strcmp(old_table->items[old_index].name, name) < 0)
			old_index++;
		if (old_index == old_table->num_items)
			break;
		if (strcmp(old_table->items[old_index].name, name) != 0)
			continue;
		num_old = count_namesakes(old_table, old_index);
		HFX_TRY(compare_namesakes(pair, &old_table->items[old_index],
		                          num_old, &new_table->items[i], count,
		                          changes));
	}
	return NULL;
}

/* ---- Enumerations without a name ---------------------------------------- */

static struct hfx_error *add_nameless(struct debug_pair *pair,
                                      Dwarf_Die *old_type, Dwarf_Die *new_type,
                                      struct debug_type_changes *changes)
{
	HFX_CLEANUP(change_deinit) struct debug_type_change change = {0};

	HFX_TRY(describe_change(pair, old_type, new_type, &change));
	if (!change.member)
		return NULL;
	HFX_TRY(debug_nameless_enum(pair->new_debug, new_type, &change.name));
	HFX_TRY(debug_text_set(&change.key, "%s", ""));
	HFX_TRY(debug_text_set(&change.holder, "%s", ""));
	HFX_TRY(debug_declaration_place(new_type, &change.source));
	return add_once(&change, changes);
}

/** Whether two of them are the same one: by scope and by what they list. */
static struct hfx_error *is_same_enum(struct debug_pair *pair,
                                      Dwarf_Die *old_type, Dwarf_Die *new_type,
                                      bool *ret)
{
	HFX_CLEANUP(hfx_free) char *old_scope = NULL;
	HFX_CLEANUP(hfx_free) char *new_scope = NULL;

	*ret = debug_enums_share(old_type, new_type);
	if (!*ret)
		return NULL;
	HFX_TRY(debug_qualified_name(pair->old_debug, old_type, &old_scope));
	HFX_TRY(debug_qualified_name(pair->new_debug, new_type, &new_scope));
	*ret = strcmp(old_scope, new_scope) == 0;
	return NULL;
}

/*
 * Their values are kept in integers, and nothing says in which. Compilers tell
 * only of those that the unit uses.
 */
static struct hfx_error *compare_enums(struct debug_pair *pair,
                                       struct debug_type_table *old_table,
                                       struct debug_type_table *new_table,
                                       struct debug_type_changes *changes)
{
	for (size_t i = 0; i < new_table->num_enums; i++) {
		Dwarf_Die *new_type = &new_table->enums[i];
		bool found = debug_type_table_names(new_table, new_type);

		for (size_t k = 0; !found && k < old_table->num_enums; k++) {
			Dwarf_Die *old_type = &old_table->enums[k];

			HFX_TRY(is_same_enum(pair, old_type, new_type, &found));
			if (found)
				HFX_TRY(add_nameless(pair, old_type, new_type,
				                     changes));
		}
	}
	return NULL;
}

static struct hfx_error *compare_units(struct debug_pair *pair,
                                       const struct debug_unit_pair *units,
                                       struct debug_type_changes *changes)
{
	HFX_CLEANUP(debug_type_table_deinit)
	struct debug_type_table old_table = {.debug = pair->old_debug};
	HFX_CLEANUP(debug_type_table_deinit)
	struct debug_type_table new_table = {.debug = pair->new_debug};

	HFX_TRY(debug_type_table_fill(&old_table, units->old_unit));
	HFX_TRY(debug_type_table_fill(&new_table, units->new_unit));
	HFX_TRY(compare_tables(pair, &old_table, &new_table, changes));
	return compare_enums(pair, &old_table, &new_table, changes);
}

/** Types that the units only declare, where they are defined. */
static struct hfx_error *compare_elsewhere(struct debug_pair *pair,
                                           const struct debug_unit_pairs *pairs,
                                           struct debug_type_changes *changes)
{
	HFX_CLEANUP(debug_type_table_deinit)
	struct debug_type_table old_table = {.debug = pair->old_debug};
	HFX_CLEANUP(debug_type_table_deinit)
	struct debug_type_table new_table = {.debug = pair->new_debug};

	HFX_TRY(debug_type_table_elsewhere(&new_table, pairs));
	if (!new_table.num_items)
		return NULL;
	HFX_TRY(debug_type_table_elsewhere(&old_table, pairs));
	return compare_tables(pair, &old_table, &new_table, changes);
}

struct hfx_error *
debug_info_compare_types(struct debug_info *old_debug,
                         struct debug_info *new_debug,
                         const struct debug_function_pair *functions,
                         size_t count, struct debug_type_changes *ret)
{
	HFX_CLEANUP(debug_pair_deinit)
	struct debug_pair pair = {.old_debug = old_debug,
	                          .new_debug = new_debug};
	HFX_CLEANUP(debug_type_changes_deinit)
	struct debug_type_changes changes = {0};
	HFX_CLEANUP(debug_unit_pairs_deinit)
	struct debug_unit_pairs pairs = {0};

	for (size_t i = 0; i < count; i++)
		HFX_TRY(debug_unit_pairs_add(&pair, &functions[i], &pairs));
	for (size_t i = 0; i < pairs.num_items; i++)
		HFX_TRY(compare_units(&pair, &pairs.items[i], &changes));
	HFX_TRY(compare_elsewhere(&pair, &pairs, &changes));
	HFX_TRY(debug_types_find_uses(&pair, functions, count, &changes));
	*ret = changes;
	changes = (struct debug_type_changes){0};
	return NULL;
}

static struct hfx_error *tell_types(struct debug_pair *pair, Dwarf_Die *old_die,
                                    Dwarf_Die *new_die, char **ret)
{
	HFX_CLEANUP(hfx_free) char *old_text = NULL;
	HFX_CLEANUP(hfx_free) char *new_text = NULL;
	const char *inside = pair->difference;

	HFX_TRY(debug_declared_type(pair->old_debug, old_die, &old_text));
	HFX_TRY(debug_declared_type(pair->new_debug, new_die, &new_text));
	return debug_text_set(ret, "from \"%s\" to \"%s\"%s%s%s", old_text,
	                      new_text, inside ? " (" : "",
	                      inside ? inside : "", inside ? ")" : "");
}

struct hfx_error *debug_info_variable_differs(
	struct debug_info *old_debug, struct debug_info *new_debug,
	const struct debug_variable_pair *variables, char **ret)
{
	HFX_CLEANUP(debug_pair_deinit)
	struct debug_pair pair = {.old_debug = old_debug,
	                          .new_debug = new_debug};
	const struct debug_variable *old_variable;
	const struct debug_variable *new_variable;
	bool same;

	*ret = NULL;
	HFX_TRY(debug_variable_find(old_debug, variables->old_addr,
	                            variables->is_tls, &old_variable));
	HFX_TRY(debug_variable_find(new_debug, variables->new_addr,
	                            variables->is_tls, &new_variable));
	if (!old_variable || !new_variable)
		return NULL;
	Dwarf_Die old_die = old_variable->die, new_die = new_variable->die;
	HFX_TRY(debug_types_equal(&pair, &old_die, &new_die, &same));
	return same ? NULL : tell_types(&pair, &old_die, &new_die, ret);
}

struct hfx_error *debug_info_variable_alignment(struct debug_info *debug,
                                                uint64_t addr, uint64_t *ret)
{
	const struct debug_variable *variable;
	Dwarf_Attribute attr;
	Dwarf_Word value;

	*ret = 0;
	HFX_TRY(debug_variable_at(debug, addr, &variable));
	if (!variable)
		return NULL;
	Dwarf_Die die = variable->die;
	if (!dwarf_formudata(dwarf_attr_integrate(&die, DW_AT_alignment, &attr),
	                     &value))
		*ret = value;
	return NULL;
}

struct hfx_error *debug_info_is_array(struct debug_info *debug, uint64_t addr,
                                      bool *ret)
{
	HFX_CLEANUP(hfx_free) char *type = NULL;
	const struct debug_variable *variable;

	*ret = false;
	HFX_TRY(debug_variable_at(debug, addr, &variable));
	if (!variable)
		return NULL;
	Dwarf_Die die = variable->die;
	HFX_TRY(debug_declared_type(debug, &die, &type));
	*ret = type && strchr(type, '[');
	return NULL;
}

struct hfx_error *debug_info_variable_source(struct debug_info *debug,
                                             uint64_t addr, char **ret)
{
	const struct debug_variable *variable;

	HFX_TRY(debug_variable_at(debug, addr, &variable));
	*ret = NULL;
	if (!variable)
		return debug_text_set(ret, "%s", "");
	Dwarf_Die die = variable->die;
	return debug_declaration_place(&die, ret);
}
