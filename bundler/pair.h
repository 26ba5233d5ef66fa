/* SPDX-License-Identifier: MIT */
/**
 * @file pair.h
 *
 * Two builds of one program or library, from files to what a bundle has of
 * them.
 */
#ifndef HFX_BUNDLER_PAIR_H
#define HFX_BUNDLER_PAIR_H

#include "error.h"
#include "file.h"
#include "manifest.h"
#include "options.h"
#include "pipeline.h"
#include "progress.h"
#include "report.h"

/** Steps of progress that one pair takes. */
#define PAIR_PASSES 8

/** Where things go; all borrowed, and empty before. */
struct pair_output {
	struct report *report;
	/** What the manifest says, and the image; `NULL` without a bundle. */
	struct manifest_module *module;
	struct buffer *image;
	/** Name of the patch, for the image. */
	const char *name;
	/** Its part of the HTML report, or `NULL`; the ids in it begin so. */
	struct buffer *page;
	const char *page_prefix;
};

/**
 * Run all passes over the pair @p index.
 *
 * @param[out] outcome_ret Set on success. With #DIFF_DONE, the module and its
 * image are there if they were asked for.
 */
HFX_MUST_CHECK struct hfx_error *pair_run(const struct diff_options *options,
                                          size_t index,
                                          struct progress *progress,
                                          const struct pair_output *output,
                                          enum diff_outcome *outcome_ret);

#endif /* HFX_BUNDLER_PAIR_H */
