/* SPDX-License-Identifier: MIT */
/**
 * @file error.h
 *
 * Making and wrapping errors. See hfx_error.h for what callers of the library
 * see.
 *
 * A function that can fail returns `struct hfx_error *`: `NULL` for success,
 * else an error that the caller owns. Whoever passes one on wraps it with what
 * was being done and to which file or symbol. None of these functions fails:
 * when memory is short they return a static error of #HFX_ERROR_NO_MEMORY.
 */
#ifndef HFX_COMMON_ERROR_H
#define HFX_COMMON_ERROR_H

#include <stddef.h>

#include "hfx_error.h"

#define HFX_PRINTF(fmt, args) __attribute__((__format__(__printf__, fmt, args)))

/** A new error with a message. */
HFX_MUST_CHECK HFX_PRINTF(2, 3) struct hfx_error *hfx_error_create(
	enum hfx_error_code code, const char *format, ...);

/** A new #HFX_ERROR_OS: the message, `": "` and the text of @p error_number. */
HFX_MUST_CHECK HFX_PRINTF(2,
                          3) struct hfx_error *hfx_error_os(int error_number,
                                                            const char *format,
                                                            ...);

/** The static error for lack of memory. */
HFX_MUST_CHECK struct hfx_error *hfx_error_no_memory(void);

/**
 * Put a context and `": "` before the message of @p err.
 *
 * @param[in] err Error to wrap, taken; `NULL` stays `NULL`.
 */
HFX_MUST_CHECK HFX_PRINTF(2, 3) struct hfx_error *hfx_error_wrap(
	struct hfx_error *err, const char *format, ...);

/** For `cleanup_error`: destroys what the pointer at @p err holds. */
void hfx_error_cleanup(struct hfx_error **err);

/** Return from the function with the error of @p expression, if there is one.
 */
#define HFX_TRY(expression)                                                    \
	do {                                                                   \
		struct hfx_error *try_error_ = (expression);                   \
		if (try_error_)                                                \
			return try_error_;                                     \
	} while (0)

#endif /* HFX_COMMON_ERROR_H */
