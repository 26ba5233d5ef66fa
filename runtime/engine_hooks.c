/* SPDX-License-Identifier: MIT */
/*
 * Hooks of a patch (hfx_patch.h). They are called while threads run, before the
 * stop and after it: in the stop a hook could neither allocate nor lock.
 * Patches that leave because another one takes their place are not told: what
 * they would take away may be what the other one goes on with.
 */
#include <stddef.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "engine_apply.h"
#include "log.h"

/** Bytes of a reason that are read. */
#define MAX_REASON 256u

/* ---- Where they are ---------------------------------------------------- */

static struct hfx_error *find_function(const struct apply *apply,
                                       uint64_t image_addr, uint64_t *ret)
{
	const struct image_load_segment *segment =
		image_load_find(&apply->image, image_addr, 1);

	*ret = 0;
	if (!image_addr)
		return NULL;
	if (!segment || !(segment->protection & PROT_EXEC))
		return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
		                        "a hook is not in the image's code");
	*ret = apply->patch.image_bias + image_addr;
	return NULL;
}

struct hfx_error *apply_find_hooks(struct apply *apply)
{
	const struct manifest_module *manifest = apply->manifest;
	struct record_hooks *hooks = &apply->patch.hooks;

	for (size_t i = 0; i < MANIFEST_NUM_HOOKS; i++)
		HFX_TRY(find_function(apply, manifest->hook_addrs[i],
		                      &hooks->addrs[i]));
	return find_function(apply, manifest->hook_starter_addr,
	                     &hooks->starter_addr);
}

struct hfx_error *apply_announce_hooks(struct apply *apply)
{
	if (!apply->patch.hooks.starter_addr)
		return NULL;
	apply->patch.flags |= RECORD_HOOKS_RAN;
	return apply_write_word(apply, offsetof(struct record_header, flags),
	                        apply->patch.flags | RECORD_LAYOUT);
}

/* ---- Calling them ------------------------------------------------------ */

/** The record is the process's own: it leads nowhere but into the image. */
static bool is_inside(const struct engine_patch *patch, uint64_t live_addr)
{
	return live_addr >= patch->region_addr &&
	       live_addr - patch->region_addr < patch->region_size;
}

static struct hfx_error *call(struct target *target,
                              const struct engine_patch *patch,
                              enum manifest_hook hook, uint64_t *result_ret)
{
	uint64_t hook_addr = patch->hooks.addrs[hook];
	uint64_t starter_addr = patch->hooks.starter_addr;
	struct hfx_error *err;

	*result_ret = 0;
	if (!hook_addr)
		return NULL;
	if (!is_inside(patch, hook_addr) || !is_inside(patch, starter_addr))
		return hfx_error_create(HFX_ERROR_BAD_RECORD,
		                        "a hook of %s is not in its image",
		                        patch->name);
	err = target->ops->call_hook(target, hook_addr, starter_addr,
	                             result_ret);
	return hfx_error_wrap(err, "call the %s hook of %s",
	                      manifest_hook_names[hook], patch->name);
}

/** Text of the process, as much of it as can be read, fit for a message. */
static void read_reason(struct target *target, uint64_t live_addr,
                        char reason[static MAX_REASON])
{
	size_t size = 0;

	while (size < MAX_REASON - 1) {
		HFX_CLEANUP(hfx_error_cleanup)
		struct hfx_error *err = target->ops->read(
			target, live_addr + size, &reason[size], 1);

		if (err || !reason[size])
			break;
		if ((unsigned char)reason[size] < ' ' || reason[size] == 0x7f)
			reason[size] = ' ';
		size++;
	}
	reason[size] = '\0';
}

struct hfx_error *engine_hook_ask(struct target *target,
                                  const struct engine_patch *patch)
{
	char reason[MAX_REASON];
	uint64_t result;

	HFX_TRY(call(target, patch, MANIFEST_PRE_APPLY, &result));
	if (!result)
		return NULL;
	read_reason(target, result, reason);
	return hfx_error_create(HFX_ERROR_VETOED,
	                        "%s does not want to be applied now: %s",
	                        patch->name, reason);
}

void engine_hook_tell(struct target *target, const struct engine_patch *patch,
                      enum manifest_hook hook)
{
	uint64_t result;
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = call(target, patch, hook, &result);

	if (err)
		log_message(HFX_LOG_WARNING, "%s", hfx_error_message(err));
}

void engine_hook_tell_leaving(const struct engine *engine,
                              enum manifest_hook hook)
{
	for (size_t i = engine->patches.num_patches; i-- > 0;) {
		const struct engine_patch *patch = &engine->patches.patches[i];

		/* Without its module the image's code cannot run. */
		if (engine->leaves[i] && engine_module_of(engine, patch))
			engine_hook_tell(engine->target, patch, hook);
	}
}
