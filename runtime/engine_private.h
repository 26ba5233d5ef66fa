/* SPDX-License-Identifier: MIT */
/**
 * @file engine_private.h
 *
 * What the engine's parts share.
 */
#ifndef HFX_RUNTIME_ENGINE_PRIVATE_H
#define HFX_RUNTIME_ENGINE_PRIVATE_H

#include "engine.h"
#include "image_load.h"
#include "maps.h"
#include "modules.h"

#define ENGINE_TIMEOUT_MS   1000u
#define ENGINE_MAX_PAUSE_US 10000u

/** A place that an applied patch wrote. Indices: see `engine::patches`. */
struct engine_site {
	uint64_t live_addr;
	uint32_t patch;
	uint32_t site;
};

/** A function that an applied patch replaced. */
struct engine_function {
	uint64_t old_live_addr;
	uint32_t patch;
	uint32_t function;
};

struct engine_plan;

/** What is known of the process while something is done to it. */
struct engine {
	struct target *target;
	/** Keeps other hfx away from the process; -1 when there is none. */
	int lock_fd;
	struct maps maps;
	struct modules modules;
	struct engine_patches patches;
	/** Of the applied patches, by address, then by sequence. */
	struct engine_site *sites;
	size_t num_sites;
	size_t cap_sites;
	struct engine_function *functions;
	size_t num_functions;
	size_t cap_functions;
	/** Which of `patches` are taken away by what is done. */
	bool *leaves;
};

/* ---- engine.c ---------------------------------------------------------- */

/**
 * Lock the process, read its mappings, modules and records, and clean up what
 * a killed hfx left behind.
 *
 * Errors: #HFX_ERROR_BUSY when another hfx is at work on the process.
 */
HFX_MUST_CHECK struct hfx_error *
engine_open(struct target *target, const struct engine_options *options,
            struct engine *ret);

/** Guard and destructor. */
void engine_close(struct engine *engine);

/** Module that @p patch was applied to, or `NULL` when it is gone. */
const struct module *engine_find_module(const struct modules *modules,
                                        const struct engine_patch *patch);
const struct module *engine_module_of(const struct engine *engine,
                                      const struct engine_patch *patch);

/** Whether a module with this build-id is loaded. */
bool engine_has_build(const struct engine *engine,
                      const struct build_id *build_id);

/** Index of the first site at or behind @p live_addr. */
size_t engine_site_from(const struct engine *engine, uint64_t live_addr);

/** Index of the first function at or behind @p old_live_addr. */
size_t engine_function_from(const struct engine *engine,
                            uint64_t old_live_addr);

/**
 * Take what applied patches wrote out of a copy of code, newest first: what is
 * left is OLD's, or another patch's own.
 */
void engine_take_out_jumps(const struct engine *engine, uint64_t live_addr,
                           uint8_t *bytes, size_t size);

/** What the index entry stands for. */
static inline const struct record_site *
engine_record_site(const struct engine *engine, size_t i)
{
	const struct engine_site *site = &engine->sites[i];

	return &engine->patches.patches[site->patch].sites[site->site];
}

/* ---- engine_unloaded.c ------------------------------------------------- */

/** As engine_find_unloaded(); and write it into the records. */
HFX_MUST_CHECK struct hfx_error *engine_note_unloaded(struct engine *engine);

/* ---- engine_settle.c --------------------------------------------------- */

/** Finish or undo what a killed hfx has left half-way. */
HFX_MUST_CHECK struct hfx_error *
engine_settle(struct engine *engine, const struct engine_options *options);

/* ---- engine_leave.c ---------------------------------------------------- */

/** Patch with this id that is applied or waits, or `NULL`. */
const struct engine_patch *engine_find_applied(const struct engine *engine,
                                               const struct digest *id);

/** Error: #HFX_ERROR_NOT_APPLIED. */
HFX_MUST_CHECK struct hfx_error *engine_not_applied(const struct engine *engine,
                                                    const struct digest *id);

/** Have all records of the patch with this id leave that are in place. */
void engine_leave(struct engine *engine, const struct digest *id);

