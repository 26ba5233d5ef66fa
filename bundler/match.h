/* SPDX-License-Identifier: MIT */
/**
 * @file match.h
 *
 * Which symbol of NEW is which of OLD.
 *
 * Global symbols are the same when their names are. Local names are not unique,
 * and compilers number clones (`f.isra.0`) and static locals (`count.4`) anew
 * in each build; those are told apart by file, by DWARF and by their code. What
 * stays in doubt is left without a counterpart: that is always safe for
 * functions, and later passes refuse to guess for variables.
 */
#ifndef HFX_BUNDLER_MATCH_H
#define HFX_BUNDLER_MATCH_H

#include <stdbool.h>

#include "error.h"
#include "model.h"

/** Set `peer` of symbols and functions, and `is_shared`, in both programs. */
HFX_MUST_CHECK struct hfx_error *match_programs(struct program *old_program,
                                                struct program *new_program);

/**
 * Match local symbols that are still alone by what uses them (match_use.c).
 * @p found_ret says whether there were any: these may tell of others.
 */
HFX_MUST_CHECK struct hfx_error *match_by_use(struct program *old_program,
                                              struct program *new_program,
                                              bool *found_ret);

/** Of the code of @p function, its references left out. */
uint64_t match_code_hash(const struct function *function);

/**
 * Length of @p name without what the compiler appended: `foo` of
 * `foo.isra.0.cold`, `count` of `count.4`.
 */
size_t match_base_length(const char *name);

/**
 * Whether OLD has an unmatched variable that @p symbol of NEW might be.
 */
bool match_is_ambiguous(const struct program *old_program,
                        const struct symbol *symbol);

#endif /* HFX_BUNDLER_MATCH_H */
