/* SPDX-License-Identifier: MIT */
/**
 * @file hfx_apply_all.h
 *
 * `hfx apply --all`: a bundle for every process that has loaded its build.
 */
#ifndef HFX_RUNTIME_HFX_APPLY_ALL_H
#define HFX_RUNTIME_HFX_APPLY_ALL_H

#include <stdbool.h>
#include <sys/types.h>

#include "bundle.h"
#include "error.h"

struct apply_all {
	const struct bundle *bundle;
	bool quiet;
	/** `apply` changes nothing. */
	bool dry_run;
	/** End at the first failure, and take back what was applied. */
	bool undo;
	/** Apply to one process and say so, or take it back. */
	struct hfx_error *(*apply)(void *arg, pid_t pid);
	struct hfx_error *(*revert)(void *arg, pid_t pid);
	void *arg;
};

/** @return Exit code: failed when one of the processes failed. */
int apply_to_all(const struct apply_all *request);

#endif /* HFX_RUNTIME_HFX_APPLY_ALL_H */
