/* SPDX-License-Identifier: MIT */
/**
 * @file workers.h
 *
 * One task for many items, in as many threads as there are cores.
 */
#ifndef HFX_BUNDLER_WORKERS_H
#define HFX_BUNDLER_WORKERS_H

#include <stddef.h>

#include "decode.h"
#include "error.h"

/**
 * What is done with item @p index; items are done in any order, several at a
 * time. @p decoder is the thread's own.
 */
typedef struct hfx_error *(*worker_task)(void *context, struct decoder *decoder,
                                         size_t index);

/**
 * Do @p task for the items 0 to @p count - 1 and wait for all. Items that
 * follow each other are mostly done by one thread. Does with fewer threads if
 * the system gives no more.
 *
 * Errors: one of the tasks'; the items that were not begun then are left out.
 */
HFX_MUST_CHECK struct hfx_error *workers_run(size_t count, worker_task task,
                                             void *context);

#endif /* HFX_BUNDLER_WORKERS_H */
