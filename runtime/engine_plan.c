/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "cursor.h"
#include "engine_private.h"
#include "image.h"

void engine_plan_deinit(struct engine_plan *plan)
{
	free(plan->writes);
	free(plan->guards);
	free(plan->names);
	free(plan->images);
	*plan = (struct engine_plan){0};
}

struct hfx_error *engine_plan_state(struct engine_plan *plan,
                                    uint64_t record_addr,
                                    enum record_state before,
                                    enum record_state after)
{
	uint32_t from = before, to = after;
	struct commit_write write = {
		.live_addr =
			record_addr + offsetof(struct record_header, state),
		.size = sizeof(from),
	};

	memcpy(write.before, &from, sizeof(from));
	memcpy(write.after, &to, sizeof(to));
	return HFX_ARRAY_PUSH(plan, writes, write) ? NULL
	                                           : hfx_error_no_memory();
}

struct hfx_error *engine_plan_code(struct engine_plan *plan, uint64_t live_addr,
                                   const uint8_t before[SITE_SIZE],
                                   const uint8_t after[SITE_SIZE])
{
	struct commit_write write = {
		.live_addr = live_addr,
		.size = JUMP_SIZE,
		.is_code = 1,
	};

	memcpy(write.before, before, JUMP_SIZE);
	memcpy(write.after, after, JUMP_SIZE);
	return HFX_ARRAY_PUSH(plan, writes, write) ? NULL
	                                           : hfx_error_no_memory();
}

/** Add a name, unless it is the last one already. */
static struct hfx_error *add_name(struct engine_plan *plan, const char *name,
                                  uint32_t *off_ret)
{
	size_t size = strlen(name) + 1;

	if (plan->num_guards) {
		*off_ret = plan->guards[plan->num_guards - 1].name_off;
		if (!strcmp(plan->names + *off_ret, name))
			return NULL;
	}
	if (plan->names_cap - plan->names_size < size) {
		size_t cap = 2 * (plan->names_cap + size);
		char *names = realloc(plan->names, cap);

		if (!names)
			return hfx_error_no_memory();
		plan->names = names;
		plan->names_cap = cap;
	}
	*off_ret = (uint32_t)plan->names_size;
	memcpy(plan->names + plan->names_size, name, size);
	plan->names_size += size;
	return NULL;
}

struct hfx_error *engine_plan_guard(struct engine_plan *plan,
                                    uint64_t start_addr, uint64_t end_addr,
                                    const char *name)
{
	struct guard guard = {.start_addr = start_addr, .end_addr = end_addr};

	/* Nothing but the jump: nobody is inside. */
	if (start_addr >= end_addr)
		return NULL;
	HFX_TRY(add_name(plan, name, &guard.name_off));
	return HFX_ARRAY_PUSH(plan, guards, guard) ? NULL
	                                           : hfx_error_no_memory();
}

struct hfx_error *engine_plan_commit(const struct engine_plan *plan,
                                     struct target *target,
                                     const struct engine_options *options,
                                     struct commit_result *ret)
{
	struct commit_plan commit = {
		.writes = plan->writes,
		.num_writes = plan->num_writes,
		.timeout_ms = ENGINE_TIMEOUT_MS,
		.max_pause_us = ENGINE_MAX_PAUSE_US,
		.guards = plan->guards,
		.num_guards = plan->num_guards,
		.names = plan->names,
		.names_size = plan->names_size,
		.images = plan->images,
		.num_images = plan->num_images,
	};

	if (options && options->timeout_ms)
		commit.timeout_ms = options->timeout_ms;
	if (options && options->max_pause_us)
		commit.max_pause_us = options->max_pause_us;
	*ret = (struct commit_result){0};
	return target->ops->commit(target, &commit, ret);
}

/** Whether the site lies in the region of a patch. */
static bool is_in_image(const struct engine_patches *patches, uint64_t addr)
{
	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *patch = &patches->patches[i];

		if (addr >= patch->region_addr &&
		    range_fits(addr - patch->region_addr, JUMP_SIZE,
		               patch->region_size))
			return true;
	}
	return false;
}

struct hfx_error *engine_check_site(const struct engine *engine,
                                    const struct engine_patch *patch,
                                    const struct record_site *site)
{
	const struct module *module = engine_module_of(engine, patch);

	if (maps_cover(&engine->maps, site->live_addr, JUMP_SIZE, PROT_EXEC) &&
	    ((module &&
	      module_holds(module, site->live_addr, JUMP_SIZE, PF_X)) ||
	     is_in_image(&engine->patches, site->live_addr)))
		return NULL;
	return hfx_error_create(HFX_ERROR_BAD_RECORD,
	                        "the record of %s is damaged: %#llx is no code "
	                        "of %s",
	                        patch->name,
	                        (unsigned long long)site->live_addr,
	                        patch->module_name);
}
