/* SPDX-License-Identifier: MIT */
/**
 * @file decode.h
 *
 * Machine code as a list of instructions and of what they refer to. The only
 * files that use capstone are decode.c and decode_address.c.
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
	/**
	 * Place of the displacement of an operand in memory that counts from a
	 * register other than %rip, or 0.
	 */
	uint8_t indexed_off;
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

/**
 * Registers that a function need not preserve (x86-64 psABI 3.2.1), a bit each:
 * nine general ones, then %xmm0 to %xmm15 with all of their width.
 */
typedef uint32_t register_set;

enum {
	REGISTER_RAX = 1 << 0,
	REGISTER_RCX = 1 << 1,
	REGISTER_RDX = 1 << 2,
	REGISTER_RSI = 1 << 3,
	REGISTER_RDI = 1 << 4,
	REGISTER_R8 = 1 << 5,
	REGISTER_R9 = 1 << 6,
	REGISTER_R10 = 1 << 7,
	REGISTER_R11 = 1 << 8,
	REGISTER_XMM0 = 1 << 9,
	REGISTER_XMM1 = 1 << 10,
	NUM_REGISTERS = 25,
	REGISTERS_ALL = (1 << NUM_REGISTERS) - 1,
	REGISTERS_XMM = REGISTERS_ALL & -REGISTER_XMM0,
};

struct register_use {
	register_set read;
	register_set written;
	/** Written whole: nothing is left of what was there. */
	register_set replaced;
};

/** Of the instruction that decoder_next() found last. */
struct register_use decoder_registers(struct decoder *decoder);

/**
 * Whether the code behind the instruction at @p off does no more with the
 * register that it loads than to pass it to a call, to store it or to return
 * it. False also where a jump comes before that.
 */
bool decoder_passes_on(struct decoder *decoder, const uint8_t *code,
                       size_t size, size_t off);

/** The same, but whether it is stored before all else, and not into the frame.
 */
bool decoder_stores(struct decoder *decoder, const uint8_t *code, size_t size,
                    size_t off);

/** General registers, a bit each, in the order of their numbers. */
typedef uint16_t general_set;

#define NUM_GENERALS 16

/** Registers that may hold an address. */
struct address_holders {
	/** As it is. */
	general_set exact;
	/** With a constant added once. */
	general_set shifted;
};

/** What an instruction does with an address that some registers hold. */
struct address_step {
	/** Who may hold it behind the instruction. */
	struct address_holders holders;
	/** It is read or written through, or stored, as it is. */
	bool is_used;
	/** It is stored, but not in the frame. */
	bool is_given;
	/** It is added to, or what is done with it is not known. */
	bool is_counted;
};

/** Of the instruction that decoder_next() found last: it loads an address. */
struct address_step decoder_address_load(struct decoder *decoder);

/** The same: before it, @p holders may hold an address. */
struct address_step decoder_address_step(struct decoder *decoder,
                                         struct address_holders holders);

/** Registers that carry arguments, and that calls need not preserve. */
#define GENERAL_ARGUMENTS ((general_set)0x03c6)
#define GENERAL_VOLATILE  ((general_set)0x0fc7)
#define GENERAL_RAX       ((general_set)0x0001)

/** Whether @p code begins with `endbr64`. */
bool is_endbr64(const uint8_t *code, size_t size);

/** The instruction as text, for messages; `""` if it does not decode. */
void decoder_text(struct decoder *decoder, const uint8_t *code, size_t size,
                  uint64_t addr, char *text_ret, size_t text_size);

#endif /* HFX_BUNDLER_DECODE_H */