/** Have all patches leave that are applied or wait. */
void engine_leave_all(struct engine *engine);

/**
 * Check that no patch that stays stands on one that leaves.
 *
 * Errors: #HFX_ERROR_ORDER.
 */
HFX_MUST_CHECK struct hfx_error *
engine_check_leaving(const struct engine *engine);

/** Plan the states of all that leaves, the newest first. */
HFX_MUST_CHECK struct hfx_error *
engine_plan_leaving_states(const struct engine *engine,
                           enum record_state before, enum record_state after,
                           struct engine_plan *plan);

/**
 * Plan to put back what their jumps replaced, but where one of @p successors
 * has a jump, too; it may be `NULL`.
 */
HFX_MUST_CHECK struct hfx_error *
engine_plan_leaving_sites(const struct engine *engine,
                          const struct engine_patches *successors,
                          struct engine_plan *plan);

/** No thread may be inside their code. */
HFX_MUST_CHECK struct hfx_error *
engine_guard_leaving(const struct engine *engine, struct engine_plan *plan);

/** Count the change in their records, and log it. They have left without it. */
void engine_note_left(const struct engine *engine);

/* ---- engine_hooks.c ---------------------------------------------------- */

/**
 * Call the pre-apply hook of @p patch, if it has one.
 *
 * Error: #HFX_ERROR_VETOED with the hook's reason.
 */
HFX_MUST_CHECK struct hfx_error *engine_hook_ask(struct target *target,
                                                 struct engine_patch *patch);

/**
 * A change begins of which hooks are told: RECORD_HOOKS_APPLYING or _REVERTING.
 * The record says from then on that code of the image may have run, and, where
 * hooks are called from outside, that they are to be told of its end.
 *
 * Error: #HFX_ERROR_BUSY when a hook that was called before has not returned.
 */
HFX_MUST_CHECK struct hfx_error *engine_hooks_begin(struct target *target,
                                                    struct engine_patch *patch,
                                                    uint32_t change);

/** There is nothing to tell. */
void engine_hooks_end(struct target *target, struct engine_patch *patch);

/**
 * Tell @p hook how the change ended. That it could not be called is a warning:
 * what it is told of has happened. The next hfx then calls it.
 */
void engine_hooks_finish(struct target *target, struct engine_patch *patch,
                         enum manifest_hook hook);

/** All that leave are told, the newest first: of a revert, and how it ended. */
void engine_hooks_begin_leaving(const struct engine *engine);
void engine_hooks_finish_leaving(const struct engine *engine,
                                 enum manifest_hook hook);

/**
 * Tell hooks how the change ended that a killed hfx has begun, if they are not
 * told yet. States are what they will be.
 */
void engine_hooks_settle(const struct engine *engine);

/* ---- engine_shadow.c --------------------------------------------------- */

/** Whether the table of shadow variables that it uses is its own. */
bool engine_has_shadow_table(const struct engine_patch *patch);

/* ---- engine_list.c ----------------------------------------------------- */

/** As engine_list(), over mappings that have been read. */
HFX_MUST_CHECK struct hfx_error *engine_list_in(struct target *target,
                                                const struct maps *maps,
                                                struct engine_patches *ret);

/** Site of @p patch that begins at @p live_addr, or `NULL`. */
const struct record_site *engine_patch_site(const struct engine_patch *patch,
                                            uint64_t live_addr);

/** Largest generation and sequence among @p patches, 0 without any. */
uint64_t engine_patches_generation(const struct engine_patches *patches);
uint64_t engine_patches_sequence(const struct engine_patches *patches);

/* ---- engine_plan.c ----------------------------------------------------- */

/** A plan that grows. */
struct engine_plan {
	struct commit_write *writes;
	size_t num_writes;
	size_t cap_writes;
	/** Code that no thread may be inside, and its names. */
	struct guard *guards;
	size_t num_guards;
	size_t cap_guards;
	char *names;
	size_t names_size;
	size_t names_cap;
	struct commit_image *images;
	size_t num_images;
	size_t cap_images;
};

