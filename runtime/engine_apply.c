/* SPDX-License-Identifier: MIT */
/*
 * Applying a bundle, step by step: each step for all its modules before the
 * next one. Until the commit nothing that runs in the process can notice, and
 * each failure gives back what was reserved. One commit writes the jumps of all
 * modules.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "engine_apply.h"
#include "log.h"

static void apply_deinit(struct apply *apply)
{
	buffer_deinit(&apply->saved_record);
	image_load_deinit(&apply->image);
}

static void change_deinit(struct change *change)
{
	engine_plan_deinit(&change->plan);
	for (size_t i = 0; i < change->num_applies; i++)
		apply_deinit(&change->applies[i]);
	free(change->applies);
	engine_patches_deinit(&change->coming);
	engine_close(&change->engine);
}

/* ---- The plan ---------------------------------------------------------- */

/** Patches that replace the same function: their code of it counts, too. */
static struct hfx_error *guard_below(struct change *change,
                                     uint64_t old_live_addr)
{
	const struct engine *engine = &change->engine;
	size_t i = engine_function_from(engine, old_live_addr);

	for (; i < engine->num_functions &&
	       engine->functions[i].old_live_addr == old_live_addr;
	     i++)
		HFX_TRY(engine_guard_function(
			&engine->patches.patches[engine->functions[i].patch],
			engine->functions[i].function, &change->plan));
	return NULL;
}

static struct hfx_error *guard_module(struct change *change,
                                      const struct apply *apply)
{
	const struct manifest_module *manifest = apply->manifest;
	const struct engine_patch *patch = apply->patch;

	for (size_t i = 0; i < patch->num_functions; i++) {
		const struct record_function *f = &patch->functions[i];

		HFX_TRY(engine_plan_guard(&change->plan,
		                          f->old_live_addr + f->old_entry + 1,
		                          f->old_live_addr + f->old_size,
		                          patch->function_names[i]));
		HFX_TRY(guard_below(change, f->old_live_addr));
	}
	for (size_t i = 0; i < manifest->num_old_code; i++) {
		const struct manifest_old_code *code = &manifest->old_code[i];
		uint64_t live_addr = patch->module_bias + code->old_addr;

		HFX_TRY(engine_plan_guard(
			&change->plan, live_addr, live_addr + code->old_size,
			manifest->functions[code->function].name));
	}
	return NULL;
}

/** Which code no thread may be inside. */
static struct hfx_error *guard_plan(struct change *change)
{
	if (change->options && change->options->allow_active)
		return NULL;
	for (size_t i = 0; i < change->num_applies; i++)
		HFX_TRY(guard_module(change, &change->applies[i]));
	HFX_TRY(engine_guard_leaving(&change->engine, &change->plan));
	return engine_guard_images(&change->engine, &change->plan);
}

/** What is at a site now: the newest jump of an applied patch, or `before`. */
static const uint8_t *bytes_in_place(const struct engine *engine,
                                     const struct record_site *site)
{
	size_t end = engine_site_from(engine, site->live_addr + 1);

	if (end && engine->sites[end - 1].live_addr == site->live_addr)
		return engine_record_site(engine, end - 1)->after;
	return site->before;
}

static struct hfx_error *plan_sites(struct change *change,
                                    const struct engine_patch *patch)
{
	for (size_t i = 0; i < patch->num_sites; i++)
		HFX_TRY(engine_plan_code(
			&change->plan, patch->sites[i].live_addr,
			bytes_in_place(&change->engine, &patch->sites[i]),
			patch->sites[i].after));
	return NULL;
}

/** Plan the last state of each record: COMMITTING becomes APPLIED. */
static struct hfx_error *plan_arrival(struct change *change)
{
	for (size_t i = 0; i < change->coming.num_patches; i++)
		HFX_TRY(engine_plan_state(&change->plan,
		                          change->coming.patches[i].record_addr,
		                          RECORD_COMMITTING, RECORD_APPLIED));
	return NULL;
}

/**
 * What leaves is marked after what comes, and has left after that has come: so
 * a killed change shows which it was (engine_settle.c).
 */
static struct hfx_error *make_plan(struct change *change)
{
	const struct engine *engine = &change->engine;
	const struct engine_patches *coming = &change->coming;
	struct engine_plan *plan = &change->plan;

	for (size_t i = 0; i < coming->num_patches; i++)
		HFX_TRY(engine_plan_state(plan, coming->patches[i].record_addr,
		                          coming->patches[i].state,
		                          RECORD_COMMITTING));
	HFX_TRY(engine_plan_leaving_states(engine, RECORD_APPLIED,
	                                   RECORD_REVERTING, plan));
	for (size_t i = 0; i < coming->num_patches; i++)
		HFX_TRY(plan_sites(change, &coming->patches[i]));
	HFX_TRY(engine_plan_leaving_sites(engine, coming, plan));
	HFX_TRY(plan_arrival(change));
	return engine_plan_leaving_states(engine, RECORD_REVERTING,
	                                  RECORD_REVERTED, plan);
}

