/* SPDX-License-Identifier: MIT */
/*
 * Who uses a type that changed, and where its objects live.
 *
 * Types are known by the names of their tags or typedefs here, whatever unit
 * they are in; a structure that holds the type as a member or base holds its
 * objects, too, and is one more name. That is asked only when a type did
 * change, and then all of OLD is read.
 */
#include "debug_private.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

/** Types that hold the one that changed, directly or not. */
#define MAX_KEYS 256

/** Of more types than these the storage is not looked for. */
#define MAX_SEARCHES 64

/** Nesting of structures without names, of blocks and of inlined functions. */
#define MAX_DEPTH 64

struct key {
	const char *name;
	bool is_typedef;
};

struct keys {
	struct key *items;
	size_t num_items;
	size_t cap_items;
};

/** How a declaration has a type. */
enum mention {
	MENTION_NONE,
	MENTION_POINTER,
	MENTION_VALUE,
};

struct search {
	struct debug_info *debug;
	const struct keys *keys;
	struct debug_type_change *change;
	/** Addresses of OLD's functions that go, sorted; and which are open. */
	const struct debug_function_pair *functions;
	size_t num_functions;
	/** Keys that the pass found. */
	struct keys found;
	/** Structures with pointers to the type: who has them may use it. */
	struct keys *holders;
};

/** What a walk over a function's declarations is for. */
struct visitor {
	struct debug_info *debug;
	const struct keys *keys;
	/** Strongest mention; pointers in variables that are not parameters. */
	enum mention mention;
	bool has_pointer_variable;
	bool has_pointer_parameter;
	unsigned num_steps;
};

static void keys_deinit(struct keys *keys)
{
	free(keys->items);
}

static bool keys_have(const struct keys *keys, const char *name,
                      bool is_typedef)
{
	for (size_t i = 0; i < keys->num_items; i++)
		if (keys->items[i].is_typedef == is_typedef &&
		    strcmp(keys->items[i].name, name) == 0)
			return true;
	return false;
}

static enum mention stronger(enum mention a, enum mention b)
{
	return a > b ? a : b;
}

static struct hfx_error *mention_of(struct debug_info *debug,
                                    const struct keys *keys, Dwarf_Die *die,
                                    unsigned depth, enum mention *ret);

/** What the members of a structure without a name mention. */
static struct hfx_error *mention_inside(struct debug_info *debug,
                                        const struct keys *keys,
                                        Dwarf_Die *type, unsigned depth,
                                        enum mention *ret)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(type, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		enum mention mention;

		if (dwarf_tag(&child) != DW_TAG_member)
			continue;
		HFX_TRY(mention_of(debug, keys, &child, depth + 1, &mention));
		*ret = stronger(*ret, mention);
	}
	return NULL;
}

static bool is_pointer(int tag)
{
	return tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type ||
	       tag == DW_TAG_rvalue_reference_type;
}

/** How the DW_AT_type of @p die has one of the types. */
static struct hfx_error *mention_of(struct debug_info *debug,
                                    const struct keys *keys, Dwarf_Die *die,
                                    unsigned depth, enum mention *ret)
{
	enum mention direct = MENTION_VALUE;
	Dwarf_Die type = *die;
	bool found;

	*ret = MENTION_NONE;
	for (int steps = 0; steps < DEBUG_MAX_CHAIN; steps++) {
		HFX_TRY(debug_follow(debug, &type, DW_AT_type, &type, &found));
		if (!found)
			return NULL;
		int tag = dwarf_tag(&type);
		if (is_pointer(tag))
			direct = MENTION_POINTER;
		HFX_TRY(debug_type_resolve(debug, &type, &type));
		if (debug_name(&type)[0] &&
		    keys_have(keys, debug_name(&type), tag == DW_TAG_typedef)) {
			*ret = direct;
			return NULL;
		}
		if (debug_is_aggregate(&type))
			break;
	}
	if (!debug_is_aggregate(&type) || debug_name(&type)[0] ||
	    depth > MAX_DEPTH || direct != MENTION_VALUE)
		return NULL;
	return mention_inside(debug, keys, &type, depth, ret);
}

/* ---- Functions ---------------------------------------------------------- */

static bool is_thread_local(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t num_ops;

	if (!dwarf_attr(die, DW_AT_location, &attr) ||
	    dwarf_getlocation(&attr, &ops, &num_ops) || !num_ops)
		return false;
	return ops[num_ops - 1].atom == DW_OP_form_tls_address ||
	       ops[num_ops - 1].atom == DW_OP_GNU_push_tls_address;
}

