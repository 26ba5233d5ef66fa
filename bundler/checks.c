/* SPDX-License-Identifier: MIT */
#include "checks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "array.h"
#include "cleanup.h"
#include "debug_info.h"

void warnings_deinit(struct warnings *warnings)
{
	for (size_t i = 0; i < warnings->num_items; i++)
		free(warnings->items[i]);
	free(warnings->items);
}

HFX_MUST_CHECK HFX_PRINTF(2, 3) static struct hfx_error *warn(
	struct warnings *warnings, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		return hfx_error_no_memory();
	if (HFX_ARRAY_PUSH(warnings, items, text))
		return NULL;
	free(text);
	return hfx_error_no_memory();
}

static bool is_newer(const char *a, const char *b)
{
	struct stat a_status, b_status;

	return !stat(a, &a_status) && !stat(b, &b_status) &&
	       a_status.st_mtime > b_status.st_mtime;
}

struct hfx_error *check_inputs(const struct program *old_program,
                               const struct program *new_program,
                               struct warnings *warnings)
{
	if (strcmp(old_program->comment, new_program->comment))
		HFX_TRY(warn(warnings,
		             "the builds are by different compilers (%s; %s): "
		             "much may look changed that is not",
		             old_program->comment, new_program->comment));
	if (!old_program->debug || !new_program->debug)
		HFX_TRY(warn(warnings,
		             "%s has no debug information: types, signatures "
		             "and source places are not known, and types are "
		             "not checked",
		             old_program->debug ? new_program->path
		                                : old_program->path));
	if (is_newer(old_program->path, new_program->path))
		HFX_TRY(warn(warnings,
		             "%s is newer than %s: are OLD and NEW swapped?",
		             old_program->path, new_program->path));
	return NULL;
}

static bool is_live_variable(const struct program *program,
                             const struct symbol *symbol)
{
	return symbol->kind == SYMBOL_OBJECT && symbol->peer != NO_INDEX &&
	       symbol->section != NO_INDEX &&
	       program->sections[symbol->section].kind == SECTION_DATA;
}

struct hfx_error *check_initial_values(struct comparison *comparison,
                                       const struct program *old_program,
                                       const struct program *new_program,
                                       struct warnings *warnings)
{
	for (size_t i = 0; i < new_program->num_symbols; i++) {
		const struct symbol *symbol = &new_program->symbols[i];
		bool same;

		if (!is_live_variable(new_program, symbol))
			continue;
		const struct symbol *old = &old_program->symbols[symbol->peer];
		if (!is_live_variable(old_program, old) ||
		    old->size != symbol->size)
			continue;
		HFX_TRY(comparison_of_data(comparison, old->addr, symbol->addr,
		                           symbol->size, &same));
		if (!same)
			HFX_TRY(warn(warnings,
			             "the initial value of %s changed: the "
			             "running process keeps its value",
			             symbol->name));
	}
	return NULL;
}

struct hfx_error *check_build_texts(const struct program *new_program,
                                    struct warnings *warnings)
{
	const struct function *first = NULL;
	uint32_t passed = 0;
	size_t count = 0;

	for (size_t i = 0; i < new_program->num_functions; i++) {
		const struct function *function = &new_program->functions[i];

		if (!(function->passed & (PASSED_DATE | PASSED_FOLDER)))
			continue;
		passed |= function->passed;
		first = first ? first : function;
		count++;
	}
	if (!count)
		return NULL;
	return warn(warnings,
	            "%zu functions (%s%s) differ only in the %s of the build, "
	            "which is not taken for a change; build both %s",
	            count, function_name(new_program, first),
	            count > 1 ? ", ..." : "",
	            passed & PASSED_DATE ? "date" : "folder",
	            passed & PASSED_DATE ? "with SOURCE_DATE_EPOCH set"
	                                 : "in one folder, or with "
	                                   "-ffile-prefix-map");
}

static struct hfx_error *warn_of_types(const struct debug_type_changes *changes,
                                       struct warnings *warnings)
{
	for (size_t i = 0; i < changes->num_items; i++) {
		const struct debug_type_change *change = &changes->items[i];
		const char *where = *change->source ? change->source : "?";

		if (change->old_size != change->new_size)
			HFX_TRY(warn(warnings,
			             "%s (%s) changes from %lu to %lu bytes: "
			             "objects of it that live in the process "
			             "keep their layout",
			             change->name, where, change->old_size,
			             change->new_size));
		else
			HFX_TRY(warn(warnings,
			             "%s (%s) changes its layout (%s): "
			             "objects of it that live in the process "
			             "keep theirs",
			             change->name, where, change->member));
	}
	return NULL;
}

struct hfx_error *check_types(const struct program *old_program,
                              const struct program *new_program,
                              struct warnings *warnings)
{
	struct debug_type_changes changes = {0};
	size_t count = 0;

	if (!old_program->debug || !new_program->debug)
		return NULL;
	HFX_CLEANUP(hfx_free)
	uint64_t *olds = calloc(new_program->num_functions, sizeof(*olds));
	HFX_CLEANUP(hfx_free)
	uint64_t *news = calloc(new_program->num_functions, sizeof(*news));
	if (!olds || !news)
		return hfx_error_no_memory();
	for (size_t i = 0; i < new_program->num_functions; i++) {
		const struct function *function = &new_program->functions[i];

		if (!function->is_selected || function->peer == NO_INDEX ||
		    function->verdict != VERDICT_CHANGED)
			continue;
		olds[count] = old_program->functions[function->peer].addr;
		news[count++] = function->addr;
	}
	struct hfx_error *err =
		debug_info_compare_types(old_program->debug, new_program->debug,
	                                 olds, news, count, &changes);
	if (!err)
		err = warn_of_types(&changes, warnings);
	debug_type_changes_deinit(&changes);
	return err;
}
