/* SPDX-License-Identifier: MIT */
/*
 * Hooks of a patch (hfx_patch.h). They are called while threads run, before the
 * stop and after it: in the stop a hook could neither allocate nor lock.
 * Patches that leave because another one takes their place are not told: what
 * they would take away may be what the other one goes on with.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#include "cleanup.h"
#include "engine_apply.h"
#include "image.h"
#include "log.h"

/** How often and how many times to look whether a hook has returned: 30 s. */
#define HOOK_POLL_NS   2000000
#define HOOK_MAX_POLLS 15000
/** How long one that is not started may be about to: 2 s. */
#define HOOK_START_POLLS 1000

/** What is in the scratch bytes of a region. */
struct hook_room {
	struct image_hook_job job;
	/** Of whom: a fork()ed child has the room, but not the thread. */
	uint64_t pid;
};

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
	*ret = apply->patch->image_bias + image_addr;
	return NULL;
}

struct hfx_error *apply_find_hooks(struct apply *apply)
{
	const struct manifest_module *manifest = apply->manifest;
	struct record_hooks *hooks = &apply->patch->hooks;

	for (size_t i = 0; i < MANIFEST_NUM_HOOKS; i++)
		HFX_TRY(find_function(apply, manifest->hook_addrs[i],
		                      &hooks->addrs[i]));
	return find_function(apply, manifest->hook_starter_addr,
	                     &hooks->starter_addr);
}

/* ---- One call ---------------------------------------------------------- */

/** The record is the process's own: it leads nowhere but into the image. */
static bool is_inside(const struct engine_patch *patch, uint64_t live_addr)
{
	return live_addr >= patch->region_addr &&
	       live_addr - patch->region_addr < patch->region_size;
}

static uint64_t room_addr_of(const struct engine_patch *patch)
{
	return patch->region_addr + patch->region_size - SCRATCH_ROOM +
	       SCRATCH_JOB_OFF;
}

static struct hfx_error *read_room(struct target *target,
                                   const struct engine_patch *patch,
                                   struct hook_room *ret)
{
	return target->ops->read(target, room_addr_of(patch), ret,
	                         sizeof(*ret));
}

static bool is_of(const struct hook_room *room, const struct target *target)
{
	return room->pid == (uint64_t)target->pid;
}

/** The room is for one hook: an earlier one must have returned. */
static struct hfx_error *write_room(struct target *target,
                                    const struct engine_patch *patch,
                                    uint64_t hook_addr)
{
	const struct hook_room next = {
		.job.hook_addr = hook_addr,
		.pid = (uint64_t)target->pid,
	};
	struct hook_room room;

	HFX_TRY(read_room(target, patch, &room));
	if (is_of(&room, target) && room.job.state == IMAGE_HOOK_STARTED)
		return hfx_error_create(HFX_ERROR_BUSY,
		                        "a hook of %s that was called earlier "
		                        "has not returned yet",
		                        patch->name);
	return target->ops->write(target, room_addr_of(patch), &next,
	                          sizeof(next));
}

/**
 * Wait until a hook has returned, up to 30 s; or, for one that is perhaps not
 * started, until it must have been.
 */
static struct hfx_error *wait_for_hook(struct target *target,
                                       const struct engine_patch *patch,
                                       bool is_started,
                                       struct image_hook_job *ret)
{
	const struct timespec pause = {.tv_nsec = HOOK_POLL_NS};

	for (unsigned int i = 0; i < HOOK_MAX_POLLS; i++) {
		struct hook_room room;

		HFX_TRY(read_room(target, patch, &room));
		*ret = room.job;
		if (ret->state == IMAGE_HOOK_DONE)
			return NULL;
		if (ret->state == IMAGE_HOOK_IDLE && !is_started &&
		    i >= HOOK_START_POLLS)
			return NULL;
		nanosleep(&pause, NULL);
	}
	return hfx_error_os(ETIMEDOUT,
	                    "it has not returned within %d seconds, and runs "
	                    "on in process %d",
	                    HOOK_POLL_NS / 1000000 * HOOK_MAX_POLLS / 1000,
	                    (int)target->pid);
}

