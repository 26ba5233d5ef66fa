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
	html_put(page->out,
	         "<section id=\"%s\" aria-labelledby=\"%s-title\">\n"
	         "<h2 id=\"%s-title\">%s <span class=\"count\">%zu</span>"
	         "</h2>\n",
	         id, id, id, title, count);
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
static void put_head(struct html_page *page)
{
	char style[DIGEST_TEXT_SIZE], script[DIGEST_TEXT_SIZE];

	put_digest(html_style, style);
	put_digest(html_script, script);
	html_put(page->out,
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
	         file_name(page->input->report->new_input.path));
	fputs(html_style, page->out);
	fputs("</style>\n</head>\n", page->out);
}

static void put_outcome(struct html_page *page)
{
	const struct report *report = page->input->report;

	switch (page->input->outcome) {
	case DIFF_REFUSED:
		html_put(page->out,
		         "<p class=\"outcome "
		         "refused\"><strong>Refused.</strong> "
		         "No bundle was written: <a href=\"#refusals\">%zu "
		         "%s</a>.</p>\n",
		         report->num_refusals,
		         report->num_refusals == 1 ? "reason" : "reasons");
		return;
	case DIFF_NOTHING:
		fputs("<p class=\"outcome nothing\"><strong>Nothing to "
		      "patch.</strong> No bundle was written.</p>\n",
		      page->out);
		return;
	case DIFF_DONE:
		break;
	}
	if (report->bundle_path)
		html_put(page->out,
		         "<p class=\"outcome done\"><strong>Bundle "
		         "written:</strong> <code>%s</code>, %lu bytes.</p>\n",
		         report->bundle_path, report->bundle_size);
	else
		fputs("<p class=\"outcome done\"><strong>Can be "
		      "patched.</strong> No bundle was asked for.</p>\n",
		      page->out);
}

static void put_input(struct html_page *page, const char *name,
                      const struct report_input *input)
{
	char id[2 * BUILD_ID_MAX + 1] = "";

	hex_encode(input->build_id.bytes, input->build_id.size, id);
	html_put(page->out,
	         "<div><dt>%s</dt><dd><code>%s</code><br>"
	         "<span class=\"quiet\">build-id <code>%s</code></span></dd>"
	         "</div>\n",
	         name, input->path, *id ? id : "none");
}

static void put_total(struct html_page *page, const char *name, uint64_t value)
{
	html_put(page->out, "<div><dt>%s</dt><dd>%lu</dd></div>\n", name,
	         value);
}

static void put_summary(struct html_page *page)
{
	const struct report *report = page->input->report;
	const struct report_totals *totals = &report->totals;

	fputs("<header>\n<h1>Patch report</h1>\n", page->out);
	put_outcome(page);
	fputs("<dl class=\"inputs\">\n", page->out);
	put_input(page, "Old", &report->old_input);
	put_input(page, "New", &report->new_input);
	fputs("</dl>\n<dl class=\"totals\">\n", page->out);
	put_total(page, "functions", totals->functions);
	put_total(page, "the same", totals->same);
	put_total(page, "changed", totals->changed);
	put_total(page, "new", totals->added);
	put_total(page, "removed", totals->removed);
	put_total(page, "left out", totals->skipped);
	put_total(page, "instructions", totals->instructions);
	fputs("</dl>\n</header>\n", page->out);
}

static void put_link(struct html_page *page, const char *id, const char *title,
                     size_t count)
{
	if (count)
		html_put(page->out, "<li><a href=\"#%s\">%s</a> %zu</li>\n", id,
		         title, count);
}

static void put_links(struct html_page *page)
{
	const struct report *report = page->input->report;

	fputs("<nav aria-label=\"Sections\"><ul>\n", page->out);
	put_link(page, "refusals", "Refused", report->num_refusals);
	put_link(page, "warnings", "Warnings", report->num_warnings);
	put_link(page, "types", "Types", report->num_types);
	put_link(page, "functions", "Functions", report->num_functions);
	put_link(page, "skips", "Left out", report->num_skips);
	fputs("</ul></nav>\n", page->out);
}

static struct hfx_error *put_body(struct html_page *page)
{
	fputs("<body>\n", page->out);
	put_summary(page);
	put_links(page);
	fputs("<main>\n", page->out);
	html_refusals(page);
	html_warnings(page);
	HFX_TRY(html_types(page));
	HFX_TRY(html_causes(page));
	HFX_TRY(html_functions(page));
	html_skips(page);
	html_put(page->out, "</main>\n<footer>hfx-bundle %s</footer>\n<script>",
	         HFX_VERSION);
	fputs(html_script, page->out);
	fputs("</script>\n</body>\n</html>\n", page->out);
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

static struct hfx_error *put_page(struct html_page *page)
{
	const struct selection *selection = page->input->selection;

	HFX_TRY(open_sources(selection->old_program, &page->old_sources));
	HFX_TRY(open_sources(selection->new_program, &page->new_sources));
	put_head(page);
	return put_body(page);
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

struct hfx_error *html_write(const char *path, const struct html_input *input)
{
	struct html_page page = {.input = input, .code_left = input->max_code};
	HFX_CLEANUP(hfx_free) char *text = NULL;
	size_t size = 0;

	page.out = open_memstream(&text, &size);
	if (!page.out)
		return hfx_error_no_memory();
	struct hfx_error *err = put_page(&page);
	bool failed = ferror(page.out);
	failed |= fclose(page.out) != 0;
	source_texts_destroy(page.old_sources);
	source_texts_destroy(page.new_sources);
	if (!err && failed)
		err = hfx_error_no_memory();
	if (!err)
		err = file_replace(path, text, size);
	return err;
}
