/* SPDX-License-Identifier: MIT */
/*
 * Applying a bundle, step by step. Until the commit nothing that runs in the
 * process can notice, and each failure gives back what was reserved.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "engine_apply.h"
#include "log.h"

static void apply_deinit(struct apply *apply)
{
	engine_plan_deinit(&apply->plan);
	engine_patch_deinit(&apply->patch);
	buffer_deinit(&apply->saved_record);
	image_load_deinit(&apply->image);
	engine_close(&apply->engine);
}

/* ---- What the record says ---------------------------------------------- */

static struct hfx_error *copy_text(const char *text, char **ret)
{
	*ret = strdup(text);
	return *ret ? NULL : hfx_error_no_memory();
}

static size_t count_changed(const struct manifest_module *manifest)
{
	size_t count = 0;

	for (size_t i = 0; i < manifest->num_functions; i++)
		count += manifest->functions[i].kind ==
		         MANIFEST_FUNCTION_CHANGED;
	return count;
}

static struct hfx_error *describe_texts(struct apply *apply)
{
	const struct manifest *manifest = apply->bundle->manifest;
	struct engine_patch *patch = &apply->patch;

	HFX_TRY(copy_text(manifest->name, &patch->name));
	HFX_TRY(copy_text(manifest->version, &patch->version));
	HFX_TRY(copy_text(manifest->description, &patch->description));
	return copy_text(apply->manifest->name, &patch->module_name);
}

static struct record_function
describe_function(const struct apply *apply, const struct manifest_function *f)
{
	struct record_function function = {
		.old_live_addr = apply->module->bias + f->old_addr,
		.old_size = f->old_size,
		.new_live_addr = f->new_addr,
		.new_size = f->new_size,
		.old_entry = f->old_entry,
		.new_entry = f->new_entry,
	};

	memcpy(function.signature_digest, f->signature_digest.bytes,
	       sizeof(function.signature_digest));
	return function;
}

/** Parts are of the function at their whole's place in `patch->functions`. */
static struct hfx_error *describe_code(struct apply *apply)
{
	const struct manifest_module *manifest = apply->manifest;
	struct engine_patch *patch = &apply->patch;
	HFX_CLEANUP(hfx_free)
	uint32_t *indexes =
		calloc(manifest->num_functions + 1, sizeof(*indexes));
	uint32_t next = 0;

	patch->code = calloc(manifest->num_functions + 1, sizeof(*patch->code));
	patch->code_names =
		calloc(manifest->num_functions + 1, sizeof(*patch->code_names));
	if (!indexes || !patch->code || !patch->code_names)
		return hfx_error_no_memory();
	for (size_t i = 0; i < manifest->num_functions; i++)
		indexes[i] =
			manifest->functions[i].kind == MANIFEST_FUNCTION_CHANGED
				? next++
				: RECORD_NO_FUNCTION;
	for (size_t i = 0; i < manifest->num_functions; i++) {
		const struct manifest_function *f = &manifest->functions[i];

		if (f->kind == MANIFEST_FUNCTION_CHANGED)
			continue;
		patch->code[patch->num_code++] = (struct record_code){
			.live_addr = f->new_addr,
			.size = f->new_size,
			.function =
				f->kind == MANIFEST_FUNCTION_PART &&
						f->whole != MANIFEST_NO_WHOLE
					? indexes[f->whole]
					: RECORD_NO_FUNCTION,
		};
		HFX_TRY(copy_text(f->name,
		                  &patch->code_names[patch->num_code - 1]));
	}
	return NULL;
}

/** All but addresses of the image, which apply_load_image() adds. */
static struct hfx_error *describe(struct apply *apply)
{
	struct engine_patch *patch = &apply->patch;
	size_t count = count_changed(apply->manifest);

	patch->id = apply->bundle->id;
	patch->build_id = apply->module->build_id;
	patch->module_bias = apply->module->bias;
	/* The word in the record is written again when this changes. */
	patch->flags = RECORD_LAYOUT;
	patch->sequence = engine_patches_sequence(&apply->engine.patches) + 1;
	patch->generation =
		engine_patches_generation(&apply->engine.patches) + 1;
	HFX_TRY(describe_texts(apply));
	HFX_TRY(describe_code(apply));
	patch->eh_frame_addr = apply->image.eh_frame_addr;
	patch->functions = calloc(count + 1, sizeof(*patch->functions));
	patch->function_names =
		calloc(count + 1, sizeof(*patch->function_names));
	if (!patch->functions || !patch->function_names)
		return hfx_error_no_memory();
	for (size_t i = 0; i < apply->manifest->num_functions; i++) {
		const struct manifest_function *f =
			&apply->manifest->functions[i];

		if (f->kind != MANIFEST_FUNCTION_CHANGED)
			continue;
		patch->functions[patch->num_functions] =
			describe_function(apply, f);
		patch->num_functions++;
		HFX_TRY(copy_text(
			f->name,
			&patch->function_names[patch->num_functions - 1]));
	}
	return NULL;
}

