/* SPDX-License-Identifier: MIT */
/**
 * @file lambda_names.h
 *
 * Lambdas and other entities without a name are numbered by compilers: by gcc
 * within a function (Itanium C++ ABI 5.1.8, `UliE_`, `UliE0_`, `Ut_`), by clang
 * within a file where nothing is exported (`$_3`). A fix that adds one
 * renumbers those behind it, and then one name means two things.
 */
#ifndef HFX_BUNDLER_LAMBDA_NAMES_H
#define HFX_BUNDLER_LAMBDA_NAMES_H

#include "error.h"
#include "model.h"

struct lambda_names {
	/**
	 * For each symbol `NULL`, if its name means the same in both builds; a
	 * name that does; or "", if no name does. Owned.
	 */
	char **old_names;
	char **new_names;
	size_t num_old;
	size_t num_new;
};

HFX_MUST_CHECK struct hfx_error *
lambda_names_init(struct lambda_names *names, const struct program *old_program,
                  const struct program *new_program);

/** Whether two linkage names differ at most in these numbers. */
bool lambda_names_alike(const char *a, const char *b);

void lambda_names_deinit(struct lambda_names *names);

#endif /* HFX_BUNDLER_LAMBDA_NAMES_H */
