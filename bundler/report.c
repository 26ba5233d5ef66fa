/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "demangle.h"
#include "digest.h"

/* Columns are as wide as their longest text, up to this. */
#define MAX_COLUMN 40

#define COLOR_RED    "31"
#define COLOR_GREEN  "32"
#define COLOR_YELLOW "33"
#define COLOR_CYAN   "36"

/** Where and how to print. */
struct printer {
	FILE *out;
	const struct report *report;
	const struct report_style *style;
	int name_width;
	int source_width;
};

static void function_deinit(struct report_function *function)
{
	free(function->name);
	free(function->linkage_name);
	free(function->unit);
	free(function->source);
	free(function->reason);
	free(function->signature);
}

static void refusal_deinit(struct report_refusal *refusal)
{
	free(refusal->subject);
	free(refusal->source);
	free(refusal->reason);
	free(refusal->remedy);
}

static void skip_deinit(struct report_skip *skip)
{
	free(skip->name);
	free(skip->source);
	free(skip->reason);
}

void report_type_deinit(struct report_type *type)
{
	free(type->name);
	free(type->source);
	free(type->facts);
	for (size_t i = 0; i < type->num_users; i++)
		free(type->users[i]);
	free(type->users);
	type_parts_deinit(&type->old_parts);
	type_parts_deinit(&type->new_parts);
}

void report_deinit(struct report *report)
{
	for (size_t i = 0; i < report->num_functions; i++)
		function_deinit(&report->functions[i]);
	for (size_t i = 0; i < report->num_refusals; i++)
		refusal_deinit(&report->refusals[i]);
	for (size_t i = 0; i < report->num_warnings; i++)
		free(report->warnings[i]);
	for (size_t i = 0; i < report->num_skips; i++)
		skip_deinit(&report->skips[i]);
	for (size_t i = 0; i < report->num_accepted_types; i++)
		free(report->accepted_types[i]);
	for (size_t i = 0; i < report->num_accepted_data; i++)
		free(report->accepted_data[i]);
	for (size_t i = 0; i < report->num_types; i++)
		report_type_deinit(&report->types[i]);
	free(report->types);
	free(report->accepted_types);
	free(report->accepted_data);
	free(report->functions);
	free(report->refusals);
	free(report->warnings);
	free(report->skips);
	free(report->old_input.path);
	free(report->new_input.path);
	*report = (struct report){0};
}

void reports_deinit(struct reports *reports)
{
	for (size_t i = 0; i < reports->num_items; i++)
		report_deinit(&reports->items[i]);
	free(reports->items);
	free(reports->bundle_path);
	*reports = (struct reports){0};
}

const char *report_module_name(const struct report *report)
{
	const char *path = report->old_input.path ? report->old_input.path : "";
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool has_text(const char *text)
{
	return text && *text;
}

/** Names come from files that may hold anything, a terminal obeys too much. */
static void put_text(FILE *out, const char *text)
{
	for (; text && *text; text++) {
		unsigned char byte = *text;

		fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, out);
	}
}

/** The same, with names of C++ as people write them. */
static void put_names(FILE *out, const char *text)
{
	HFX_CLEANUP(hfx_free) char *names = demangle_names(text ? text : "");

	put_text(out, names ? names : text);
}

/** Text and spaces up to @p width, two at least. */
static void put_column(FILE *out, const char *text, int width)
{
	int length = text ? strlen(text) : 0;

	put_text(out, text);
	fprintf(out, "%*s", length < width ? width - length + 2 : 2, "");
}

static void put_colored(const struct printer *printer, const char *text,
                        const char *color)
{
	if (printer->style->use_color)
		fprintf(printer->out, "\033[%sm%s\033[0m", color, text);
	else
		fputs(text, printer->out);
}

