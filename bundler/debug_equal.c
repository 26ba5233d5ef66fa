/* SPDX-License-Identifier: MIT */
/*
 * Whether two builds mean the same by a type, as one reads or passes it.
 *
 * Structures of one name are the same here: each is compared for itself where
 * the tables of its unit are (debug_compare.c), so a structure that changed is
 * told once and not again by everything that points to it. Those without a
 * name, and those that were renamed, are compared by what is in them; a pair
 * that is being compared counts as equal meanwhile, since types may refer to
 * themselves. A difference ends the whole comparison, so nothing is concluded
 * from a pair that turns out to differ.
 */
#include "debug_private.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/** Types compared for one pair of builds, in damaged DWARF without end. */
#define MAX_STEPS 20000000

/** Structures without a name inside each other; deeper ones count as other. */
#define MAX_NESTED 64

/** A type behind typedefs and qualifiers that change nothing. */
struct bare_type {
	Dwarf_Die die;
	/** DWARF writes no type for void. */
	bool is_void;
	/** Of the last typedef before the type, or "". */
	const char *typedef_name;
};

static struct hfx_error *equal_behind(struct debug_pair *pair,
                                      Dwarf_Die *old_die, Dwarf_Die *new_die,
                                      bool is_pointee, unsigned depth,
                                      bool *ret);

static bool is_transparent(int tag)
{
	return tag == DW_TAG_typedef || tag == DW_TAG_const_type ||
	       tag == DW_TAG_volatile_type || tag == DW_TAG_restrict_type;
}

static struct hfx_error *strip(struct debug_info *debug, Dwarf_Die *from,
                               struct bare_type *ret)
{
	Dwarf_Die die = *from;
	bool found = true;

	*ret = (struct bare_type){.typedef_name = ""};
	for (int steps = 0; steps < DEBUG_MAX_CHAIN; steps++) {
		HFX_TRY(debug_follow(debug, &die, DW_AT_type, &die, &found));
		if (!found)
			break;
		if (!is_transparent(dwarf_tag(&die)))
			return debug_type_resolve(debug, &die, &ret->die);
		if (dwarf_tag(&die) == DW_TAG_typedef)
			ret->typedef_name = debug_name(&die);
	}
	ret->is_void = true;
	return NULL;
}

static uint64_t byte_size(Dwarf_Die *type)
{
	uint64_t size = 0;

	debug_number(type, DW_AT_byte_size, &size);
	return size;
}

static bool is_enum(Dwarf_Die *type)
{
	return dwarf_tag(type) == DW_TAG_enumeration_type;
}

static bool is_integer(Dwarf_Die *type)
{
	uint64_t encoding = 0;

	if (is_enum(type))
		return true;
	if (dwarf_tag(type) != DW_TAG_base_type)
		return false;
	debug_number(type, DW_AT_encoding, &encoding);
	switch (encoding) {
	case DW_ATE_boolean:
	case DW_ATE_signed:
	case DW_ATE_signed_char:
	case DW_ATE_unsigned:
	case DW_ATE_unsigned_char:
	case DW_ATE_UTF:
		return true;
	default:
		return false;
	}
}

static bool equal_base(Dwarf_Die *old_type, Dwarf_Die *new_type)
{
	uint64_t old_encoding = 0;
	uint64_t new_encoding = 0;

	debug_number(old_type, DW_AT_encoding, &old_encoding);
	debug_number(new_type, DW_AT_encoding, &new_encoding);
	return old_encoding == new_encoding &&
	       byte_size(old_type) == byte_size(new_type);
}

static bool is_union(Dwarf_Die *type)
{
	return dwarf_tag(type) == DW_TAG_union_type;
}

