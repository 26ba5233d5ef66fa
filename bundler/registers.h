/* SPDX-License-Identifier: MIT */
/**
 * @file registers.h
 *
 * Registers that code writes and reads, of those that a call need not preserve.
 *
 * A compiler that sees a function's code knows which of these registers it
 * leaves alone, and lets its callers keep values in them across the call (gcc's
 * -fipa-ra, which -O2 implies). Such a caller is right with that version of the
 * function alone.
 */
#ifndef HFX_BUNDLER_REGISTERS_H
#define HFX_BUNDLER_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "decode.h"
#include "error.h"
#include "model.h"

struct registers;

/** @param[in] program Scanned; borrowed, like @p decoder. */
HFX_MUST_CHECK struct hfx_error *registers_create(const struct program *program,
                                                  struct decoder *decoder,
                                                  struct registers **ret);

void registers_destroy(struct registers *registers);

/**
 * What the code of function @p index itself may write, without the functions
 * of this program that it calls directly: all, if it calls anything else.
 */
register_set registers_written(struct registers *registers, uint32_t index);

/**
 * What function @p index may write, with all that it calls directly.
 */
HFX_MUST_CHECK struct hfx_error *
registers_written_in_all(struct registers *registers, uint32_t index,
                         register_set *ret);

/**
 * Which of @p wanted function @p caller may read after one of its direct calls
 * of @p callee, before it writes them: values that it keeps across the call.
 */
HFX_MUST_CHECK struct hfx_error *
registers_kept_across(struct registers *registers, uint32_t caller,
                      uint32_t callee, register_set wanted, register_set *ret);

/**
 * Whether function @p index ends in calls that do not return, and nowhere else.
 * Its callers then need nothing behind a call of it.
 */
bool registers_never_returns(struct registers *registers, uint32_t index);

/** Names for messages, such as "rdx, xmm0". */
void registers_text(register_set set, char *ret, size_t size);

#endif /* HFX_BUNDLER_REGISTERS_H */
