/* SPDX-License-Identifier: MIT */
/**
 * @file file.h
 *
 * Whole files, in and out.
 */
#ifndef HFX_COMMON_FILE_H
#define HFX_COMMON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/** Bytes with their size; `data` is from malloc(). */
struct buffer {
	uint8_t *data;
	size_t size;
};

/** Guard and destructor: frees the data. */
void buffer_deinit(struct buffer *buffer);

/**
 * Read a whole file of at most @p max_size bytes.
 *
 * Works for files that report no size (/proc, pipes).
 */
HFX_MUST_CHECK struct hfx_error *file_read(const char *path, size_t max_size,
                                           struct buffer *ret);

/** As file_read(), from the start of @p fd where it can be sought. */
HFX_MUST_CHECK struct hfx_error *file_read_fd(int fd, size_t max_size,
                                              struct buffer *ret);

/**
 * Write a file whole or not at all: to a temporary file beside it, synced,
 * then renamed over it. An existing file keeps its permissions.
 */
HFX_MUST_CHECK struct hfx_error *file_replace(const char *path,
                                              const void *data, size_t size);

/** Whether both are there and are one file, by whatever paths. */
bool file_is_same(const char *a, const char *b);

#endif /* HFX_COMMON_FILE_H */
