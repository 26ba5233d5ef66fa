/* SPDX-License-Identifier: MIT */
/*
 * Arrays that the linker gives names to: the startup code of a static program
 * runs from one label to another. What stands behind the last entry, under the
 * same address, is not its matter.
 */
#include <string.h>

#include "compare_private.h"

static const char *const arrays[][2] = {
	{"__preinit_array_start", "__preinit_array_end"},
	{"__init_array_start", "__init_array_end"},
	{"__fini_array_start", "__fini_array_end"},
	{"__rela_iplt_start", "__rela_iplt_end"},
};

static bool refers_to_label(const struct program *program,
                            const struct function *function, const char *name)
{
	for (size_t i = 0; i < function->num_references; i++)
		if (program_has_label(program, function->references[i].target,
		                      "", name))
			return true;
	return false;
}

/* Whether the address has that label, and the function the other one, too. */
static bool is_bound(const struct program *program,
                     const struct function *function, uint64_t addr,
                     const char *const array[2], unsigned int which)
{
	return program_has_label(program, addr, "", array[which]) &&
	       refers_to_label(program, function, array[!which]);
}

bool comparison_same_bound(const struct comparison *c, uint64_t old_addr,
                           uint64_t new_addr)
{
	if (!program_label_at(c->old_program, old_addr) ||
	    !program_label_at(c->new_program, new_addr))
		return false;
	for (size_t i = 0; i < sizeof(arrays) / sizeof(*arrays); i++)
		for (unsigned int which = 0; which < 2; which++)
			if (is_bound(c->old_program, c->old_function, old_addr,
			             arrays[i], which) &&
			    is_bound(c->new_program, c->new_function, new_addr,
			             arrays[i], which))
				return true;
	return false;
}