/** Whether two names mean the same: in C++ with what is around them. */
static struct hfx_error *same_names(struct debug_pair *pair,
                                    Dwarf_Die *old_type, Dwarf_Die *new_type,
                                    bool *ret)
{
	HFX_CLEANUP(hfx_free) char *old_name = NULL;
	HFX_CLEANUP(hfx_free) char *new_name = NULL;
	struct debug_unit *unit;

	*ret = debug_name(old_type)[0] &&
	       strcmp(debug_name(old_type), debug_name(new_type)) == 0;
	if (!*ret)
		return NULL;
	HFX_TRY(debug_unit_of(pair->new_debug, new_type->cu, &unit));
	if (unit->is_c)
		return NULL;
	HFX_TRY(debug_qualified_name(pair->old_debug, old_type, &old_name));
	HFX_TRY(debug_qualified_name(pair->new_debug, new_type, &new_name));
	*ret = strcmp(old_name, new_name) == 0;
	return NULL;
}

static bool is_complete(Dwarf_Die *type)
{
	return !dwarf_hasattr(type, DW_AT_declaration);
}

/** Compare what is in two types, and keep the difference for messages. */
static struct hfx_error *equal_inside(struct debug_pair *pair,
                                      Dwarf_Die *old_type, Dwarf_Die *new_type,
                                      bool *ret)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	uint64_t old_place = (uintptr_t)old_type->addr;
	uint64_t new_place = (uintptr_t)new_type->addr;

	*ret = pair_set_has(&pair->walk, old_place, new_place, 0);
	if (*ret || pair->num_nested >= MAX_NESTED)
		return NULL;
	if (!pair_set_add(&pair->walk, old_place, new_place, 0))
		return hfx_error_no_memory();
	HFX_TRY(debug_types_differ(pair, old_type, new_type, &text));
	*ret = !text && byte_size(old_type) == byte_size(new_type);
	if (text && !pair->difference)
		pair->difference = HFX_TAKE(text);
	return NULL;
}

/** By name, or where there is none, or another one, by what is in them. */
static struct hfx_error *equal_aggregate(struct debug_pair *pair,
                                         struct bare_type *old_type,
                                         struct bare_type *new_type, bool *ret)
{
	Dwarf_Die *old_die = &old_type->die;
	Dwarf_Die *new_die = &new_type->die;
	bool is_nameless = !debug_name(old_die)[0] && !debug_name(new_die)[0];

	*ret = false;
	if (is_union(old_die) != is_union(new_die))
		return NULL;
	HFX_TRY(same_names(pair, old_die, new_die, ret));
	/* The typedef is told in its place. */
	if (is_nameless && old_type->typedef_name[0])
		*ret = strcmp(old_type->typedef_name, new_type->typedef_name) ==
		       0;
	if (*ret || !is_complete(old_die) || !is_complete(new_die))
		return NULL;
	return equal_inside(pair, old_die, new_die, ret);
}

/** Enumerations of other names: whether the values kept their meaning. */
static struct hfx_error *equal_enums(struct debug_pair *pair,
                                     Dwarf_Die *old_type, Dwarf_Die *new_type,
                                     bool *ret)
{
	if (strcmp(debug_name(old_type), debug_name(new_type)) == 0 ||
	    !debug_name(old_type)[0] || !debug_name(new_type)[0])
		return NULL;
	return equal_inside(pair, old_type, new_type, ret);
}

/** The dimensions of two arrays; an unknown one is like an unknown one. */
static bool equal_bounds(Dwarf_Die *old_array, Dwarf_Die *new_array)
{
	Dwarf_Die old_child;
	Dwarf_Die new_child;
	int old_status = dwarf_child(old_array, &old_child);
	int new_status = dwarf_child(new_array, &new_child);

	while (old_status == 0 && new_status == 0) {
		uint64_t old_length = 0;
		uint64_t new_length = 0;

		debug_subrange_length(&old_child, &old_length);
		debug_subrange_length(&new_child, &new_length);
		if (old_length != new_length)
			return false;
		old_status = dwarf_siblingof(&old_child, &old_child);
		new_status = dwarf_siblingof(&new_child, &new_child);
	}
	return (old_status == 0) == (new_status == 0);
}

static bool is_parameter(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return tag == DW_TAG_formal_parameter ||
	       tag == DW_TAG_unspecified_parameters;
}

/** Go to the next parameter from @p status on; others are passed over. */
static int skip_to_parameter(int status, Dwarf_Die *die)
{
	while (status == 0 && !is_parameter(die))
		status = dwarf_siblingof(die, die);
	return status;
}

