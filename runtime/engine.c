/* SPDX-License-Identifier: MIT */
/* Opening the process: the lock, and what is known of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "array.h"
#include "cleanup.h"
#include "engine_private.h"
#include "image.h"
#include "proc_self.h"

void engine_close(struct engine *engine)
{
	/* A fork()ed child may hold the same lock: do not leave it to close. */
	if (engine->lock_fd >= 0) {
		flock(engine->lock_fd, LOCK_UN);
		close(engine->lock_fd);
	}
	engine->lock_fd = -1;
	free(engine->sites);
	free(engine->functions);
	free(engine->leaves);
	engine_patches_deinit(&engine->patches);
	modules_deinit(&engine->modules);
	maps_deinit(&engine->maps);
}

/**
 * Two processes must not change the same one at the same time: one would take
 * the other's half-finished record for the remains of a killed hfx.
 */
static struct hfx_error *lock_process(struct engine *engine)
{
	int pid = (int)engine->target->pid;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	engine->lock_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (engine->lock_fd < 0)
		return errno == ENOENT
		               ? hfx_error_create(HFX_ERROR_NO_PROCESS,
		                                  "there is no process %d", pid)
		               : hfx_error_os(errno, "cannot open %s", path);
	if (flock(engine->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return NULL;
	if (errno == EWOULDBLOCK)
		return hfx_error_create(HFX_ERROR_BUSY,
		                        "another hfx is at work on process %d",
		                        pid);
	return hfx_error_os(errno, "cannot lock %s", path);
}

const struct module *engine_find_module(const struct modules *modules,
                                        const struct engine_patch *patch)
{
	for (size_t i = 0; i < modules->num_modules; i++) {
		const struct module *module = &modules->modules[i];

		if (module->bias == patch->module_bias &&
		    module->build_id.size == patch->build_id.size &&
		    !memcmp(module->build_id.bytes, patch->build_id.bytes,
		            patch->build_id.size))
			return module;
	}
	return NULL;
}

const struct module *engine_module_of(const struct engine *engine,
                                      const struct engine_patch *patch)
{
	return engine_find_module(&engine->modules, patch);
}

/* ---- Index ------------------------------------------------------------- */

static int by_site(const void *a, const void *b)
{
	const struct engine_site *left = a, *right = b;

	if (left->live_addr != right->live_addr)
		return left->live_addr < right->live_addr ? -1 : 1;
	return (left->patch > right->patch) - (left->patch < right->patch);
}

static int by_function(const void *a, const void *b)
{
	const struct engine_function *left = a, *right = b;

	if (left->old_live_addr != right->old_live_addr)
		return left->old_live_addr < right->old_live_addr ? -1 : 1;
	return (left->patch > right->patch) - (left->patch < right->patch);
}

static struct hfx_error *index_patch(struct engine *engine, uint32_t index)
{
	const struct engine_patch *patch = &engine->patches.patches[index];

	for (uint32_t i = 0; i < patch->num_sites; i++) {
		struct engine_site site = {patch->sites[i].live_addr, index, i};

		if (!HFX_ARRAY_PUSH(engine, sites, site))
			return hfx_error_no_memory();
	}
	for (uint32_t i = 0; i < patch->num_functions; i++) {
		struct engine_function function = {
			patch->functions[i].old_live_addr, index, i};

		if (!HFX_ARRAY_PUSH(engine, functions, function))
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *index_patches(struct engine *engine)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++)
		if (engine->patches.patches[i].state == RECORD_APPLIED &&
		    engine_module_of(engine, &engine->patches.patches[i]))
			HFX_TRY(index_patch(engine, (uint32_t)i));
	hfx_array_sort(engine->sites, engine->num_sites, sizeof(*engine->sites),
	               by_site);
	hfx_array_sort(engine->functions, engine->num_functions,
	               sizeof(*engine->functions), by_function);
	return NULL;
}

size_t engine_site_from(const struct engine *engine, uint64_t live_addr)
{
	const struct engine_site key = {.live_addr = live_addr};

	return hfx_array_lower_bound(&key, engine->sites, engine->num_sites,
	                             sizeof(key), by_site);
}

size_t engine_function_from(const struct engine *engine, uint64_t old_live_addr)
{
	const struct engine_function key = {.old_live_addr = old_live_addr};

	return hfx_array_lower_bound(&key, engine->functions,
	                             engine->num_functions, sizeof(key),
	                             by_function);
}

void engine_take_out_jumps(const struct engine *engine, uint64_t live_addr,
                           uint8_t *bytes, size_t size)
{
	uint64_t from = live_addr - (JUMP_SIZE - 1);
	size_t first = engine_site_from(engine, from);
	size_t end = engine_site_from(engine, live_addr + size);

	for (size_t i = end; i-- > first;) {
		const struct record_site *site = engine_record_site(engine, i);

		for (size_t k = 0; k < JUMP_SIZE; k++) {
			uint64_t off = site->live_addr + k - live_addr;

			if (off < size)
				bytes[off] = site->before[k];
		}
	}
}

struct hfx_error *engine_open(struct target *target,
                              const struct engine_options *options,
                              struct engine *ret)
{
	HFX_CLEANUP(engine_close)
	struct engine engine = {
		.target = target,
		.lock_fd = -1,
	};

	HFX_TRY(proc_self_check());
	HFX_TRY(lock_process(&engine));
	HFX_TRY(maps_read(target->pid, &engine.maps));
	HFX_TRY(modules_read(target, &engine.maps, &engine.modules));
	HFX_TRY(engine_list_in(target, &engine.maps, &engine.patches));
	HFX_TRY(engine_settle(&engine, options));
	HFX_TRY(engine_note_unloaded(&engine));
	HFX_TRY(index_patches(&engine));
	engine.leaves =
		calloc(engine.patches.num_patches + 1, sizeof(*engine.leaves));
	if (!engine.leaves)
		return hfx_error_no_memory();
	*ret = engine;
	engine = (struct engine){.lock_fd = -1};
	return NULL;
}
