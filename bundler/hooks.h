/* SPDX-License-Identifier: MIT */
/**
 * @file hooks.h
 *
 * Hooks of a patch (hfx_patch.h): functions of NEW that the runtime calls.
 * Nothing in NEW refers to them, so they are found by their names.
 */
#ifndef HFX_BUNDLER_HOOKS_H
#define HFX_BUNDLER_HOOKS_H

#include "manifest.h"
#include "model.h"

/**
 * Have the hooks of @p program go into the image. One that OLD has, too, goes
 * along as a copy: OLD's stays as it is.
 */
void hooks_select(struct program *program);

/** Note where the hooks of @p program are. */
HFX_MUST_CHECK struct hfx_error *hooks_describe(const struct program *program,
                                                struct manifest_module *module);

#endif /* HFX_BUNDLER_HOOKS_H */