/** In a thread of its own. */
static struct hfx_error *call_apart(struct target *target,
                                    const struct engine_patch *patch,
                                    uint64_t hook_addr, uint64_t *result_ret)
{
	struct image_hook_job job;

	HFX_TRY(write_room(target, patch, hook_addr));
	HFX_TRY(target->ops->start_hook(target, patch->hooks.starter_addr,
	                                room_addr_of(patch)));
	HFX_TRY(wait_for_hook(target, patch, true, &job));
	*result_ret = job.result;
	return NULL;
}

static struct hfx_error *call(struct target *target,
                              const struct engine_patch *patch,
                              enum manifest_hook hook, uint64_t *result_ret)
{
	uint64_t hook_addr = patch->hooks.addrs[hook];
	const uint64_t none[2] = {0};
	struct hfx_error *err;

	*result_ret = 0;
	if (!hook_addr)
		return NULL;
	if (!is_inside(patch, hook_addr) ||
	    !is_inside(patch, patch->hooks.starter_addr))
		return hfx_error_create(HFX_ERROR_BAD_RECORD,
		                        "a hook of %s is not in its image",
		                        patch->name);
	err = target->ops->start_hook
	              ? call_apart(target, patch, hook_addr, result_ret)
	              : target->ops->call(target, hook_addr, none, result_ret);
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

/** @return Whether it is told: a hook that runs on is. */
static bool tell(struct target *target, const struct engine_patch *patch,
                 enum manifest_hook hook)
{
	uint64_t result;
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = call(target, patch, hook, &result);

	if (err)
		log_message(HFX_LOG_WARNING, "%s", hfx_error_message(err));
	return !err || hfx_error_errno(err) == ETIMEDOUT;
}

/* ---- A change ---------------------------------------------------------- */

static struct hfx_error *write_flags(struct target *target,
                                     const struct engine_patch *patch,
                                     uint32_t flags)
{
	return target->ops->write(target,
	                          patch->record_addr +
	                                  offsetof(struct record_header, flags),
	                          &flags, sizeof(flags));
}

static struct hfx_error *open_job(struct target *target,
                                  const struct engine_patch *patch)
{
	const struct engine_region region = {
		.addr = patch->region_addr,
		.size = patch->region_size,
	};
	uint64_t addr;

	HFX_TRY(engine_region_open_scratch(target, &region, &addr));
	return write_room(target, patch, 0);
}

struct hfx_error *engine_hooks_begin(struct target *target,
                                     struct engine_patch *patch,
                                     uint32_t change)
{
	if (!patch->hooks.starter_addr)
		return NULL;
	if (!target->ops->start_hook)
		change = 0;
	else
		HFX_TRY(open_job(target, patch));
	HFX_TRY(write_flags(target, patch,
	                    patch->flags | RECORD_HOOKS_RAN | change));
	patch->flags |= RECORD_HOOKS_RAN | change;
	return NULL;
}

void engine_hooks_end(struct target *target, struct engine_patch *patch)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;

	if (!(patch->flags & RECORD_HOOKS_OWED))
		return;
	patch->flags &= ~RECORD_HOOKS_OWED;
	err = write_flags(target, patch, patch->flags);
}

void engine_hooks_finish(struct target *target, struct engine_patch *patch,
                         enum manifest_hook hook)
{
	if (tell(target, patch, hook))
		engine_hooks_end(target, patch);
}

struct hfx_error *engine_hook_ask(struct target *target,
                                  struct engine_patch *patch)
{
	char reason[MAX_REASON];
	uint64_t result;
	struct hfx_error *err =
		call(target, patch, MANIFEST_PRE_APPLY, &result);