/* ---- The plan ---------------------------------------------------------- */

/** Patches that replace the same function: their code of it counts, too. */
static struct hfx_error *guard_below(struct apply *apply,
                                     uint64_t old_live_addr)
{
	const struct engine *engine = &apply->engine;
	size_t i = engine_function_from(engine, old_live_addr);

	for (; i < engine->num_functions &&
	       engine->functions[i].old_live_addr == old_live_addr;
	     i++)
		HFX_TRY(engine_guard_function(
			&engine->patches.patches[engine->functions[i].patch],
			engine->functions[i].function, &apply->plan));
	return NULL;
}

/** Which code no thread may be inside. */
static struct hfx_error *guard_plan(struct apply *apply)
{
	const struct manifest_module *manifest = apply->manifest;
	const struct engine_patch *patch = &apply->patch;

	if (apply->options && apply->options->allow_active)
		return NULL;
	for (size_t i = 0; i < patch->num_functions; i++) {
		const struct record_function *f = &patch->functions[i];

		HFX_TRY(engine_plan_guard(&apply->plan,
		                          f->old_live_addr + f->old_entry + 1,
		                          f->old_live_addr + f->old_size,
		                          patch->function_names[i]));
		HFX_TRY(guard_below(apply, f->old_live_addr));
	}
	for (size_t i = 0; i < manifest->num_old_code; i++) {
		const struct manifest_old_code *code = &manifest->old_code[i];
		uint64_t live_addr = patch->module_bias + code->old_addr;

		HFX_TRY(engine_plan_guard(
			&apply->plan, live_addr, live_addr + code->old_size,
			manifest->functions[code->function].name));
	}
	HFX_TRY(engine_guard_leaving(&apply->engine, &apply->plan));
	return engine_guard_images(&apply->engine, &apply->plan);
}

/** What is at a site now: the newest jump of an applied patch, or `before`. */
static const uint8_t *bytes_in_place(const struct apply *apply,
                                     const struct record_site *site)
{
	const struct engine *engine = &apply->engine;
	size_t end = engine_site_from(engine, site->live_addr + 1);

	if (end && engine->sites[end - 1].live_addr == site->live_addr)
		return engine_record_site(engine, end - 1)->after;
	return site->before;
}

/**
 * What leaves is marked after what comes, and has left after that has come: so
 * a killed change shows which it was (engine_settle.c).
 */
static struct hfx_error *make_plan(struct apply *apply)
{
	const struct engine *engine = &apply->engine;
	const struct engine_patch *patch = &apply->patch;
	struct engine_plan *plan = &apply->plan;

	HFX_TRY(engine_plan_state(plan, patch->record_addr, patch->state,
	                          RECORD_COMMITTING));
	HFX_TRY(engine_plan_leaving_states(engine, RECORD_APPLIED,
	                                   RECORD_REVERTING, plan));
	for (size_t i = 0; i < patch->num_sites; i++)
		HFX_TRY(engine_plan_code(
			plan, patch->sites[i].live_addr,
			bytes_in_place(apply, &patch->sites[i]),
			patch->sites[i].after));
	HFX_TRY(engine_plan_leaving_sites(engine, patch, plan));
	HFX_TRY(engine_plan_state(plan, patch->record_addr, RECORD_COMMITTING,
	                          RECORD_APPLIED));
	return engine_plan_leaving_states(engine, RECORD_REVERTING,
	                                  RECORD_REVERTED, plan);
}

/* ---- The record -------------------------------------------------------- */

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) +
	       (uint64_t)now.tv_nsec;
}

static struct hfx_error *write_record(struct apply *apply)
{
	struct target *target = apply->engine.target;
	HFX_CLEANUP(buffer_deinit) struct buffer record = {0};

	apply->patch.applied_ns = realtime_ns();
	HFX_TRY(record_format(&apply->patch, &record));
	if (record.size > apply->region.record_room -
	                          record_symbols_size(&apply->patch.symbols))
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "the record of this patch has no room");
	return target->ops->write(target, apply->patch.record_addr, record.data,
	                          record.size);
}

/** What is known only after the commit. The patch is applied without it. */
static void note_pause(struct apply *apply, const struct commit_result *result)
{
	struct target *target = apply->engine.target;
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = target->ops->write(
		target,
		apply->patch.record_addr +
			offsetof(struct record_header, pause_ns),
		&result->pause_ns, sizeof(result->pause_ns));
}

struct hfx_error *apply_write_word(struct apply *apply, uint64_t header_off,
                                   uint32_t value)
{
	struct target *target = apply->engine.target;

	return target->ops->write(target, apply->patch.record_addr + header_off,
	                          &value, sizeof(value));
}

/** Put back the record of the earlier life, with what has been added since. */
static struct hfx_error *restore_record(struct apply *apply)
{
	struct target *target = apply->engine.target;

