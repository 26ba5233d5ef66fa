/* SPDX-License-Identifier: MIT */
/*
 * Who uses a type that changed, and where its objects live.
 *
 * Types are known by the names of their tags or typedefs here, whatever unit
 * they are in; a structure that holds the type as a member or base holds its
 * objects, too, and is one more name. That is asked only when a type did
 * change, and then all of OLD is read.
 */
#include "debug_mention.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

/** Types that hold the one that changed, directly or not. */
#define MAX_KEYS 256

/** Of more types than these the storage is not looked for. */
#define MAX_SEARCHES 64

struct search {
	struct debug_info *debug;
	struct debug_keys *keys;
	struct debug_type_change *change;
	/** Addresses of OLD's functions that go, sorted; and which are open. */
	const struct debug_function_pair *functions;
	size_t num_functions;
	/** Keys that the pass found. */
	struct debug_keys found;
	/** Structures with pointers to the type: who has them may use it. */
	struct debug_keys *holders;
};

/* ---- Storage: one pass over OLD ----------------------------------------- */

static struct hfx_error *hold(struct search *search, enum debug_storage storage,
                              const char *format, const char *name,
                              const char *outer)
{
	struct debug_type_change *change = search->change;

	if (storage <= change->storage)
		return NULL;
	change->storage = storage;
	return debug_text_set(&change->holder, format, name, outer);
}

static struct hfx_error *search_variables(struct search *search,
                                          struct debug_unit *unit)
{
	for (size_t i = 0; i < unit->num_variables; i++) {
		Dwarf_Die die = unit->variables[i].die;
		enum debug_mention mention;

		HFX_TRY(debug_mention_of(search->debug, search->keys, &die, 0,
		                         &mention));
		if (mention == DEBUG_MENTION_VALUE)
			HFX_TRY(hold(search, DEBUG_STORAGE_GLOBAL,
			             "variable %s%s", debug_name(&die), ""));
		if (mention == DEBUG_MENTION_POINTER)
			HFX_TRY(hold(search, DEBUG_STORAGE_HEAP,
			             "variable %s points to it%s",
			             debug_name(&die), ""));
	}
	return NULL;
}

/**
 * Variables at file scope without a fixed address: thread-local ones, and those
 * of other units.
 */
static struct hfx_error *search_scope(struct search *search, Dwarf_Die *scope)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(scope, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		enum debug_mention mention = DEBUG_MENTION_NONE;

		if (dwarf_tag(&child) == DW_TAG_variable)
			HFX_TRY(debug_mention_of(search->debug, search->keys,
			                         &child, 0, &mention));
		if (mention != DEBUG_MENTION_NONE)
			HFX_TRY(hold(search, DEBUG_STORAGE_HEAP,
			             "variable %s has it%s", debug_name(&child),
			             ""));
	}
	return NULL;
}

static struct hfx_error *search_scopes(struct search *search,
                                       struct debug_unit *unit)
{
	HFX_TRY(search_scope(search, &unit->die));
	for (size_t i = 0; i < unit->num_scopes; i++) {
		Dwarf_Die scope = unit->scopes[i].die;

		if (dwarf_tag(&scope) == DW_TAG_namespace)
			HFX_TRY(search_scope(search, &scope));
	}
	return NULL;
}

static struct hfx_error *add_holder(struct search *search, Dwarf_Die *type)
{
	struct debug_key key = {.name = debug_name(type)};

	if (!key.name[0] || search->holders->num_items >= MAX_KEYS ||
	    debug_keys_have(search->holders, key.name, false))
		return NULL;
	return debug_keys_add(search->holders, key);
}

static struct hfx_error *add_key(struct search *search, Dwarf_Die *type)
{
	struct debug_key key = {.name = debug_name(type)};

	if (!key.name[0] || debug_keys_have(search->keys, key.name, false) ||
	    debug_keys_have(&search->found, key.name, false))
		return NULL;
	return debug_keys_add(&search->found, key);
}

/** A member or base of @p type. */
static struct hfx_error *search_member(struct search *search, Dwarf_Die *type,
                                       Dwarf_Die *member)
{
	const char *name = debug_name(type);
	enum debug_mention mention;

	HFX_TRY(debug_mention_of(search->debug, search->keys, member, 0,
	                         &mention));
	if (mention == DEBUG_MENTION_VALUE)
		return add_key(search, type);
	if (mention != DEBUG_MENTION_POINTER)
		return NULL;
	HFX_TRY(add_holder(search, type));
	return hold(search, DEBUG_STORAGE_HEAP,
	            "member \"%s\" of %s points to it", debug_name(member),
	            *name ? name : "a structure without a name");
}

