/* SPDX-License-Identifier: MIT */
/**
 * @file html_private.h
 *
 * What the html_*.c share. Everything is printed to `out`, a stream in memory;
 * html.c asks for its errors at the end.
 */
#ifndef HFX_BUNDLER_HTML_PRIVATE_H
#define HFX_BUNDLER_HTML_PRIVATE_H

#include <stdio.h>

#include "html.h"
#include "html_text.h"
#include "source_text.h"

/** bundler/html/, embedded. */
extern const char html_style[];
extern const char html_script[];

/** The part of a page that one pair of builds has. */
struct html_page {
	const struct html_input *input;
	FILE *out;
	struct source_texts *old_sources;
	struct source_texts *new_sources;
	/** Bytes of code that may still be written. */
	size_t code_left;
	/** Functions whose code was left out for that. */
	size_t num_left_out;
};

/** Text between an element's tags, with the tags: `<p>` ... `</p>`. */
void html_section_begin(struct html_page *page, const char *id,
                        const char *title, size_t count);
void html_section_end(struct html_page *page);

/** The functions, each with its code. */
HFX_MUST_CHECK struct hfx_error *html_functions(struct html_page *page);

/** Code of one function of the report, as data for the script. */
HFX_MUST_CHECK struct hfx_error *
html_code(struct html_page *page, const struct report_function *function);

/** Which change follows from which. */
HFX_MUST_CHECK struct hfx_error *html_causes(struct html_page *page);

/** Types that differ, before and after. */
HFX_MUST_CHECK struct hfx_error *html_types(struct html_page *page);

/** The function of that linkage name as a link, or the name. */
void html_function(struct html_page *page, const char *name);

void html_refusals(struct html_page *page);
void html_warnings(struct html_page *page);
void html_skips(struct html_page *page);

#endif /* HFX_BUNDLER_HTML_PRIVATE_H */
