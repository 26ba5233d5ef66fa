/* SPDX-License-Identifier: MIT */
/**
 * @file active_check.h
 *
 * Functions to patch that a thread is likely inside at any time, so that a
 * patch of them finds no safe point:
 *
 * - `main`;
 * - a function that never returns, and has a loop: without one it ends the
 *   program or the thread;
 * - what threads start with: the function whose address is loaded last before
 *   a call of pthread_create() or thrd_create().
 */
#ifndef HFX_BUNDLER_ACTIVE_CHECK_H
#define HFX_BUNDLER_ACTIVE_CHECK_H

#include "checks.h"
#include "error.h"
#include "selection.h"

HFX_MUST_CHECK struct hfx_error *
active_check_run(const struct selection *selection, struct decoder *decoder,
                 struct warnings *warnings);

#endif /* HFX_BUNDLER_ACTIVE_CHECK_H */
