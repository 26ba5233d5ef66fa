/* SPDX-License-Identifier: MIT */
/*
 * What a killed hfx has left behind.
 *
 * PREPARED: no jump leads to the image yet, so its memory is given back, unless
 * the unwinder knows of it or a hook may have run: then it counts as REVERTED.
 *
 * COMMITTING, REVERTING: some jumps are written, others are not. Only one
 * change is made at a time, so all records in these states are of the same one,
 * and together they say which: COMMITTING is what it was to bring, REVERTING
 * beside it what that was to take the place of, REVERTING alone what it was to
 * take back. States are written before and behind all code, one after the
 * other; so where one record of a patch of several modules has its last state
 * already, or has its first one still, the code is all new or all old.
 *
 * What is brought is undone, and what it was to replace is put back, unless all
 * of its code is written; what was taken back comes off, unless nothing was.
 * Each site says what belongs there. The records that end as APPLIED are
 * written first: killed in between, this comes to the same end again.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "engine_private.h"
#include "image.h"

/** Whether all of the region is memory without a file, as it was made. */
static bool region_is_ours(const struct engine *engine,
                           const struct engine_patch *patch)
{
	uint64_t end = patch->region_addr + patch->region_size;

	if (!maps_cover(&engine->maps, patch->region_addr, patch->region_size,
	                0))
		return false;
	for (size_t i = 0; i < engine->maps.num_mappings; i++) {
		const struct mapping *mapping = &engine->maps.mappings[i];

		if (mapping->end_addr > patch->region_addr &&
		    mapping->start_addr < end &&
		    (mapping->inode || !mapping->is_private))
			return false;
	}
	return true;
}

static bool is_half_way(const struct engine_patch *patch)
{
	return patch->state == RECORD_COMMITTING ||
	       patch->state == RECORD_REVERTING;
}

/* ---- What becomes of each patch ---------------------------------------- */

/** Whether another module of the same patch is in the state APPLIED. */
static bool is_applied_elsewhere(const struct engine_patches *patches,
                                 const struct engine_patch *patch)
{
	for (size_t i = 0; i < patches->num_patches; i++)
		if (patches->patches[i].state == RECORD_APPLIED &&
		    digest_equal(&patches->patches[i].id, &patch->id))
			return true;
	return false;
}

/** Whether something is undone that was to take the place of others. */
static bool goes_back(const struct engine_patches *patches)
{
	for (size_t i = 0; i < patches->num_patches; i++)
		if (patches->patches[i].state == RECORD_COMMITTING &&
		    !is_applied_elsewhere(patches, &patches->patches[i]))
			return true;
	return false;
}

static enum record_state settled_state(const struct engine_patches *patches,
                                       const struct engine_patch *patch)
{
	bool stays;

	if (!is_half_way(patch))
		return patch->state;
	stays = is_applied_elsewhere(patches, patch) ||
	        (patch->state == RECORD_REVERTING && goes_back(patches));
	return stays ? RECORD_APPLIED : RECORD_REVERTED;
}

/* ---- What becomes of each place ---------------------------------------- */

/** What may be at a place, and what shall be. */
struct place_bytes {
	uint8_t now[SITE_SIZE];
	const uint8_t *wanted;
	bool is_known;
};

static bool is_now(const struct place_bytes *bytes, const uint8_t *other)
{
	return !memcmp(bytes->now, other, JUMP_SIZE);
}

/** Go through all patches with a jump at @p live_addr, the oldest first. */
static void look_at(const struct engine *engine,
                    const enum record_state *settled, uint64_t live_addr,
                    struct place_bytes *bytes)
{
	const struct engine_patches *patches = &engine->patches;

	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *patch = &patches->patches[i];
		const struct record_site *site = NULL;

		if ((is_half_way(patch) || patch->state == RECORD_APPLIED) &&
		    engine_module_of(engine, patch))
			site = engine_patch_site(patch, live_addr);
		if (!site)
			continue;
		bytes->is_known = bytes->is_known ||
		                  is_now(bytes, site->before) ||
		                  is_now(bytes, site->after);
		if (!bytes->wanted)
			bytes->wanted = site->before;
		if (settled[i] == RECORD_APPLIED)
			bytes->wanted = site->after;
	}
}

/** Whether a half-way patch before the one at @p index has the place, too. */
static bool is_seen(const struct engine *engine, size_t index,
                    uint64_t live_addr)
{
	for (size_t i = 0; i < index; i++) {
		const struct engine_patch *patch = &engine->patches.patches[i];

		if (is_half_way(patch) && engine_module_of(engine, patch) &&
		    engine_patch_site(patch, live_addr))
			return true;
	}
	return false;
}

static struct hfx_error *plan_site(const struct engine *engine,
                                   const enum record_state *settled,
                                   const struct engine_patch *patch,
                                   const struct record_site *site,
                                   struct engine_plan *plan)
{
	struct place_bytes bytes = {0};