/* ---- Afterwards --------------------------------------------------------- */

/** What is known only after the commit. The patch is applied without it. */
static void note_pause(struct change *change,
                       const struct commit_result *result)
{
	struct target *target = change->engine.target;

	for (size_t i = 0; i < change->coming.num_patches; i++) {
		HFX_CLEANUP(hfx_error_cleanup)
		struct hfx_error *err = target->ops->write(
			target,
			change->coming.patches[i].record_addr +
				offsetof(struct record_header, pause_ns),
			&result->pause_ns, sizeof(result->pause_ns));
	}
}

static void log_applied(const struct change *change,
                        const struct commit_result *result)
{
	for (size_t i = 0; i < change->coming.num_patches; i++) {
		const struct engine_patch *patch = &change->coming.patches[i];

		log_message(HFX_LOG_INFO,
		            "applied %s (%s): %zu functions of %s, %u threads "
		            "stopped for %llu us",
		            patch->name, digest_text(&patch->id).text,
		            patch->num_functions, patch->module_name,
		            result->num_threads,
		            (unsigned long long)result->pause_ns / 1000);
	}
}

/**
 * Leave the process as it was; but what the unwinder knows of, or has run,
 * stays mapped, for a later apply to use again.
 */
static void undo(struct apply *apply)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;

	if (!apply->owns_region)
		err = apply_restore_record(apply);
	else if (apply->patch->flags & RECORD_STAYS)
		err = apply_write_word(apply,
		                       offsetof(struct record_header, state),
		                       RECORD_REVERTED);
	else
		engine_region_destroy(apply->engine->target, apply->region.addr,
		                      apply->region.size);
}

/* ---- The steps --------------------------------------------------------- */

/** Whether the bundle may be applied as the caller wants it. */
static struct hfx_error *check_options(const struct apply *apply)
{
	if (!apply->manifest->needs_safe_point || !apply->options ||
	    !apply->options->allow_active)
		return NULL;
	return hfx_error_create(
		HFX_ERROR_INVALID_ARGUMENT,
		"patch %s needs a safe point: calls of %s that are under way "
		"would go wrong (see the bundle's warnings). Apply it without "
		"allowing active functions (--allow-active, "
		"HFX_APPLY_ALLOW_ACTIVE)",
		apply->bundle->manifest->name, apply->manifest->name);
}

/** Find module @p index of the bundle, unless it is patched already. */
static struct hfx_error *add_module(struct change *change, size_t index)
{
	const struct buffer *image = &change->bundle->images[index];
	struct apply *apply = &change->applies[change->num_applies];
	bool is_applied;

	*apply = (struct apply){
		.engine = &change->engine,
		.bundle = change->bundle,
		.options = change->options,
		.manifest = &change->bundle->manifest->modules[index],
		.image_bytes = image,
		.patch = &change->coming.patches[change->num_applies],
	};
	HFX_TRY(check_options(apply));
	HFX_TRY(apply_find_module(apply, &is_applied));
	if (is_applied)
		return NULL;
	change->num_applies++;
	change->coming.num_patches++;
	return image_load_parse(image->data, image->size, &apply->image);
}

/**
 * A module that was unloaded and loaded again lacks the patch that others still
 * have: then it alone is patched.
 */
static struct hfx_error *find_modules(struct change *change)
{
	const struct manifest *manifest = change->bundle->manifest;
	size_t count = manifest->num_modules;

	change->applies = calloc(count, sizeof(*change->applies));
	change->coming.patches = calloc(count, sizeof(*change->coming.patches));
	if (!change->applies || !change->coming.patches)
		return hfx_error_no_memory();
	for (size_t i = 0; i < count; i++)
		HFX_TRY(add_module(change, i));
	if (change->num_applies)
		return NULL;
	return hfx_error_create(HFX_ERROR_ALREADY_APPLIED,
	                        "%s is already applied", manifest->name);
}

/** Run one step for all modules. */
static struct hfx_error *for_all(struct change *change,
                                 struct hfx_error *(*step)(struct apply *apply))
{
	for (size_t i = 0; i < change->num_applies; i++)
		HFX_TRY(step(&change->applies[i]));
	return NULL;
}

static struct hfx_error *load(struct change *change)
{
	HFX_TRY(for_all(change, apply_load_image));
	for (size_t i = 0; i < change->num_applies; i++)
		HFX_TRY(apply_link_shadow(&change->applies[i], change));
	return for_all(change, apply_find_hooks);
}

