/* SPDX-License-Identifier: MIT */
#include "selection.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include "array.h"
#include "call_check.h"
#include "cleanup.h"
#include "debug_info.h"
#include "hooks.h"
#include "place.h"
#include "register_check.h"

#define REMEDY_ENTRY                                                           \
	"Make it longer or let it be inlined, or leave it out with --skip"
#define REMEDY_RESOLVER                                                        \
	"Leave it out with --skip, and change what it chooses instead"
#define REMEDY_SHARED                                                          \
	"Build both versions without folding of identical code, or change "    \
	"all "                                                                 \
	"functions of this code in the same way"

bool selection_redirects(const struct function *function)
{
	return function->peer != NO_INDEX && function->parent == NO_INDEX &&
	       !function->keeps_entry && !function->is_copy;
}

/* By either of its names. All patterns are tried, for what `used` says. */
static bool matches(const struct patterns *patterns, bool *used,
                    const char *linkage_name, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < patterns->num_items; i++)
		if (!fnmatch(patterns->items[i], linkage_name, 0) ||
		    !fnmatch(patterns->items[i], name, 0))
			found = used[i] = true;
	return found;
}

/* Whether --only and --skip leave a function in. */
static struct hfx_error *passes_filters(const struct selection *selection,
                                        const struct function *function,
                                        const struct pattern_use *use,
                                        bool *ret)
{
	const struct diff_options *options = selection->options;
	const struct program *program = selection->new_program;
	const char *linkage_name = function_name(program, function);
	struct debug_function debug = {0};

	*ret = true;
	if (!options->only.num_items && !options->skip.num_items)
		return NULL;
	if (program->debug)
		HFX_TRY(debug_info_function(program->debug, function->addr,
		                            &debug));
	const char *name = debug.name ? debug.name : "";
	if (!matches(&options->only, use->only, linkage_name, name) &&
	    options->only.num_items)
		*ret = false;
	if (matches(&options->skip, use->skip, linkage_name, name))
		*ret = false;
	debug_function_deinit(&debug);
	return NULL;
}

static struct hfx_error *exclude(struct selection *selection, uint32_t function,
                                 const char *reason)
{
	char **place = &selection->exclusions[function];

	if (!*place)
		*place = strdup(reason);
	return *place ? NULL : hfx_error_no_memory();
}

static uint32_t whole_of(const struct program *program, uint32_t function)
{
	uint32_t parent = program->functions[function].parent;

	return parent == NO_INDEX ? function : parent;
}

/* Most likely a name with a mistake: what it was to leave out is still in. */
static struct hfx_error *warn_of_unused(struct selection *selection,
                                        const char *option,
                                        const struct patterns *patterns,
                                        const bool *used)
{
	for (size_t i = 0; i < patterns->num_items; i++)
		if (!used[i])
			HFX_TRY(warnings_add(&selection->warnings,
			                     "%s %s matches no function of the "
			                     "new build",
			                     option, patterns->items[i]));
	return NULL;
}

static struct hfx_error *apply_filters(struct selection *selection)
{
	const struct patterns *only = &selection->options->only;
	const struct patterns *skip = &selection->options->skip;
	const struct pattern_use *use = selection->options->use;
	struct program *program = selection->new_program;
	bool passes;

	for (size_t i = 0; i < program->num_functions; i++) {
		struct function *function = &program->functions[i];

		if (function->parent != NO_INDEX)
			continue;
		HFX_TRY(passes_filters(selection, function, use, &passes));
		if (!passes)
			HFX_TRY(exclude(selection, i,
			                "left out by --only or --skip"));
	}
	if (!use->is_last)
		return NULL;
	HFX_TRY(warn_of_unused(selection, "--only", only, use->only));
	return warn_of_unused(selection, "--skip", skip, use->skip);
}

/* A whole that is the same is selected for its part: say so. */
static bool blame_part(struct program *program, const struct function *part)
{
	if (part->parent == NO_INDEX)
		return true;
	struct function *whole = &program->functions[part->parent];
	if (!whole->reason && whole->verdict == VERDICT_SAME)
		whole->reason = strdup("its cold part changed");
	return whole->reason || whole->verdict != VERDICT_SAME;
}

static bool blame_callee(const struct selection *selection, uint32_t index)
{
	struct function *function = &selection->new_program->functions[index];

	if (selection->takes[index] && !function->reason &&
	    function->verdict == VERDICT_SAME)
		function->reason = strdup("the same, but calls a function "
		                          "whose old entry stays");
	return function->reason || !selection->takes[index] ||
	       function->verdict != VERDICT_SAME;
}

/* Functions and their cold parts are selected together. */
static struct hfx_error *select_families(struct selection *selection)
{
	struct program *program = selection->new_program;
	bool *wanted = calloc(program->num_functions, 1);

