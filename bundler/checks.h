/* SPDX-License-Identifier: MIT */
/**
 * @file checks.h
 *
 * What the user must know although it does not stop the bundle.
 */
#ifndef HFX_BUNDLER_CHECKS_H
#define HFX_BUNDLER_CHECKS_H

#include "error.h"
#include "model.h"

/** Lines of text, owned. */
struct warnings {
	char **items;
	size_t num_items;
	size_t cap_items;
};

void warnings_deinit(struct warnings *warnings);

HFX_MUST_CHECK HFX_PRINTF(2, 3) struct hfx_error *warnings_add(
	struct warnings *warnings, const char *format, ...);

/** Builds by different compilers, missing DWARF, an OLD newer than NEW. */
HFX_MUST_CHECK struct hfx_error *check_inputs(const struct program *old_program,
                                              const struct program *new_program,
                                              struct warnings *warnings);

/** Functions that differ in the date or folder of the build only. */
HFX_MUST_CHECK struct hfx_error *
check_build_texts(const struct program *new_program, struct warnings *warnings);

#endif /* HFX_BUNDLER_CHECKS_H */
