/* SPDX-License-Identifier: MIT */
/**
 * @file hfx_error.h
 *
 * Errors of hfx: what every function that can fail returns.
 *
 * This header is included by hfx.h; programs have no need to include it by
 * itself.
 */
#ifndef HFX_ERROR_H
#define HFX_ERROR_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HFX_API        __attribute__((__visibility__("default")))
#define HFX_MUST_CHECK __attribute__((__warn_unused_result__))

/**
 * What went wrong, for programs to branch on.
 *
 * Values are part of the ABI: they are never renumbered or reused. New ones
 * may be added, so treat a value you do not know as a permanent failure.
 */
enum hfx_error_code {
	HFX_ERROR_NONE = 0,
	HFX_ERROR_NO_MEMORY = 1,
	/** A system call failed; see hfx_error_errno(). */
	HFX_ERROR_OS = 2,
	HFX_ERROR_INVALID_ARGUMENT = 3,
	/** Another apply or revert is in progress. Transient. */
	HFX_ERROR_BUSY = 4,
	/** This kernel, CPU or sandbox lacks something hfx needs. */
	HFX_ERROR_UNSUPPORTED = 5,
	/** The caller may not do this; the message says what forbids it. */
	HFX_ERROR_PERMISSION = 6,
	/** The process has ended. */
	HFX_ERROR_NO_PROCESS = 7,

	/** The bundle is truncated, malformed, or breaks a limit. */
	HFX_ERROR_BAD_BUNDLE = 10,
	/** The bundle needs a newer version of hfx. */
	HFX_ERROR_BUNDLE_VERSION = 11,
	/** A digest in the bundle does not match its contents. */
	HFX_ERROR_BAD_DIGEST = 12,
	/** An ELF file or its debug information is malformed or of no use. */
	HFX_ERROR_BAD_ELF = 13,
	/** The bundle is not signed by a trusted key, or nobody can say so. */
	HFX_ERROR_UNTRUSTED = 14,
	/** The bundle was withdrawn on this host. */
	HFX_ERROR_WITHDRAWN = 15,

	/** The bundle was made for a different build of this program. */
	HFX_ERROR_BUILD_MISMATCH = 20,
	/** Code to be replaced is not what the bundle expects to find. */
	HFX_ERROR_CODE_MISMATCH = 21,
	/** The new code refers to a symbol this process does not have. */
	HFX_ERROR_UNRESOLVED = 22,
	/** No free address range within branch reach of the old code. */
	HFX_ERROR_NO_ADDRESS_SPACE = 23,

	HFX_ERROR_ALREADY_APPLIED = 30,
	HFX_ERROR_NOT_APPLIED = 31,
	/** A later patch covers the same function and must go first. */
	HFX_ERROR_ORDER = 32,
	/** The record of patches in the process is malformed. */
	HFX_ERROR_BAD_RECORD = 33,
	/** The patch itself says that it must not be applied now. */
	HFX_ERROR_VETOED = 34,

	/** Threads stayed inside functions that change. Transient. */
	HFX_ERROR_NOT_QUIESCENT = 40,
	/** Some thread could not be stopped. Transient. */
	HFX_ERROR_STOP = 41,

	/**
	 * A change failed half-way and could not be undone. The process may
	 * misbehave, and every later apply or revert fails with this code.
	 * Replace the process.
	 */
	HFX_ERROR_POISONED = 90,
};

/**
 * An error. Functions that can fail return `NULL` for success, or an error
 * that the caller owns and passes to hfx_error_destroy().
 */
struct hfx_error;

/** Code of @p err, or #HFX_ERROR_NONE if @p err is `NULL`. */
HFX_API enum hfx_error_code hfx_error_code(const struct hfx_error *err);

/**
 * One line for people, outermost context first, without a final newline. Not
 * stable: do not parse it.
 *
 * @return String valid until @p err is destroyed; never `NULL`.
 */
HFX_API const char *hfx_error_message(const struct hfx_error *err);

/** `errno` of the failed system call, or 0 if there was none. */
HFX_API int hfx_error_errno(const struct hfx_error *err);

/** Whether the same call may succeed if it is simply made again later. */
HFX_API bool hfx_error_is_transient(const struct hfx_error *err);

/** Free @p err. `NULL` is allowed and ignored. */
HFX_API void hfx_error_destroy(struct hfx_error *err);

#ifdef __cplusplus
}
#endif

#endif /* HFX_ERROR_H */
