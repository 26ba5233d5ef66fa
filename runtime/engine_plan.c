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
