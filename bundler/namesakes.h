/* SPDX-License-Identifier: MIT */
/**
 * @file namesakes.h
 *
 * Local variables of one name, and where the source declares each: what tells
 * those of OLD and NEW apart that compilers have numbered anew.
 */
#ifndef HFX_BUNDLER_NAMESAKES_H
#define HFX_BUNDLER_NAMESAKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "model.h"

/** The variables of both builds; their scopes are read when asked for. */
struct namesakes {
	struct namesakes_side {
		/** Borrowed. */
		const struct program *program;
		/** By base name; those of one name by scope, once it is read.
		 */
		struct namesake *items;
		size_t num_items;
		size_t cap_items;
	} old_side, new_side;
};

/** @p old_program and @p new_program are borrowed. */
HFX_MUST_CHECK struct hfx_error *
namesakes_init(struct namesakes *namesakes, const struct program *old_program,
               const struct program *new_program);

void namesakes_deinit(struct namesakes *namesakes);

/**
 * The local variable of OLD with the base name of @p symbol and the scope
 * @p scope (debug_info_variable_scope()); #NO_INDEX when there is none.
 */
HFX_MUST_CHECK struct hfx_error *namesakes_find_old(struct namesakes *namesakes,
                                                    const struct symbol *symbol,
                                                    const char *scope,
                                                    uint32_t *ret);

/**
 * Whether the function around has not as many static variables of the name of
 * @p symbol, which is NEW's, as before: then neither number nor order tells
 * which is which. False where one of the builds has none.
 */
HFX_MUST_CHECK struct hfx_error *namesakes_differ(struct namesakes *namesakes,
                                                  const struct symbol *symbol,
                                                  const char *scope, bool *ret);

/** Whether a variable is one of a function by its name (Itanium C++ ABI). */
bool namesakes_is_local_entity(const struct symbol *symbol);

/**
 * Whether @p scope is "UNIT/FUNCTION/INDEX/NAME", of a variable in a function.
 *
 * @param[out] head_length_ret Length of "UNIT/FUNCTION/".
 */
bool scope_is_in_function(const char *scope, size_t *head_length_ret);

#endif /* HFX_BUNDLER_NAMESAKES_H */