static uint64_t encoding_of(Dwarf_Die *type)
{
	uint64_t encoding = 0;

	debug_number(type, DW_AT_encoding, &encoding);
	return encoding;
}

/** Small integers are extended by who passes them, by its idea of the sign. */
static bool same_sign(struct bare_type *old_type, struct bare_type *new_type)
{
	if (old_type->is_void || new_type->is_void ||
	    dwarf_tag(&old_type->die) != DW_TAG_base_type ||
	    dwarf_tag(&new_type->die) != DW_TAG_base_type)
		return true;
	return encoding_of(&old_type->die) == encoding_of(&new_type->die) ||
	       byte_size(&old_type->die) >= 4;
}

/** Types of a parameter or result. */
static struct hfx_error *equal_passed(struct debug_pair *pair,
                                      Dwarf_Die *old_die, Dwarf_Die *new_die,
                                      unsigned depth, bool *ret)
{
	struct bare_type old_type;
	struct bare_type new_type;

	HFX_TRY(equal_behind(pair, old_die, new_die, false, depth, ret));
	if (!*ret)
		return NULL;
	HFX_TRY(strip(pair->old_debug, old_die, &old_type));
	HFX_TRY(strip(pair->new_debug, new_die, &new_type));
	*ret = same_sign(&old_type, &new_type);
	return NULL;
}

static struct hfx_error *equal_parameters(struct debug_pair *pair,
                                          Dwarf_Die *old_function,
                                          Dwarf_Die *new_function,
                                          unsigned depth, bool *ret)
{
	Dwarf_Die old_child;
	Dwarf_Die new_child;
	int old_status = skip_to_parameter(
		dwarf_child(old_function, &old_child), &old_child);
	int new_status = skip_to_parameter(
		dwarf_child(new_function, &new_child), &new_child);

	*ret = true;
	while (*ret && old_status == 0 && new_status == 0) {
		*ret = dwarf_tag(&old_child) == dwarf_tag(&new_child);
		if (*ret && dwarf_tag(&old_child) == DW_TAG_formal_parameter)
			HFX_TRY(equal_passed(pair, &old_child, &new_child,
			                     depth, ret));
		old_status = skip_to_parameter(
			dwarf_siblingof(&old_child, &old_child), &old_child);
		new_status = skip_to_parameter(
			dwarf_siblingof(&new_child, &new_child), &new_child);
	}
	*ret = *ret && (old_status == 0) == (new_status == 0);
	return NULL;
}

static struct hfx_error *equal_subroutines(struct debug_pair *pair,
                                           Dwarf_Die *old_function,
                                           Dwarf_Die *new_function,
                                           unsigned depth, bool *ret)
{
	HFX_TRY(equal_passed(pair, old_function, new_function, depth, ret));
	if (!*ret)
		return NULL;
	return equal_parameters(pair, old_function, new_function, depth, ret);
}

/** Two types of one tag, neither an integer. */
static struct hfx_error *equal_alike(struct debug_pair *pair,
                                     struct bare_type *old_type,
                                     struct bare_type *new_type, unsigned depth,
                                     bool *ret)
{
	Dwarf_Die *old_die = &old_type->die;
	Dwarf_Die *new_die = &new_type->die;

	switch (dwarf_tag(old_die)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
		return equal_behind(pair, old_die, new_die, true, depth, ret);
	case DW_TAG_array_type:
		*ret = equal_bounds(old_die, new_die);
		return *ret ? equal_behind(pair, old_die, new_die, false, depth,
		                           ret)
		            : NULL;
	case DW_TAG_atomic_type:
	case DW_TAG_ptr_to_member_type:
		return equal_behind(pair, old_die, new_die, false, depth, ret);
	case DW_TAG_subroutine_type:
		return equal_subroutines(pair, old_die, new_die, depth, ret);
	case DW_TAG_base_type:
		*ret = equal_base(old_die, new_die);
		return NULL;
	default:
		*ret = byte_size(old_die) == byte_size(new_die);
		return NULL;
	}
}

