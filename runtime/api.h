/* SPDX-License-Identifier: MIT */
/**
 * @file api.h
 *
 * What the parts of the public interface share.
 */
#ifndef HFX_RUNTIME_API_H
#define HFX_RUNTIME_API_H

#include <stdbool.h>

#include "hfx.h"

struct bundle;
struct engine_options;
struct target;
struct trust;

/**
 * Begin a change of this process; api_end() follows if it may.
 *
 * Errors: #HFX_ERROR_BUSY, #HFX_ERROR_POISONED.
 *
 * @param[in] frame Of the function that the program has called.
 */
HFX_MUST_CHECK struct hfx_error *api_begin(const void *frame);

/** How often to try while another change is in the way, with pauses between. */
#define API_LOADING_TRIES 1000

/** Pause for a millisecond. */
void api_loading_pause(void);

/**
 * As api_begin(), in a thread that is loading a library: waits for the end of
 * another change, before any other can begin. Not for ever, for that change may
 * in turn wait for the library to be loaded.
 */
HFX_MUST_CHECK struct hfx_error *api_begin_loading(const void *frame);

/** End it, and give @p err on. */
HFX_MUST_CHECK struct hfx_error *api_end(struct hfx_error *err);

/** Whether the calling thread is in the middle of a change. */
bool api_is_changing(void);

/**
 * This process as a target, for a change.
 *
 * @param[in] helper_path As in #hfx_apply_opts.
 */
HFX_MUST_CHECK struct hfx_error *api_open_self(const char *helper_path,
                                               struct target **ret);

/**
 * Apply a bundle in the middle of a change.
 *
 * @param[in] waits_ret As in #engine_options.
 */
HFX_MUST_CHECK struct hfx_error *api_apply(const struct bundle *bundle,
                                           const struct hfx_apply_opts *opts,
                                           bool *waits_ret);

/** Whether a change of this process failed and could not be undone. */
bool api_is_poisoned(void);

/** Read the keys that hfx_set_trust() names, now. */
HFX_MUST_CHECK struct hfx_error *api_load_trust(struct trust **ret);

#endif /* HFX_RUNTIME_API_H */