	HFX_TRY(engine_check_site(engine, patch, site));
	HFX_TRY(engine->target->ops->read(engine->target, site->live_addr,
	                                  bytes.now, JUMP_SIZE));
	look_at(engine, settled, site->live_addr, &bytes);
	if (!bytes.is_known)
		return hfx_error_create(HFX_ERROR_POISONED,
		                        "%s was left half-way, and the code at "
		                        "%#llx is neither old nor new",
		                        patch->name,
		                        (unsigned long long)site->live_addr);
	if (is_now(&bytes, bytes.wanted))
		return NULL;
	return engine_plan_code(plan, site->live_addr, bytes.now, bytes.wanted);
}

static struct hfx_error *plan_sites(const struct engine *engine,
                                    const enum record_state *settled,
                                    struct engine_plan *plan)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *patch = &engine->patches.patches[i];

		/* Without the module there is no code to put back. */
		if (!is_half_way(patch) || !engine_module_of(engine, patch))
			continue;
		for (size_t k = 0; k < patch->num_sites; k++)
			if (!is_seen(engine, i, patch->sites[k].live_addr))
				HFX_TRY(plan_site(engine, settled, patch,
				                  &patch->sites[k], plan));
	}
	return NULL;
}

static struct hfx_error *plan_states(const struct engine *engine,
                                     const enum record_state *settled,
                                     enum record_state wanted,
                                     struct engine_plan *plan)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *patch = &engine->patches.patches[i];

		if (is_half_way(patch) && settled[i] == wanted)
			HFX_TRY(engine_plan_state(plan, patch->record_addr,
			                          patch->state, wanted));
	}
	return NULL;
}

static struct hfx_error *settle_all(struct engine *engine,
                                    const struct engine_options *options,
                                    const enum record_state *settled)
{
	HFX_CLEANUP(engine_plan_deinit) struct engine_plan plan = {0};
	struct commit_result result;

	HFX_TRY(plan_sites(engine, settled, &plan));
	HFX_TRY(plan_states(engine, settled, RECORD_APPLIED, &plan));
	HFX_TRY(plan_states(engine, settled, RECORD_REVERTED, &plan));
	HFX_TRY(engine_plan_commit(&plan, engine->target, options, &result));
	for (size_t i = 0; i < engine->patches.num_patches; i++)
		engine->patches.patches[i].state = settled[i];
	return NULL;
}

static struct hfx_error *settle_half_way(struct engine *engine,
                                         const struct engine_options *options)
{
	const struct engine_patches *patches = &engine->patches;
	HFX_CLEANUP(hfx_free)
	enum record_state *settled =
		calloc(patches->num_patches + 1, sizeof(*settled));
	const struct engine_patch *newest = NULL;

	if (!settled)
		return hfx_error_no_memory();
	for (size_t i = 0; i < patches->num_patches; i++) {
		settled[i] = settled_state(patches, &patches->patches[i]);
		if (is_half_way(&patches->patches[i]))
			newest = &patches->patches[i];
	}
	if (!newest)
		return NULL;
	return hfx_error_wrap(settle_all(engine, options, settled),
	                      "undo %s, which was left half-way", newest->name);
}

/* ---- Memory ------------------------------------------------------------ */

static void forget_patch(struct engine_patches *patches, size_t i)
{
	engine_patch_deinit(&patches->patches[i]);
	patches->num_patches--;
	memmove(&patches->patches[i], &patches->patches[i + 1],
	        (patches->num_patches - i) * sizeof(*patches->patches));
}

/**
 * Whether nothing leads to the region, or ever did: no jump was written, or the
 * module that had them is gone, with all that could call what is in there.
 */
static bool is_unused(const struct engine *engine,
                      const struct engine_patch *patch)
{
	if (patch->flags & RECORD_STAYS)
		return false;
	if (patch->state == RECORD_PREPARED)
		return true;
	return patch->state == RECORD_UNLOADED &&
	       !engine_module_of(engine, patch) &&
	       !engine_has_shadow_table(patch);
}

static struct hfx_error *give_back_memory(struct engine *engine)
{
	struct engine_patches *patches = &engine->patches;
	bool is_changed = false;

	for (size_t i = patches->num_patches; i-- > 0;) {
		const struct engine_patch *patch = &patches->patches[i];

		if (!is_unused(engine, patch) || !region_is_ours(engine, patch))
			continue;
		engine_region_destroy(engine->target, patch->region_addr,
		                      patch->region_size);
		forget_patch(patches, i);
		is_changed = true;
	}
	if (!is_changed)
		return NULL;
	maps_deinit(&engine->maps);
	return maps_read(engine->target->pid, &engine->maps);
}

/** What stays is kept for the next apply of the same bundle. */
static struct hfx_error *settle_kept(struct engine *engine)
{
	const uint32_t reverted = RECORD_REVERTED;

	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		struct engine_patch *patch = &engine->patches.patches[i];

		if (patch->state != RECORD_PREPARED ||
		    !(patch->flags & RECORD_STAYS))
			continue;
		HFX_TRY(engine->target->ops->write(
			engine->target,
			patch->record_addr +
				offsetof(struct record_header, state),
			&reverted, sizeof(reverted)));
		patch->state = RECORD_REVERTED;
	}
	return NULL;
}

struct hfx_error *engine_settle(struct engine *engine,
                                const struct engine_options *options)
{
	HFX_TRY(settle_half_way(engine, options));
	if (!options || !options->dry_run)
		engine_hooks_settle(engine);
	HFX_TRY(settle_kept(engine));
	return give_back_memory(engine);
}
