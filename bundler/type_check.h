/* SPDX-License-Identifier: MIT */
/**
 * @file type_check.h
 *
 * Types that changed while objects of them live in the process.
 */
#ifndef HFX_BUNDLER_TYPE_CHECK_H
#define HFX_BUNDLER_TYPE_CHECK_H

#include "acceptance.h"
#include "checks.h"
#include "error.h"
#include "report.h"
#include "selection.h"

/**
 * Refuse each type whose layout differs between the units of the selected
 * functions, with the facts, unless it is accepted by name or its objects are
 * in frames of the patch's own functions only (then a warning). Without debug
 * information of both builds nothing is known and nothing refused.
 *
 * @param[in,out] selection Run; its refusals grow.
 * @param[in,out] accepted Grows by what changed and is accepted.
 * @param[in,out] report Grows by all types that changed.
 */
HFX_MUST_CHECK struct hfx_error *type_check_run(struct selection *selection,
                                                struct acceptances *accepted,
                                                struct warnings *warnings,
                                                struct report *report);

#endif /* HFX_BUNDLER_TYPE_CHECK_H */
