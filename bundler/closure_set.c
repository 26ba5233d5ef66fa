/* SPDX-License-Identifier: MIT */
/*
 * Linker sets: objects of many files in a section of their own, over which code
 * runs from `__start_NAME` to `__stop_NAME`. To the code they are one table,
 * whose size no symbol says.
 */
#include <elf.h>

#include "closure_private.h"

#define REMEDY_SET                                                             \
	"Keep the section as it is, or leave the function out with --skip"

/* Whether the function runs over the whole set: it has start and end. */
static bool runs_over(const struct function *function,
                      const struct section *set)
{
	return function_refers_to(function, set->addr, 1) &&
	       function_refers_to(function, set->addr + set->size, 1);
}

struct hfx_error *closure_resolve_set(struct closure *closure, uint64_t addr,
                                      const struct use *use, struct target *ret,
                                      bool *is_done_ret)
{
	const struct section *set = place_set_at(closure->new_program, addr);
	const struct section *old;
	bool same = false;

	*is_done_ret = set && use->kind == REFERENCE_ADDRESS &&
	               !use->is_pointer && runs_over(closure->function, set);
	if (!*is_done_ret)
		return NULL;
	old = program_section_named(closure->old_program, set->name);
	if (old && old->size == set->size)
		HFX_TRY(comparison_of_data(closure->comparison, old->addr,
		                           set->addr, set->size, &same));
	if (same) {
		*ret = (struct target){TARGET_OLD,
		                       old->addr + (addr - set->addr)};
		return NULL;
	}
	ret->kind = TARGET_INSIDE;
	if (!old || set->kind == SECTION_CONST)
		return closure_keep(closure, set->addr, set->size,
		                    set->kind == SECTION_CONST ? PF_R
		                                               : PF_R | PF_W);
	return closure_refuse(
		closure, ret, REMEDY_SET,
		"runs over the section %s, whose content changed: "
		"the running process keeps what it has",
		set->name);
}
