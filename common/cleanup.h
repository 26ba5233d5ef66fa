/* SPDX-License-Identifier: MIT */
/**
 * @file cleanup.h
 *
 * Scope guards: a variable declared with one of these is released when it goes
 * out of scope.
 *
 *     HFX_CLEANUP(hfx_free) char *path = NULL;
 */
#ifndef HFX_COMMON_CLEANUP_H
#define HFX_COMMON_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

/** Call @p function with the address of the variable at the end of scope. */
#define HFX_CLEANUP(function) __attribute__((__cleanup__(function)))

/** Take the pointer out of a guarded variable, which then holds `NULL`. */
#define HFX_TAKE(variable)                                                     \
	({                                                                     \
		__typeof__(variable) taken_ = (variable);                      \
		(variable) = NULL;                                             \
		taken_;                                                        \
	})

/** Guard for memory of malloc(). */
static inline void hfx_free(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

/** Guard for a file descriptor; negative means none. */
static inline void hfx_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#endif /* HFX_COMMON_CLEANUP_H */