static struct hfx_error *equal_bare(struct debug_pair *pair,
                                    struct bare_type *old_type,
                                    struct bare_type *new_type, bool is_pointee,
                                    unsigned depth, bool *ret)
{
	/* `void *` can be any pointer. */
	*ret = old_type->is_void == new_type->is_void || is_pointee;
	if (old_type->is_void || new_type->is_void)
		return NULL;
	/* Bits that keep their meaning whatever the sign. */
	*ret = byte_size(&old_type->die) == byte_size(&new_type->die);
	if (is_enum(&old_type->die) && is_enum(&new_type->die))
		return *ret ? equal_enums(pair, &old_type->die, &new_type->die,
		                          ret)
		            : NULL;
	if (is_integer(&old_type->die) && is_integer(&new_type->die))
		return NULL;
	*ret = false;
	if (debug_is_aggregate(&old_type->die) &&
	    debug_is_aggregate(&new_type->die))
		return equal_aggregate(pair, old_type, new_type, ret);
	if (dwarf_tag(&old_type->die) == dwarf_tag(&new_type->die))
		return equal_alike(pair, old_type, new_type, depth, ret);
	return NULL;
}

static struct hfx_error *equal_behind(struct debug_pair *pair,
                                      Dwarf_Die *old_die, Dwarf_Die *new_die,
                                      bool is_pointee, unsigned depth,
                                      bool *ret)
{
	struct bare_type old_type;
	struct bare_type new_type;

	if (depth > DEBUG_MAX_CHAIN || ++pair->num_steps > MAX_STEPS)
		return debug_error_damaged(pair->new_debug,
		                           "a type without end");
	HFX_TRY(strip(pair->old_debug, old_die, &old_type));
	HFX_TRY(strip(pair->new_debug, new_die, &new_type));
	return equal_bare(pair, &old_type, &new_type, is_pointee, depth + 1,
	                  ret);
}

void debug_pair_deinit(struct debug_pair *pair)
{
	pair_set_deinit(&pair->walk);
	free(pair->difference);
}

/** A comparison from outside starts afresh; one inside another goes on. */
static void enter(struct debug_pair *pair)
{
	if (!pair->num_nested++) {
		pair_set_clear(&pair->walk);
		free(pair->difference);
		pair->difference = NULL;
	}
}

struct hfx_error *debug_types_equal(struct debug_pair *pair, Dwarf_Die *old_die,
                                    Dwarf_Die *new_die, bool *ret)
{
	struct hfx_error *err;

	enter(pair);
	err = equal_behind(pair, old_die, new_die, false, 0, ret);
	pair->num_nested--;
	return err;
}

/** The DIE of @p function that has its parameters. */
static Dwarf_Die parameters_of(struct debug_subprogram *function)
{
	Dwarf_Die child;
	int status = dwarf_child(&function->origin, &child);

	return skip_to_parameter(status, &child) == 0 ? function->origin
	                                              : function->declaration;
}

static uint64_t convention_of(struct debug_subprogram *function)
{
	uint64_t convention = 0;

	debug_number(&function->declaration, DW_AT_calling_convention,
	             &convention);
	return convention;
}

static struct hfx_error *equal_functions(struct debug_pair *pair,
                                         struct debug_subprogram *old_function,
                                         struct debug_subprogram *new_function,
                                         bool *ret)
{
	Dwarf_Die old_parameters = parameters_of(old_function);
	Dwarf_Die new_parameters = parameters_of(new_function);

	*ret = convention_of(old_function) == convention_of(new_function);
	if (*ret)
		HFX_TRY(equal_passed(pair, &old_function->origin,
		                     &new_function->origin, 0, ret));
	if (!*ret)
		return NULL;
	return equal_parameters(pair, &old_parameters, &new_parameters, 0, ret);
}

struct hfx_error *debug_functions_equal(struct debug_pair *pair,
                                        struct debug_subprogram *old_function,
                                        struct debug_subprogram *new_function,
                                        bool *ret)
{
	struct hfx_error *err;

	enter(pair);
	err = equal_functions(pair, old_function, new_function, ret);
	pair->num_nested--;
	return err;
}
