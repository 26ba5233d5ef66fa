/* SPDX-License-Identifier: MIT */
#include "describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "debug_info.h"
#include "demangle.h"
#include "function_title.h"
#include "place.h"

/* Take a text of DWARF, or a copy of another. */
static char *take_or(char **text, const char *otherwise)
{
	if (*text && **text)
		return HFX_TAKE(*text);
	return strdup(otherwise);
}

static void take_texts(struct report_function *entry,
                       struct debug_function *debug, const char *symbol)
{
	entry->name = debug->name && *debug->name ? HFX_TAKE(debug->name)
	                                          : demangle_names(symbol);
	entry->linkage_name = strdup(symbol);
	entry->unit = take_or(&debug->unit, "");
	entry->source = take_or(&debug->source, "");
	entry->signature = take_or(&debug->signature, "");
}

static bool is_complete(const struct report_function *entry)
{
	return entry->name && entry->linkage_name && entry->unit &&
	       entry->source && entry->signature && entry->reason;
}

static void report_function_deinit(struct report_function *entry)
{
	free(entry->name);
	free(entry->linkage_name);
	free(entry->unit);
	free(entry->source);
	free(entry->reason);
	free(entry->signature);
}

/* A part is named by its whole and what the compiler put behind that. */
static bool name_part(struct report_function *entry, const char *symbol)
{
	const char *suffix = strstr(symbol, ".cold");
	char *name = NULL;

	if (!suffix || !entry->name || strstr(entry->name, suffix))
		return true;
	if (asprintf(&name, "%s%s", entry->name, suffix) < 0)
		return false;
	free(entry->name);
	entry->name = name;
	return true;
}

static struct hfx_error *describe_texts(const struct program *program,
                                        const struct function *function,
                                        struct report_function *entry)
{
	struct debug_function debug = {0};

	if (program->debug)
		HFX_TRY(debug_info_function(program->debug, function->addr,
		                            &debug));
	take_texts(entry, &debug, function_name(program, function));
	debug_function_deinit(&debug);
	if (entry->kind == REPORT_PART &&
	    !name_part(entry, function_name(program, function)))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *push(struct report *report,
                              struct report_function *entry)
{
	if (is_complete(entry) && HFX_ARRAY_PUSH(report, functions, *entry))
		return NULL;
	report_function_deinit(entry);
	return hfx_error_no_memory();
}

static enum report_kind kind_of(const struct function *function)
{
	if (function->parent != NO_INDEX)
		return REPORT_PART;
	return function->peer == NO_INDEX || function->is_copy ? REPORT_NEW
	                                                       : REPORT_CHANGED;
}

static char *reason_of(const struct function *function, const char *whole)
{
	char *reason = NULL;
	int length;

	if (function->is_copy && function->parent == NO_INDEX)
		return strdup("a copy for new code, which cannot reach OLD's");
	if (function->reason && function->keeps_entry)
		length = asprintf(&reason,
		                  "%s; only new code calls it, in its own way",
		                  function->reason);
	else if (function->reason)
		return strdup(function->reason);
	else if (function->parent != NO_INDEX)
		length = asprintf(&reason, "a part of %s", whole);
	else if (function->peer == NO_INDEX)
		return strdup("only the new build has it");
	else if (function->verdict == VERDICT_SAME)
		return strdup("the same, selected by --all");
	else
		return strdup("changed");
	return length < 0 ? NULL : reason;
}

static struct hfx_error *add_selected(const struct selection *selection,
                                      const struct function *function,
                                      struct report *report)
{
	const struct program *program = selection->new_program;
	HFX_CLEANUP(hfx_free) char *whole = NULL;

	if (function->parent != NO_INDEX)
		HFX_TRY(function_title(program,
		                       &program->functions[function->parent],
		                       &whole));
	struct report_function entry = {
		.kind = kind_of(function),
		.new_addr = function->addr,
		.new_size = function->size,
		.reason = reason_of(function, whole),
	};

	if (entry.kind == REPORT_CHANGED) {
		const struct function *old =
			&selection->old_program->functions[function->peer];
		entry.old_addr = old->addr;
		entry.old_size = old->size;
	}
	struct hfx_error *err = describe_texts(program, function, &entry);
	if (err) {
		free(entry.reason);
		return err;
	}
	return push(report, &entry);
}

static struct hfx_error *add_removed(const struct program *old,
                                     const struct function *function,
                                     struct report *report)
{
	struct report_function entry = {
		.kind = REPORT_REMOVED,
		.old_addr = function->addr,
		.old_size = function->size,
		.reason = strdup("only the old build has it"),
	};
	struct hfx_error *err = describe_texts(old, function, &entry);

	if (err) {
		free(entry.reason);
		return err;
	}
	return push(report, &entry);
}

static struct hfx_error *add_functions(const struct selection *selection,
                                       struct report *report)
{
	const struct program *old = selection->old_program;
	const struct program *new = selection->new_program;