	if (!wanted)
		return hfx_error_no_memory();
	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];
		bool is_wanted = selection->options->all
		                         ? function->peer != NO_INDEX
		                         : function->verdict == VERDICT_CHANGED;

		if (!is_wanted && !selection->takes[i])
			continue;
		wanted[whole_of(program, i)] = true;
		if (!selection->options->all &&
		    (!blame_part(program, function) ||
		     !blame_callee(selection, i))) {
			free(wanted);
			return hfx_error_no_memory();
		}
	}
	for (size_t i = 0; i < program->num_functions; i++) {
		uint32_t whole = whole_of(program, i);

		program->functions[i].is_copy = false;
		program->functions[i].is_selected =
			wanted[whole] && !selection->exclusions[whole];
	}
	free(wanted);
	hooks_select(program);
	return NULL;
}

static bool is_resolver(const struct program *program,
                        const struct function *function)
{
	for (uint32_t i = 0; i < function->num_symbols; i++)
		if (program->symbols[function->first_symbol + i].kind ==
		    SYMBOL_IFUNC)
			return true;
	return false;
}

/* What speaks against redirecting a function of OLD, or NULL. */
static const char *check_old(const struct selection *selection,
                             const struct function *function,
                             const char **remedy_ret)
{
	const struct program *old = selection->old_program;
	const struct function *peer = &old->functions[function->peer];

	*remedy_ret = REMEDY_RESOLVER;
	if (is_resolver(old, peer))
		return "it is the resolver of an IFUNC symbol, which has run "
		       "already";
	*remedy_ret = REMEDY_SHARED;
	if (peer->is_shared)
		return "its old code is shared with another function, which "
		       "did not change in the same way";
	*remedy_ret = REMEDY_ENTRY;
	return entry_check(selection->old_entries, peer).refusal;
}

static struct hfx_error *check_entries(struct selection *selection)
{
	struct program *program = selection->new_program;

	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];

		if (!function->is_selected || !selection_redirects(function))
			continue;
		const char *remedy;
		const char *refusal = check_old(selection, function, &remedy);
		if (refusal)
			HFX_TRY(refusals_add(&selection->closure.refusals, i,
			                     function_name(program, function),
			                     remedy, "%s", refusal));
	}
	return NULL;
}

static bool is_constructor_list(const struct section *section)
{
	return !strcmp(section->name, ".init_array") ||
	       !strcmp(section->name, ".preinit_array");
}

static struct hfx_error *refuse_constructor(struct selection *selection,
                                            uint32_t function,
                                            bool is_destructor)
{
	const struct program *program = selection->new_program;
	bool is_new = program->functions[function].peer == NO_INDEX;

	return refusals_add(
		&selection->closure.refusals, function,
		function_name(program, &program->functions[function]),
		is_destructor
			? "Call it from code that runs at the end, or leave "
			  "this function out with --skip if what it does is "
			  "not needed"
			: "Make the object constant, set it up at first use, "
			  "or leave this function out with --skip if what it "
			  "does is not needed",
		"%s %s; %ss %s", is_new ? "a new" : "a changed",
		is_destructor ? "destructor" : "constructor",
		is_destructor ? "destructor" : "constructor",
		is_destructor ? "are those that OLD lists (.fini_array)"
			      : "run only when the program starts");
}

/*
 * Constructors run at start only: what they would do now is not done. A new
 * destructor is in no list; one that OLD has jumps to its new code.
 */
static struct hfx_error *check_constructors(struct selection *selection)
{
	struct program *program = selection->new_program;

	for (size_t i = 0; i < program->num_relocations; i++) {
		const struct dynamic_relocation *relocation =
			&program->relocations[i];
		const struct section *section =
			program_section_at(program, relocation->addr);

		bool is_destructor =
			section && !strcmp(section->name, ".fini_array");

		if (!section ||
		    (!is_destructor && !is_constructor_list(section)))
			continue;
		const struct function *function = program_function_at(
			program, relocation->symbol_addr + relocation->addend);
		uint32_t index = function - program->functions;
		if (!function || selection->exclusions[index] ||
		    function->verdict == VERDICT_SAME)
			continue;
		if (!is_destructor || function->peer == NO_INDEX)
			HFX_TRY(refuse_constructor(selection, index,
			                           is_destructor));
	}
	return NULL;
}

static struct call_check call_check_of(struct selection *selection)
{
	return (struct call_check){
		.old_program = selection->old_program,
		.new_program = selection->new_program,
		.old_calls = selection->old_calls,
		.refusals = &selection->closure.refusals,
	};
}

static struct hfx_error *check_calls(struct selection *selection)
{
	const struct call_check check = call_check_of(selection);

	return call_check_run(&check);
}

static struct hfx_error *check_registers(struct selection *selection,
                                         bool *again_ret)
{
	HFX_CLEANUP(hfx_free) bool *stays = NULL;
	const struct call_check calls = call_check_of(selection);

	HFX_TRY(call_check_find_stayers(&calls, &stays));
	const struct register_check check = {
		.stays = stays,
		.needs_safe_point = selection->needs_safe_point,
		.old_program = selection->old_program,
		.new_program = selection->new_program,
		.old_calls = selection->old_calls,
		.old_registers = selection->old_registers,
		.new_registers = selection->new_registers,
		.exclusions = selection->exclusions,
		.keeps = selection->keeps,
		.takes = selection->takes,
		.refusals = &selection->closure.refusals,
		.warnings = &selection->warnings,
	};

	return register_check_run(&check, again_ret);
}

