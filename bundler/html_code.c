/* SPDX-License-Identifier: MIT */
/*
 * The code of a function is data for report.js, one JSON object:
 *
 *   "old", "new"   a side: { "at": address, "places": [[name, text], ...],
 *                  "lines": [[offset, place, text], ...] }, or null
 *   "runs"         [[kind, count], ...], over the lines of both sides:
 *                  "=" the same, "~" paired but different, "-" and "+"
 *   "cut"          whether there is more than is shown
 *
 * Lines of OLD that read the same as NEW's have no text.
 */
#include <stdlib.h>
#include <string.h>

#include "align.h"
#include "array.h"
#include "cleanup.h"
#include "debug_info.h"
#include "html_private.h"
#include "listing.h"

struct pair {
	struct listing old_listing;
	struct listing new_listing;
	struct alignment runs;
	/** Line of NEW that each line of OLD is paired with, or NO_INDEX. */
	uint32_t *peers;
};

static void pair_deinit(struct pair *pair)
{
	listing_deinit(&pair->old_listing);
	listing_deinit(&pair->new_listing);
	alignment_deinit(&pair->runs);
	free(pair->peers);
}

static bool is_same_line(const void *context, size_t o, size_t n)
{
	const struct pair *pair = context;

	return listing_same(&pair->old_listing.lines[o],
	                    &pair->new_listing.lines[n]);
}

static struct hfx_error *find_peers(struct pair *pair)
{
	size_t o = 0, n = 0;

	pair->peers = malloc((pair->old_listing.num_lines + 1) *
	                     sizeof(*pair->peers));
	if (!pair->peers)
		return hfx_error_no_memory();
	memset(pair->peers, 0xff,
	       (pair->old_listing.num_lines + 1) * sizeof(*pair->peers));
	for (size_t i = 0; i < pair->runs.num_items; i++) {
		const struct align_run *run = &pair->runs.items[i];

		for (size_t k = 0; run->kind == '=' && k < run->count; k++)
			pair->peers[o + k] = n + k;
		o += run->kind == '+' ? 0 : run->count;
		n += run->kind == '-' ? 0 : run->count;
	}
	return NULL;
}

static int compare_offs(const void *key, const void *item)
{
	const uint32_t *off = key;
	const struct listing_line *line = item;

	return *off < line->off ? -1 : *off > line->off;
}

static uint32_t line_at(const struct listing *listing, uint32_t off)
{
	const struct listing_line *line =
		hfx_array_search(&off, listing->lines, listing->num_lines,
	                         sizeof(*line), compare_offs);

	return line ? line - listing->lines : NO_INDEX;
}

/*
 * Jumps within the function were paired whatever their distance. They mean the
 * same when they lead to lines that are paired, too.
 */
static bool leads_elsewhere(const struct pair *pair, size_t o)
{
	uint32_t old_off = pair->old_listing.lines[o].jump_off;
	uint32_t new_off = pair->new_listing.lines[pair->peers[o]].jump_off;
	uint32_t old_target, new_target;

	if (old_off == NO_INDEX)
		return false;
	old_target = line_at(&pair->old_listing, old_off);
	new_target = line_at(&pair->new_listing, new_off);
	if (old_target == NO_INDEX || new_target == NO_INDEX)
		return old_off != new_off;
	return pair->peers[old_target] != new_target;
}

/* A jump that means the same may still lead to another offset. */
static bool has_same_text(const struct pair *pair, size_t o)
{
	uint32_t peer = pair->peers[o];

	return peer != NO_INDEX && !strcmp(pair->old_listing.lines[o].text,
	                                   pair->new_listing.lines[peer].text);
}

static void put_side(struct html_page *page, const struct listing *listing,
                     uint64_t addr, const struct pair *pair, bool is_old)
{
	FILE *out = page->out;

	html_put(out, "{\"at\":%lu,\"places\":[", addr);
	for (size_t i = 0; i < listing->num_places; i++) {
		const struct listing_place *place = &listing->places[i];

		fputs(i ? ",[" : "[", out);
		html_put_json(out, place->name);
		if (place->text) {
			fputc(',', out);
			html_put_json(out, place->text);
		}
		fputc(']', out);
	}
	fputs("],\"lines\":[", out);
	for (size_t i = 0; i < listing->num_lines; i++) {
		const struct listing_line *line = &listing->lines[i];

		fprintf(out, "%s[%u,%d", i ? "," : "", line->off,
		        (int)line->place);
		if (!is_old || !has_same_text(pair, i)) {
			fputc(',', out);
			html_put_json(out, line->text);
		}
		fputc(']', out);
	}
	fputs("]}", out);
}