	for (size_t i = 0; i < new->num_functions; i++)
		if (new->functions[i].is_selected)
			HFX_TRY(add_selected(selection, &new->functions[i],
			                     report));
	for (size_t i = 0; i < old->num_functions; i++)
		if (old->functions[i].peer == NO_INDEX &&
		    old->functions[i].parent == NO_INDEX)
			HFX_TRY(add_removed(old, &old->functions[i], report));
	return NULL;
}

/* File and line of a function of NEW, or "". */
static struct hfx_error *source_of(const struct program *program,
                                   uint32_t function, char **ret)
{
	struct debug_function debug = {0};

	if (program->debug && function != NO_INDEX)
		HFX_TRY(debug_info_function(program->debug,
		                            program->functions[function].addr,
		                            &debug));
	*ret = take_or(&debug.source, "");
	debug_function_deinit(&debug);
	return *ret ? NULL : hfx_error_no_memory();
}

static struct hfx_error *add_refusals(const struct selection *selection,
                                      struct report *report)
{
	const struct refusals *refusals = &selection->closure.refusals;

	for (size_t i = 0; i < refusals->num_items; i++) {
		const struct refusal *refusal = &refusals->items[i];
		struct report_refusal entry = {0};

		if (refusal->source)
			entry.source = strdup(refusal->source);
		else
			HFX_TRY(source_of(selection->new_program,
			                  refusal->function, &entry.source));
		entry.subject = strdup(refusal->subject);
		entry.reason = strdup(refusal->reason);
		entry.remedy = strdup(refusal->remedy);
		if (!entry.subject || !entry.source || !entry.reason ||
		    !entry.remedy || !HFX_ARRAY_PUSH(report, refusals, entry)) {
			free(entry.subject);
			free(entry.source);
			free(entry.reason);
			free(entry.remedy);
			return hfx_error_no_memory();
		}
	}
	return NULL;
}

static struct hfx_error *add_skip(const struct program *program, uint32_t index,
                                  const char *reason, struct report *report)
{
	struct report_skip entry = {0};

	HFX_TRY(source_of(program, index, &entry.source));
	entry.name = strdup(function_name(program, &program->functions[index]));
	entry.reason = strdup(reason);
	if (entry.name && entry.reason && HFX_ARRAY_PUSH(report, skips, entry))
		return NULL;
	free(entry.name);
	free(entry.source);
	free(entry.reason);
	return hfx_error_no_memory();
}

static const char *passed_text(uint32_t passed)
{
	if (passed == PASSED_LINE)
		return "differs only in line numbers";
	return passed & PASSED_DATE ? "differs only in the date of the build"
	                            : "differs only in the folder of the build";
}

static struct hfx_error *add_skips(const struct selection *selection,
                                   struct report *report)
{
	const struct program *program = selection->new_program;

	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];
		const char *exclusion = selection->exclusions[i];

		if (exclusion && (selection->options->all ||
		                  function->verdict != VERDICT_SAME))
			HFX_TRY(add_skip(program, i, exclusion, report));
		else if (function->passed && !function->is_selected)
			HFX_TRY(add_skip(program, i,
			                 passed_text(function->passed),
			                 report));
	}
	return NULL;
}

static struct hfx_error *add_warnings(const struct warnings *warnings,
                                      struct report *report)
{
	for (size_t i = 0; i < warnings->num_items; i++) {
		char *copy = strdup(warnings->items[i]);

		if (!copy || !HFX_ARRAY_PUSH(report, warnings, copy)) {
			free(copy);
			return hfx_error_no_memory();
		}
	}
	return NULL;
}

static struct hfx_error *add_accepted(const struct acceptances *accepted,
                                      struct report *report)
{
	for (size_t i = 0; i < accepted->num_types; i++) {
		char *copy = strdup(accepted->types[i]);

		if (!copy || !HFX_ARRAY_PUSH(report, accepted_types, copy)) {
			free(copy);
			return hfx_error_no_memory();
		}
	}
	for (size_t i = 0; i < accepted->num_data; i++) {
		char *copy = strdup(accepted->data[i]);

		if (!copy || !HFX_ARRAY_PUSH(report, accepted_data, copy)) {
			free(copy);
			return hfx_error_no_memory();
		}
	}
	return NULL;
}

static void count(const struct selection *selection, struct report *report)
{
	const struct program *old = selection->old_program;
	const struct program *new = selection->new_program;
	struct report_totals *totals = &report->totals;

	totals->functions = old->num_functions;
	totals->instructions = old->num_instructions;
	for (size_t i = 0; i < old->num_functions; i++)
		totals->removed += old->functions[i].peer == NO_INDEX;
	for (size_t i = 0; i < new->num_functions; i++) {
		totals->same += new->functions[i].verdict == VERDICT_SAME;
		totals->changed += new->functions[i].verdict == VERDICT_CHANGED;
		totals->added += new->functions[i].verdict == VERDICT_ONLY_HERE;
	}
	totals->skipped = report->num_skips;
}

static struct hfx_error *describe_inputs(const struct selection *selection,
                                         struct report *report)
{
	report->old_input.path = strdup(selection->old_program->path);
	report->old_input.build_id = selection->old_program->build_id;
	report->new_input.path = strdup(selection->new_program->path);
	report->new_input.build_id = selection->new_program->build_id;
	return report->old_input.path && report->new_input.path
	               ? NULL
	               : hfx_error_no_memory();
}

struct hfx_error *describe_report(const struct selection *selection,
                                  const struct warnings *warnings,
                                  const struct acceptances *accepted,
                                  struct report *ret)
{
	HFX_TRY(describe_inputs(selection, ret));
	HFX_TRY(add_functions(selection, ret));
	HFX_TRY(add_refusals(selection, ret));
	HFX_TRY(add_skips(selection, ret));
	HFX_TRY(add_warnings(warnings, ret));
	HFX_TRY(add_accepted(accepted, ret));
	count(selection, ret);
	return NULL;
}
