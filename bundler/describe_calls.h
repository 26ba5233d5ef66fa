/* SPDX-License-Identifier: MIT */
/**
 * @file describe_calls.h
 *
 * Direct calls in OLD that lead to functions with a new version, for a runtime
 * that is asked to redirect them.
 */
#ifndef HFX_BUNDLER_DESCRIBE_CALLS_H
#define HFX_BUNDLER_DESCRIBE_CALLS_H

#include "error.h"
#include "manifest.h"
#include "selection.h"

/**
 * Fill `calls` of a module whose functions are complete.
 *
 * Only calls are listed that can be rewritten without a doubt. The others go
 * through the jump at the function's entry.
 *
 * @param[in] indexes Where each function of NEW stands in @p module, or
 * NO_INDEX.
 */
HFX_MUST_CHECK struct hfx_error *
describe_calls(const struct selection *selection, const uint32_t *indexes,
               struct manifest_module *module);

#endif /* HFX_BUNDLER_DESCRIBE_CALLS_H */