static const char *kind_text(enum report_kind kind, const char **color_ret)
{
	switch (kind) {
	case REPORT_CHANGED:
		*color_ret = COLOR_YELLOW;
		return "changed";
	case REPORT_NEW:
		*color_ret = COLOR_GREEN;
		return "new    ";
	case REPORT_PART:
		*color_ret = COLOR_CYAN;
		return "part   ";
	case REPORT_REMOVED:
		*color_ret = COLOR_RED;
		return "removed";
	}
	*color_ret = COLOR_RED;
	return "unknown";
}

static void widen(int *width, const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (length > MAX_COLUMN)
		length = MAX_COLUMN;
	if ((int)length > *width)
		*width = length;
}

static void measure(struct printer *printer)
{
	const struct report *report = printer->report;

	for (size_t i = 0; i < report->num_functions; i++) {
		widen(&printer->name_width, report->functions[i].name);
		widen(&printer->source_width, report->functions[i].source);
	}
	if (printer->style->detail < REPORT_VERBOSE)
		return;
	for (size_t i = 0; i < report->num_skips; i++) {
		widen(&printer->name_width, report->skips[i].name);
		widen(&printer->source_width, report->skips[i].source);
	}
}

/** `changed  name  file:line  reason`, without blanks at the end. */
static void print_row(const struct printer *printer, const char *kind,
                      const char *color, const char *name, const char *source,
                      const char *reason)
{
	HFX_CLEANUP(hfx_free) char *names = demangle_names(name);

	name = names ? names : name;
	put_colored(printer, kind, color);
	fputs("  ", printer->out);
	if (has_text(reason)) {
		put_column(printer->out, name, printer->name_width);
		put_column(printer->out, source, printer->source_width);
		put_names(printer->out, reason);
	} else if (has_text(source)) {
		put_column(printer->out, name, printer->name_width);
		put_text(printer->out, source);
	} else {
		put_text(printer->out, name);
	}
	fputc('\n', printer->out);
}

static void print_place(FILE *out, const char *which, uint64_t addr,
                        uint64_t size)
{
	if (addr || size)
		fprintf(out, "  %s 0x%" PRIx64 "+%" PRIu64, which, addr, size);
}

static void print_function_detail(const struct printer *printer,
                                  const struct report_function *function)
{
	FILE *out = printer->out;

	if (has_text(function->signature)) {
		fputs("         ", out);
		put_text(out, function->signature);
		fputc('\n', out);
	}
	fputs("       ", out);
	print_place(out, "old", function->old_addr, function->old_size);
	print_place(out, "new", function->new_addr, function->new_size);
	if (has_text(function->unit)) {
		fputs("  ", out);
		put_text(out, function->unit);
	}
	fputc('\n', out);
}

static void print_functions(const struct printer *printer)
{
	const struct report *report = printer->report;

	for (size_t i = 0; i < report->num_functions; i++) {
		const struct report_function *function = &report->functions[i];
		const char *color;
		const char *kind = kind_text(function->kind, &color);

		print_row(printer, kind, color, function->name,
		          function->source, function->reason);
		if (printer->style->detail >= REPORT_VERBOSE)
			print_function_detail(printer, function);
	}
}

static void print_skips(const struct printer *printer)
{
	const struct report *report = printer->report;

	for (size_t i = 0; i < report->num_skips; i++)
		print_row(printer, "skipped", COLOR_CYAN, report->skips[i].name,
		          report->skips[i].source, report->skips[i].reason);
}

/** Text with a full stop, unless it ends as a sentence already. */
static void put_sentence(FILE *out, const char *text)
{
	size_t length = text ? strlen(text) : 0;

	put_names(out, text);
	if (!length || !strchr(".!?", text[length - 1]))
		fputc('.', out);
}

static void print_refusals(const struct printer *printer)
{
	const struct report *report = printer->report;

	for (size_t i = 0; i < report->num_refusals; i++) {
		const struct report_refusal *refusal = &report->refusals[i];

		put_colored(printer, "refused:", COLOR_RED);
		fputc(' ', printer->out);
		put_names(printer->out, refusal->subject);
		if (has_text(refusal->source)) {
			fputs(" (", printer->out);
			put_text(printer->out, refusal->source);
			fputc(')', printer->out);
		}
		fputs(": ", printer->out);
		put_sentence(printer->out, refusal->reason);
		if (has_text(refusal->remedy)) {
			fputc(' ', printer->out);
			put_sentence(printer->out, refusal->remedy);
		}
		fputc('\n', printer->out);
	}
}

