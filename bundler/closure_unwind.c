/* SPDX-License-Identifier: MIT */
/*
 * The language-specific data of a function (Itanium C++ ABI, Exception
 * Handling, "LSDA"): which calls have a landing pad, and which types it
 * catches. It stands in NEW's .gcc_except_table, and its type table refers to
 * pointers elsewhere.
 */
#include <elf.h>

#include "closure_private.h"
#include "cursor.h"
#include "lsda.h"

/* Type entries grow down from the table's end; actions come before them. */
static struct hfx_error *keep_types(struct closure *closure,
                                    const struct lsda *lsda)
{
	for (uint64_t end = lsda->types_end;
	     end >= lsda->actions_off + LSDA_TYPE_SIZE; end -= LSDA_TYPE_SIZE) {
		uint64_t off = end - LSDA_TYPE_SIZE;
		struct cursor cursor =
			cursor_init(lsda->bytes + off, LSDA_TYPE_SIZE);
		int32_t distance = (int32_t)cursor_u32(&cursor);
		uint64_t slot = lsda->addr + off + distance;

		if (!distance)
			continue;
		if (!program_relocation_at(closure->new_program, slot))
			break;
		HFX_TRY(closure_keep(closure, slot, 8, PF_R));
	}
	return NULL;
}

static struct hfx_error *keep_lsda(struct closure *closure, uint64_t addr)
{
	const struct section *section =
		program_section_at(closure->new_program, addr);
	struct target target;
	struct lsda lsda;

	if (!section || !section->data)
		return NULL;
	if (!lsda_read(closure->new_program, addr, &lsda))
		return closure_refuse(closure, &target,
		                      "Leave the function out with --skip",
		                      "its exception table at 0x%lx is of an "
		                      "unknown form",
		                      addr);
	HFX_TRY(closure_keep(closure, addr,
	                     lsda.types_end ? lsda.types_end : lsda.actions_off,
	                     PF_R));
	/* Where the entries are addresses, they have been kept with it. */
	if (!lsda.types_end || lsda_has_type_addrs(&lsda))
		return NULL;
	return keep_types(closure, &lsda);
}

/*
 * The routine itself, where no slot leads to it, as in a program for a fixed
 * address: unwind information of the image can only refer to the image.
 */
static struct hfx_error *keep_personality(struct closure *closure,
                                          uint64_t addr)
{
	const struct use use = {.kind = REFERENCE_JUMP, .is_short = true};
	struct place place = place_at(closure->new_program, addr);
	struct target target = {.kind = TARGET_INSIDE};

	if (place.kind == PLACE_STUB)
		return closure_keep_stub(closure, place.stub);
	HFX_TRY(closure_resolve(closure, addr, &use, &target));
	if (target.kind != TARGET_OLD)
		return NULL;
	return closure_refuse(closure, &target,
	                      "Leave the function out with --skip",
	                      "its personality routine at 0x%lx is not the "
	                      "old build's",
	                      addr);
}

/* What cannot be told of new code ends the program there. */
static struct hfx_error *refuse_strange_unwinder(struct closure *closure)
{
	struct target target;

	return closure_refuse(
		closure, &target,
		"Link both builds with the shared libgcc_s, or with libgcc's "
		"own unwinder and its symbols; or leave the function out with "
		"--skip, if nothing is thrown through it",
		"exceptions that pass it would end the program: the old build "
		"has an unwinder of its own inside that cannot be told of new "
		"code");
}

struct hfx_error *closure_keep_unwind(struct closure *closure,
                                      const struct function *function)
{
	uint64_t lsda, personality;

	if (!closure->unwind)
		return NULL;
	unwind_table_references(closure->unwind, function->addr, &lsda,
	                        &personality);
	if (closure->has_strange_unwinder &&
	    (closure->has_exceptions || lsda || personality))
		HFX_TRY(refuse_strange_unwinder(closure));
	if (lsda)
		HFX_TRY(keep_lsda(closure, lsda));
	if (!personality)
		return NULL;
	if (program_relocation_at(closure->new_program, personality))
		return closure_keep(closure, personality, 8, PF_R);
	return keep_personality(closure, personality);
}
