/* SPDX-License-Identifier: MIT */
/*
 * Patches whose module was unloaded. It took its code along, jumps included;
 * what is mapped there now may be anything, also the same module anew. Then its
 * record still says APPLIED, and has to be told from one that is in force.
 *
 * A module is known by its build-id and the place where it is loaded. One that
 * was loaded anew at the same place has the old code at every site.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "engine_private.h"
#include "image.h"
#include "log.h"

static bool is_applied_to(const struct modules *modules,
                          const struct engine_patch *patch,
                          const struct module *module)
{
	return patch->state == RECORD_APPLIED &&
	       engine_find_module(modules, patch) == module;
}

/** What the module's file has at a place that patches have changed. */
static const uint8_t *old_bytes(const struct modules *modules,
                                const struct engine_patches *patches,
                                const struct module *module, uint64_t live_addr)
{
	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *patch = &patches->patches[i];
		const struct record_site *site =
			engine_patch_site(patch, live_addr);

		if (site && is_applied_to(modules, patch, module))
			return site->before;
	}
	return NULL;
}

/** Whether some site in the module is not as the file has it, or is unknown. */
static bool is_in_force(struct target *target, const struct modules *modules,
                        const struct engine_patches *patches,
                        const struct engine_patch *patch)
{
	const struct module *module = engine_find_module(modules, patch);
	bool has_sites = false;

	if (!module)
		return false;
	for (size_t i = 0; i < patch->num_sites; i++) {
		uint64_t live_addr = patch->sites[i].live_addr;
		HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
		uint8_t now[JUMP_SIZE];

		if (!module_holds(module, live_addr, JUMP_SIZE, PF_X))
			continue;
		err = target->ops->read(target, live_addr, now, JUMP_SIZE);
		if (err ||
		    memcmp(now, old_bytes(modules, patches, module, live_addr),
		           JUMP_SIZE) != 0)
			return true;
		has_sites = true;
	}
	return !has_sites;
}

/** The states are changed at the end: each says what is under the others. */
struct hfx_error *engine_find_unloaded(struct target *target,
                                       const struct modules *modules,
                                       struct engine_patches *patches)
{
	HFX_CLEANUP(hfx_free)
	bool *is_gone = calloc(patches->num_patches + 1, sizeof(*is_gone));

	if (!is_gone)
		return hfx_error_no_memory();
	for (size_t i = 0; i < patches->num_patches; i++)
		is_gone[i] = patches->patches[i].state == RECORD_APPLIED &&
		             !is_in_force(target, modules, patches,
		                          &patches->patches[i]);
	for (size_t i = 0; i < patches->num_patches; i++)
		if (is_gone[i])
			patches->patches[i].state = RECORD_UNLOADED;
	return NULL;
}

static struct hfx_error *write_state(const struct engine *engine,
                                     const struct engine_patch *patch)
{
	struct target *target = engine->target;
	uint32_t state = patch->state;

	log_message(HFX_LOG_INFO, "%s is gone from %s, which was unloaded",
	            patch->name, patch->module_name);
	return target->ops->write(target,
	                          patch->record_addr +
	                                  offsetof(struct record_header, state),
	                          &state, sizeof(state));
}

struct hfx_error *engine_note_unloaded(struct engine *engine)
{
	struct engine_patches *patches = &engine->patches;
	HFX_CLEANUP(hfx_free)
	bool *was_applied =
		calloc(patches->num_patches + 1, sizeof(*was_applied));

	if (!was_applied)
		return hfx_error_no_memory();
	for (size_t i = 0; i < patches->num_patches; i++)
		was_applied[i] = patches->patches[i].state == RECORD_APPLIED;
	HFX_TRY(engine_find_unloaded(engine->target, &engine->modules,
	                             patches));
	for (size_t i = 0; i < patches->num_patches; i++)
		if (was_applied[i] &&
		    patches->patches[i].state == RECORD_UNLOADED)
			HFX_TRY(write_state(engine, &patches->patches[i]));
	return NULL;
}
