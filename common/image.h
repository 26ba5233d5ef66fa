/* SPDX-License-Identifier: MIT */
/**
 * @file image.h
 *
 * The patch image: what the bundler writes and the runtime loads. The text is
 * docs/format.md, "The image"; the names that both sides need are here.
 */
#ifndef HFX_COMMON_IMAGE_H
#define HFX_COMMON_IMAGE_H

#include <stdint.h>

/**
 * Undefined symbol of the image that stands for the load bias of OLD's module:
 * `hfx.module + addend` is the place of OLD's virtual address `addend` in the
 * process. A relocation R_X86_64_DTPMOD64 against it gives the module's TLS
 * index.
 */
#define IMAGE_MODULE_SYMBOL "hfx.module"

/**
 * Variable of NEW that the runtime points to the table of shadow variables that
 * the process uses: struct hfx_shadow_table_1 of hfx_patch.h.
 */
#define IMAGE_SHADOW_TABLE "hfx_shadow_table_1"

/**
 * Function of NEW that starts a thread for a hook. Its argument is the address
 * of a struct image_hook_job; it returns 0 or an errno.
 */
#define IMAGE_HOOK_STARTER "hfx_hook_start_1"

/** struct hfx_hook_job_1 of hfx_patch.h. */
struct image_hook_job {
	/** Live address of the hook, or 0. */
	uint64_t hook_addr;
	/** What it returned. */
	uint64_t result;
	/** One of #image_hook_state. */
	uint64_t state;
};

enum image_hook_state {
	/** No thread has begun with it. */
	IMAGE_HOOK_IDLE = 0,
	/** It has returned. */
	IMAGE_HOOK_DONE = 1,
	IMAGE_HOOK_STARTED = 2,
};

/** Largest distance that a 5-byte jump or a RIP-relative operand spans. */
#define IMAGE_REACH (UINT64_C(1) << 31)

/** Bytes of `jmp rel32`, the jump written at an entry, and of `call rel32`. */
#define JUMP_SIZE 5

#define JUMP_OPCODE 0xe9
#define CALL_OPCODE 0xe8

/** Largest address span of an image, in bytes. */
#define IMAGE_MAX_SPAN (UINT64_C(1) << 30)

/**
 * Most PT_LOADs of an image. Program headers are counted in 16 bits (gABI,
 * "ELF Header"), and each segment has up to two sections, also counted so.
 */
#define IMAGE_MAX_SEGMENTS 30001u

#endif /* HFX_COMMON_IMAGE_H */
