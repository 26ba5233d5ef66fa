/* SPDX-License-Identifier: MIT */
#include "type_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "call_check.h"
#include "cleanup.h"
#include "debug_info.h"
#include "function_title.h"
#include "place.h"

#define REMEDY                                                                 \
	"Keep its layout and put what is new into a type or table of its "     \
	"own, or pass --accept-type with its name if new code never meets an " \
	"object that old code made"

/** The selected functions, as DWARF is asked about them. */
struct inputs {
	struct debug_function_pair *pairs;
	size_t num_pairs;
	size_t cap_pairs;
	/** Functions of NEW, in the order of `pairs`. */
	uint32_t *functions;
	size_t num_functions;
	size_t cap_functions;
	uint64_t *variables;
	size_t num_variables;
	size_t cap_variables;
};

static void inputs_deinit(struct inputs *inputs)
{
	free(inputs->pairs);
	free(inputs->functions);
	free(inputs->variables);
}

static bool is_variable(const struct program *program, uint64_t addr,
                        uint64_t *ret)
{
	struct place place = place_at(program, addr);

	*ret = addr - place.off;
	return place.kind == PLACE_OBJECT && place.symbol;
}

static struct hfx_error *add_variables(const struct program *program,
                                       const struct function *function,
                                       struct inputs *inputs)
{
	uint64_t addr;