	/* One that runs on is left to itself. */
	if (err && hfx_error_errno(err) == ETIMEDOUT)
		engine_hooks_end(target, patch);
	if (err || !result)
		return err;
	engine_hooks_end(target, patch);
	read_reason(target, result, reason);
	return hfx_error_create(HFX_ERROR_VETOED,
	                        "%s does not want to be applied now: %s",
	                        patch->name, reason);
}

/* Without its module the image's code cannot run. */
static bool is_concerned(const struct engine *engine, size_t i)
{
	return engine->leaves[i] &&
	       engine_module_of(engine, &engine->patches.patches[i]);
}

static void begin_leaving(struct target *target, struct engine_patch *patch)
{
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err =
		engine_hooks_begin(target, patch, RECORD_HOOKS_REVERTING);

	if (err)
		log_message(HFX_LOG_WARNING, "%s", hfx_error_message(err));
	tell(target, patch, MANIFEST_PRE_REVERT);
}

void engine_hooks_begin_leaving(const struct engine *engine)
{
	for (size_t i = engine->patches.num_patches; i-- > 0;)
		if (is_concerned(engine, i))
			begin_leaving(engine->target,
			              &engine->patches.patches[i]);
}

void engine_hooks_finish_leaving(const struct engine *engine,
                                 enum manifest_hook hook)
{
	for (size_t i = engine->patches.num_patches; i-- > 0;)
		if (is_concerned(engine, i))
			engine_hooks_finish(engine->target,
			                    &engine->patches.patches[i], hook);
}

/* ---- What a killed hfx has left ------------------------------------------ */

/** Whether the hook that ends the change is to be called, once @p job ended. */
static bool is_owed(const struct engine_patch *patch,
                    const struct image_hook_job *job, enum manifest_hook first,
                    enum manifest_hook last)
{
	const uint64_t *addrs = patch->hooks.addrs;

	if (!addrs[last])
		return false;
	/* Nothing was called yet: what nobody began needs no end. */
	if (!job->hook_addr)
		return !addrs[first];
	if (job->hook_addr == addrs[first])
		return job->state == IMAGE_HOOK_DONE &&
		       (first != MANIFEST_PRE_APPLY || !job->result);
	return job->hook_addr != addrs[last] || job->state == IMAGE_HOOK_IDLE;
}

/** A hook that has begun is waited for, whoever had it called. */
static struct hfx_error *settle(struct target *target,
                                struct engine_patch *patch)
{
	bool is_apply = patch->flags & RECORD_HOOKS_APPLYING;
	enum manifest_hook first =
		is_apply ? MANIFEST_PRE_APPLY : MANIFEST_PRE_REVERT;
	enum manifest_hook last = patch->state == RECORD_APPLIED
	                                  ? MANIFEST_POST_APPLY
	                                  : MANIFEST_POST_REVERT;
	struct hook_room room;

	HFX_TRY(read_room(target, patch, &room));
	if (is_of(&room, target) && room.job.hook_addr)
		HFX_TRY(wait_for_hook(target, patch, false, &room.job));
	if (is_of(&room, target) && is_owed(patch, &room.job, first, last))
		engine_hooks_finish(target, patch, last);
	else
		engine_hooks_end(target, patch);
	return NULL;
}

static void settle_or_warn(struct target *target, struct engine_patch *patch)
{
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = settle(target, patch);

	if (!err)
		return;
	log_message(HFX_LOG_WARNING,
	            "a hook of %s that an earlier hfx had called: %s",
	            patch->name, hfx_error_message(err));
	if (hfx_error_errno(err) == ETIMEDOUT)
		engine_hooks_end(target, patch);
}

void engine_hooks_settle(const struct engine *engine)
{
	for (size_t i = engine->patches.num_patches; i-- > 0;) {
		struct engine_patch *patch = &engine->patches.patches[i];

		if (!(patch->flags & RECORD_HOOKS_OWED))
			continue;
		if (engine_module_of(engine, patch))
			settle_or_warn(engine->target, patch);
		else
			engine_hooks_end(engine->target, patch);
	}
}
