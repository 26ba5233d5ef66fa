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

struct hfx_error *warnings_add(struct warnings *warnings, const char *format,
                               ...)
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

static struct hfx_error *check_split(const struct program *program,
                                     struct warnings *warnings)
{
	size_t count = 0;

	if (program->debug)
		HFX_TRY(debug_info_count_missing(program->debug, &count));
	if (!count)
		return NULL;
	return warnings_add(warnings,
	                    "%s: the split debug information of %zu units is "
	                    "found neither as .dwo files nor in %s.dwp, or has "
	                    "types in units of their own there: their types "
	                    "are not checked; build without -gsplit-dwarf",
	                    program->path, count, program->path);
}

/* By the time of their last change; a second is what some file systems know. */
static bool is_newer(const char *a, const char *b)
{
	struct stat a_status, b_status;

	return !stat(a, &a_status) && !stat(b, &b_status) &&
	       a_status.st_mtime > b_status.st_mtime;
}

/*
 * No more than a warning: which was built first is no proof, and a bundle of
 * swapped builds fits no process that runs the old one.
 */
static struct hfx_error *check_order(const struct program *old_program,
                                     const struct program *new_program,
                                     struct warnings *warnings)
{
	if (!is_newer(old_program->path, new_program->path))
		return NULL;
	return warnings_add(warnings,
	                    "%s is newer than %s: are OLD and NEW swapped? The "
	                    "build that runs goes first",
	                    old_program->path, new_program->path);
}

/* Where the first option that differs stands in the second text. */
static const char *first_difference(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] && a[i] == b[i])
		i++;
	while (i && b[i - 1] != ' ')
		i--;
	return b + i;
}

static struct hfx_error *check_producers(const struct program *old_program,
                                         const struct program *new_program,
                                         struct warnings *warnings)
{
	HFX_CLEANUP(hfx_free) char *old_text = NULL;
	HFX_CLEANUP(hfx_free) char *new_text = NULL;

	if (!old_program->debug || !new_program->debug)
		return NULL;
	HFX_TRY(debug_info_producers(old_program->debug, &old_text));
	HFX_TRY(debug_info_producers(new_program->debug, &new_text));
	if (!strcmp(old_text, new_text))
		return NULL;
	return warnings_add(warnings,
	                    "the builds are by different compilers or options "
	                    "(OLD: ...%.80s, NEW: ...%.80s): much may look "
	                    "changed that is not",
	                    first_difference(new_text, old_text),
	                    first_difference(old_text, new_text));
}

struct hfx_error *check_inputs(const struct program *old_program,
                               const struct program *new_program,
                               struct warnings *warnings)
{
	if (strcmp(old_program->comment, new_program->comment))
		HFX_TRY(warnings_add(
			warnings,
			"the builds are by different compilers (%s; %s): "
			"much may look changed that is not",
			old_program->comment, new_program->comment));
	else
		HFX_TRY(check_producers(old_program, new_program, warnings));
	if (!old_program->debug || !new_program->debug)
		HFX_TRY(warnings_add(
			warnings,
			"%s has no debug information: types, signatures "
			"and source places are not known, and types are "
			"not checked",
			old_program->debug ? new_program->path
					   : old_program->path));
	HFX_TRY(check_split(old_program, warnings));
	HFX_TRY(check_split(new_program, warnings));
	return check_order(old_program, new_program, warnings);
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
	return warnings_add(
		warnings,
		"%zu functions (%s%s) differ only in the %s of the build, "
		"which is not taken for a change; build both %s",
		count, function_name(new_program, first),
		count > 1 ? ", ..." : "",
		passed & PASSED_DATE ? "date" : "folder",
		passed & PASSED_DATE ? "with SOURCE_DATE_EPOCH set"
				     : "in one folder, or with "
				       "-ffile-prefix-map");
}
