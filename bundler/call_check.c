/* SPDX-License-Identifier: MIT */
#include "call_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "debug_info.h"

#define REMEDY_CALLERS                                                         \
	"Take the callers into the patch, too, or keep the old function and "  \
	"add a new one beside it"
#define REMEDY_OPEN                                                            \
	"Keep the old function and its signature, and add a new one beside "   \
	"it for the new callers"
#define REMEDY_LEFT_OUT "Do not leave it out, or leave out its callers, too"

/** Callers that are named in a message. */
#define MAX_NAMED 4

struct run {
	const struct call_check *check;
	/** For each function of OLD: it still runs, as it is in OLD alone. */
	bool *stays;
};

static uint32_t index_of(const struct program *program,
                         const struct function *function)
{
	return function - program->functions;
}

/* A convention of its own, which DWARF does not tell. */
static bool is_clone(const char *name)
{
	return strstr(name, ".isra.") || strstr(name, ".constprop.") ||
	       strstr(name, ".part.");
}

/** Whether OLD's @p caller will call as OLD does after the patch. */
static bool calls_as_before(const struct run *run, uint32_t caller)
{
	return run->stays[caller];
}

/** Of a function of OLD, without regard to what only OLD has and calls it. */
static bool stays_by_itself(const struct call_check *check, uint32_t function)
{
	uint32_t peer = check->old_program->functions[function].peer;

	if (peer == NO_INDEX)
		return call_graph_openness(check->old_calls, function) !=
		       CALL_CLOSED;
	const struct function *new_function =
		&check->new_program->functions[peer];
	return !function_is_replaced(new_function) &&
	       new_function->verdict != VERDICT_SAME;
}

static bool is_called_by_stayer(const struct run *run, uint32_t function)
{
	size_t count;
	const uint32_t *callers =
		call_graph_callers(run->check->old_calls, function, &count);

	for (size_t i = 0; i < count; i++)
		if (run->stays[callers[i]])
			return true;
	return false;
}

/* What only OLD has runs on while something leads there. */
static struct hfx_error *find_stayers(struct run *run)
{
	const struct program *old = run->check->old_program;
	bool again = true;

	run->stays = calloc(old->num_functions + 1, sizeof(bool));
	if (!run->stays)
		return hfx_error_no_memory();
	for (uint32_t i = 0; i < old->num_functions; i++)
		run->stays[i] = stays_by_itself(run->check, i);
	while (again) {
		again = false;
		for (uint32_t i = 0; i < old->num_functions; i++) {
			if (run->stays[i] ||
			    old->functions[i].peer != NO_INDEX ||
			    !is_called_by_stayer(run, i))
				continue;
			run->stays[i] = true;
			again = true;
		}
	}
	return NULL;
}

/** The callers that call as before, as text; `NULL` if there are none. */
static struct hfx_error *name_callers(const struct run *run,
                                      uint32_t old_function, char **ret)
{
	const struct call_check *check = run->check;
	size_t count, num_bad = 0, size;
	const uint32_t *callers =
		call_graph_callers(check->old_calls, old_function, &count);
	FILE *text;

	*ret = NULL;
	text = open_memstream(ret, &size);
	if (!text)
		return hfx_error_no_memory();
	for (size_t i = 0; i < count; i++) {
		if (!calls_as_before(run, callers[i]))
			continue;
		if (num_bad++ < MAX_NAMED)
			fprintf(text, "%s%s", num_bad > 1 ? ", " : "",
			        function_name(
					check->old_program,
					&check->old_program
						 ->functions[callers[i]]));
	}
	if (num_bad > MAX_NAMED)
		fprintf(text, " and %zu more", num_bad - MAX_NAMED);
	if (fclose(text)) {
		free(*ret);
		*ret = NULL;
		return hfx_error_no_memory();
	}
	if (!num_bad) {
		free(*ret);
		*ret = NULL;
	}
	return NULL;
}

/** How a function is called differently, as text; `NULL` when it is not. */
static struct hfx_error *describe_change(const struct call_check *check,
                                         const struct function *function,
                                         char **ret)
{
	struct debug_info *old_debug = check->old_program->debug;
	struct debug_info *new_debug = check->new_program->debug;
	const struct function *old =
		&check->old_program->functions[function->peer];
	const struct debug_call_pair calls = {
		.old_addr = old->addr,
		.new_addr = function->addr,
		.are_folded = old->num_symbols > 1 || function->num_symbols > 1,
	};
	HFX_CLEANUP(hfx_free) char *difference = NULL;

	*ret = NULL;
	if (!old_debug || !new_debug)
		return NULL;
	HFX_TRY(debug_info_call_differs(old_debug, new_debug, &calls,
	                                &difference));
	if (difference &&
	    asprintf(ret, "its signature changed %s", difference) < 0) {
		*ret = NULL;
		return hfx_error_no_memory();
	}
	return NULL;
}

