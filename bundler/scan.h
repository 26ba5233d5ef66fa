/* SPDX-License-Identifier: MIT */
/**
 * @file scan.h
 *
 * First pass over a loaded program: what its code and data refer to.
 */
#ifndef HFX_BUNDLER_SCAN_H
#define HFX_BUNDLER_SCAN_H

#include "decode.h"
#include "error.h"
#include "model.h"

/**
 * Decode every function and fill `references`, `is_opaque` and `uses_tls` of
 * each, and `landmarks` of the program.
 *
 * References to the function's own bytes by direct branches are left out: when
 * two functions have the same bytes, these agree.
 */
HFX_MUST_CHECK struct hfx_error *scan_program(struct program *program,
                                              struct decoder *decoder);

#endif /* HFX_BUNDLER_SCAN_H */
