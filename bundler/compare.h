/* SPDX-License-Identifier: MIT */
/**
 * @file compare.h
 *
 * Whether a function of NEW does the same as its counterpart of OLD: the same
 * machine code, with references that mean the same (place.h).
 */
#ifndef HFX_BUNDLER_COMPARE_H
#define HFX_BUNDLER_COMPARE_H

#include <stdbool.h>

#include "decode.h"
#include "error.h"
#include "model.h"
#include "unwind_table.h"

struct comparison;

/**
 * @param[in] old_program,new_program Scanned and matched; borrowed, like all.
 * @param[in] old_unwind,new_unwind Their unwind information.
 */
HFX_MUST_CHECK struct hfx_error *
comparison_create(struct program *old_program, struct program *new_program,
                  const struct unwind_table *old_unwind,
                  const struct unwind_table *new_unwind,
                  struct decoder *decoder, struct comparison **ret);

void comparison_destroy(struct comparison *comparison);

/** Set `verdict` and `reason` of every function of both programs. */
HFX_MUST_CHECK struct hfx_error *comparison_run(struct comparison *comparison);

/**
 * Whether two ranges of constant data have the same content: bytes, and what
 * the pointers in them mean, through other constant data too.
 */
HFX_MUST_CHECK struct hfx_error *
comparison_of_data(struct comparison *comparison, uint64_t old_addr,
                   uint64_t new_addr, uint64_t size, bool *same_ret);

/** Whether two relocated pointers mean the same. */
HFX_MUST_CHECK struct hfx_error *
comparison_of_pointers(struct comparison *comparison,
                       const struct dynamic_relocation *old_pointer,
                       const struct dynamic_relocation *new_pointer,
                       bool *same_ret);

#endif /* HFX_BUNDLER_COMPARE_H */