static struct hfx_error *visit(struct visitor *visitor, Dwarf_Die *die,
                               bool is_inlined)
{
	bool is_variable = dwarf_tag(die) == DW_TAG_variable;
	enum mention mention;

	HFX_TRY(mention_of(visitor->debug, visitor->keys, die, 0, &mention));
	visitor->mention = stronger(visitor->mention, mention);
	if (mention == MENTION_NONE)
		return NULL;
	if (is_variable && is_thread_local(die))
		visitor->has_pointer_variable = true;
	if (mention != MENTION_POINTER)
		return NULL;
	if (is_variable)
		visitor->has_pointer_variable = true;
	else if (!is_inlined)
		visitor->has_pointer_parameter = true;
	return NULL;
}

static struct hfx_error *visit_children(struct visitor *visitor,
                                        Dwarf_Die *parent, bool is_inlined,
                                        unsigned depth);

/* The whole of what is inlined stands with its origin. */
static struct hfx_error *visit_inlined(struct visitor *visitor, Dwarf_Die *die,
                                       unsigned depth)
{
	Dwarf_Die origin;

	HFX_TRY(visit_children(visitor, die, true, depth));
	HFX_TRY(debug_follow_all(visitor->debug, die, DW_AT_abstract_origin,
	                         &origin));
	return origin.addr == die->addr
	               ? NULL
	               : visit_children(visitor, &origin, true, depth);
}

static struct hfx_error *visit_child(struct visitor *visitor, Dwarf_Die *die,
                                     bool is_inlined, unsigned depth)
{
	switch (dwarf_tag(die)) {
	case DW_TAG_formal_parameter:
	case DW_TAG_variable:
		return visit(visitor, die, is_inlined);
	case DW_TAG_lexical_block:
		return visit_children(visitor, die, is_inlined, depth);
	case DW_TAG_inlined_subroutine:
		return visit_inlined(visitor, die, depth);
	default:
		return NULL;
	}
}

static struct hfx_error *visit_children(struct visitor *visitor,
                                        Dwarf_Die *parent, bool is_inlined,
                                        unsigned depth)
{
	Dwarf_Die child;
	int status;

	/* Origins inside origins: bounded, for damaged DWARF. */
	if (depth > MAX_DEPTH || ++visitor->num_steps > 100000)
		return NULL;
	for (status = dwarf_child(parent, &child); status == 0;
	     status = dwarf_siblingof(&child, &child))
		HFX_TRY(visit_child(visitor, &child, is_inlined, depth + 1));
	return NULL;
}

static struct hfx_error *visit_function(struct visitor *visitor,
                                        struct debug_subprogram *function)
{
	enum mention mention;

	HFX_TRY(visit_children(visitor, &function->die, false, 0));
	if (function->origin.addr != function->die.addr)
		HFX_TRY(visit_children(visitor, &function->origin, false, 0));
	HFX_TRY(mention_of(visitor->debug, visitor->keys, &function->origin, 0,
	                   &mention));
	visitor->mention = stronger(visitor->mention, mention);
	visitor->has_pointer_variable |= mention == MENTION_POINTER;
	return NULL;
}

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
		enum mention mention;

		HFX_TRY(mention_of(search->debug, search->keys, &die, 0,
		                   &mention));
		if (mention == MENTION_VALUE)
			HFX_TRY(hold(search, DEBUG_STORAGE_GLOBAL,
			             "variable %s%s", debug_name(&die), ""));
		if (mention == MENTION_POINTER)
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
		enum mention mention = MENTION_NONE;

		if (dwarf_tag(&child) == DW_TAG_variable)
			HFX_TRY(mention_of(search->debug, search->keys, &child,
			                   0, &mention));
		if (mention != MENTION_NONE)
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
	struct key key = {.name = debug_name(type)};

	if (!key.name[0] || search->holders->num_items >= MAX_KEYS ||
	    keys_have(search->holders, key.name, false))
		return NULL;
	return HFX_ARRAY_PUSH(search->holders, items, key)
	               ? NULL
	               : hfx_error_no_memory();
}

static struct hfx_error *add_key(struct search *search, Dwarf_Die *type)
{
	struct key key = {.name = debug_name(type)};

	if (!key.name[0] || keys_have(search->keys, key.name, false) ||
	    keys_have(&search->found, key.name, false))
		return NULL;
	return HFX_ARRAY_PUSH(&search->found, items, key)
	               ? NULL
	               : hfx_error_no_memory();
}

