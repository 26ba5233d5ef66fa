/* SPDX-License-Identifier: MIT */
/**
 * @file pipeline.h
 *
 * `hfx-bundle diff` from two files to a bundle.
 */
#ifndef HFX_BUNDLER_PIPELINE_H
#define HFX_BUNDLER_PIPELINE_H

#include "error.h"
#include "options.h"
#include "report.h"

enum diff_outcome {
	/** Something to patch; the bundle is written if one was asked for. */
	DIFF_DONE,
	/** Nothing to patch; no bundle. */
	DIFF_NOTHING,
	/** The report holds refusals; no bundle. */
	DIFF_REFUSED,
};

/**
 * @param[out] report_ret For report_deinit(), also after an error.
 * @param[out] outcome_ret Set on success.
 */
HFX_MUST_CHECK struct hfx_error *diff_run(const struct diff_options *options,
                                          struct report *report_ret,
                                          enum diff_outcome *outcome_ret);

#endif /* HFX_BUNDLER_PIPELINE_H */
