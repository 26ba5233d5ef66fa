/* SPDX-License-Identifier: MIT */
/**
 * @file decode_vector.h
 *
 * The form of vector instructions (VEX and EVEX prefixes), for those that
 * capstone does not know: AVX-512 has hundreds, all of one form. Source: Intel
 * SDM volume 2A, 2.3 and 2.7.
 */
#ifndef HFX_BUNDLER_DECODE_VECTOR_H
#define HFX_BUNDLER_DECODE_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vector_form {
	uint8_t size;
	/** Bytes that a memory operand has at most. */
	uint8_t width;
	/** Place of the displacement of a RIP-relative operand, or 0. */
	uint8_t displacement_off;
	/** Has a memory operand with segment %fs. */
	bool uses_fs;
};

/**
 * @return False if the @p size bytes at @p code do not begin with a whole
 * vector instruction.
 */
bool vector_form(const uint8_t *code, size_t size, struct vector_form *ret);

#endif /* HFX_BUNDLER_DECODE_VECTOR_H */
