/* SPDX-License-Identifier: MIT */
/**
 * @file decode.h
 *
 * Machine code as a list of instructions and of what they refer to. The only
 * file that uses capstone is decode.c.
 */
#ifndef HFX_BUNDLER_DECODE_H
#define HFX_BUNDLER_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "model.h"

struct decoder;

HFX_MUST_CHECK struct hfx_error *decoder_create(struct decoder **ret);

void decoder_destroy(struct decoder *decoder);

/** What the bundler wants to know of one instruction. */
struct instruction {
	uint32_t off;
	uint8_t size;
	bool is_call;
	/** A jump, conditional or not; `reference.target` if it is direct. */
	bool is_jump;
	bool is_conditional;
	bool is_return;
	/** `syscall`: a thread may rest behind it. */
	bool is_syscall;
	/** `nop` of any length, or `int3`. */
	bool is_padding;
	/** Of an epilogue: gives back stack (`add` to %rsp, `leave`) or a
	 * register that functions must preserve (`pop`, x86-64 psABI 3.2.1). */
	bool is_restore;
	/** Uses %fs at anything but %fs:0x28, the stack protector's canary. */
	bool uses_tls;
	/** Place and width of an immediate operand; width 0 without one. */
	uint8_t constant_off;
	uint8_t constant_size;
	bool has_reference;
	struct reference reference;
};

/**
 * Decode the instruction at @p off in @p code.
 *
 * @param[in] addr Address of the first byte of @p code.
 * @return False if the bytes are no instruction that capstone knows.
 */
bool decoder_next(struct decoder *decoder, const uint8_t *code, size_t size,
                  uint64_t addr, size_t off, struct instruction *ret);

/** Whether @p code begins with `endbr64`. */
bool is_endbr64(const uint8_t *code, size_t size);

/** The instruction as text, for messages; `""` if it does not decode. */
void decoder_text(struct decoder *decoder, const uint8_t *code, size_t size,
                  uint64_t addr, char *text_ret, size_t text_size);

#endif /* HFX_BUNDLER_DECODE_H */