static void print_warnings(const struct printer *printer)
{
	for (size_t i = 0; i < printer->report->num_warnings; i++) {
		put_colored(printer, "warning:", COLOR_YELLOW);
		fputc(' ', printer->out);
		put_names(printer->out, printer->report->warnings[i]);
		fputc('\n', printer->out);
	}
}

static void print_input(const struct printer *printer, const char *which,
                        const struct report_input *input)
{
	char id[2 * BUILD_ID_MAX + 1] = "none";

	if (input->build_id.size)
		hex_encode(input->build_id.bytes, input->build_id.size, id);
	fprintf(printer->out, "%s: ", which);
	put_text(printer->out, input->path);
	fprintf(printer->out, ", build-id %s\n", id);
}

static void print_totals(const struct printer *printer)
{
	const struct report_totals *totals = &printer->report->totals;
	FILE *out = printer->out;

	fprintf(out,
	        "%" PRIu64 " function%s: %" PRIu64 " the same, %" PRIu64
	        " changed, %" PRIu64 " new, %" PRIu64 " removed",
	        totals->functions, totals->functions == 1 ? "" : "s",
	        totals->same, totals->changed, totals->added, totals->removed);
	if (totals->skipped)
		fprintf(out, ", %" PRIu64 " skipped", totals->skipped);
	if (printer->style->detail >= REPORT_VERBOSE)
		fprintf(out, "; %" PRIu64 " instructions",
		        totals->instructions);
	fputc('\n', out);
}

static void print_bundle(FILE *out, const struct reports *reports)
{
	if (!reports->bundle_path)
		return;
	fputs("wrote ", out);
	put_text(out, reports->bundle_path);
	fprintf(out, ", %" PRIu64 " bytes\n", reports->bundle_size);
}

/** `server: old/server -> new/server` */
static void print_module(const struct printer *printer)
{
	const struct report *report = printer->report;

	put_text(printer->out, report_module_name(report));
	fputs(": ", printer->out);
	put_text(printer->out, report->old_input.path);
	fputs(" -> ", printer->out);
	put_text(printer->out, report->new_input.path);
	fputc('\n', printer->out);
}

static void print_report(struct printer *printer)
{
	enum report_detail detail = printer->style->detail;

	measure(printer);
	if (detail >= REPORT_VERBOSE) {
		print_input(printer, "old", &printer->report->old_input);
		print_input(printer, "new", &printer->report->new_input);
	}
	if (detail >= REPORT_NORMAL)
		print_functions(printer);
	if (detail >= REPORT_VERBOSE)
		print_skips(printer);
	print_refusals(printer);
	if (detail >= REPORT_NORMAL)
		print_warnings(printer);
	print_totals(printer);
}

/** What of the modules has no part in the bundle, and why. */
static void print_left_out(FILE *out, const struct reports *reports)
{
	for (size_t i = 0; i < reports->num_items; i++) {
		const struct report *report = &reports->items[i];

		if (report->outcome != DIFF_NOTHING ||
		    reports->outcome != DIFF_DONE)
			continue;
		put_text(out, report_module_name(report));
		fputs(" has nothing to patch and is left out\n", out);
	}
}

void report_print(FILE *out, const struct reports *reports,
                  const struct report_style *style)
{
	for (size_t i = 0; i < reports->num_items; i++) {
		struct printer printer = {
			.out = out,
			.report = &reports->items[i],
			.style = style,
		};

		if (reports->by_module)
			print_module(&printer);
		print_report(&printer);
		if (reports->by_module)
			fputc('\n', out);
	}
	if (reports->by_module)
		print_left_out(out, reports);
	if (style->detail >= REPORT_NORMAL)
		print_bundle(out, reports);
}
