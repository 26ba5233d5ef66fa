/* SPDX-License-Identifier: MIT */
/**
 * @file decode_private.h
 *
 * What the files that use capstone share.
 */
#ifndef HFX_BUNDLER_DECODE_PRIVATE_H
#define HFX_BUNDLER_DECODE_PRIVATE_H

#include <capstone/capstone.h>

#include "decode.h"

struct decoder {
	csh handle;
	cs_insn *insn;
	/** Whether `insn` is what decoder_next() found last. */
	bool is_known;
};

bool decode_in_group(const cs_detail *detail, uint8_t group);

/**
 * The bit of a general register, also of a part of it; 0 for all others.
 *
 * @param[out] is_whole_ret Whether a write to it leaves nothing of the old
 * value.
 */
general_set decode_general(unsigned int id, bool *is_whole_ret);

/** `xor %eax,%eax` and the like: what was there does not matter. */
bool decode_is_clearing(const cs_insn *insn);

#endif /* HFX_BUNDLER_DECODE_PRIVATE_H */