	if (!apply->saved_record.data)
		return NULL;
	HFX_TRY(target->ops->write(target, apply->patch.record_addr,
	                           apply->saved_record.data,
	                           apply->saved_record.size));
	return apply_write_word(apply, offsetof(struct record_header, flags),
	                        apply->previous->flags |
	                                (apply->patch.flags &
	                                 (RECORD_STAYS | RECORD_HOOKS_OWED)));
}

/**
 * Leave the process as it was; but what the unwinder knows of, or has run,
 * stays mapped, for a later apply to use again.
 */
static void undo(struct apply *apply)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;

	if (!apply->owns_region)
		err = restore_record(apply);
	else if (apply->patch.flags & RECORD_STAYS)
		err = apply_write_word(apply,
		                       offsetof(struct record_header, state),
		                       RECORD_REVERTED);
	else
		engine_region_destroy(apply->engine.target, apply->region.addr,
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

static struct hfx_error *prepare(struct apply *apply)
{
	const struct buffer *image = &apply->bundle->images[0];

	HFX_TRY(check_options(apply));
	HFX_TRY(image_load_parse(image->data, image->size, &apply->image));
	HFX_TRY(apply_find_module(apply));
	HFX_TRY(apply_find_replaced(apply));
	HFX_TRY(apply_verify(apply));
	HFX_TRY(describe(apply));
	HFX_TRY(apply_check_stack(apply));
	HFX_TRY(apply_load_image(apply));
	HFX_TRY(apply_link_shadow(apply));
	HFX_TRY(apply_find_hooks(apply));
	HFX_TRY(apply_make_sites(apply));
	HFX_TRY(make_plan(apply));
	HFX_TRY(guard_plan(apply));
	return write_record(apply);
}

/** The stop of a commit that changes nothing: the state becomes what it is. */
static struct hfx_error *try_stop(struct apply *apply,
                                  struct commit_result *result)
{
	struct engine_plan plan = apply->plan;
	struct hfx_error *err;

	if (!apply->options->try_stop)
		return NULL;
	plan.writes = NULL;
	plan.num_writes = plan.cap_writes = 0;
	err = engine_plan_state(&plan, apply->patch.record_addr,
	                        apply->patch.state, apply->patch.state);
	if (!err)
		err = engine_plan_commit(&plan, apply->engine.target,
		                         apply->options, result);
	free(plan.writes);
	return err;
}

/** What pre-apply has begun post-revert ends, also if nothing was applied. */
static struct hfx_error *commit_with_hooks(struct apply *apply,
                                           struct commit_result *result)
{
	struct target *target = apply->engine.target;
	struct engine_patch *patch = &apply->patch;
	struct hfx_error *err;

	HFX_TRY(engine_hooks_begin(target, patch, RECORD_HOOKS_APPLYING));
	HFX_TRY(engine_hook_ask(target, patch));
	err = engine_plan_commit(&apply->plan, target, apply->options, result);
	if (hfx_error_code(err) != HFX_ERROR_POISONED)
		engine_hooks_finish(target, patch,
		                    err ? MANIFEST_POST_REVERT
		                        : MANIFEST_POST_APPLY);
	return err;
}

static struct hfx_error *run(struct apply *apply, struct commit_result *result)
{
	bool is_dry_run = apply->options && apply->options->dry_run;
	struct hfx_error *err = prepare(apply);

	if (!err)
		err = apply_find_unwinder(apply);
	if (!err && is_dry_run)
		err = try_stop(apply, result);
	if (!err && !is_dry_run)
		err = apply_register_unwind(apply);
	if (!err && !is_dry_run)
		err = commit_with_hooks(apply, result);
	if (hfx_error_code(err) == HFX_ERROR_POISONED)
		return err;
	if (err || is_dry_run) {
		undo(apply);
		return err;
	}
	note_pause(apply, result);
	log_message(
		HFX_LOG_INFO,
		"applied %s (%s): %zu functions of %s, %u threads stopped for "
		"%llu us",
		apply->patch.name, digest_text(&apply->patch.id).text,
		apply->patch.num_functions, apply->patch.module_name,
		result->num_threads,
		(unsigned long long)result->pause_ns / 1000);
	engine_note_left(&apply->engine);
	return NULL;
}

struct hfx_error *engine_apply(struct target *target,
                               const struct bundle *bundle,
                               const struct engine_options *options,
                               struct commit_result *result_ret)
{
	HFX_CLEANUP(apply_deinit)
	struct apply apply = {
		.engine = {.lock_fd = -1},
		.bundle = bundle,
		.options = options,
		.manifest = &bundle->manifest->modules[0],
	};
	struct commit_result result = {0};

	if (bundle->manifest->num_modules != 1)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "the bundle patches %zu modules, this "
		                        "hfx only one at a time",
		                        bundle->manifest->num_modules);
	HFX_TRY(engine_open(target, options, &apply.engine));
	HFX_TRY(run(&apply, &result));
	result.num_calls = apply.num_calls;
	if (result_ret)
		*result_ret = result;
	return NULL;
}
