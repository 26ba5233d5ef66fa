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

/** `xor %eax,%eax` and the like: what was there does not matter. */
bool decode_is_clearing(const cs_insn *insn);

#endif /* HFX_BUNDLER_DECODE_PRIVATE_H */
