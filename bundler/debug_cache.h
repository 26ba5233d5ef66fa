/* SPDX-License-Identifier: MIT */
/**
 * @file debug_cache.h
 *
 * Debug files that the client of debuginfod has fetched before. Nothing is
 * fetched here: libdwfl asks the servers of DEBUGINFOD_URLS, if it is set.
 */
#ifndef HFX_BUNDLER_DEBUG_CACHE_H
#define HFX_BUNDLER_DEBUG_CACHE_H

#include "error.h"
#include "manifest.h"

/**
 * @param[out] ret Path of the debug file of a build-id in the client's cache,
 * owned; `NULL` when there is none.
 */
HFX_MUST_CHECK struct hfx_error *debug_cache_find(const struct build_id *id,
                                                  char **ret);

#endif /* HFX_BUNDLER_DEBUG_CACHE_H */
