/* SPDX-License-Identifier: MIT */
/**
 * @file process_view.h
 *
 * What can be seen of the processes of this machine without stopping any.
 */
#ifndef HFX_RUNTIME_PROCESS_VIEW_H
#define HFX_RUNTIME_PROCESS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bundle.h"
#include "engine.h"
#include "error.h"

struct process_list {
	pid_t *pids;
	size_t num_pids;
	size_t cap_pids;
};

/** All processes that /proc shows, by pid; not the calling one. */
HFX_MUST_CHECK struct hfx_error *process_list_read(struct process_list *ret);

/** Guard and destructor. */
void process_list_deinit(struct process_list *list);

struct process_view {
	pid_t pid;
	/** Real user. */
	uid_t uid;
	/** As in /proc/PID/comm. */
	char name[64];
	struct engine_patches patches;
	/** Whether all modules of the bundle that was asked for are loaded. */
	bool fits;
	/** Path of the first of them, owned; `NULL` when it is not. */
	char *module_path;
};

/**
 * Look at one process.
 *
 * @param[in] bundle Bundle whose modules are looked for, or `NULL`.
 * @param[out] ret View, for process_view_deinit().
 */
HFX_MUST_CHECK struct hfx_error *process_view_read(pid_t pid,
                                                   const struct bundle *bundle,
                                                   struct process_view *ret);

/** Guard and destructor. */
void process_view_deinit(struct process_view *view);

/** The patch that @p bundle makes in this process, or `NULL`. */
const struct engine_patch *process_view_patch(const struct process_view *view,
                                              const struct bundle *bundle);

/**
 * Whether @p err says no more than that there is nothing to patch: the process
 * has ended meanwhile, or is a kernel thread or a 32-bit program.
 */
bool process_view_is_none(const struct hfx_error *err);

#endif /* HFX_RUNTIME_PROCESS_VIEW_H */
