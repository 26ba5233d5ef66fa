/* SPDX-License-Identifier: MIT */
/**
 * @file log.h
 *
 * Messages to the callback of hfx_set_log(). Never called while threads are
 * stopped.
 */
#ifndef HFX_RUNTIME_LOG_H
#define HFX_RUNTIME_LOG_H

#include "error.h"
#include "hfx.h"

/** Set where messages go: see hfx_set_log(). */
void log_set(hfx_log_fn *fn, void *arg, enum hfx_log_level max);

/** Send one message; `errno` stays as it is. */
HFX_PRINTF(2, 3)
void log_message(enum hfx_log_level level, const char *format, ...);

#endif /* HFX_RUNTIME_LOG_H */
