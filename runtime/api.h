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

/** Whether a change of this process failed and could not be undone. */
bool api_is_poisoned(void);

#endif /* HFX_RUNTIME_API_H */
