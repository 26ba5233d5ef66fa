/* SPDX-License-Identifier: MIT */
/* Patches that are taken away: reverted, or replaced by another one. */
#include <stddef.h>
#include <string.h>

#include "cleanup.h"
#include "engine_private.h"
#include "image.h"
#include "log.h"

const struct engine_patch *engine_find_applied(const struct engine *engine,
                                               const struct digest *id)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *patch = &engine->patches.patches[i];

		if (engine_patch_is_in_place(patch) &&
		    digest_equal(&patch->id, id))
			return patch;
	}
	return NULL;
}

struct hfx_error *engine_not_applied(const struct engine *engine,
                                     const struct digest *id)
{
	return hfx_error_create(HFX_ERROR_NOT_APPLIED,
	                        "no patch %.16s is applied to process %d",
	                        digest_text(id).text, (int)engine->target->pid);
}

void engine_leave(struct engine *engine, const struct digest *id)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *patch = &engine->patches.patches[i];

		if (engine_patch_is_in_place(patch) &&
		    digest_equal(&patch->id, id))
			engine->leaves[i] = true;
	}
}

void engine_leave_all(struct engine *engine)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++)
		engine->leaves[i] =
			engine_patch_is_in_place(&engine->patches.patches[i]);
}

/* ---- Order ------------------------------------------------------------- */

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

/** Check that nothing that stays stands on @p patch. */
static struct hfx_error *check_one(const struct engine *engine,
                                   const struct engine_patch *patch)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *later = &engine->patches.patches[i];

		if (engine->leaves[i] || later->state != RECORD_APPLIED ||
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

struct hfx_error *engine_check_leaving(const struct engine *engine)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++)
		if (engine->leaves[i])
			HFX_TRY(check_one(engine, &engine->patches.patches[i]));
	return NULL;
}

/* ---- The plan ---------------------------------------------------------- */

/** What waits has nothing to take out, so it leaves in one step. */
static struct hfx_error *plan_state(const struct engine_patch *patch,
                                    enum record_state before,
                                    enum record_state after,
                                    struct engine_plan *plan)
{
	if (patch->state != RECORD_WAITING)
		return engine_plan_state(plan, patch->record_addr, before,
		                         after);
	if (after != RECORD_REVERTED)
		return NULL;
	return engine_plan_state(plan, patch->record_addr, RECORD_WAITING,
	                         after);
}

struct hfx_error *engine_plan_leaving_states(const struct engine *engine,
                                             enum record_state before,
                                             enum record_state after,
                                             struct engine_plan *plan)
{
	for (size_t i = engine->patches.num_patches; i-- > 0;)
		if (engine->leaves[i])
			HFX_TRY(plan_state(&engine->patches.patches[i], before,
			                   after, plan));
	return NULL;
}

static bool have_site(const struct engine_patches *patches, uint64_t live_addr)
{
	for (size_t i = 0; patches && i < patches->num_patches; i++)
		if (engine_patch_site(&patches->patches[i], live_addr))
			return true;
	return false;
}

/**
 * Plan sites [@p first, @p end) of the index, which are of one place and in the
 * order of their patches: those that leave are the newest ones.
 */
static struct hfx_error *plan_place(const struct engine *engine, size_t first,
                                    size_t end,
                                    const struct engine_patches *successors,
                                    struct engine_plan *plan)
{
	const struct record_site *newest = engine_record_site(engine, end - 1);
	const struct record_site *oldest;

	while (first < end && !engine->leaves[engine->sites[first].patch])
		first++;
	if (first == end || have_site(successors, newest->live_addr))
		return NULL;
	oldest = engine_record_site(engine, first);
	HFX_TRY(engine_check_site(
		engine, &engine->patches.patches[engine->sites[first].patch],
		oldest));
	return engine_plan_code(plan, oldest->live_addr, newest->after,
	                        oldest->before);
}

struct hfx_error *
engine_plan_leaving_sites(const struct engine *engine,
                          const struct engine_patches *successors,
                          struct engine_plan *plan)
{
	size_t first = 0;

	/* The index lacks modules that were unloaded: they took theirs along.
	 */
	for (size_t i = 1; i <= engine->num_sites; i++) {
		if (i < engine->num_sites &&
		    engine->sites[i].live_addr ==
		            engine->sites[first].live_addr)
			continue;
		HFX_TRY(plan_place(engine, first, i, successors, plan));
		first = i;
	}
	return NULL;
}

struct hfx_error *engine_guard_leaving(const struct engine *engine,
                                       struct engine_plan *plan)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++)
		if (engine->leaves[i])
			HFX_TRY(engine_guard_patch(&engine->patches.patches[i],
			                           plan));
	return NULL;
}

/* ---- Afterwards -------------------------------------------------------- */

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

void engine_note_left(const struct engine *engine)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *patch = &engine->patches.patches[i];

		if (!engine->leaves[i])
			continue;
		note_generation(engine, patch);
		log_message(HFX_LOG_INFO, "reverted %s (%s)", patch->name,
		            digest_text(&patch->id).text);
	}
}