void engine_plan_deinit(struct engine_plan *plan);

/** Change the state in the record at @p record_addr. */
HFX_MUST_CHECK struct hfx_error *engine_plan_state(struct engine_plan *plan,
                                                   uint64_t record_addr,
                                                   enum record_state before,
                                                   enum record_state after);

/** Change the JUMP_SIZE bytes of code at @p live_addr. */
HFX_MUST_CHECK struct hfx_error *
engine_plan_code(struct engine_plan *plan, uint64_t live_addr,
                 const uint8_t before[SITE_SIZE],
                 const uint8_t after[SITE_SIZE]);

/**
 * No thread may be inside [@p start_addr, @p end_addr), which is of function
 * @p name.
 */
HFX_MUST_CHECK struct hfx_error *engine_plan_guard(struct engine_plan *plan,
                                                   uint64_t start_addr,
                                                   uint64_t end_addr,
                                                   const char *name);

/** Carry the plan out. */
HFX_MUST_CHECK struct hfx_error *
engine_plan_commit(const struct engine_plan *plan, struct target *target,
                   const struct engine_options *options,
                   struct commit_result *ret);

/**
 * Check that a site read from a record is code of the patch's module or of
 * another patch, before anything is written there.
 */
HFX_MUST_CHECK struct hfx_error *
engine_check_site(const struct engine *engine, const struct engine_patch *patch,
                  const struct record_site *site);

/* ---- engine_guard.c ---------------------------------------------------- */

/** No thread may be inside any code of @p patch. */
HFX_MUST_CHECK struct hfx_error *
engine_guard_patch(const struct engine_patch *patch, struct engine_plan *plan);

/**
 * No thread may be inside the code that @p patch has for its function
 * @p index, but for the place of a jump at its start.
 */
HFX_MUST_CHECK struct hfx_error *
engine_guard_function(const struct engine_patch *patch, size_t index,
                      struct engine_plan *plan);

/** Note the images of all patches of the process, for the unwinder. */
HFX_MUST_CHECK struct hfx_error *
engine_guard_images(const struct engine *engine, struct engine_plan *plan);

/* ---- engine_region.c --------------------------------------------------- */

#define SCRATCH_ROOM UINT64_C(4096)
/** Where in it the job of a hook is; unwinders have what is before. */
#define SCRATCH_JOB_OFF 3072

/**
 * A reserved range of the process: guard page, record, image, and at its end
 * SCRATCH_ROOM bytes that stay inaccessible until an unwinder or a
 * hook needs them.
 */
struct engine_region {
	uint64_t addr;
	uint64_t size;
	/** Bytes for the record, from `addr + RECORD_OFF`. */
	uint64_t record_room;
	uint64_t image_bias;
};

/** Reserve @p size bytes, whole pages, near this range; inaccessible. */
HFX_MUST_CHECK struct hfx_error *engine_region_reserve(struct engine *engine,
                                                       uint64_t size,
                                                       uint64_t near_start_addr,
                                                       uint64_t near_end_addr,
                                                       uint64_t *addr_ret);

/**
 * Reserve a region near [@p near_start_addr, @p near_end_addr), inaccessible
 * but for the record's pages, which are readable.
 */
HFX_MUST_CHECK struct hfx_error *
engine_region_create(struct engine *engine, const struct image_load *image,
                     uint64_t record_room, uint64_t near_start_addr,
                     uint64_t near_end_addr, struct engine_region *ret);

/** Write the relocated image, with each segment's protection. */
HFX_MUST_CHECK struct hfx_error *
engine_region_fill(struct target *target, const struct engine_region *region,
                   const struct image_load *image);

/** Make the scratch bytes of a region writable, and give where they are. */
HFX_MUST_CHECK struct hfx_error *
engine_region_open_scratch(struct target *target,
                           const struct engine_region *region,
                           uint64_t *addr_ret);

/** Give the range back; failing to is no error. */
void engine_region_destroy(struct target *target, uint64_t addr, uint64_t size);

#endif /* HFX_RUNTIME_ENGINE_PRIVATE_H */
