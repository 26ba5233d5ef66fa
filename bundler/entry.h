/* SPDX-License-Identifier: MIT */
/**
 * @file entry.h
 *
 * Whether a function's first bytes can be overwritten by a jump.
 */
#ifndef HFX_BUNDLER_ENTRY_H
#define HFX_BUNDLER_ENTRY_H

#include <stdint.h>

#include "decode.h"
#include "error.h"
#include "model.h"

struct entry_checker;

/** @param[in] program Scanned; borrowed. */
HFX_MUST_CHECK struct hfx_error *
entry_checker_create(const struct program *program, struct decoder *decoder,
                     struct entry_checker **ret);

void entry_checker_destroy(struct entry_checker *checker);

struct entry {
	/** Why not, or `NULL` when it can. A constant string. */
	const char *refusal;
	/** Offset of the jump: behind an `endbr64`, else 0. */
	uint32_t off;
	/** Bytes of the function, with the padding that the jump needs. */
	uint64_t size;
};

/**
 * Check that a jump fits, and that nobody can arrive inside it: by a branch, a
 * pointer, a return or the end of a system call.
 */
struct entry entry_check(struct entry_checker *checker,
                         const struct function *function);

#endif /* HFX_BUNDLER_ENTRY_H */
