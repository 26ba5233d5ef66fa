/* SPDX-License-Identifier: MIT */
#include "html_private.h"

#include <string.h>

static void put_source(struct html_page *page, const char *source)
{
	if (source && *source)
		html_put(page->out, " <span class=\"source\">%s</span>",
		         source);
}

void html_function(struct html_page *page, const char *name)
{
	const struct report *report = page->input->report;

	for (size_t i = 0; i < report->num_functions; i++)
		if (!strcmp(report->functions[i].linkage_name, name)) {
			html_put(page->out, "<a href=\"#%sf%zu\">%s</a>",
			         page->input->prefix, i,
			         report->functions[i].name);
			return;
		}
	html_put_names(page->out, name);
}

void html_refusals(struct html_page *page)
{
	const struct report *report = page->input->report;

	if (!report->num_refusals)
		return;
	html_section_begin(page, "refusals", "Refused", report->num_refusals);
	fputs("<ul class=\"cards\">\n", page->out);
	for (size_t i = 0; i < report->num_refusals; i++) {
		const struct report_refusal *refusal = &report->refusals[i];

		fputs("<li class=\"refusal\"><b>", page->out);
		html_function(page, refusal->subject);
		fputs("</b>", page->out);
		put_source(page, refusal->source);
		fputs("<p>", page->out);
		html_put_names(page->out, refusal->reason);
		if (refusal->remedy && *refusal->remedy) {
			fputs("</p><p class=\"remedy\">How to go on: ",
			      page->out);
			html_put_names(page->out, refusal->remedy);
		}
		fputs("</p></li>\n", page->out);
	}
	fputs("</ul>\n", page->out);
	html_section_end(page);
}

void html_warnings(struct html_page *page)
{
	const struct report *report = page->input->report;

	if (!report->num_warnings)
		return;
	html_section_begin(page, "warnings", "Warnings", report->num_warnings);
	fputs("<ul class=\"cards\">\n", page->out);
	for (size_t i = 0; i < report->num_warnings; i++) {
		fputs("<li class=\"warning\">", page->out);
		html_put_names(page->out, report->warnings[i]);
		fputs("</li>\n", page->out);
	}
	fputs("</ul>\n", page->out);
	html_section_end(page);
}

void html_skips(struct html_page *page)
{
	const struct report *report = page->input->report;

	if (!report->num_skips)
		return;
	html_section_begin(page, "skips", "Left out", report->num_skips);
	fputs("<details><summary>Functions that are not in the patch, and "
	      "why</summary>\n<ul class=\"plain\">\n",
	      page->out);
	for (size_t i = 0; i < report->num_skips; i++) {
		const struct report_skip *skip = &report->skips[i];

		fputs("<li><b>", page->out);
		html_put_names(page->out, skip->name);
		fputs("</b>", page->out);
		put_source(page, skip->source);
		fputc(' ', page->out);
		html_put_names(page->out, skip->reason);
		fputs("</li>\n", page->out);
	}
	fputs("</ul></details>\n", page->out);
	html_section_end(page);
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
	return "";
}

static void put_place(struct html_page *page, const char *name, uint64_t addr,
                      uint64_t size)
{
	html_put(page->out,
	         "<div><dt>%s</dt><dd><code>0x%lx</code>, %lu bytes</dd></div>",
	         name, addr, size);
}

static void put_text(struct html_page *page, const char *name, const char *text)
{
	if (text && *text)
		html_put(page->out,
		         "<div><dt>%s</dt><dd><code>%s</code></dd></div>", name,
		         text);
}

static void put_facts(struct html_page *page,
                      const struct report_function *function)
{
	fputs("<dl class=\"facts\">", page->out);
	put_text(page, "signature", function->signature);
	if (strcmp(function->name, function->linkage_name))
		put_text(page, "symbol", function->linkage_name);
	put_text(page, "unit", function->unit);
	if (function->kind == REPORT_CHANGED ||
	    function->kind == REPORT_REMOVED)
		put_place(page, "old", function->old_addr, function->old_size);
	if (function->kind != REPORT_REMOVED)
		put_place(page, "new", function->new_addr, function->new_size);
	fputs("</dl>\n", page->out);
}

static struct hfx_error *put_function(struct html_page *page, size_t index)
{
	const struct report_function *function =
		&page->input->report->functions[index];
	const char *kind = kind_name(function->kind);

	html_put(page->out,
	         "<li data-kind=\"%s\"><details id=\"%sf%zu\"><summary>"
	         "<span class=\"kind %s\">%s</span> <b>%s</b>",
	         kind, page->input->prefix, index, kind, kind, function->name);
	put_source(page, function->source);
	fputs(" <span class=\"reason\">", page->out);
	html_put_names(page->out, function->reason);
	fputs("</span></summary>\n", page->out);
	put_facts(page, function);
	HFX_TRY(html_code(page, function));
	fputs("</details></li>\n", page->out);
	return NULL;
}

static void put_kinds(struct html_page *page)
{
	const struct report *report = page->input->report;

	for (int kind = REPORT_CHANGED; kind <= REPORT_REMOVED; kind++) {
		size_t count = 0;

		for (size_t i = 0; i < report->num_functions; i++)
			count += report->functions[i].kind ==
			         (enum report_kind)kind;
		if (count)
			html_put(page->out,
			         "<option value=\"%s\">%s (%zu)</option>",
			         kind_name(kind), kind_name(kind), count);
	}
}

/* Shown by the script, without which it can do nothing. */
static void put_filter(struct html_page *page)
{
	const char *prefix = page->input->prefix;

	html_put(page->out,
	         "<form class=\"filter\" role=\"search\" hidden>\n"
	         "<label>Filter <input type=\"search\" id=\"%sfilter-text\" "
	         "placeholder=\"name, file or reason\" autocomplete=\"off\" "
	         "spellcheck=\"false\"></label>\n"
	         "<label>Kind <select id=\"%sfilter-kind\">"
	         "<option value=\"\">all</option>",
	         prefix, prefix);
	put_kinds(page);
	html_put(page->out,
	         "</select></label>\n"
	         "<output id=\"%sfilter-count\" "
	         "for=\"%sfilter-text %sfilter-kind\"></output>\n</form>\n"
	         "<noscript><p class=\"note\">The code of functions is shown "
	         "by a script, which is turned off.</p></noscript>\n",
	         prefix, prefix, prefix);
}

struct hfx_error *html_functions(struct html_page *page)
{
	const struct report *report = page->input->report;

	if (!report->num_functions)
		return NULL;
	html_section_begin(page, "functions", "Functions",
	                   report->num_functions);
	put_filter(page);
	fputs("<ol class=\"functions\">\n", page->out);
	for (size_t i = 0; i < report->num_functions; i++)
		HFX_TRY(put_function(page, i));
	fputs("</ol>\n", page->out);
	if (page->num_left_out)
		html_put(page->out,
		         "<p class=\"note\">The code of %zu functions is left "
		         "out: a report holds at most %zu MiB of code. Choose "
		         "fewer with --only.</p>\n",
		         page->num_left_out, page->input->max_code >> 20);
	html_section_end(page);
	return NULL;
}
