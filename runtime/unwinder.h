/* SPDX-License-Identifier: MIT */
/**
 * @file unwinder.h
 *
 * The frames of a stopped thread of another process, by libdw's unwinder. Only
 * this and source_line.c use libdw.
 *
 * Unwind tables are taken from the process's memory, not from files: those on
 * disk may be replaced, gone, or another container's. All are read before
 * threads are stopped.
 *
 * Where there is no table, libdw guesses by the frame pointer and can miss
 * frames. Here that ends the walk: what cannot be unwound by tables counts as
 * not unwound.
 */
#ifndef HFX_RUNTIME_UNWINDER_H
#define HFX_RUNTIME_UNWINDER_H

#include "commit.h"
#include "maps.h"
#include "stop.h"

struct unwinder;

/**
 * Read the unwind tables of all modules of @p pid that @p maps shows, and of
 * the images of @p plan. What cannot be read is left out.
 */
HFX_MUST_CHECK struct hfx_error *unwinder_create(pid_t pid,
                                                 const struct maps *maps,
                                                 const struct commit_plan *plan,
                                                 struct unwinder **ret);

/** Free; `NULL` is allowed. */
void unwinder_destroy(struct unwinder *unwinder);

/**
 * Called for each frame, the innermost first.
 *
 * @param[in] is_exact Whether @p live_addr is a program counter (of the
 * innermost frame, or of one that a signal has interrupted), or a return
 * address.
 * @return 0 to go on, else a negative number that unwinder_walk() returns.
 */
typedef int unwinder_frame_fn(void *arg, uint64_t live_addr, bool is_exact);

/**
 * Walk the frames of a stopped thread.
 *
 * @return 0 when the outermost frame was reached, -ENODATA when not, or what
 * @p fn returned.
 */
int unwinder_walk(struct unwinder *unwinder, const struct stop_thread *thread,
                  unwinder_frame_fn *fn, void *arg);

#endif /* HFX_RUNTIME_UNWINDER_H */