static bool has_private_convention(const struct call_check *check,
                                   const struct function *function)
{
	const struct function *old =
		&check->old_program->functions[function->peer];

	return is_clone(function_name(check->new_program, function)) ||
	       is_clone(function_name(check->old_program, old));
}

static struct hfx_error *refuse_open(const struct call_check *check,
                                     const struct function *function,
                                     enum call_openness openness,
                                     const char *change)
{
	return refusals_add(check->refusals,
	                    index_of(check->new_program, function),
	                    function_name(check->new_program, function),
	                    REMEDY_OPEN, "%s, and %s", change,
	                    openness == CALL_EXPORTED
	                            ? "it is exported: other modules call it "
	                              "as before"
	                            : "its address is taken: who has it calls "
	                              "as before");
}

static struct hfx_error *check_selected(const struct run *run,
                                        const struct function *function)
{
	const struct call_check *check = run->check;
	HFX_CLEANUP(hfx_free) char *change = NULL;
	HFX_CLEANUP(hfx_free) char *callers = NULL;
	enum call_openness openness =
		call_graph_openness(check->old_calls, function->peer);
	bool is_private = has_private_convention(check, function);

	HFX_TRY(describe_change(check, function, &change));
	if (!change && !is_private)
		return NULL;
	if (change && openness != CALL_CLOSED)
		return refuse_open(check, function, openness, change);
	HFX_TRY(name_callers(run, function->peer, &callers));
	if (!callers)
		return NULL;
	return refusals_add(
		check->refusals, index_of(check->new_program, function),
		function_name(check->new_program, function), REMEDY_CALLERS,
		"%s, and these callers are not in the patch: %s",
		change ? change
		       : "it is a clone with a calling convention "
			 "of its own",
		callers);
}

/* New code calls OLD's function, as NEW's wants to be called. */
static struct hfx_error *check_callee(const struct call_check *check,
                                      const struct function *caller,
                                      const struct function *callee)
{
	HFX_CLEANUP(hfx_free) char *change = NULL;

	HFX_TRY(describe_change(check, callee, &change));
	if (!change && !has_private_convention(check, callee))
		return NULL;
	return refusals_add(
		check->refusals, index_of(check->new_program, caller),
		function_name(check->new_program, caller), REMEDY_LEFT_OUT,
		"it calls %s, which is left out, and %s",
		function_name(check->new_program, callee),
		change ? change
		       : "which is a clone with a calling convention of its "
			 "own");
}

static struct hfx_error *check_callees(const struct call_check *check,
                                       const struct function *function)
{
	for (size_t i = 0; i < function->num_references; i++) {
		const struct function *callee = program_function_at(
			check->new_program, function->references[i].target);

		if (!callee || callee->is_selected ||
		    callee->peer == NO_INDEX || callee->parent != NO_INDEX ||
		    callee->verdict != VERDICT_CHANGED)
			continue;
		HFX_TRY(check_callee(check, function, callee));
	}
	return NULL;
}

static struct hfx_error *check_all(const struct run *run)
{
	const struct program *program = run->check->new_program;

	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];

		if (!function->is_selected)
			continue;
		if (function->peer != NO_INDEX &&
		    function->parent == NO_INDEX &&
		    function->verdict != VERDICT_SAME)
			HFX_TRY(check_selected(run, function));
		HFX_TRY(check_callees(run->check, function));
	}
	return NULL;
}

struct hfx_error *call_check_find_stayers(const struct call_check *check,
                                          bool **ret)
{
	struct run run = {.check = check};
	struct hfx_error *err = find_stayers(&run);

	if (err)
		free(run.stays);
	else
		*ret = run.stays;
	return err;
}

struct hfx_error *call_check_run(const struct call_check *check)
{
	struct run run = {.check = check};
	struct hfx_error *err = find_stayers(&run);

	if (!err)
		err = check_all(&run);
	free(run.stays);
	return err;
}

bool call_check_is_open(const struct call_check *check,
                        const struct function *function)
{
	size_t count;

	if (call_graph_openness(check->old_calls, function->peer) !=
	    CALL_CLOSED)
		return true;
	const uint32_t *callers =
		call_graph_callers(check->old_calls, function->peer, &count);
	for (size_t i = 0; i < count; i++) {
		uint32_t peer = check->old_program->functions[callers[i]].peer;

		if (peer == NO_INDEX ||
		    !function_is_replaced(&check->new_program->functions[peer]))
			return true;
	}
	return false;
}

struct hfx_error *call_check_keeps_entry(const struct call_check *check,
                                         const struct function *function,
                                         bool *ret)
{
	HFX_CLEANUP(hfx_free) char *change = NULL;

	*ret = false;
	if (function->verdict == VERDICT_SAME ||
	    call_check_is_open(check, function))
		return NULL;
	*ret = has_private_convention(check, function) ||
	       function->wants_own_entry;
	if (*ret)
		return NULL;
	HFX_TRY(describe_change(check, function, &change));
	*ret = change;
	return NULL;
}
