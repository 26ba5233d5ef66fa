/* SPDX-License-Identifier: MIT */
/**
 * @file tracer.h
 *
 * Committing to the calling process by hfx-tracer, which stops its threads.
 */
#ifndef HFX_RUNTIME_TRACER_H
#define HFX_RUNTIME_TRACER_H

#include "commit.h"
#include "error.h"
#include "target.h"

/**
 * Carry out @p plan in the calling process @p target.
 *
 * hfx-tracer may be killed at any time: what it leaves half-written is undone.
 *
 * @param[in] path Path of hfx-tracer, or `NULL` to look for the one installed
 * with the library.
 */
HFX_MUST_CHECK struct hfx_error *tracer_commit(struct target *target,
                                               const char *path,
                                               const struct commit_plan *plan,
                                               struct commit_result *ret);

/** Look up where hfx-tracer is now, and not in the middle of a commit. */
void tracer_remember_folder(void);

#endif /* HFX_RUNTIME_TRACER_H */
