/* SPDX-License-Identifier: MIT */
/*
 * References that count from before an object: for `days[month - 1]` the
 * compiler loads the address `days - 4`. What stands there is something else:
 * padding, a string, the last bytes of another object. Without the linker's
 * relocations nothing says which of the two is meant, so
 *
 * - where both went the same way from OLD to NEW, it does not matter;
 * - padding is never meant;
 * - what OLD's code of the same function does, NEW's does;
 * - constants may both be in the image, at one distance, and then either
 *   meaning is right;
 * - all else is refused.
 */
#include <elf.h>

#include "closure_private.h"

#define REMEDY_APART                                                           \
	"Keep the order of these variables, or leave the function out with "   \
	"--skip"

bool function_refers_to(const struct function *function, uint64_t start,
                        uint64_t size)
{
	for (size_t i = 0; i < function->num_references; i++)
		if (function->references[i].target - start < size)
			return true;
	return false;
}

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
	       function_refers_to(closure->function, table->addr, table->size);
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

/* ---- The end of another object ------------------------------------------ */

/* Where `next - distance` is in OLD, or 0. */
static uint64_t old_addr_before(const struct closure *closure,
                                const struct symbol *next, uint64_t distance)
{
	return next->peer == NO_INDEX
	               ? 0
	               : closure->old_program->symbols[next->peer].addr -
	                         distance;
}

static bool old_refers_to(const struct closure *closure, uint64_t old_addr)
{
	uint32_t peer = closure->function->peer;

	return peer != NO_INDEX && old_addr &&
	       function_refers_to(&closure->old_program->functions[peer],
	                          old_addr, 1);
}

static struct hfx_error *keep_both(struct closure *closure,
                                   const struct place *place,
                                   const struct place *next, struct target *ret)
{
	ret->kind = TARGET_INSIDE;
	HFX_TRY(closure_keep(closure, place->symbol->addr, place->symbol->size,
	                     PF_R));
	return closure_keep(closure, next->symbol->addr, next->symbol->size,
	                    PF_R);
}

/* `place` is inside an object, `next` is the object behind that. */
static struct hfx_error *resolve_inside_or_before(struct closure *closure,
                                                  const struct place *place,
                                                  const struct place *next,
                                                  struct target *ret)
{
	uint64_t distance = next->addr - place->addr;
	uint64_t before = old_addr_before(closure, next->symbol, distance);
	bool means_before, means_inside;

	HFX_TRY(closure_resolve_object(closure, place, ret));
	if (ret->kind == TARGET_REFUSED ||
	    (ret->kind == TARGET_OLD && ret->old_addr == before))
		return NULL;
	means_before = old_refers_to(closure, before);
	means_inside = ret->kind == TARGET_OLD &&
	               old_refers_to(closure, ret->old_addr);
	if (means_inside && !means_before)
		return NULL;
	if (place_is_constant(place) && place_is_constant(next))
		return keep_both(closure, place, next, ret);
	if (means_before && !means_inside)
		return resolve_before(closure, distance, next, ret);
	return closure_refuse(closure, ret, REMEDY_APART,
	                      "refers to %s+0x%lx or to %s-0x%lx, and these "
	                      "moved apart",
	                      place->symbol->name, place->off,
	                      next->symbol->name, distance);
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
	if (place->kind == PLACE_OBJECT && place->off) {
		*is_done_ret = true;
		return resolve_inside_or_before(closure, place, &next, ret);
	}
	if (!place_is_blank(program, place->addr, next.addr) ||
	    may_be_end(closure, place->addr))
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
	     !may_be_end(closure, addr)))
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
