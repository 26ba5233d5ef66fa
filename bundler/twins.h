/* SPDX-License-Identifier: MIT */
/**
 * @file twins.h
 *
 * Most functions of NEW have the bytes that OLD's of the same name have, but
 * for the reference fields. Such a function need not be decoded: its
 * instructions are those of its twin.
 */
#ifndef HFX_BUNDLER_TWINS_H
#define HFX_BUNDLER_TWINS_H

#include "error.h"
#include "model.h"

struct twins;

/** Functions of @p old_program, which is scanned, by name, file and size. */
HFX_MUST_CHECK struct hfx_error *twins_create(const struct program *old_program,
                                              struct twins **ret);

void twins_destroy(struct twins *twins);

/**
 * Fill in @p function as scan would, if it has a twin. Threads may call it at
 * the same time for different functions.
 *
 * @param[out] found_ret Whether it has; if not, nothing is changed.
 */
HFX_MUST_CHECK struct hfx_error *twins_copy(const struct twins *twins,
                                            const struct program *program,
                                            struct function *function,
                                            bool *found_ret);

#endif /* HFX_BUNDLER_TWINS_H */
