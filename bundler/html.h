/* SPDX-License-Identifier: MIT */
/**
 * @file html.h
 *
 * The report as one HTML file that needs nothing else: `hfx-bundle diff
 * --html`.
 *
 * It holds the machine code of changed functions as data that its script shows
 * when a function is opened, so that a report of thousands of functions opens
 * at once. Without a script, everything else can be read.
 */
#ifndef HFX_BUNDLER_HTML_H
#define HFX_BUNDLER_HTML_H

#include "decode.h"
#include "error.h"
#include "file.h"
#include "report.h"
#include "selection.h"

/** Code in one report, in bytes of the file; the rest is left out, and said. */
#define HTML_MAX_CODE ((size_t)24 << 20)

struct html_input {
	const struct selection *selection;
	/** Described. */
	const struct report *report;
	struct decoder *decoder;
	/** #HTML_MAX_CODE, or what a test gives. */
	size_t max_code;
	/** What the ids of elements begin with; "" if there is one pair. */
	const char *prefix;
};

/**
 * Whether the page could be written, as far as one can know: so that nothing
 * else is written when it cannot.
 */
HFX_MUST_CHECK struct hfx_error *html_check_path(const char *path);

/** What the page says of one pair of builds: links and sections. */
HFX_MUST_CHECK struct hfx_error *html_render(const struct html_input *input,
                                             struct buffer *ret);

/**
 * Write the file whole, or not at all.
 *
 * @param[in] parts From html_render(), one for each of @p reports.
 */
HFX_MUST_CHECK struct hfx_error *html_write(const char *path,
                                            const struct reports *reports,
                                            const struct buffer *parts);

#endif /* HFX_BUNDLER_HTML_H */
