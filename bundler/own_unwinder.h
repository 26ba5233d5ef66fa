/* SPDX-License-Identifier: MIT */
/**
 * @file own_unwinder.h
 *
 * The unwinder that a program has inside: by -static, -static-libgcc or in a
 * library that hides one. Nothing outside finds it, and exceptions that it
 * unwinds pass new code only if it is told of that.
 */
#ifndef HFX_BUNDLER_OWN_UNWINDER_H
#define HFX_BUNDLER_OWN_UNWINDER_H

#include <stdbool.h>

#include "error.h"
#include "model.h"

enum own_unwinder {
	/** It uses that of the process, libgcc_s. */
	OWN_UNWINDER_NONE,
	/** That of libgcc, which can be told of new code. */
	OWN_UNWINDER_KNOWN,
	/** Another one, or one that cannot be told. */
	OWN_UNWINDER_STRANGE,
};

/**
 * Which one @p program has.
 *
 * @param[out] ret When known: its __register_frame_info(), borrowed.
 */
enum own_unwinder own_unwinder_find(const struct program *program,
                                    const struct function **ret);

/** Whether exceptions of C++ may be thrown in the program. */
bool own_unwinder_has_exceptions(const struct program *program);

/** Say in the manifest how OLD's is told, if it has one. */
HFX_MUST_CHECK struct hfx_error *
own_unwinder_describe(const struct program *old_program,
                      struct manifest_module *module);

#endif /* HFX_BUNDLER_OWN_UNWINDER_H */
