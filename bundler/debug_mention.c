/* SPDX-License-Identifier: MIT */
#include "debug_mention.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

/** Nesting of structures without names, of blocks and of inlined functions. */
#define MAX_DEPTH 64

/* ---- What was found out of types ---------------------------------------- */

/** The place of @p type, or the free one where it belongs. */
static struct debug_known_type *find_known(const struct debug_known *known,
                                           const void *type)
{
	size_t i = ((uintptr_t)type * 0x9e3779b97f4a7c15) >> 32;

	for (;; i++) {
		struct debug_known_type *slot =
			&known->slots[i & (known->num_slots - 1)];

		if (!slot->type || slot->type == type)
			return slot;
	}
}

static struct hfx_error *grow(struct debug_known *known)
{
	struct debug_known bigger = {
		.num_types = known->num_types,
		.num_slots = known->num_slots ? known->num_slots * 2 : 1024,
	};

	bigger.slots = calloc(bigger.num_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return hfx_error_no_memory();
	for (size_t i = 0; i < known->num_slots; i++)
		if (known->slots[i].type)
			*find_known(&bigger, known->slots[i].type) =
				known->slots[i];
	free(known->slots);
	*known = bigger;
	return NULL;
}

static struct hfx_error *remember(struct debug_known *known, const void *type,
                                  enum debug_mention mention)
{
	/* At most half full: a search always meets a free place. */
	if (known->num_types * 2 >= known->num_slots)
		HFX_TRY(grow(known));
	struct debug_known_type *slot = find_known(known, type);
	known->num_types += !slot->type;
	*slot = (struct debug_known_type){type, mention};
	return NULL;
}

static bool recall(const struct debug_known *known, const void *type,
                   enum debug_mention *ret)
{
	if (!known->num_slots)
		return false;
	const struct debug_known_type *slot = find_known(known, type);
	*ret = slot->mention;
	return slot->type;
}

static void forget(struct debug_known *known)
{
	if (known->num_types)
		memset(known->slots, 0,
		       known->num_slots * sizeof(*known->slots));
	known->num_types = 0;
}

/* ---- Keys --------------------------------------------------------------- */

void debug_keys_deinit(struct debug_keys *keys)
{
	free(keys->items);
	free(keys->known.slots);
}

struct hfx_error *debug_keys_add(struct debug_keys *keys, struct debug_key key)
{
	forget(&keys->known);
	return HFX_ARRAY_PUSH(keys, items, key) ? NULL : hfx_error_no_memory();
}

bool debug_keys_have(const struct debug_keys *keys, const char *name,
                     bool is_typedef)
{
	for (size_t i = 0; i < keys->num_items; i++)
		if (keys->items[i].is_typedef == is_typedef &&
		    strcmp(keys->items[i].name, name) == 0)
			return true;
	return false;
}

static enum debug_mention stronger(enum debug_mention a, enum debug_mention b)
{
	return a > b ? a : b;
}

/** What the members of a structure without a name mention. */
static struct hfx_error *mention_inside(struct debug_info *debug,
                                        struct debug_keys *keys,
                                        Dwarf_Die *type, unsigned depth,
                                        enum debug_mention *ret)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(type, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		enum debug_mention mention;

		if (dwarf_tag(&child) != DW_TAG_member)
			continue;
		HFX_TRY(debug_mention_of(debug, keys, &child, depth + 1,
		                         &mention));
		*ret = stronger(*ret, mention);
	}
	return NULL;
}

static bool is_pointer(int tag)
{
	return tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type ||
	       tag == DW_TAG_rvalue_reference_type;
}

/** Whether a typedef is of a pointer: `typedef struct { ... } *handle`. */
static struct hfx_error *is_of_pointer(struct debug_info *debug,
                                       Dwarf_Die *alias, bool *ret)
{
	Dwarf_Die type = *alias;
	bool found = true;

	*ret = false;
	for (int steps = 0; found && steps < DEBUG_MAX_CHAIN && !*ret;
	     steps++) {
		HFX_TRY(debug_follow(debug, &type, DW_AT_type, &type, &found));
		*ret = found && is_pointer(dwarf_tag(&type));
		if (found && debug_is_aggregate(&type))
			break;
	}
	return NULL;
}

/** Whether a key is the name of @p type, whose tag before was @p tag. */
static bool is_key(const struct debug_keys *keys, Dwarf_Die *type, int tag)
{
	const char *name = debug_name(type);

	return *name && debug_keys_have(keys, name, tag == DW_TAG_typedef);
}

