/* SPDX-License-Identifier: MIT */
#include "html_private.h"

#include <string.h>

#include "align.h"
#include "cleanup.h"

/* A member that moved stands beside itself. */
static bool is_same_part(const void *context, size_t o, size_t n)
{
	const struct report_type *type = context;

	return !strcmp(type->old_parts.items[o].name,
	               type->new_parts.items[n].name);
}

/* "8", or with bits "8.3". */
static void put_off(FILE *out, uint64_t bit_off)
{
	html_put(out, bit_off % 8 ? "%lu.%lu" : "%lu", bit_off / 8,
	         bit_off % 8);
}

static void put_part(FILE *out, const struct type_part *part, const char *side)
{
	if (!part) {
		html_put(out, "<td class=\"%s\"></td><td class=\"%s\"></td>",
		         side, side);
		return;
	}
	html_put(out, "<td class=\"off %s\">", side);
	if (part->has_place)
		put_off(out, part->bit_off);
	html_put(out, "</td><td class=\"code %s\"><b>%s</b> %s", side,
	         part->name, part->value);
	if (part->bit_size % 8)
		html_put(out, " : %lu", part->bit_size);
	fputs("</td>", out);
}

static void put_row(FILE *out, const struct type_part *old_part,
                    const struct type_part *new_part)
{
	bool is_same =
		old_part && new_part && type_part_same(old_part, new_part);

	html_put(out, "<tr class=\"%s%s%s\">", is_same ? "same" : "differs",
	         old_part ? "" : " added", new_part ? "" : " removed");
	put_part(out, old_part, "old");
	put_part(out, new_part, "new");
	fputs("</tr>\n", out);
}

/* What was removed stands beside what was added instead. */
static void put_rows(FILE *out, const struct report_type *type,
                     const struct alignment *runs)
{
	const struct type_part *o = type->old_parts.items;
	const struct type_part *n = type->new_parts.items;

	for (size_t i = 0; i < runs->num_items; i++) {
		const struct align_run *run = &runs->items[i];
		size_t removed = run->kind == '-' ? run->count : 0;
		size_t added = run->kind == '+' ? run->count : 0;

		for (size_t k = 0; run->kind == '=' && k < run->count; k++)
			put_row(out, o++, n++);
		if (removed && i + 1 < runs->num_items && run[1].kind == '+')
			added = runs->items[++i].count;
		for (size_t k = 0; k < removed || k < added; k++)
			put_row(out, k < removed ? o++ : NULL,
			        k < added ? n++ : NULL);
	}
}

static const char *verdict_text(enum report_type_verdict verdict)
{
	switch (verdict) {
	case REPORT_TYPE_REFUSED:
		return "refused";
	case REPORT_TYPE_ACCEPTED:
		return "accepted";
	case REPORT_TYPE_HARMLESS:
		return "harmless";
	}
	return "";
}

static struct hfx_error *put_parts(FILE *out, const struct report_type *type)
{
	HFX_CLEANUP(alignment_deinit) struct alignment runs = {0};
	struct align_input input = {
		.num_old = type->old_parts.num_items,
		.num_new = type->new_parts.num_items,
		.is_same = is_same_part,
		.context = type,
	};

	if (!input.num_old && !input.num_new)
		return NULL;
	HFX_TRY(align(&input, &runs));
	html_put(out,
	         "<table class=\"code type\"><caption>%s, old and new</caption>"
	         "<colgroup><col class=\"off\"><col><col class=\"off\"><col>"
	         "</colgroup><thead><tr>"
	         "<th class=\"old\" scope=\"colgroup\" colspan=\"2\">Old, "
	         "%lu bytes</th>"
	         "<th class=\"new\" scope=\"colgroup\" colspan=\"2\">New, "
	         "%lu bytes</th></tr></thead><tbody>\n",
	         type->name, type->old_size, type->new_size);
	put_rows(out, type, &runs);
	fputs("</tbody></table>\n", out);
	return NULL;
}

/* The message names the first few. */
static void put_users(struct html_page *page, const struct report_type *type)
{
	if (type->num_users <= TYPE_MAX_NAMED)
		return;
	html_put(page->out,
	         "<details><summary>Used by %lu functions</summary>"
	         "<p class=\"names\">",
	         (unsigned long)type->num_users);
	for (size_t i = 0; i < type->num_users; i++) {
		fputs(i ? ", " : "", page->out);
		html_function(page, type->users[i]);
	}
	fputs("</p></details>\n", page->out);
}

static struct hfx_error *put_type(struct html_page *page,
                                  const struct report_type *type)
{
	const char *verdict = verdict_text(type->verdict);
	FILE *out = page->out;

	html_put(out,
	         "<li><h3>%s <span class=\"source\">%s</span> "
	         "<span class=\"kind %s\">%s</span></h3><p>%s</p>\n",
	         type->name, type->source, verdict, verdict, type->facts);
	put_users(page, type);
	HFX_TRY(put_parts(out, type));
	fputs("</li>\n", out);
	return NULL;
}

struct hfx_error *html_types(struct html_page *page)
{
	const struct report *report = page->input->report;

	if (!report->num_types)
		return NULL;
	html_section_begin(page, "types", "Types", report->num_types);
	fputs("<ul>\n", page->out);
	for (size_t i = 0; i < report->num_types; i++)
		HFX_TRY(put_type(page, &report->types[i]));
	fputs("</ul>\n", page->out);
	html_section_end(page);
	return NULL;
}
