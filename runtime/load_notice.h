/* SPDX-License-Identifier: MIT */
/**
 * @file load_notice.h
 *
 * Being told when the calling process has loaded or unloaded libraries, before
 * dlopen() has run any of their code.
 */
#ifndef HFX_RUNTIME_LOAD_NOTICE_H
#define HFX_RUNTIME_LOAD_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "target.h"

/** Where load_notice_first() is when nothing is being loaded. */
#define LOAD_NOTICE_NONE SIZE_MAX

/**
 * Called in the thread that loads or unloads, which holds the dynamic linker's
 * lock: it must not wait for another thread that may want that. It cannot be
 * cancelled. `errno` is preserved around the call.
 */
typedef void load_notice_fn(void);

/**
 * Have @p fn called from now on, for as long as the process runs. Once it is,
 * another call does nothing.
 *
 * Errors: #HFX_ERROR_UNSUPPORTED for a program without a dynamic linker, and
 * for a dynamic linker whose place for it is not as it should be; those of a
 * commit, since code is written.
 */
HFX_MUST_CHECK struct hfx_error *load_notice_install(struct target *target,
                                                     load_notice_fn *fn);

/**
 * Position, as loaded_find() counts, of the first module that the calling
 * thread is loading: it is mapped, but not relocated, so that none of its code
 * can have run.
 */
size_t load_notice_first(void);

/** Whether @p live_addr lies in one of these. */
bool load_notice_is_new(uint64_t live_addr);

/**
 * The calling thread goes on loading, and others look at what it loads: until
 * something else is loaded or unloaded, nobody knows whether it is ready.
 */
void load_notice_go_on(void);

/** Whether @p live_addr lies in a module that may be not relocated yet. */
bool load_notice_is_unready(uint64_t live_addr);

#endif /* HFX_RUNTIME_LOAD_NOTICE_H */