	for (size_t i = 0; i < function->num_references; i++) {
		const struct reference *reference = &function->references[i];

		if (reference->kind != REFERENCE_CALL &&
		    reference->kind != REFERENCE_JUMP &&
		    is_variable(program, reference->target, &addr) &&
		    !HFX_ARRAY_PUSH(inputs, variables, addr))
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *add_function(const struct call_check *calls,
                                      const struct function *function,
                                      struct inputs *inputs)
{
	const struct program *program = calls->new_program;
	uint32_t index = function - program->functions;
	struct debug_function_pair pair = {.new_addr = function->addr};
	size_t first = inputs->num_variables;

	if (function->peer != NO_INDEX) {
		pair.old_addr =
			calls->old_program->functions[function->peer].addr;
		pair.is_exposed = call_check_is_open(calls, function);
	}
	HFX_TRY(add_variables(program, function, inputs));
	pair.num_variables = inputs->num_variables - first;
	if (!HFX_ARRAY_PUSH(inputs, pairs, pair) ||
	    !HFX_ARRAY_PUSH(inputs, functions, index))
		return hfx_error_no_memory();
	return NULL;
}

/* Code that is the same in both builds knows nothing of a change. */
static bool is_asked_about(const struct function *function)
{
	return function->is_selected && function->parent == NO_INDEX &&
	       function->verdict != VERDICT_SAME;
}

static struct hfx_error *collect(const struct selection *selection,
                                 struct inputs *inputs)
{
	const struct call_check calls = {
		.old_program = selection->old_program,
		.new_program = selection->new_program,
		.old_calls = selection->old_calls,
	};
	const struct program *program = selection->new_program;
	const uint64_t *variables;

	for (size_t i = 0; i < program->num_functions; i++)
		if (is_asked_about(&program->functions[i]))
			HFX_TRY(add_function(&calls, &program->functions[i],
			                     inputs));
	if (!inputs->num_variables)
		return NULL;
	variables = inputs->variables;
	for (size_t i = 0; i < inputs->num_pairs; i++) {
		inputs->pairs[i].variables = variables;
		variables += inputs->pairs[i].num_variables;
	}
	return NULL;
}

static struct hfx_error *print_users(FILE *out, const struct program *program,
                                     const struct inputs *inputs,
                                     const struct debug_type_change *change)
{
	size_t count = change->num_users;

	if (!count)
		fputs("no parameter or variable of the patch has it", out);
	else
		fputs("used by ", out);
	for (size_t i = 0; i < count && i < TYPE_MAX_NAMED; i++) {
		uint32_t function = inputs->functions[change->users[i]];
		HFX_CLEANUP(hfx_free) char *title = NULL;

		HFX_TRY(function_title(program, &program->functions[function],
		                       &title));
		fprintf(out, "%s%s", i ? ", " : "", title);
	}
	if (count > TYPE_MAX_NAMED)
		fprintf(out, " and %zu more", count - TYPE_MAX_NAMED);
	return NULL;
}

static void print_storage(FILE *out, const struct debug_type_change *change)
{
	static const char *const places[] = {
		[DEBUG_STORAGE_STACK] = "its objects are only in the stack "
					"frames of the patch's functions",
		[DEBUG_STORAGE_UNKNOWN] = "where its objects live is not known",
		[DEBUG_STORAGE_OTHERS] = "code outside the patch has objects "
					 "of it",
		[DEBUG_STORAGE_HEAP] = "objects of it may live on the heap",
		[DEBUG_STORAGE_GLOBAL] = "objects of it live in global "
					 "variables",
	};

	fputs(places[change->storage], out);
	if (change->holder && *change->holder)
		fprintf(out, " (%s)", change->holder);
}

/** All that is known of a change, one line. Owned. */
static struct hfx_error *facts_of(const struct program *program,
                                  const struct inputs *inputs,
                                  const struct debug_type_change *change,
                                  char **ret)
{
	struct hfx_error *err;
	size_t size;
	FILE *out = open_memstream(ret, &size);

	if (!out)
		return hfx_error_no_memory();
	if (change->old_size != change->new_size)
		fprintf(out, "size %" PRIu64 " -> %" PRIu64 "; ",
		        change->old_size, change->new_size);
	if (*change->member)
		fprintf(out, "%s; ", change->member);
	err = print_users(out, program, inputs, change);
	if (!change->is_harmless) {
		fputs("; ", out);
		print_storage(out, change);
	}
	if (fclose(out) && !err)
		err = hfx_error_no_memory();
	if (!err)
		return NULL;
	free(*ret);
	*ret = NULL;
	return err;
}

static enum report_type_verdict
verdict_of(const struct selection *selection,
           const struct debug_type_change *change)
{
	if (change->is_harmless || change->storage == DEBUG_STORAGE_STACK)
		return REPORT_TYPE_HARMLESS;
	return acceptance_of_type(&selection->options->accept_type,
	                          change->name)
	               ? REPORT_TYPE_ACCEPTED
	               : REPORT_TYPE_REFUSED;
}

static struct hfx_error *judge(struct selection *selection,
                               const struct report_type *type,
                               struct acceptances *accepted,
                               struct warnings *warnings)
{
	switch (type->verdict) {
	case REPORT_TYPE_HARMLESS:
		return warnings_add(warnings,
		                    "%s (%s) changed, which is no reason to "
		                    "refuse: %s",
		                    type->name, type->source, type->facts);
	case REPORT_TYPE_REFUSED:
		return refusals_add_at(&selection->closure.refusals,
		                       type->source, type->name, REMEDY, "%s",
		                       type->facts);
	case REPORT_TYPE_ACCEPTED:
		break;
	}
	HFX_TRY(acceptances_add_type(accepted, type->name));
	return warnings_add(warnings, "%s (%s) changed and is accepted: %s",
	                    type->name, type->source, type->facts);
}

static const char *storage_name(const struct debug_type_change *change)
{
	static const char *const names[] = {
		[DEBUG_STORAGE_STACK] = "stack",
		[DEBUG_STORAGE_UNKNOWN] = "unknown",
		[DEBUG_STORAGE_OTHERS] = "others",
		[DEBUG_STORAGE_HEAP] = "heap",
		[DEBUG_STORAGE_GLOBAL] = "global",
	};

	return change->is_harmless ? "none" : names[change->storage];
}

static struct hfx_error *add_users(const struct program *program,
                                   const struct inputs *inputs,
                                   const struct debug_type_change *change,
                                   struct report_type *type)
{
	for (size_t i = 0; i < change->num_users; i++) {
		uint32_t function = inputs->functions[change->users[i]];
		char *name = strdup(
			function_name(program, &program->functions[function]));

		if (!name || !HFX_ARRAY_PUSH(type, users, name)) {
			free(name);
			return hfx_error_no_memory();
		}
	}
	return NULL;
}

/* Takes the texts of a change and its parts. */
static struct hfx_error *add_type(struct selection *selection,
                                  const struct inputs *inputs,
                                  struct debug_type_change *change,
                                  struct report *report)
{
	HFX_CLEANUP(report_type_deinit)
	struct report_type type = {
		.verdict = verdict_of(selection, change),
		.storage = storage_name(change),
		.old_size = change->old_size,
		.new_size = change->new_size,
	};

	HFX_TRY(facts_of(selection->new_program, inputs, change, &type.facts));
	HFX_TRY(add_users(selection->new_program, inputs, change, &type));
	type.name = HFX_TAKE(change->name);
	type.source = HFX_TAKE(change->source);
	type.old_parts = change->old_parts;
	type.new_parts = change->new_parts;
	change->old_parts = change->new_parts = (struct type_parts){0};
	if (!HFX_ARRAY_PUSH(report, types, type))
		return hfx_error_no_memory();
	type = (struct report_type){0};
	return NULL;
}

static struct hfx_error *compare(struct selection *selection,
                                 const struct inputs *inputs,
                                 struct debug_type_changes *changes)
{
	return debug_info_compare_types(
		selection->old_program->debug, selection->new_program->debug,
		inputs->pairs, inputs->num_pairs, changes);
}

/**
 * A call that is under way may have an object of a type on its stack, of the
 * old layout, and pass it on. So functions that are passed one keep OLD's
 * entry, as where a signature changed: old calls stay among old code.
 */
static struct hfx_error *keep_entries(struct selection *selection,
                                      const struct inputs *inputs,
                                      const struct debug_type_changes *changes)
{
	struct function *functions = selection->new_program->functions;
	bool is_set = false;

	for (size_t i = 0; i < changes->num_items; i++) {
		const struct debug_type_change *change = &changes->items[i];

		if (change->is_harmless ||
		    change->storage != DEBUG_STORAGE_STACK)
			continue;
		for (size_t k = 0; k < change->num_passers; k++) {
			uint32_t index = inputs->functions[change->passers[k]];

			functions[index].wants_own_entry = true;
			is_set = true;
		}
	}
	return is_set ? selection_run(selection) : NULL;
}

static struct hfx_error *has_types(const struct selection *selection,
                                   const struct debug_function_pair *pair,
                                   bool *ret)
{
	HFX_TRY(debug_info_has_types(selection->new_program->debug,
	                             pair->new_addr, ret));
	if (*ret && pair->old_addr)
		HFX_TRY(debug_info_has_types(selection->old_program->debug,
		                             pair->old_addr, ret));
	return NULL;
}

/** Say of which functions nothing is known, although the program has DWARF. */
static struct hfx_error *warn_of_untold(const struct selection *selection,
                                        const struct inputs *inputs,
                                        struct warnings *warnings)
{
	const struct program *program = selection->new_program;
	uint32_t first = NO_INDEX;
	size_t count = 0;

	for (size_t i = 0; i < inputs->num_pairs; i++) {
		bool is_told;

		HFX_TRY(has_types(selection, &inputs->pairs[i], &is_told));
		if (is_told)
			continue;
		if (!count++)
			first = inputs->functions[i];
	}
	if (!count)
		return NULL;
	return warnings_add(
		warnings,
		"the debug information of %zu functions (%s%s) has no types: "
		"their types and signatures are not checked; build all files "
		"with -g",
		count, function_name(program, &program->functions[first]),
		count > 1 ? ", ..." : "");
}

struct hfx_error *type_check_run(struct selection *selection,
                                 struct acceptances *accepted,
                                 struct warnings *warnings,
                                 struct report *report)
{
	HFX_CLEANUP(inputs_deinit) struct inputs inputs = {0};
	HFX_CLEANUP(debug_type_changes_deinit)
	struct debug_type_changes changes = {0};

	if (!selection->old_program->debug || !selection->new_program->debug)
		return NULL;
	HFX_TRY(collect(selection, &inputs));
	HFX_TRY(warn_of_untold(selection, &inputs, warnings));
	HFX_TRY(compare(selection, &inputs, &changes));
	HFX_TRY(keep_entries(selection, &inputs, &changes));
	for (size_t i = 0; i < changes.num_items; i++)
		HFX_TRY(add_type(selection, &inputs, &changes.items[i],
		                 report));
	for (size_t i = 0; i < report->num_types; i++)
		HFX_TRY(judge(selection, &report->types[i], accepted,
		              warnings));
	return NULL;
}
