/* SPDX-License-Identifier: MIT */
/*
 * Whether two builds mean the same by a type, as one reads or passes it.
 *
 * Structures are compared by name here: each is compared for itself where the
 * tables of its unit are (debug_compare.c), so types that refer to themselves
 * need no care, and a structure that changed is told once and not again by
 * everything that points to it.
 */
#include "debug_private.h"

#include <string.h>

/** Types compared for one pair of builds, in damaged DWARF without end. */
#define MAX_STEPS 20000000

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

static bool is_integer(Dwarf_Die *type)
{
	uint64_t encoding = 0;

	if (dwarf_tag(type) == DW_TAG_enumeration_type)
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

/** By name; members of those without any are compared where they stand. */
static bool equal_aggregate(struct bare_type *old_type,
                            struct bare_type *new_type)
{
	const char *old_name = debug_name(&old_type->die);
	const char *new_name = debug_name(&new_type->die);

	if (is_union(&old_type->die) != is_union(&new_type->die))
		return false;
	if (old_name[0] && new_name[0])
		return strcmp(old_name, new_name) == 0;
	if (old_type->typedef_name[0] && new_type->typedef_name[0])
		return strcmp(old_type->typedef_name, new_type->typedef_name) ==
		       0;
	return !old_name[0] && !new_name[0] &&
	       byte_size(&old_type->die) == byte_size(&new_type->die);
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
			HFX_TRY(equal_behind(pair, &old_child, &new_child,
			                     false, depth, ret));
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
	HFX_TRY(equal_behind(pair, old_function, new_function, false, depth,
	                     ret));
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
	if (is_integer(&old_type->die) && is_integer(&new_type->die))
		return NULL;
	*ret = false;
	if (debug_is_aggregate(&old_type->die) &&
	    debug_is_aggregate(&new_type->die))
		*ret = equal_aggregate(old_type, new_type);
	else if (dwarf_tag(&old_type->die) == dwarf_tag(&new_type->die))
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

struct hfx_error *debug_types_equal(struct debug_pair *pair, Dwarf_Die *old_die,
                                    Dwarf_Die *new_die, bool *ret)
{
	return equal_behind(pair, old_die, new_die, false, 0, ret);
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

/** Small integers are extended by the caller, by its idea of the sign. */
static bool same_result_sign(struct bare_type *old_type,
                             struct bare_type *new_type)
{
	uint64_t old_encoding = 0;
	uint64_t new_encoding = 0;

	if (old_type->is_void || new_type->is_void ||
	    dwarf_tag(&old_type->die) != DW_TAG_base_type ||
	    dwarf_tag(&new_type->die) != DW_TAG_base_type)
		return true;
	debug_number(&old_type->die, DW_AT_encoding, &old_encoding);
	debug_number(&new_type->die, DW_AT_encoding, &new_encoding);
	return old_encoding == new_encoding || byte_size(&old_type->die) >= 4;
}

static struct hfx_error *equal_results(struct debug_pair *pair,
                                       struct debug_subprogram *old_function,
                                       struct debug_subprogram *new_function,
                                       bool *ret)
{
	struct bare_type old_type;
	struct bare_type new_type;

	HFX_TRY(strip(pair->old_debug, &old_function->origin, &old_type));
	HFX_TRY(strip(pair->new_debug, &new_function->origin, &new_type));
	HFX_TRY(equal_bare(pair, &old_type, &new_type, false, 1, ret));
	*ret = *ret && same_result_sign(&old_type, &new_type);
	return NULL;
}

struct hfx_error *debug_functions_equal(struct debug_pair *pair,
                                        struct debug_subprogram *old_function,
                                        struct debug_subprogram *new_function,
                                        bool *ret)
{
	Dwarf_Die old_parameters = parameters_of(old_function);
	Dwarf_Die new_parameters = parameters_of(new_function);

	*ret = convention_of(old_function) == convention_of(new_function);
	if (*ret)
		HFX_TRY(equal_results(pair, old_function, new_function, ret));
	if (!*ret)
		return NULL;
	return equal_parameters(pair, &old_parameters, &new_parameters, 0, ret);
}