/** A member or base of @p type. */
static struct hfx_error *search_member(struct search *search, Dwarf_Die *type,
                                       Dwarf_Die *member)
{
	enum mention mention;

	HFX_TRY(mention_of(search->debug, search->keys, member, 0, &mention));
	if (mention == MENTION_VALUE)
		return add_key(search, type);
	if (mention != MENTION_POINTER)
		return NULL;
	HFX_TRY(add_holder(search, type));
	return hold(search, DEBUG_STORAGE_HEAP,
	            "member \"%s\" of %s points to it", debug_name(member),
	            debug_name(type));
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

static struct hfx_error *search_function(struct search *search, Dwarf_Die *die)
{
	struct visitor visitor = {.debug = search->debug, .keys = search->keys};
	const struct debug_function_pair *given = find_given(search, die);
	struct debug_subprogram function;

	HFX_TRY(debug_subprogram_get(search->debug, die, &function));
	HFX_TRY(visit_function(&visitor, &function));
	if (visitor.mention == MENTION_NONE)
		return NULL;
	const char *name = debug_name(&function.declaration);
	if (visitor.has_pointer_variable)
		return hold(search, DEBUG_STORAGE_HEAP,
		            "%s() has pointers to it in variables%s", name, "");
	if (!given)
		return hold(search, DEBUG_STORAGE_OTHERS,
		            "%s(), which is not in the patch, has it%s", name,
		            "");
	if (given->is_exposed && visitor.has_pointer_parameter)
		return hold(search, DEBUG_STORAGE_OTHERS,
		            "%s() gets pointers to it from outside of the "
		            "patch%s",
		            name, "");
	return NULL;
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
static struct hfx_error *grow_keys(struct search *search, struct keys *keys,
                                   bool *again_ret)
{
	*again_ret = search->found.num_items;
	for (size_t i = 0; i < search->found.num_items; i++)
		if (!HFX_ARRAY_PUSH(keys, items, search->found.items[i]))
			return hfx_error_no_memory();
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

static struct hfx_error *search_all(struct search *search, struct keys *keys)
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
             struct debug_type_change *change, struct keys *keys,
             struct keys *holders)
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

	keys_deinit(&search.found);
	return err;
}

/* ---- Users -------------------------------------------------------------- */

/** The variables that a function of NEW refers to. */
static struct hfx_error *
visit_globals(struct visitor *visitor,
              const struct debug_function_pair *function)
{
	const struct debug_variable *variable;

	for (size_t i = 0;
	     i < function->num_variables && visitor->mention == MENTION_NONE;
	     i++) {
		HFX_TRY(debug_variable_at(visitor->debug,
		                          function->variables[i], &variable));
		if (!variable)
			continue;
		Dwarf_Die die = variable->die;
		HFX_TRY(mention_of(visitor->debug, visitor->keys, &die, 0,
		                   &visitor->mention));
	}
	return NULL;
}

static struct hfx_error *find_users(struct debug_pair *pair,
                                    const struct debug_function_pair *functions,
                                    size_t count, const struct keys *keys,
                                    struct debug_type_change *change)
{
	struct debug_subprogram function;
	bool found;

	for (uint32_t i = 0; i < count; i++) {
		struct visitor visitor = {.debug = pair->new_debug,
		                          .keys = keys};

		HFX_TRY(debug_subprogram_at(pair->new_debug,
		                            functions[i].new_addr, &function,
		                            &found));
		if (!found)
			continue;
		HFX_TRY(visit_function(&visitor, &function));
		HFX_TRY(visit_globals(&visitor, &functions[i]));
		if (visitor.mention != MENTION_NONE &&
		    !HFX_ARRAY_PUSH(change, users, i))
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *find_uses(struct debug_pair *pair,
                                   const struct debug_function_pair *functions,
                                   size_t count,
                                   struct debug_type_change *change)
{
	struct key key = {change->key, change->is_typedef};
	HFX_CLEANUP(keys_deinit) struct keys keys = {0};
	HFX_CLEANUP(keys_deinit) struct keys holders = {0};

	if (!HFX_ARRAY_PUSH(&keys, items, key))
		return hfx_error_no_memory();
	HFX_TRY(find_storage(pair, functions, count, change, &keys, &holders));
	for (size_t i = 0; i < holders.num_items; i++)
		if (!HFX_ARRAY_PUSH(&keys, items, holders.items[i]))
			return hfx_error_no_memory();
	HFX_TRY(find_users(pair, functions, count, &keys, change));
	if (change->num_users || change->storage > DEBUG_STORAGE_STACK)
		return NULL;
	change->storage = DEBUG_STORAGE_OTHERS;
	return debug_text_set(&change->holder, "no variable or parameter has "
	                                       "it: it is reached by casts");
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
