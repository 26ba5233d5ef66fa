/* SPDX-License-Identifier: MIT */
/**
 * @file function_title.h
 *
 * Names of functions in sentences.
 */
#ifndef HFX_BUNDLER_FUNCTION_TITLE_H
#define HFX_BUNDLER_FUNCTION_TITLE_H

#include "error.h"
#include "model.h"

/**
 * The name for people, `Game::Player::hit(int)`; where DWARF has none, the one
 * of the symbol table.
 *
 * @param[out] ret Owned by the caller.
 */
HFX_MUST_CHECK struct hfx_error *function_title(const struct program *program,
                                                const struct function *function,
                                                char **ret);

#endif /* HFX_BUNDLER_FUNCTION_TITLE_H */
