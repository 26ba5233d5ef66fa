/* SPDX-License-Identifier: MIT */
/**
 * @file describe.h
 *
 * The result of a selection as text: for the report, and for the manifest.
 */
#ifndef HFX_BUNDLER_DESCRIBE_H
#define HFX_BUNDLER_DESCRIBE_H

#include "acceptance.h"
#include "checks.h"
#include "error.h"
#include "manifest.h"
#include "report.h"
#include "selection.h"

/** Fill the report, all but its outcome. */
HFX_MUST_CHECK struct hfx_error *
describe_report(const struct selection *selection,
                const struct warnings *warnings,
                const struct acceptances *accepted, struct report *ret);

/**
 * Begin the manifest of the bundle: what is said of the patch as a whole.
 *
 * @param[out] ret Manifest without modules, but with room for @p max_modules,
 * for manifest_destroy().
 */
HFX_MUST_CHECK struct hfx_error *
describe_patch(const struct diff_options *options, size_t max_modules,
               struct manifest **ret);

/**
 * Fill in one of its modules, all but the image's size and digest.
 *
 * @param[in] report From describe_report(): its texts are used again.
 * @param[out] module Empty before; the manifest's, also after an error.
 */
HFX_MUST_CHECK struct hfx_error *
describe_module(const struct selection *selection, const struct report *report,
                struct manifest_module *module);

/** The time that SOURCE_DATE_EPOCH gives; 0 when it is not set. */
HFX_MUST_CHECK struct hfx_error *describe_source_date(uint64_t *ret);

#endif /* HFX_BUNDLER_DESCRIBE_H */
