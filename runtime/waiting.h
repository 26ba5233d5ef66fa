/* SPDX-License-Identifier: MIT */
/**
 * @file waiting.h
 *
 * Bundles whose module this process has not loaded yet (#HFX_APPLY_WAIT). All
 * but waiting_catch_up() and waiting_on_load() are for the middle of a change
 * (api_begin()).
 */
#ifndef HFX_RUNTIME_WAITING_H
#define HFX_RUNTIME_WAITING_H

#include <stdbool.h>

#include "bundle.h"
#include "hfx.h"

/**
 * Apply @p bundle, taken, or wait for its modules.
 *
 * Errors: those of an apply, and of load_notice_install(); nothing waits then.
 */
HFX_MUST_CHECK struct hfx_error *
waiting_apply(struct bundle *bundle, const struct hfx_apply_opts *opts);

/** Wait no longer for the modules of patch @p id, or of all if it is `NULL`. */
void waiting_drop(const struct hfx_patch_id *id);

/** The same for those that @p opts replaces; they have been, by @p id. */
void waiting_drop_replaced(const struct hfx_apply_opts *opts,
                           const struct digest *id);

/** Do what a load had to leave undone because of a change by another thread. */
void waiting_catch_up(void);

/** Say what goes wrong on the standard error, too, also later. */
void waiting_set_telling(bool value);

/**
 * Have @p fn called whenever this process has loaded something, also without
 * anything that waits.
 */
typedef void waiting_load_fn(void);
HFX_MUST_CHECK struct hfx_error *waiting_watch(waiting_load_fn *fn);

#endif /* HFX_RUNTIME_WAITING_H */
