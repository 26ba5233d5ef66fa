/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "cleanup.h"
#include "engine_private.h"

static struct hfx_error *make_plan(const struct engine *engine,
                                   struct engine_plan *plan)
{
	HFX_TRY(engine_plan_leaving_states(engine, RECORD_APPLIED,
	                                   RECORD_REVERTING, plan));
	HFX_TRY(engine_plan_leaving_sites(engine, NULL, plan));
	return engine_plan_leaving_states(engine, RECORD_REVERTING,
	                                  RECORD_REVERTED, plan);
}

/** Which code no thread may be inside. */
static struct hfx_error *guard_plan(const struct engine *engine,
                                    struct engine_plan *plan)
{
	HFX_TRY(engine_guard_leaving(engine, plan));
	return engine_guard_images(engine, plan);
}

/** Revert what leaves. */
static struct hfx_error *revert(const struct engine *engine,
                                const struct engine_options *options,
                                struct commit_result *result_ret)
{
	HFX_CLEANUP(engine_plan_deinit) struct engine_plan plan = {0};
	struct commit_result result = {0};
	struct hfx_error *err;

	HFX_TRY(make_plan(engine, &plan));
	if (!options || !options->allow_active)
		HFX_TRY(guard_plan(engine, &plan));
	if (options && options->dry_run)
		return NULL;
	engine_hooks_begin_leaving(engine);
	err = engine_plan_commit(&plan, engine->target, options, &result);
	if (!err)
		engine_hooks_finish_leaving(engine, MANIFEST_POST_REVERT);
	else if (hfx_error_code(err) != HFX_ERROR_POISONED)
		engine_hooks_finish_leaving(engine, MANIFEST_POST_APPLY);
	HFX_TRY(err);
	if (result_ret)
		*result_ret = result;
	engine_note_left(engine);
	return NULL;
}

struct hfx_error *engine_revert(struct target *target, const struct digest *id,
                                const struct engine_options *options,
                                struct commit_result *result_ret)
{
	HFX_CLEANUP(engine_close) struct engine engine = {.lock_fd = -1};

	HFX_TRY(engine_open(target, options, &engine));
	if (!engine_find_applied(&engine, id))
		return engine_not_applied(&engine, id);
	engine_leave(&engine, id);
	HFX_TRY(engine_check_leaving(&engine));
	return revert(&engine, options, result_ret);
}

struct hfx_error *engine_revert_all(struct target *target,
                                    const struct engine_options *options,
                                    struct commit_result *result_ret)
{
	HFX_CLEANUP(engine_close) struct engine engine = {.lock_fd = -1};

	HFX_TRY(engine_open(target, options, &engine));
	engine_leave_all(&engine);
	for (size_t i = 0; i < engine.patches.num_patches; i++)
		if (engine.leaves[i])
			return revert(&engine, options, result_ret);
	if (result_ret)
		*result_ret = (struct commit_result){0};
	return NULL;
}
