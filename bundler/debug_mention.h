/* SPDX-License-Identifier: MIT */
/**
 * @file debug_mention.h
 *
 * Whether and how declarations have one of some types: by value or by pointer.
 */
#ifndef HFX_BUNDLER_DEBUG_MENTION_H
#define HFX_BUNDLER_DEBUG_MENTION_H

#include "debug_private.h"

/** A type, by the name of its tag or typedef. */
struct debug_key {
	const char *name;
	bool is_typedef;
};

/** How a declaration has a type. */
enum debug_mention {
	DEBUG_MENTION_NONE,
	DEBUG_MENTION_POINTER,
	DEBUG_MENTION_VALUE,
};

/** Some types; those that the DIEs lead to are looked at once. */
struct debug_keys {
	struct debug_key *items;
	size_t num_items;
	size_t cap_items;
	/** Of types of one file, by the place of the DIE: a hash table. */
	struct debug_known {
		struct debug_known_type {
			const void *type;
			enum debug_mention mention;
		} * slots;
		size_t num_slots;
		size_t num_types;
	} known;
};

/** What a walk over a function's declarations is for. */
struct debug_visitor {
	struct debug_info *debug;
	struct debug_keys *keys;
	/** Strongest mention; pointers in variables that are not parameters. */
	enum debug_mention mention;
	bool has_pointer_variable;
	/** It, or a pointer to it, is passed in or out. */
	bool is_passed;
	/** A pointer to anything is passed in. */
	bool has_void_parameter;
	unsigned num_steps;
};

void debug_keys_deinit(struct debug_keys *keys);

HFX_MUST_CHECK struct hfx_error *debug_keys_add(struct debug_keys *keys,
                                                struct debug_key key);

bool debug_keys_have(const struct debug_keys *keys, const char *name,
                     bool is_typedef);

/**
 * How the DW_AT_type of @p die has one of the types.
 *
 * @param[in] depth 0.
 */
HFX_MUST_CHECK struct hfx_error *
debug_mention_of(struct debug_info *debug, struct debug_keys *keys,
                 Dwarf_Die *die, unsigned depth, enum debug_mention *ret);

/** Look at all that a function declares, and at what is inlined into it. */
HFX_MUST_CHECK struct hfx_error *
debug_visit_function(struct debug_visitor *visitor,
                     struct debug_subprogram *function);

#endif /* HFX_BUNDLER_DEBUG_MENTION_H */