static struct hfx_error *prepare(struct change *change)
{
	HFX_TRY(find_modules(change));
	HFX_TRY(change_find_replaced(change));
	HFX_TRY(for_all(change, apply_verify));
	HFX_TRY(for_all(change, apply_describe));
	HFX_TRY(for_all(change, apply_check_stack));
	HFX_TRY(for_all(change, apply_find_unwinder));
	HFX_TRY(load(change));
	HFX_TRY(for_all(change, apply_make_sites));
	HFX_TRY(make_plan(change));
	HFX_TRY(guard_plan(change));
	return for_all(change, apply_write_record);
}

/** The stop of a commit that changes nothing: the state becomes what it is. */
static struct hfx_error *try_stop(struct change *change,
                                  struct commit_result *result)
{
	const struct engine_patch *patch = &change->coming.patches[0];
	struct engine_plan plan = change->plan;
	struct hfx_error *err;

	if (!change->options->try_stop)
		return NULL;
	plan.writes = NULL;
	plan.num_writes = plan.cap_writes = 0;
	err = engine_plan_state(&plan, patch->record_addr, patch->state,
	                        patch->state);
	if (!err)
		err = engine_plan_commit(&plan, change->engine.target,
		                         change->options, result);
	free(plan.writes);
	return err;
}

/** Tell the first @p count modules; where something ends, the last one first.
 */
static void finish_hooks(struct change *change, size_t count,
                         enum manifest_hook hook)
{
	for (size_t i = 0; i < count; i++) {
		size_t k = hook == MANIFEST_POST_APPLY ? i : count - 1 - i;

		engine_hooks_finish(change->engine.target,
		                    &change->coming.patches[k], hook);
	}
}

/** Ask all modules; when one refuses, those before it have begun in vain. */
static struct hfx_error *begin_hooks(struct change *change)
{
	struct target *target = change->engine.target;

	for (size_t i = 0; i < change->coming.num_patches; i++) {
		struct engine_patch *patch = &change->coming.patches[i];
		struct hfx_error *err = engine_hooks_begin(
			target, patch, RECORD_HOOKS_APPLYING);

		if (!err)
			err = engine_hook_ask(target, patch);
		if (!err)
			continue;
		finish_hooks(change, i, MANIFEST_POST_REVERT);
		return err;
	}
	return NULL;
}

/** What pre-apply has begun post-revert ends, also if nothing was applied. */
static struct hfx_error *commit_with_hooks(struct change *change,
                                           struct commit_result *result)
{
	struct hfx_error *err;

	HFX_TRY(begin_hooks(change));
	err = engine_plan_commit(&change->plan, change->engine.target,
	                         change->options, result);
	if (hfx_error_code(err) != HFX_ERROR_POISONED)
		finish_hooks(change, change->coming.num_patches,
		             err ? MANIFEST_POST_REVERT : MANIFEST_POST_APPLY);
	return err;
}

/** Whether a module is not there that may be waited for. */
static bool has_to_wait(const struct change *change)
{
	const struct manifest *manifest = change->bundle->manifest;

	if (!change->options || !change->options->waits_ret)
		return false;
	for (size_t i = 0; i < manifest->num_modules; i++)
		if (!engine_has_build(&change->engine,
		                      &manifest->modules[i].old_build_id))
			return true;
	return false;
}

static struct hfx_error *run(struct change *change,
                             struct commit_result *result)
{
	bool is_dry_run = change->options && change->options->dry_run;
	struct hfx_error *err;

	if (has_to_wait(change)) {
		HFX_TRY(engine_check_waiting(change->bundle));
		*change->options->waits_ret = true;
		return NULL;
	}
	err = prepare(change);

	if (!err && is_dry_run)
		err = try_stop(change, result);
	if (!err && !is_dry_run)
		err = for_all(change, apply_register_unwind);
	if (!err && !is_dry_run)
		err = commit_with_hooks(change, result);
	if (hfx_error_code(err) == HFX_ERROR_POISONED)
		return err;
	if (err || is_dry_run) {
		for (size_t i = change->num_applies; i-- > 0;)
			undo(&change->applies[i]);
		return err;
	}
	note_pause(change, result);
	log_applied(change, result);
	engine_note_left(&change->engine);
	return NULL;
}

struct hfx_error *engine_apply(struct target *target,
                               const struct bundle *bundle,
                               const struct engine_options *options,
                               struct commit_result *result_ret)
{
	HFX_CLEANUP(change_deinit)
	struct change change = {
		.engine = {.lock_fd = -1},
		.bundle = bundle,
		.options = options,
	};
	struct commit_result result = {0};

	HFX_TRY(engine_open(target, options, &change.engine));
	HFX_TRY(run(&change, &result));
	for (size_t i = 0; i < change.num_applies; i++)
		result.num_calls += change.applies[i].num_calls;
	if (result_ret)
		*result_ret = result;
	return NULL;
}