static struct hfx_error *search_types(struct search *search,
                                      struct debug_unit *unit)
{
	for (size_t i = 0; i < unit->num_types; i++) {
		Dwarf_Die type = unit->types[i];
		Dwarf_Die child;
		int status;

		if (!debug_is_aggregate(&type))
			continue;
		for (status = dwarf_child(&type, &child); status == 0;
		     status = dwarf_siblingof(&child, &child))
			if (dwarf_tag(&child) == DW_TAG_member ||
			    dwarf_tag(&child) == DW_TAG_inheritance)
				HFX_TRY(search_member(search, &type, &child));
	}
	return NULL;
}

static const struct debug_function_pair *find_given(const struct search *search,
                                                    Dwarf_Die *die)
{
	Dwarf_Addr addr;

	if (dwarf_entrypc(die, &addr))
		return NULL;
	for (size_t i = 0; i < search->num_functions; i++)
		if (search->functions[i].old_addr == addr)
			return &search->functions[i];
	return NULL;
}

/** Whether code of a unit knows what is in the type. */
static bool knows_type(const struct search *search, struct debug_unit *unit)
{
	const struct debug_key *key = &search->keys->items[0];

	if (unit->num_imports)
		return true;
	for (size_t i = 0; i < unit->num_types; i++) {
		Dwarf_Die die = unit->types[i];

		if (strcmp(debug_name(&die), key->name) == 0)
			return true;
	}
	return false;
}

/** A function of the patch that code outside of it calls. */
static struct hfx_error *search_exposed(struct search *search,
                                        struct debug_subprogram *function,
                                        const struct debug_visitor *visitor)
{
	const char *name = debug_name(&function->declaration);

	if (visitor->is_passed)
		return hold(search, DEBUG_STORAGE_OTHERS,
		            "%s() is passed it from outside of the patch%s",
		            name, "");
	if (visitor->has_void_parameter && knows_type(search, function->unit))
		return hold(search, DEBUG_STORAGE_OTHERS,
		            "%s() may get it by a pointer to void%s", name, "");
	return NULL;
}

static struct hfx_error *search_function(struct search *search, Dwarf_Die *die)
{
	struct debug_visitor visitor = {.debug = search->debug,
	                                .keys = search->keys};
	const struct debug_function_pair *given = find_given(search, die);
	struct debug_subprogram function;

	HFX_TRY(debug_subprogram_get(search->debug, die, &function));
	HFX_TRY(debug_visit_function(&visitor, &function));
	const char *name = debug_name(&function.declaration);
	if (visitor.has_pointer_variable)
		return hold(search, DEBUG_STORAGE_HEAP,
		            "%s() has pointers to it in variables%s", name, "");
	if (given)
		return given->is_exposed
		               ? search_exposed(search, &function, &visitor)
		               : NULL;
	if (visitor.mention == DEBUG_MENTION_NONE)
		return NULL;
	return hold(search, DEBUG_STORAGE_OTHERS,
	            "%s(), which is not in the patch, has it%s", name, "");
}

static struct hfx_error *search_unit(struct search *search,
                                     struct debug_unit *unit)
{
	HFX_TRY(search_variables(search, unit));
	HFX_TRY(search_scopes(search, unit));
	HFX_TRY(search_types(search, unit));
	/* Better is not to be had. */
	if (search->change->storage >= DEBUG_STORAGE_HEAP)
		return NULL;
	for (size_t i = 0; i < unit->num_functions; i++)
		HFX_TRY(search_function(search, &unit->functions[i]));
	return NULL;
}

/** Add what the pass found to the keys; @p again_ret if there was anything. */
static struct hfx_error *grow_keys(struct search *search,
                                   struct debug_keys *keys, bool *again_ret)
{
	*again_ret = search->found.num_items;
	for (size_t i = 0; i < search->found.num_items; i++)
		HFX_TRY(debug_keys_add(keys, search->found.items[i]));
	search->found.num_items = 0;
	return NULL;
}

/** Walk the units of the file, and those of others that they refer to. */
static struct hfx_error *index_all(struct debug_info *debug)
{
	struct debug_unit *unit;

	HFX_TRY(debug_units_list(debug));
	for (size_t i = 0; i < debug->num_listed; i++)
		HFX_TRY(debug_unit_of(debug, debug->listed[i]->cu, &unit));
	for (size_t i = 0; i < debug->num_indexed; i++)
		for (size_t k = 0; k < debug->indexed[i]->num_imports; k++)
			HFX_TRY(debug_unit_of(debug,
			                      debug->indexed[i]->imports[k].cu,
			                      &unit));
	return NULL;
}

static struct hfx_error *search_all(struct search *search,
                                    struct debug_keys *keys)
{
	struct debug_info *debug = search->debug;
	bool again = true;

	HFX_TRY(index_all(debug));
	while (again && keys->num_items < MAX_KEYS) {
		/* The list grows when a search leads to one more unit. */
		for (size_t i = 0; i < debug->num_indexed; i++)
			HFX_TRY(search_unit(search, debug->indexed[i]));
		HFX_TRY(grow_keys(search, keys, &again));
	}
	return NULL;
}