static void drop_closure(struct selection *selection)
{
	if (selection->has_closure)
		closure_deinit(&selection->closure);
	selection->has_closure = false;
}

static struct hfx_error *find_kept_entries(struct selection *selection)
{
	struct program *program = selection->new_program;
	const struct call_check check = call_check_of(selection);

	for (size_t i = 0; i < program->num_functions; i++) {
		struct function *function = &program->functions[i];

		function->keeps_entry = false;
		if (function->is_selected && function->peer != NO_INDEX &&
		    function->parent == NO_INDEX)
			HFX_TRY(call_check_keeps_entry(&check, function,
			                               &function->keeps_entry));
		function->keeps_entry |= selection->keeps[i];
	}
	return NULL;
}

static struct hfx_error *run_once(struct selection *selection, bool *again_ret)
{
	drop_closure(selection);
	HFX_TRY(select_families(selection));
	HFX_TRY(closure_init(&selection->closure, selection->old_program,
	                     selection->new_program, selection->comparison,
	                     selection->unwind, selection->decoder,
	                     &selection->namesakes, selection->literals));
	selection->has_closure = true;
	HFX_TRY(find_kept_entries(selection));
	HFX_TRY(check_entries(selection));
	HFX_TRY(closure_run(&selection->closure));
	HFX_TRY(check_calls(selection));
	HFX_TRY(check_registers(selection, again_ret));
	return selection->options->all ? NULL : check_constructors(selection);
}

/* Leave out what was refused; tell if there was something to leave out. */
static struct hfx_error *exclude_refused(struct selection *selection,
                                         bool *progress_ret)
{
	const struct refusals *refusals = &selection->closure.refusals;
	struct program *program = selection->new_program;

	*progress_ret = false;
	for (size_t i = 0; i < refusals->num_items; i++) {
		uint32_t function = refusals->items[i].function;

		if (function == NO_INDEX ||
		    program->functions[function].peer == NO_INDEX)
			continue;
		uint32_t whole = whole_of(program, function);
		*progress_ret |= !selection->exclusions[whole];
		HFX_TRY(exclude(selection, whole, refusals->items[i].reason));
	}
	return NULL;
}

struct hfx_error *selection_run(struct selection *selection)
{
	bool again, progress;

	HFX_TRY(apply_filters(selection));
	do {
		progress = false;
		HFX_TRY(run_once(selection, &again));
		if (selection->options->all)
			HFX_TRY(exclude_refused(selection, &progress));
	} while (again || progress);
	return NULL;
}

struct hfx_error *
selection_init(struct selection *selection, const struct diff_options *options,
               struct comparison *comparison, struct program *old_program,
               struct program *new_program, const struct unwind_table *unwind,
               struct decoder *decoder)
{
	*selection = (struct selection){
		.options = options,
		.comparison = comparison,
		.old_program = old_program,
		.new_program = new_program,
		.unwind = unwind,
		.decoder = decoder,
		.exclusions =
			calloc(new_program->num_functions, sizeof(char *)),
		.keeps = calloc(new_program->num_functions + 1, sizeof(bool)),
		.takes = calloc(new_program->num_functions + 1, sizeof(bool)),
		.needs_safe_point =
			calloc(new_program->num_functions + 1, sizeof(bool)),
	};
	if (!selection->exclusions || !selection->keeps || !selection->takes ||
	    !selection->needs_safe_point)
		return hfx_error_no_memory();
	HFX_TRY(namesakes_init(&selection->namesakes, old_program,
	                       new_program));
	HFX_TRY(literals_create(&selection->literals));
	HFX_TRY(registers_create(old_program, decoder,
	                         &selection->old_registers));
	HFX_TRY(registers_create(new_program, decoder,
	                         &selection->new_registers));
	HFX_TRY(call_graph_create(old_program, &selection->old_calls));
	HFX_TRY(entry_checker_create(old_program, decoder,
	                             &selection->old_entries));
	return entry_checker_create(new_program, decoder,
	                            &selection->new_entries);
}

bool selection_needs_safe_point(const struct selection *selection)
{
	for (size_t i = 0; i < selection->new_program->num_functions; i++)
		if (selection->needs_safe_point[i])
			return true;
	return false;
}

void selection_deinit(struct selection *selection)
{
	drop_closure(selection);
	namesakes_deinit(&selection->namesakes);
	literals_destroy(selection->literals);
	call_graph_destroy(selection->old_calls);
	registers_destroy(selection->old_registers);
	registers_destroy(selection->new_registers);
	warnings_deinit(&selection->warnings);
	free(selection->keeps);
	free(selection->takes);
	free(selection->needs_safe_point);
	entry_checker_destroy(selection->old_entries);
	entry_checker_destroy(selection->new_entries);
	for (size_t i = 0;
	     selection->exclusions && i < selection->new_program->num_functions;
	     i++)
		free(selection->exclusions[i]);
	free(selection->exclusions);
}