static void put_run(FILE *out, char kind, size_t count, bool *is_first)
{
	if (!count)
		return;
	fprintf(out, "%s[\"%c\",%zu]", *is_first ? "" : ",", kind, count);
	*is_first = false;
}

static void put_runs(struct html_page *page, const struct pair *pair)
{
	bool is_first = true;
	size_t o = 0;

	for (size_t i = 0; i < pair->runs.num_items; i++) {
		const struct align_run *run = &pair->runs.items[i];
		size_t same = 0;

		if (run->kind != '=') {
			put_run(page->out, run->kind, run->count, &is_first);
			o += run->kind == '-' ? run->count : 0;
			continue;
		}
		for (size_t k = 0; k < run->count; k++, o++) {
			if (!leads_elsewhere(pair, o)) {
				same++;
				continue;
			}
			put_run(page->out, '=', same, &is_first);
			put_run(page->out, '~', 1, &is_first);
			same = 0;
		}
		put_run(page->out, '=', same, &is_first);
	}
}

static void put_data(struct html_page *page,
                     const struct report_function *function,
                     const struct pair *pair)
{
	FILE *out = page->out;

	fputs("<script type=\"application/json\" class=\"code\">{\"old\":",
	      out);
	if (function->old_size)
		put_side(page, &pair->old_listing, function->old_addr, pair,
		         true);
	else
		fputs("null", out);
	fputs(",\"new\":", out);
	if (function->new_size)
		put_side(page, &pair->new_listing, function->new_addr, pair,
		         false);
	else
		fputs("null", out);
	fputs(",\"runs\":[", out);
	put_runs(page, pair);
	fprintf(out, "],\"cut\":%s}</script>\n",
	        pair->old_listing.is_cut || pair->new_listing.is_cut ? "true"
	                                                             : "false");
}

/*
 * Where both builds were made in one folder, what stands there now is at best
 * the source of the newer.
 */
static struct hfx_error *old_sources(struct html_page *page,
                                     const struct report_function *function,
                                     struct source_texts **ret)
{
	const struct selection *selection = page->input->selection;
	struct debug_info *old_debug = selection->old_program->debug;
	struct debug_info *new_debug = selection->new_program->debug;
	const char *old_folder, *new_folder;

	*ret = page->old_sources;
	if (!old_debug || !new_debug || !function->new_size)
		return NULL;
	HFX_TRY(debug_info_folder_at(old_debug, function->old_addr,
	                             &old_folder));
	HFX_TRY(debug_info_folder_at(new_debug, function->new_addr,
	                             &new_folder));
	if (!strcmp(old_folder, new_folder))
		*ret = NULL;
	return NULL;
}

static struct hfx_error *make_pair(struct html_page *page,
                                   const struct report_function *function,
                                   struct pair *pair)
{
	const struct selection *selection = page->input->selection;
	const struct program *old = selection->old_program;
	const struct program *new = selection->new_program;
	struct decoder *decoder = page->input->decoder;

	if (function->old_size) {
		struct source_texts *sources;

		HFX_TRY(old_sources(page, function, &sources));
		HFX_TRY(listing_make(
			old, program_function_at(old, function->old_addr),
			decoder, sources, &pair->old_listing));
	}
	if (function->new_size)
		HFX_TRY(listing_make(
			new, program_function_at(new, function->new_addr),
			decoder, page->new_sources, &pair->new_listing));
	struct align_input input = {
		.num_old = pair->old_listing.num_lines,
		.num_new = pair->new_listing.num_lines,
		.is_same = is_same_line,
		.context = pair,
	};
	HFX_TRY(align(&input, &pair->runs));
	return find_peers(pair);
}

/* Selected although its code is the same, as by --all. */
static bool is_same_code(const struct html_page *page,
                         const struct report_function *function)
{
	const struct program *new = page->input->selection->new_program;

	return function->kind == REPORT_CHANGED &&
	       program_function_at(new, function->new_addr)->verdict ==
	               VERDICT_SAME;
}

struct hfx_error *html_code(struct html_page *page,
                            const struct report_function *function)
{
	HFX_CLEANUP(pair_deinit) struct pair pair = {0};

	if (is_same_code(page, function)) {
		fputs("<p class=\"note\">The code is the same in both "
		      "builds.</p>\n",
		      page->out);
		return NULL;
	}
	if (!page->code_left) {
		fputs("<p class=\"note\">The code is left out.</p>\n",
		      page->out);
		page->num_left_out++;
		return NULL;
	}
	HFX_TRY(make_pair(page, function, &pair));
	long before = ftell(page->out);
	put_data(page, function, &pair);
	size_t size = ftell(page->out) - before;
	page->code_left -= size < page->code_left ? size : page->code_left;
	return NULL;
}
