/* SPDX-License-Identifier: MIT */
/**
 * @file perf_map.h
 *
 * /tmp/perf-PID.map, in which perf(1) looks for the names of code that is in no
 * file (tools/perf/Documentation/jit-interface.txt in the kernel's source).
 */
#ifndef HFX_RUNTIME_PERF_MAP_H
#define HFX_RUNTIME_PERF_MAP_H

#include <stddef.h>
#include <sys/types.h>

#include "engine.h"
#include "error.h"

/** Longest path of a map, as it is called inside the process's own root. */
#define PERF_MAP_PATH_SIZE 64

/**
 * Add the functions of @p patches to the map of the process: in its /tmp, under
 * its pid in its own pid namespace. What stands there already is left alone, so
 * a program that writes its own map goes on with it.
 *
 * A map that is a link, or that belongs to another user than root, the caller
 * or the process, is refused (#HFX_ERROR_PERMISSION).
 *
 * @param[out] path_ret The map's path in the process's root.
 * @param[out] count_ret Functions that were added.
 */
HFX_MUST_CHECK struct hfx_error *
perf_map_write(pid_t process, const struct engine_patches *patches,
               char path_ret[static PERF_MAP_PATH_SIZE], size_t *count_ret);

#endif /* HFX_RUNTIME_PERF_MAP_H */
