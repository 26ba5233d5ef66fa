/* SPDX-License-Identifier: MIT */
/**
 * @file data_check.h
 *
 * Data that differs between the builds: what the process keeps, what old code
 * still reads, and what it cannot be given.
 */
#ifndef HFX_BUNDLER_DATA_CHECK_H
#define HFX_BUNDLER_DATA_CHECK_H

#include "acceptance.h"
#include "checks.h"
#include "error.h"
#include "selection.h"

/**
 * Refused unless accepted by name: live variables with another initial value,
 * and those that the patch uses with another type. Refused always: new code
 * that writes what was constant. Warned of: old constants that are still read.
 *
 * @param[in,out] selection Run; its refusals grow.
 */
HFX_MUST_CHECK struct hfx_error *data_check_run(struct selection *selection,
                                                struct acceptances *accepted,
                                                struct warnings *warnings);

/** The same of thread-local variables that are where they were. */
HFX_MUST_CHECK struct hfx_error *tls_check_run(struct selection *selection,
                                               struct acceptances *accepted,
                                               struct warnings *warnings);

/**
 * What only one of the builds has: libraries from which the patch would import
 * (refused; the process has not loaded them), and functions that NEW dropped
 * and old code still calls (a warning).
 */
HFX_MUST_CHECK struct hfx_error *surplus_check_run(struct selection *selection,
                                                   struct warnings *warnings);

/**
 * Warn of a constant of OLD that new code has another one for, if old code that
 * is replaced has stored its address or passed it on.
 */
HFX_MUST_CHECK struct hfx_error *
constant_check_given(const struct selection *selection,
                     const struct symbol *old_symbol,
                     struct warnings *warnings);

#endif /* HFX_BUNDLER_DATA_CHECK_H */
