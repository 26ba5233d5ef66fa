/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cleanup.h"
#include "digest.h"
#include "report.h"

static void json_cleanup(json_t **value)
{
	json_decref(*value);
}

/** A copy of @p text in ASCII: what is not becomes `?`. */
static json_t *ascii(const char *text)
{
	HFX_CLEANUP(hfx_free) char *copy = strdup(text);

	if (!copy)
		return NULL;
	for (char *byte = copy; *byte; byte++)
		if (*byte & 0x80)
			*byte = '?';
	return json_string(copy);
}

static json_t *string(const char *text)
{
	json_t *value = json_string(text ? text : "");

	return value ? value : ascii(text ? text : "");
}

/*
 * The values below are built without a check in between: json_pack() with "o"
 * gives NULL, and releases the rest, when one of its values is NULL.
 */

static json_t *place(uint64_t addr, uint64_t size)
{
	return json_pack("{s:I, s:I}", "address", (json_int_t)addr, "size",
	                 (json_int_t)size);
}

static json_t *input(const struct report_input *file)
{
	char id[2 * BUILD_ID_MAX + 1] = "";

	hex_encode(file->build_id.bytes, file->build_id.size, id);
	return json_pack("{s:o, s:s}", "path", string(file->path), "build_id",
	                 id);
}

static json_t *bundle(const struct reports *reports)
{
	if (!reports->bundle_path)
		return json_null();
	return json_pack("{s:o, s:I}", "path", string(reports->bundle_path),
	                 "size", (json_int_t)reports->bundle_size);
}

static json_t *totals(const struct report_totals *counts)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "functions",
	                 (json_int_t)counts->functions, "instructions",
	                 (json_int_t)counts->instructions, "same",
	                 (json_int_t)counts->same, "changed",
	                 (json_int_t)counts->changed, "new",
	                 (json_int_t)counts->added, "removed",
	                 (json_int_t)counts->removed, "skipped",
	                 (json_int_t)counts->skipped);
}

static const char *kind_name(enum report_kind kind)
{
	switch (kind) {
	case REPORT_CHANGED:
		return "changed";
	case REPORT_NEW:
		return "new";
	case REPORT_PART:
		return "part";
	case REPORT_REMOVED:
		return "removed";
	}
	return "unknown";
}

static bool is_in_old(const struct report_function *function)
{
	return function->kind == REPORT_CHANGED ||
	       function->kind == REPORT_REMOVED;
}

static json_t *function_value(const void *item)
{
	const struct report_function *function = item;
	json_t *value = json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
		kind_name(function->kind), "name", string(function->name),
		"linkage_name", string(function->linkage_name), "unit",
		string(function->unit), "source", string(function->source),
		"reason", string(function->reason), "signature",
		string(function->signature));
	int failed = 0;

	if (is_in_old(function))
		failed |= json_object_set_new(
			value, "old",
			place(function->old_addr, function->old_size));
	if (function->kind != REPORT_REMOVED)
		failed |= json_object_set_new(
			value, "new",
			place(function->new_addr, function->new_size));
	if (failed) {
		json_decref(value);
		return NULL;
	}
	return value;
}

static json_t *refusal_value(const void *item)
{
	const struct report_refusal *refusal = item;

	return json_pack(
		"{s:o, s:o, s:o, s:o}", "subject", string(refusal->subject),
		"source", string(refusal->source), "reason",
		string(refusal->reason), "remedy", string(refusal->remedy));
}

static json_t *text_value(const void *item)
{
	return string(*(char *const *)item);
}

static json_t *skip_value(const void *item)
{
	const struct report_skip *skip = item;

	return json_pack("{s:o, s:o, s:o}", "name", string(skip->name),
	                 "source", string(skip->source), "reason",
	                 string(skip->reason));
}

static json_t *list(const void *items, size_t count, size_t item_size,
                    json_t *(*value_of)(const void *item))
{
	HFX_CLEANUP(json_cleanup) json_t *array = json_array();

	for (size_t i = 0; array && i < count; i++) {
		const char *item = (const char *)items + i * item_size;

		if (json_array_append_new(array, value_of(item)))
			return NULL;
	}
	return HFX_TAKE(array);
}

#define LIST(report, items, value_of)                                          \
	list((report)->items, (report)->num_##items, sizeof(*(report)->items), \
	     value_of)

