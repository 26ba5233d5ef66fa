/* SPDX-License-Identifier: MIT */
/**
 * @file pipeline.h
 *
 * `hfx-bundle diff` from files to a bundle.
 */
#ifndef HFX_BUNDLER_PIPELINE_H
#define HFX_BUNDLER_PIPELINE_H

#include "error.h"
#include "options.h"
#include "report.h"

/**
 * @param[out] reports_ret For reports_deinit(), also after an error.
 */
HFX_MUST_CHECK struct hfx_error *diff_run(const struct diff_options *options,
                                          struct reports *reports_ret);

#endif /* HFX_BUNDLER_PIPELINE_H */
