/* SPDX-License-Identifier: MIT */
/**
 * @file checks.h
 *
 * What the user must know although it does not stop the bundle.
 */
#ifndef HFX_BUNDLER_CHECKS_H
#define HFX_BUNDLER_CHECKS_H

#include "compare.h"
#include "error.h"
#include "model.h"

/** Lines of text, owned. */
struct warnings {
	char **items;
	size_t num_items;
	size_t cap_items;
};

void warnings_deinit(struct warnings *warnings);

/** Builds by different compilers, missing DWARF, an OLD newer than NEW. */
HFX_MUST_CHECK struct hfx_error *check_inputs(const struct program *old_program,
                                              const struct program *new_program,
                                              struct warnings *warnings);

/** Initial values of live variables that changed: the process keeps its own. */
HFX_MUST_CHECK struct hfx_error *check_initial_values(
	struct comparison *comparison, const struct program *old_program,
	const struct program *new_program, struct warnings *warnings);

/** Functions that differ in the date or folder of the build only. */
HFX_MUST_CHECK struct hfx_error *
check_build_texts(const struct program *new_program, struct warnings *warnings);

/** Structures whose layout changed, as the selected functions see them. */
HFX_MUST_CHECK struct hfx_error *check_types(const struct program *old_program,
                                             const struct program *new_program,
                                             struct warnings *warnings);

#endif /* HFX_BUNDLER_CHECKS_H */
