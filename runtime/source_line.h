/* SPDX-License-Identifier: MIT */
/**
 * @file source_line.h
 *
 * The source line of an address of a process, where debug information is at
 * hand: in the file that is mapped, if that is at the same path for the caller
 * and guarded (guarded.h), or under its build-id in /usr/lib/debug.
 */
#ifndef HFX_RUNTIME_SOURCE_LINE_H
#define HFX_RUNTIME_SOURCE_LINE_H

#include <stdint.h>

#include "maps.h"

/**
 * "server.c:120", or `NULL` if it cannot be told.
 *
 * @return Memory of malloc().
 */
char *source_line_find(const struct maps *maps, uint64_t live_addr);

#endif /* HFX_RUNTIME_SOURCE_LINE_H */
