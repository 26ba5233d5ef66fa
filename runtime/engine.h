/* SPDX-License-Identifier: MIT */
/**
 * @file engine.h
 *
 * Apply, revert and list, over a target.
 */
#ifndef HFX_RUNTIME_ENGINE_H
#define HFX_RUNTIME_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle.h"
#include "digest.h"
#include "error.h"
#include "record.h"
#include "target.h"

struct engine_options {
	/** Everything up to, but not including, stopping threads. */
	bool dry_run;
	/**
	 * With `dry_run`: stop threads, too, to see whether they are outside of
	 * what is replaced.
	 */
	bool try_stop;
	/**
	 * Threads may be inside the functions that are replaced, but for the
	 * bytes that are written; such calls finish in the code they began in.
	 */
	bool allow_active;
	/** Rewrite direct calls of what is replaced, too. */
	bool redirect_calls;
	/**
	 * Patches that leave in the same stop: their ids, borrowed; or all
	 * that are applied, also none.
	 */
	const struct digest *replaces;
	size_t num_replaces;
	bool replaces_all;
	/**
	 * If not `NULL`, a module that is not loaded is no error: nothing is
	 * done then, and this is set. The bundle must be one that can be
	 * applied while its modules are loaded (engine_check_waiting()).
	 */
	bool *waits_ret;
	/** 0 means 1000. */
	uint32_t timeout_ms;
	/** 0 means 10000. */
	uint32_t max_pause_us;
};

/** One record of a process, checked and copied out of it. */
struct engine_patch {
	struct digest id;
	char *name;
	char *version;
	char *description;
	char *module_name;
	/** Why it still waits; may be `NULL`. */
	char *reason;
	enum record_state state;
	/** Set of #record_flags. */
	uint32_t flags;
	struct build_id build_id;
	uint64_t record_addr;
	uint64_t sequence;
	uint64_t generation;
	uint64_t applied_ns;
	uint64_t pause_ns;
	uint64_t region_addr;
	uint64_t region_size;
	uint64_t image_bias;
	struct record_symbols symbols;
	uint64_t module_bias;
	struct record_function *functions;
	/** Names of the functions, in their order. */
	char **function_names;
	size_t num_functions;
	/** Other code of the image, with its names, if the record says. */
	struct record_code *code;
	char **code_names;
	size_t num_code;
	/** Live address of the image's `.eh_frame`, or 0. */
	uint64_t eh_frame_addr;
	/** Live address of the table of shadow variables that it uses, or 0. */
	uint64_t shadow_table_addr;
	struct record_hooks hooks;
	struct record_site *sites;
	size_t num_sites;
};

/** All records of a process, in the order of their sequence. */
struct engine_patches {
	struct engine_patch *patches;
	size_t num_patches;
	size_t cap_patches;
};

/** Look through the mappings of @p target for records. */
HFX_MUST_CHECK struct hfx_error *engine_list(struct target *target,
                                             struct engine_patches *ret);

struct modules;

/**
 * Give applied patches whose module was unloaded, and perhaps loaded again, the
 * state #RECORD_UNLOADED; in @p patches only.
 */
HFX_MUST_CHECK struct hfx_error *
engine_find_unloaded(struct target *target, const struct modules *modules,
                     struct engine_patches *patches);

void engine_patches_deinit(struct engine_patches *patches);

/** How many direct calls @p patch, one of @p patches, has redirected. */
size_t engine_patch_num_calls(const struct engine_patches *patches,
                              const struct engine_patch *patch);

/** Whether it is applied or waits for its module: it can be taken back. */
bool engine_patch_is_in_place(const struct engine_patch *patch);

/** Free what a patch owns, not the patch itself. */
void engine_patch_deinit(struct engine_patch *patch);

/**
 * Apply a bundle: docs/architecture.md lists the steps.
 *
 * @param[out] result_ret What the stop cost; may be `NULL`.
 */
HFX_MUST_CHECK struct hfx_error *
engine_apply(struct target *target, const struct bundle *bundle,
             const struct engine_options *options,
             struct commit_result *result_ret);

/** Revert the applied patch with this id; one that waits does so no longer. */
HFX_MUST_CHECK struct hfx_error *
engine_revert(struct target *target, const struct digest *id,
              const struct engine_options *options,
              struct commit_result *result_ret);

/** Revert all applied patches, newest first, in one stop; none is no error. */
HFX_MUST_CHECK struct hfx_error *
engine_revert_all(struct target *target, const struct engine_options *options,
                  struct commit_result *result_ret);

/**
 * Check that @p bundle can be applied while its modules are loaded, when none
 * of their code may be called: without hooks, and not with an unwinder inside.
 *
 * Error: #HFX_ERROR_UNSUPPORTED.
 */
HFX_MUST_CHECK struct hfx_error *
engine_check_waiting(const struct bundle *bundle);

/**
 * Have the process say that module @p index of @p bundle is waited for.
 *
 * @param[in] reason Why, although it is loaded, or "".
 * @param[out] addr_ret The record.
 */
HFX_MUST_CHECK struct hfx_error *
engine_waiting_create(struct target *target, const struct bundle *bundle,
                      size_t index, const char *reason, uint64_t *addr_ret);

/** Take that back; 0 is allowed. */
void engine_waiting_destroy(struct target *target, uint64_t record_addr);

#endif /* HFX_RUNTIME_ENGINE_H */
