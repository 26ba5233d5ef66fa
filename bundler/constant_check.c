/* SPDX-License-Identifier: MIT */
/*
 * Constants that changed, and whose addresses the old code has given away:
 * objects that it has made may hold them. Who of OLD stays as it is and refers
 * to them is told in data_check.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "address_flow.h"
#include "cleanup.h"
#include "data_check.h"

#define MAX_NAMED 4

/* Whether it stores the address, returns it, or passes it to others. */
static struct hfx_error *gives_away(const struct selection *selection,
                                    const struct function *function,
                                    const struct symbol *symbol, bool *ret)
{
	*ret = false;
	for (size_t i = 0; i < function->num_references && !*ret; i++) {
		const struct reference *reference = &function->references[i];

		if (reference->kind == REFERENCE_ADDRESS &&
		    reference->target - symbol->addr < symbol->size)
			HFX_TRY(address_flow_gives(selection->decoder,
			                           selection->old_program,
			                           function, reference, ret));
	}
	return NULL;
}

static bool is_replaced(const struct selection *selection,
                        const struct function *function)
{
	if (function->parent != NO_INDEX)
		function = &selection->old_program->functions[function->parent];
	return function->peer != NO_INDEX &&
	       function_is_replaced(
		       &selection->new_program->functions[function->peer]);
}

/* The replaced functions that do, as text; "" if none. */
static struct hfx_error *find_givers(const struct selection *selection,
                                     const struct symbol *symbol, FILE *out)
{
	const struct program *program = selection->old_program;
	size_t count = 0;
	bool gives;

	for (size_t i = 0; i < program->num_functions && count < MAX_NAMED;
	     i++) {
		const struct function *function = &program->functions[i];

		if (!is_replaced(selection, function))
			continue;
		HFX_TRY(gives_away(selection, function, symbol, &gives));
		if (gives)
			fprintf(out, "%s%s", count++ ? ", " : "",
			        function_name(program, function));
	}
	return NULL;
}

static struct hfx_error *givers_of(const struct selection *selection,
                                   const struct symbol *symbol, char **ret)
{
	size_t size;
	FILE *out = open_memstream(ret, &size);
	struct hfx_error *err;

	if (!out)
		return hfx_error_no_memory();
	err = find_givers(selection, symbol, out);
	if (fclose(out) && !err)
		err = hfx_error_no_memory();
	return err;
}

struct hfx_error *constant_check_given(const struct selection *selection,
                                       const struct symbol *old_symbol,
                                       struct warnings *warnings)
{
	HFX_CLEANUP(hfx_free) char *givers = NULL;

	HFX_TRY(givers_of(selection, old_symbol, &givers));
	if (!*givers)
		return NULL;
	return warnings_add(warnings,
	                    "the constant %s changed: what the old code of %s "
	                    "stored or passed on may still point to the old "
	                    "one, which is read as it was and is not equal to "
	                    "the new one",
	                    old_symbol->name, givers);
}