static const char *verdict_name(enum report_type_verdict verdict)
{
	switch (verdict) {
	case REPORT_TYPE_REFUSED:
		return "refused";
	case REPORT_TYPE_ACCEPTED:
		return "accepted";
	case REPORT_TYPE_HARMLESS:
		return "harmless";
	}
	return "unknown";
}

static json_t *part_value(const void *item)
{
	const struct type_part *part = item;

	return json_pack("{s:o, s:o, s:I, s:I}", "name", string(part->name),
	                 "value", string(part->value), "bit_offset",
	                 (json_int_t)part->bit_off, "bit_size",
	                 (json_int_t)part->bit_size);
}

static json_t *layout(uint64_t size, const struct type_parts *parts)
{
	return json_pack("{s:I, s:o}", "size", (json_int_t)size, "parts",
	                 LIST(parts, items, part_value));
}

static json_t *type_value(const void *item)
{
	const struct report_type *type = item;

	return json_pack("{s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:o}", "name",
	                 string(type->name), "source", string(type->source),
	                 "verdict", verdict_name(type->verdict), "facts",
	                 string(type->facts), "storage", type->storage, "users",
	                 LIST(type, users, text_value), "old",
	                 layout(type->old_size, &type->old_parts), "new",
	                 layout(type->new_size, &type->new_parts));
}

static json_t *accepted(const struct report *report)
{
	return json_pack("{s:o, s:o}", "types",
	                 LIST(report, accepted_types, text_value), "data",
	                 LIST(report, accepted_data, text_value));
}

/** What the plain document and one of several modules have alike. */
static json_t *findings(const struct report *report)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "functions",
	                 LIST(report, functions, function_value), "refusals",
	                 LIST(report, refusals, refusal_value), "warnings",
	                 LIST(report, warnings, text_value), "types",
	                 LIST(report, types, type_value), "accepted",
	                 accepted(report), "skipped",
	                 LIST(report, skips, skip_value));
}

/** @p head with the members of @p rest behind; both taken. */
static json_t *joined(json_t *head, json_t *rest)
{
	HFX_CLEANUP(json_cleanup) json_t *result = head;
	HFX_CLEANUP(json_cleanup) json_t *tail = rest;

	if (!result || !tail || json_object_update(result, tail))
		return NULL;
	return HFX_TAKE(result);
}

static const char *outcome_name(enum diff_outcome outcome)
{
	switch (outcome) {
	case DIFF_DONE:
		return "patched";
	case DIFF_NOTHING:
		return "nothing";
	case DIFF_REFUSED:
		return "refused";
	}
	return "unknown";
}

static json_t *module_value(const void *item)
{
	const struct report *report = item;

	return joined(json_pack("{s:o, s:s, s:o, s:o, s:o}", "name",
	                        string(report_module_name(report)), "outcome",
	                        outcome_name(report->outcome), "old",
	                        input(&report->old_input), "new",
	                        input(&report->new_input), "totals",
	                        totals(&report->totals)),
	              findings(report));
}

static json_t *plain_document(const struct reports *reports)
{
	const struct report *report = &reports->items[0];

	return joined(
		json_pack("{s:i, s:s, s:o, s:o, s:o, s:o}", "report",
	                  REPORT_FORMAT, "generator", "hfx-bundle " HFX_VERSION,
	                  "old", input(&report->old_input), "new",
	                  input(&report->new_input), "bundle", bundle(reports),
	                  "totals", totals(&report->totals)),
		findings(report));
}

static json_t *document(const struct reports *reports)
{
	if (!reports->by_module)
		return plain_document(reports);
	return json_pack("{s:i, s:s, s:o, s:o}", "report", REPORT_FORMAT,
	                 "generator", "hfx-bundle " HFX_VERSION, "bundle",
	                 bundle(reports), "modules",
	                 LIST(reports, items, module_value));
}

struct hfx_error *report_print_json(FILE *out, const struct reports *reports)
{
	HFX_CLEANUP(json_cleanup) json_t *value = document(reports);
	HFX_CLEANUP(hfx_free) char *text = NULL;

	if (!value)
		return hfx_error_no_memory();
	text = json_dumps(value, JSON_INDENT(2));
	if (!text)
		return hfx_error_no_memory();
	errno = 0;
	if (fputs(text, out) == EOF || fputc('\n', out) == EOF || fflush(out))
		return hfx_error_os(errno, "cannot write the report");
	return NULL;
}
