/* SPDX-License-Identifier: MIT */
/*
 * References that count from a little before an object: for `days[month - 1]`
 * the compiler loads the address `days - 4`. Where padding stands before it,
 * or a constant without a name, that is never meant by itself. Where another
 * object stands, closure_doubt.c tells.
 *
 * Code also counts back: `text + 24 - left` takes the address of the text's
 * NUL. What stands before data without a name goes along with it.
 */
#include <elf.h>

#include "closure_private.h"

/* The object that `addr`, where nothing with a name is, may be meant for. */
static const struct symbol *counted_object(const struct program *program,
                                           uint64_t addr)
{
	struct place place = place_at(program, addr);

	return place.kind == PLACE_ANONYMOUS || place.kind == PLACE_NONE
	               ? place_object_starting_after(program, addr)
	               : NULL;
}

bool closure_counts_to(const struct closure *closure,
                       const struct symbol *object)
{
	const struct function *function = closure->function;

	for (size_t i = 0; i < function->num_references; i++) {
		const struct reference *reference = &function->references[i];

		if (reference->kind == REFERENCE_ADDRESS &&
		    counted_object(closure->new_program, reference->target) ==
		            object)
			return true;
	}
	return false;
}

/* ---- Padding before an object ------------------------------------------- */

/* Whether the function may mean the end of what stands before `addr`. */
static bool may_be_end(const struct closure *closure, uint64_t addr)
{
	const struct symbol *table =
		place_object_ending_at(closure->new_program, addr);

	return table && table->addr + table->size == addr &&
	       (place_is_vtable(table) ||
	        function_refers_to(closure->function, table->addr,
	                           table->size));
}

bool closure_ends_data(const struct program *program, uint64_t addr)
{
	struct place place = place_at(program, addr);

	return place.kind == PLACE_ANONYMOUS && place_is_constant(&place) &&
	       !place_is_blank(program, anonymous_start(program, addr), addr);
}

static struct hfx_error *resolve_before(struct closure *closure,
                                        uint64_t distance,
                                        const struct place *next,
                                        struct target *ret)
{
	HFX_TRY(closure_resolve_object(closure, next, ret));
	if (ret->kind == TARGET_OLD)
		ret->old_addr -= distance;
	return NULL;
}

struct hfx_error *closure_resolve_bias(struct closure *closure,
                                       const struct place *place,
                                       const struct use *use,
                                       struct target *ret, bool *is_done_ret)
{
	const struct program *program = closure->new_program;
	const struct symbol *object;

	*is_done_ret = false;
	if (use->kind != REFERENCE_ADDRESS || use->is_pointer)
		return NULL;
	object = place_object_starting_after(program, place->addr);
	if (!object)
		return NULL;
	struct place next = place_at(program, object->addr);
	if (next.kind != PLACE_OBJECT || next.off)
		return NULL;
	if (!place_is_blank(program, place->addr, next.addr) ||
	    may_be_end(closure, place->addr) ||
	    closure_ends_data(program, place->addr))
		return NULL;
	*is_done_ret = true;
	return resolve_before(closure, next.addr - place->addr, &next, ret);
}

/* ---- Constants without a name before an object -------------------------- */

/* Plain data without a name, such as a string, that begins behind `addr`. */
static struct hfx_error *keep_behind(struct closure *closure, uint64_t addr)
{
	const struct program *program = closure->new_program;
	uint64_t limit = addr + PLACE_MAX_BIAS + 1;
	uint64_t next = program_landmark_after(program, addr, limit);
	struct place place = place_at(program, next);

	if (next == limit || place.kind != PLACE_ANONYMOUS ||
	    !place_is_constant(&place))
		return NULL;
	uint64_t size = anonymous_size(program, next);
	size_t i = program_relocation_from(program, next);
	if (i < program->num_relocations &&
	    program->relocations[i].addr - next < size)
		return NULL;
	return closure_keep(closure, next, size, PF_R);
}

struct hfx_error *closure_keep_before(struct closure *closure, uint64_t addr)
{
	uint64_t start = anonymous_start(closure->new_program, addr);

	return start < addr ? closure_keep(closure, start, addr - start, PF_R)
	                    : NULL;
}

/*
 * `place` is inside a named constant, which OLD has, and a constant without a
 * name follows. Unless that is the same behind OLD's, both go into the image.
 */
static struct hfx_error *keep_followed(struct closure *closure,
                                       const struct place *place)
{
	uint64_t limit = place->addr + PLACE_MAX_BIAS + 1;
	uint64_t next = program_landmark_after(closure->new_program,
	                                       place->addr, limit);
	struct place behind = place_at(closure->new_program, next);
	const struct symbol *symbol = place->symbol;
	bool same = false;

	if (next == limit || behind.kind != PLACE_ANONYMOUS ||
	    behind.section != place->section)
		return NULL;
	if (symbol->peer != NO_INDEX)
		HFX_TRY(comparison_of_data(
			closure->comparison,
			closure->old_program->symbols[symbol->peer].addr +
				(next - symbol->addr),
			next, anonymous_size(closure->new_program, next),
			&same));
	if (same)
		return NULL;
	HFX_TRY(closure_keep(closure, symbol->addr, symbol->size, PF_R));
	return keep_behind(closure, place->addr);
}

/* A loop from `addr` into the object must stay in one copy of it. */
static bool refers_into(const struct function *function,
                        const struct symbol *object)
{
	return function_refers_to(function, object->addr + 1, object->size);
}

static struct hfx_error *keep_biased(struct closure *closure, uint64_t addr)
{
	const struct program *program = closure->new_program;
	const struct symbol *object = counted_object(program, addr);
	struct place place = place_at(program, addr);

	if (place.kind == PLACE_ANONYMOUS && place_is_constant(&place))
		HFX_TRY(keep_behind(closure, addr));
	if (place.kind == PLACE_OBJECT && place.off &&
	    place_is_constant(&place))
		HFX_TRY(keep_followed(closure, &place));
	if (!object || !place_is_constant(&place) ||
	    jump_table_length(program, closure->function, addr) ||
	    relative_table_length(program, addr) ||
	    (place_is_blank(program, addr, object->addr) &&
	     !may_be_end(closure, addr) && !closure_ends_data(program, addr)))
		return NULL;
	if (refers_into(closure->function, object))
		HFX_TRY(closure_keep(closure, object->addr, object->size,
		                     PF_R));
	if (program_section_at(program, object->addr) != place.section)
		return NULL;
	return closure_keep(closure, addr, object->addr + object->size - addr,
	                    PF_R);
}

struct hfx_error *closure_keep_biased(struct closure *closure)
{
	const struct function *function = closure->function;

	for (size_t i = 0; i < function->num_references; i++)
		if (function->references[i].kind == REFERENCE_ADDRESS)
			HFX_TRY(keep_biased(closure,
			                    function->references[i].target));
	return NULL;
}
