/* SPDX-License-Identifier: MIT */
/**
 * @file compare_private.h
 *
 * The parts of comparison_run(): data (compare_data.c, compare_rest.c), code
 * (compare.c) and the reasons given to people (explain.c).
 */
#ifndef HFX_BUNDLER_COMPARE_PRIVATE_H
#define HFX_BUNDLER_COMPARE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "build_text.h"
#include "compare.h"
#include "pair_set.h"
#include "unwind_table.h"

struct comparison {
	struct program *old_program;
	struct program *new_program;
	struct decoder *decoder;
	const struct unwind_table *old_unwind;
	const struct unwind_table *new_unwind;
	/** Pairs of data known equal, and those of the walk under way. */
	struct pair_set equal;
	struct pair_set walk;
	unsigned int depth;
	/** Functions whose references are being compared, or `NULL`. */
	const struct function *old_function;
	const struct function *new_function;
	/** Their build folders, looked up when first needed. */
	const char *old_folder;
	const char *new_folder;
	/** Set of #passed, of these functions. */
	uint32_t passed;
	/** First failure of what cannot return one. */
	struct hfx_error *error;
};

/** Keep the first error; takes @p err. */
void comparison_fail(struct comparison *comparison, struct hfx_error *err);

/** Whether two references of the current functions mean the same. */
bool comparison_same_reference(struct comparison *comparison,
                               const struct reference *old_reference,
                               const struct reference *new_reference);

/**
 * Whether nothing but texts that @p other has, too, is in @p program from
 * @p addr to @p end (compare_rest.c).
 */
bool rest_is_of_others(const struct program *program,
                       const struct program *other, uint64_t addr,
                       uint64_t end);

/**
 * Whether both addresses are the same bound of one of the linker's arrays, over
 * which the current functions run (compare_labels.c).
 */
bool comparison_same_bound(const struct comparison *comparison,
                           uint64_t old_addr, uint64_t new_addr);

/**
 * Whether exceptions that pass two functions of the same code do the same
 * there (compare_unwind.c).
 */
bool comparison_same_exceptions(struct comparison *comparison,
                                const struct function *old_function,
                                const struct function *new_function);

/** Whether two names differ only in what the compiler appended. */
bool comparison_same_base_name(const struct symbol *a, const struct symbol *b);

/**
 * Explain a pair of references that differs, or bytes of two functions from
 * offset @p off on. Owned; `NULL` when memory is short.
 */
char *explain_reference(const struct comparison *comparison,
                        const struct reference *old_reference,
                        const struct reference *new_reference);
char *explain_bytes(const struct comparison *comparison,
                    const struct function *old_function,
                    const struct function *new_function, uint64_t off);

/** Where differences stand in inlined functions, say so instead. */
HFX_MUST_CHECK struct hfx_error *
explain_inlining(struct comparison *comparison);

#endif /* HFX_BUNDLER_COMPARE_PRIVATE_H */
