/* SPDX-License-Identifier: MIT */
#include "html.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "cleanup.h"
#include "digest.h"
#include "file.h"
#include "html_private.h"

/* Of a SHA-256 digest, with the NUL. */
#define DIGEST_TEXT_SIZE 45

void html_section_begin(struct html_page *page, const char *id,
                        const char *title, size_t count)
{
	const char *prefix = page->input->prefix;

	html_put(page->out,
	         "<section id=\"%s%s\" aria-labelledby=\"%s%s-title\">\n"
	         "<h2 id=\"%s%s-title\">%s <span class=\"count\">%zu</span>"
	         "</h2>\n",
	         prefix, id, prefix, id, prefix, id, title, count);
}

void html_section_end(struct html_page *page)
{
	fputs("</section>\n", page->out);
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void put_digest(const char *text, char *ret)
{
	struct digest digest = digest_of(text, strlen(text));

	sodium_bin2base64(ret, DIGEST_TEXT_SIZE, digest.bytes, DIGEST_SIZE,
	                  sodium_base64_VARIANT_ORIGINAL);
}

/*
 * The policy lets only our own style and script work: should a name ever get
 * through as markup, it can do nothing.
 */
static void put_head(FILE *out, const struct reports *reports)
{
	char style[DIGEST_TEXT_SIZE], script[DIGEST_TEXT_SIZE];

	put_digest(html_style, style);
	put_digest(html_script, script);
	html_put(out,
	         "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
	         "<meta charset=\"utf-8\">\n"
	         "<meta http-equiv=\"Content-Security-Policy\" content=\""
	         "default-src 'none'; style-src 'sha256-%s'; "
	         "script-src 'sha256-%s'\">\n"
	         "<meta name=\"viewport\" "
	         "content=\"width=device-width, initial-scale=1\">\n"
	         "<meta name=\"color-scheme\" content=\"light dark\">\n"
	         "<meta name=\"generator\" content=\"hfx-bundle %s\">\n"
	         "<title>%s - patch report</title>\n<style>",
	         style, script, HFX_VERSION,
	         file_name(reports->items[0].new_input.path));
	fputs(html_style, out);
	fputs("</style>\n</head>\n", out);
}

static void put_refused(FILE *out, const struct reports *reports)
{
	size_t count = 0;

	for (size_t i = 0; i < reports->num_items; i++)
		count += reports->items[i].num_refusals;
	html_put(out, "<p class=\"outcome refused\"><strong>Refused.</strong> "
	              "No bundle was written: ");
	html_put(out,
	         reports->by_module ? "%zu %s"
	                            : "<a href=\"#refusals\">%zu %s</a>",
	         count, count == 1 ? "reason" : "reasons");
	fputs(".</p>\n", out);
}

static void put_outcome(FILE *out, const struct reports *reports)
{
	switch (reports->outcome) {
	case DIFF_REFUSED:
		put_refused(out, reports);
		return;
	case DIFF_NOTHING:
		fputs("<p class=\"outcome nothing\"><strong>Nothing to "
		      "patch.</strong> No bundle was written.</p>\n",
		      out);
		return;
	case DIFF_DONE:
		break;
	}
	if (reports->bundle_path)
		html_put(out,
		         "<p class=\"outcome done\"><strong>Bundle "
		         "written:</strong> <code>%s</code>, %lu bytes.</p>\n",
		         reports->bundle_path, reports->bundle_size);
	else
		fputs("<p class=\"outcome done\"><strong>Can be "
		      "patched.</strong> No bundle was asked for.</p>\n",
		      out);
}

static void put_input(FILE *out, const char *name,
                      const struct report_input *input)
{
	char id[2 * BUILD_ID_MAX + 1] = "";

	hex_encode(input->build_id.bytes, input->build_id.size, id);
	html_put(out,
	         "<div><dt>%s</dt><dd><code>%s</code><br>"
	         "<span class=\"quiet\">build-id <code>%s</code></span></dd>"
	         "</div>\n",
	         name, input->path, *id ? id : "none");
}

static void put_total(FILE *out, const char *name, uint64_t value)
{
	html_put(out, "<div><dt>%s</dt><dd>%lu</dd></div>\n", name, value);
}

static void put_summary(FILE *out, const struct report *report)
{
	const struct report_totals *totals = &report->totals;

	fputs("<dl class=\"inputs\">\n", out);
	put_input(out, "Old", &report->old_input);
	put_input(out, "New", &report->new_input);
	fputs("</dl>\n<dl class=\"totals\">\n", out);
	put_total(out, "functions", totals->functions);
	put_total(out, "the same", totals->same);
	put_total(out, "changed", totals->changed);
	put_total(out, "new", totals->added);
	put_total(out, "removed", totals->removed);
	put_total(out, "left out", totals->skipped);
	put_total(out, "instructions", totals->instructions);
	fputs("</dl>\n", out);
}

static void put_link(struct html_page *page, const char *id, const char *title,
                     size_t count)
{
	if (count)
		html_put(page->out, "<li><a href=\"#%s%s\">%s</a> %zu</li>\n",
		         page->input->prefix, id, title, count);
}

static void put_links(struct html_page *page)
{
	const struct report *report = page->input->report;

	html_put(page->out, "<nav aria-label=\"%s%s\"><ul>\n",
	         *page->input->prefix ? "Sections of " : "Sections",
	         *page->input->prefix ? report_module_name(report) : "");
	put_link(page, "refusals", "Refused", report->num_refusals);
	put_link(page, "warnings", "Warnings", report->num_warnings);
	put_link(page, "types", "Types", report->num_types);
	put_link(page, "functions", "Functions", report->num_functions);
	put_link(page, "skips", "Left out", report->num_skips);
	fputs("</ul></nav>\n", page->out);
}

static struct hfx_error *put_sections(struct html_page *page)
{
	put_links(page);
	html_refusals(page);
	html_warnings(page);
	HFX_TRY(html_types(page));
	HFX_TRY(html_causes(page));
	HFX_TRY(html_functions(page));
	html_skips(page);
	return NULL;
}

/* When the program was linked, as far as its file says. */
static struct hfx_error *open_sources(const struct program *program,
                                      struct source_texts **ret)
{
	struct stat status;

	if (stat(program->path, &status))
		return NULL;
	return source_texts_create(status.st_mtime, ret);
}

static struct hfx_error *put_part(struct html_page *page)
{
	const struct selection *selection = page->input->selection;

	HFX_TRY(open_sources(selection->old_program, &page->old_sources));
	HFX_TRY(open_sources(selection->new_program, &page->new_sources));
	return put_sections(page);
}

/** Close @p out, whose bytes are at @p text; both taken. */
static struct hfx_error *close_stream(FILE *out, char **text, size_t *size,
                                      struct hfx_error *err, struct buffer *ret)
{
	bool failed = ferror(out);

	failed |= fclose(out) != 0;
	if (!err && failed)
		err = hfx_error_no_memory();
	if (err) {
		free(*text);
		return err;
	}
	*ret = (struct buffer){(uint8_t *)*text, *size};
	return NULL;
}

struct hfx_error *html_render(const struct html_input *input,
                              struct buffer *ret)
{
	struct html_page page = {.input = input, .code_left = input->max_code};
	char *text = NULL;
	size_t size = 0;
	struct hfx_error *err;

	page.out = open_memstream(&text, &size);
	if (!page.out)
		return hfx_error_no_memory();
	err = put_part(&page);
	source_texts_destroy(page.old_sources);
	source_texts_destroy(page.new_sources);
	return close_stream(page.out, &text, &size, err, ret);
}

static const char *module_outcome(const struct reports *reports,
                                  const struct report *report)
{
	switch (report->outcome) {
	case DIFF_REFUSED:
		return "Refused.";
	case DIFF_NOTHING:
		return reports->outcome == DIFF_DONE
		               ? "Nothing to patch: left out of the bundle."
		               : "Nothing to patch.";
	case DIFF_DONE:
		break;
	}
	return "Can be patched.";
}

/** One of several modules: a heading, then as for a single one. */
static void put_module(FILE *out, const struct reports *reports, size_t i,
                       const struct buffer *part)
{
	const struct report *report = &reports->items[i];

	html_put(out,
	         "<article class=\"module\" aria-labelledby=\"m%zu\">\n"
	         "<h2 class=\"module\" id=\"m%zu\">%s</h2>\n<p>%s</p>\n",
	         i + 1, i + 1, report_module_name(report),
	         module_outcome(reports, report));
	put_summary(out, report);
	fwrite(part->data, 1, part->size, out);
	fputs("</article>\n", out);
}

static void put_page(FILE *out, const struct reports *reports,
                     const struct buffer *parts)
{
	put_head(out, reports);
	fputs("<body>\n<header>\n<h1>Patch report</h1>\n", out);
	put_outcome(out, reports);
	if (!reports->by_module)
		put_summary(out, &reports->items[0]);
	fputs("</header>\n<main>\n", out);
	for (size_t i = 0; i < reports->num_items; i++)
		if (reports->by_module)
			put_module(out, reports, i, &parts[i]);
		else
			fwrite(parts[i].data, 1, parts[i].size, out);
	html_put(out, "</main>\n<footer>hfx-bundle %s</footer>\n<script>",
	         HFX_VERSION);
	fputs(html_script, out);
	fputs("</script>\n</body>\n</html>\n", out);
}

struct hfx_error *html_check_path(const char *path)
{
	HFX_CLEANUP(hfx_free) char *copy = strdup(path);
	struct stat status;

	if (!copy)
		return hfx_error_no_memory();
	if (!stat(path, &status) && S_ISDIR(status.st_mode))
		return hfx_error_os(EISDIR, "%s: cannot write the page", path);
	if (access(dirname(copy), W_OK))
		return hfx_error_os(errno, "%s: cannot write the page", path);
	return NULL;
}

struct hfx_error *html_write(const char *path, const struct reports *reports,
                             const struct buffer *parts)
{
	HFX_CLEANUP(buffer_deinit) struct buffer page = {0};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return hfx_error_no_memory();
	put_page(out, reports, parts);
	HFX_TRY(close_stream(out, &text, &size, NULL, &page));
	return file_replace(path, page.data, page.size);
}
