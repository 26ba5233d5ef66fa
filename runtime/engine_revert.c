/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "engine_private.h"
#include "image.h"
#include "log.h"

/** Whether a site of @p later stands on @p patch: in its code or its place. */
static bool stands_on(const struct engine_patch *patch,
                      const struct engine_patch *later, uint64_t live_addr)
{
	if (live_addr >= patch->region_addr &&
	    live_addr - patch->region_addr < patch->region_size)
		return true;
	if (later->sequence < patch->sequence)
		return false;
	return engine_patch_site(patch, live_addr) != NULL;
}

static struct hfx_error *check_order(const struct engine *engine,
                                     const struct engine_patch *patch)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *later = &engine->patches.patches[i];

		if (later == patch || later->state != RECORD_APPLIED ||
		    !engine_module_of(engine, later))
			continue;
		for (size_t k = 0; k < later->num_sites; k++)
			if (stands_on(patch, later, later->sites[k].live_addr))
				return hfx_error_create(
					HFX_ERROR_ORDER,
					"%s was applied on top of %s; revert "
					"%s first",
					later->name, patch->name, later->name);
	}
	return NULL;
}

static struct engine_patch *find_applied(const struct engine *engine,
                                         const struct digest *id)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		struct engine_patch *patch = &engine->patches.patches[i];

		if (patch->state == RECORD_APPLIED &&
		    digest_equal(&patch->id, id))
			return patch;
	}
	return NULL;
}

/**
 * Plan to put back what is at sites [@p first, @p end) of the index, which are
 * of one place and in the order of their patches: from the newest jump to what
 * the oldest one replaced.
 */
static struct hfx_error *plan_place(const struct engine *engine, size_t first,
                                    size_t end, struct engine_plan *plan)
{
	const struct record_site *oldest = engine_record_site(engine, first);
	const struct record_site *newest = engine_record_site(engine, end - 1);

	HFX_TRY(engine_check_site(
		engine, &engine->patches.patches[engine->sites[first].patch],
		oldest));
	return engine_plan_code(plan, oldest->live_addr, newest->after,
	                        oldest->before);
}

static bool is_applied(const struct engine_patch *patch)
{
	return patch->state == RECORD_APPLIED;
}

/** Plan the states of all that is reverted: @p patch, or `NULL` for all. */
static struct hfx_error *plan_states(const struct engine *engine,
                                     const struct engine_patch *patch,
                                     enum record_state before,
                                     enum record_state after,
                                     struct engine_plan *plan)
{
	for (size_t i = engine->patches.num_patches; i-- > 0;) {
		const struct engine_patch *one = &engine->patches.patches[i];

		if (patch ? one == patch : is_applied(one))
			HFX_TRY(engine_plan_state(plan, one->record_addr,
			                          before, after));
	}
	return NULL;
}

static struct hfx_error *plan_one(const struct engine *engine,
                                  const struct engine_patch *patch,
                                  struct engine_plan *plan)
{
	/* A module that was unloaded took its jumps along. */
	if (!engine_module_of(engine, patch))
		return NULL;
	for (size_t i = 0; i < patch->num_sites; i++) {
		HFX_TRY(engine_check_site(engine, patch, &patch->sites[i]));
		HFX_TRY(engine_plan_code(plan, patch->sites[i].live_addr,
		                         patch->sites[i].after,
		                         patch->sites[i].before));
	}
	return NULL;
}

static struct hfx_error *plan_all(const struct engine *engine,
                                  struct engine_plan *plan)
{
	size_t first = 0;

	for (size_t i = 1; i <= engine->num_sites; i++) {
		if (i < engine->num_sites &&
		    engine->sites[i].live_addr ==
		            engine->sites[first].live_addr)
			continue;
		HFX_TRY(plan_place(engine, first, i, plan));
		first = i;
	}
	return NULL;
}

static struct hfx_error *make_plan(const struct engine *engine,
                                   const struct engine_patch *patch,
                                   struct engine_plan *plan)
{
	HFX_TRY(plan_states(engine, patch, RECORD_APPLIED, RECORD_REVERTING,
	                    plan));
	if (patch)
		HFX_TRY(plan_one(engine, patch, plan));
	else if (engine->num_sites)
		HFX_TRY(plan_all(engine, plan));
	return plan_states(engine, patch, RECORD_REVERTING, RECORD_REVERTED,
	                   plan);
}

/** Which code no thread may be inside: @p patch's, or `NULL` for all. */
static struct hfx_error *guard_plan(const struct engine *engine,
                                    const struct engine_patch *patch,
                                    struct engine_plan *plan)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *one = &engine->patches.patches[i];

		if (patch ? one == patch : is_applied(one))
			HFX_TRY(engine_guard_patch(one, plan));
	}
	return engine_guard_images(engine, plan);
}

/** Count the change in one record. The patch is reverted without it. */
static void note_generation(const struct engine *engine,
                            const struct engine_patch *patch)
{
	struct target *target = engine->target;
	uint64_t generation = engine_patches_generation(&engine->patches) + 1;
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = target->ops->write(
		target,
		patch->record_addr + offsetof(struct record_header, generation),
		&generation, sizeof(generation));
}

static struct hfx_error *revert(const struct engine *engine,
                                const struct engine_patch *patch,
                                const struct engine_options *options,
                                struct commit_result *result_ret)
{
	HFX_CLEANUP(engine_plan_deinit) struct engine_plan plan = {0};
	struct commit_result result = {0};

	HFX_TRY(make_plan(engine, patch, &plan));
	if (!options || !options->allow_active)
		HFX_TRY(guard_plan(engine, patch, &plan));
	if (options && options->dry_run)
		return NULL;
	HFX_TRY(engine_plan_commit(&plan, engine->target, options, &result));
	if (result_ret)
		*result_ret = result;
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *one = &engine->patches.patches[i];

		if (patch ? one != patch : !is_applied(one))
			continue;
		note_generation(engine, one);
		log_message(HFX_LOG_INFO, "reverted %s (%s)", one->name,
		            digest_text(&one->id).text);
	}
	return NULL;
}

struct hfx_error *engine_revert(struct target *target, const struct digest *id,
                                const struct engine_options *options,
                                struct commit_result *result_ret)
{
	HFX_CLEANUP(engine_close) struct engine engine = {.lock_fd = -1};
	const struct engine_patch *patch;

	HFX_TRY(engine_open(target, options, &engine));
	patch = find_applied(&engine, id);
	if (!patch) {
		char text[2 * DIGEST_SIZE + 1];

		hex_encode(id->bytes, sizeof(id->bytes), text);
		return hfx_error_create(HFX_ERROR_NOT_APPLIED,
		                        "no patch %.16s is applied to process "
		                        "%d",
		                        text, (int)target->pid);
	}
	HFX_TRY(check_order(&engine, patch));
	return revert(&engine, patch, options, result_ret);
}

struct hfx_error *engine_revert_all(struct target *target,
                                    const struct engine_options *options,
                                    struct commit_result *result_ret)
{
	HFX_CLEANUP(engine_close) struct engine engine = {.lock_fd = -1};

	HFX_TRY(engine_open(target, options, &engine));
	for (size_t i = 0; i < engine.patches.num_patches; i++)
		if (is_applied(&engine.patches.patches[i]))
			return revert(&engine, NULL, options, result_ret);
	if (result_ret)
		*result_ret = (struct commit_result){0};
	return NULL;
}
