/* SPDX-License-Identifier: MIT */
/**
 * @file scan.h
 *
 * First pass over a loaded program: what its code and data refer to.
 */
#ifndef HFX_BUNDLER_SCAN_H
#define HFX_BUNDLER_SCAN_H

#include "error.h"
#include "model.h"

/**
 * Decode every function of both programs, in as many threads as there are
 * cores, and fill `references`, `num_instructions`, `is_opaque` and `uses_tls`
 * of each, and `landmarks` of the programs. Functions of NEW that are OLD's,
 * but for what they refer to, are not decoded again.
 *
 * References to the function's own bytes by direct branches are left out: when
 * two functions have the same bytes, these agree.
 */
HFX_MUST_CHECK struct hfx_error *scan_programs(struct program *old_program,
                                               struct program *new_program);

#endif /* HFX_BUNDLER_SCAN_H */