/** How @p type is one of the types, or is made of them. */
static struct hfx_error *mention_by(struct debug_info *debug,
                                    struct debug_keys *keys, Dwarf_Die type,
                                    unsigned depth, enum debug_mention *ret)
{
	enum debug_mention direct = DEBUG_MENTION_VALUE;
	bool found = true;

	*ret = DEBUG_MENTION_NONE;
	for (int steps = 0; steps < DEBUG_MAX_CHAIN; steps++) {
		int tag = dwarf_tag(&type);
		if (is_pointer(tag))
			direct = DEBUG_MENTION_POINTER;
		HFX_TRY(debug_type_resolve(debug, &type, &type));
		if (is_key(keys, &type, tag)) {
			bool is_indirect;

			HFX_TRY(is_of_pointer(debug, &type, &is_indirect));
			*ret = is_indirect ? DEBUG_MENTION_POINTER : direct;
			return NULL;
		}
		if (debug_is_aggregate(&type))
			break;
		HFX_TRY(debug_follow(debug, &type, DW_AT_type, &type, &found));
		if (!found)
			return NULL;
	}
	if (!debug_is_aggregate(&type) || debug_name(&type)[0] ||
	    depth > MAX_DEPTH || direct != DEBUG_MENTION_VALUE)
		return NULL;
	return mention_inside(debug, keys, &type, depth, ret);
}

struct hfx_error *debug_mention_of(struct debug_info *debug,
                                   struct debug_keys *keys, Dwarf_Die *die,
                                   unsigned depth, enum debug_mention *ret)
{
	Dwarf_Die type;
	bool found;

	*ret = DEBUG_MENTION_NONE;
	HFX_TRY(debug_follow(debug, die, DW_AT_type, &type, &found));
	if (!found || recall(&keys->known, type.addr, ret))
		return NULL;
	HFX_TRY(mention_by(debug, keys, type, depth, ret));
	return remember(&keys->known, type.addr, *ret);
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

static struct hfx_error *is_void_pointer(struct debug_info *debug,
                                         Dwarf_Die *die, bool *ret)
{
	Dwarf_Die type;
	bool found;

	*ret = false;
	HFX_TRY(debug_follow(debug, die, DW_AT_type, &type, &found));
	if (!found || dwarf_tag(&type) != DW_TAG_pointer_type)
		return NULL;
	HFX_TRY(debug_follow(debug, &type, DW_AT_type, &type, &found));
	*ret = !found;
	return NULL;
}

static struct hfx_error *visit(struct debug_visitor *visitor, Dwarf_Die *die,
                               bool is_inlined)
{
	bool is_variable = dwarf_tag(die) == DW_TAG_variable;
	enum debug_mention mention;

	HFX_TRY(debug_mention_of(visitor->debug, visitor->keys, die, 0,
	                         &mention));
	visitor->mention = stronger(visitor->mention, mention);
	if (mention == DEBUG_MENTION_NONE) {
		if (!is_variable && !is_inlined && !visitor->has_void_parameter)
			return is_void_pointer(visitor->debug, die,
			                       &visitor->has_void_parameter);
		return NULL;
	}
	if (!is_variable)
		visitor->is_passed |= !is_inlined;
	else if (mention == DEBUG_MENTION_POINTER || is_thread_local(die))
		visitor->has_pointer_variable = true;
	return NULL;
}

static struct hfx_error *visit_children(struct debug_visitor *visitor,
                                        Dwarf_Die *parent, bool is_inlined,
                                        unsigned depth);

/* The whole of what is inlined stands with its origin. */
static struct hfx_error *visit_inlined(struct debug_visitor *visitor,
                                       Dwarf_Die *die, unsigned depth)
{
	Dwarf_Die origin;

	HFX_TRY(visit_children(visitor, die, true, depth));
	HFX_TRY(debug_follow_all(visitor->debug, die, DW_AT_abstract_origin,
	                         &origin));
	return origin.addr == die->addr
	               ? NULL
	               : visit_children(visitor, &origin, true, depth);
}

static struct hfx_error *visit_child(struct debug_visitor *visitor,
                                     Dwarf_Die *die, bool is_inlined,
                                     unsigned depth)
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

static struct hfx_error *visit_children(struct debug_visitor *visitor,
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

struct hfx_error *debug_visit_function(struct debug_visitor *visitor,
                                       struct debug_subprogram *function)
{
	enum debug_mention mention;

	HFX_TRY(visit_children(visitor, &function->die, false, 0));
	if (function->origin.addr != function->die.addr)
		HFX_TRY(visit_children(visitor, &function->origin, false, 0));
	HFX_TRY(debug_mention_of(visitor->debug, visitor->keys,
	                         &function->origin, 0, &mention));
	visitor->mention = stronger(visitor->mention, mention);
	visitor->has_pointer_variable |= mention == DEBUG_MENTION_POINTER;
	visitor->is_passed |= mention != DEBUG_MENTION_NONE;
	return NULL;
}