static struct hfx_error *
find_storage(struct debug_pair *pair,
             const struct debug_function_pair *functions, size_t count,
             struct debug_type_change *change, struct debug_keys *keys,
             struct debug_keys *holders)
{
	struct search search = {
		.debug = pair->old_debug,
		.keys = keys,
		.holders = holders,
		.change = change,
		.functions = functions,
		.num_functions = count,
	};
	struct hfx_error *err = search_all(&search, keys);

	debug_keys_deinit(&search.found);
	return err;
}

/* ---- Users -------------------------------------------------------------- */

/** The variables that a function of NEW refers to. */
static struct hfx_error *
visit_globals(struct debug_visitor *visitor,
              const struct debug_function_pair *function)
{
	const struct debug_variable *variable;

	for (size_t i = 0; i < function->num_variables &&
	                   visitor->mention == DEBUG_MENTION_NONE;
	     i++) {
		HFX_TRY(debug_variable_at(visitor->debug,
		                          function->variables[i], &variable));
		if (!variable)
			continue;
		Dwarf_Die die = variable->die;
		HFX_TRY(debug_mention_of(visitor->debug, visitor->keys, &die, 0,
		                         &visitor->mention));
	}
	return NULL;
}

static struct hfx_error *find_users(struct debug_pair *pair,
                                    const struct debug_function_pair *functions,
                                    size_t count, struct debug_keys *keys,
                                    struct debug_type_change *change)
{
	struct debug_subprogram function;
	bool found;

	for (uint32_t i = 0; i < count; i++) {
		struct debug_visitor visitor = {.debug = pair->new_debug,
		                                .keys = keys};

		HFX_TRY(debug_subprogram_at(pair->new_debug,
		                            functions[i].new_addr, &function,
		                            &found));
		if (!found)
			continue;
		HFX_TRY(debug_visit_function(&visitor, &function));
		HFX_TRY(visit_globals(&visitor, &functions[i]));
		if (visitor.mention != DEBUG_MENTION_NONE &&
		    !HFX_ARRAY_PUSH(change, users, i))
			return hfx_error_no_memory();
		if (visitor.is_passed && !HFX_ARRAY_PUSH(change, passers, i))
			return hfx_error_no_memory();
	}
	return NULL;
}

/** What is left of a type that no frame outside of the patch has. */
static struct hfx_error *judge_stack(struct debug_type_change *change,
                                     bool is_enum)
{
	if (change->storage != DEBUG_STORAGE_STACK)
		return NULL;
	if (change->num_users && !is_enum)
		return NULL;
	change->storage = DEBUG_STORAGE_UNKNOWN;
	return debug_text_set(&change->holder, "%s",
	                      is_enum ? "any integer may have one of its "
	                                "values"
	                              : "no variable or parameter has it: it "
	                                "is reached by casts");
}

/** clang: DWARF has it as a variable of the coroutine, but it is allocated. */
static bool is_coroutine_frame(const struct debug_type_change *change)
{
	return strncmp(change->key, "__coro_frame_ty",
	               strlen("__coro_frame_ty")) == 0;
}

static struct hfx_error *find_uses(struct debug_pair *pair,
                                   const struct debug_function_pair *functions,
                                   size_t count,
                                   struct debug_type_change *change)
{
	struct debug_key key = {change->key, change->is_typedef};
	HFX_CLEANUP(debug_keys_deinit) struct debug_keys keys = {0};
	HFX_CLEANUP(debug_keys_deinit) struct debug_keys holders = {0};

	if (change->is_harmless)
		return NULL;
	if (!*change->key)
		return judge_stack(change, true);
	HFX_TRY(debug_keys_add(&keys, key));
	HFX_TRY(find_storage(pair, functions, count, change, &keys, &holders));
	for (size_t i = 0; i < holders.num_items; i++)
		HFX_TRY(debug_keys_add(&keys, holders.items[i]));
	HFX_TRY(find_users(pair, functions, count, &keys, change));
	if (is_coroutine_frame(change) &&
	    change->storage < DEBUG_STORAGE_HEAP) {
		change->storage = DEBUG_STORAGE_HEAP;
		return debug_text_set(&change->holder, "%s",
		                      "coroutines that wait have it");
	}
	return judge_stack(change, change->is_enum);
}

struct hfx_error *
debug_types_find_uses(struct debug_pair *pair,
                      const struct debug_function_pair *functions, size_t count,
                      struct debug_type_changes *changes)
{
	for (size_t i = 0; i < changes->num_items && i < MAX_SEARCHES; i++)
		HFX_TRY(find_uses(pair, functions, count, &changes->items[i]));
	for (size_t i = MAX_SEARCHES; i < changes->num_items; i++)
		changes->items[i].storage = DEBUG_STORAGE_OTHERS;
	return NULL;
}
