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

struct trust;

/** Whether a change of this process failed and could not be undone. */
bool api_is_poisoned(void);

/** Read the keys that hfx_set_trust() names, now. */
HFX_MUST_CHECK struct hfx_error *api_load_trust(struct trust **ret);

#endif /* HFX_RUNTIME_API_H */
