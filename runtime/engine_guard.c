/* SPDX-License-Identifier: MIT */
/*
 * Which code no thread may be inside when functions change.
 *
 * Applying replaces what runs now: OLD's code, and that of the patches below.
 * Reverting takes away what the patch brought: all of its code, since a thread
 * in a new function has been called by new code.
 */
#include "array.h"
#include "engine_private.h"

/** Code of a patch whose record does not list it: all of its region. */
static struct hfx_error *guard_region(const struct engine_patch *patch,
                                      const char *name,
                                      struct engine_plan *plan)
{
	return engine_plan_guard(plan, patch->record_addr,
	                         patch->region_addr + patch->region_size, name);
}

struct hfx_error *engine_guard_patch(const struct engine_patch *patch,
                                     struct engine_plan *plan)
{
	for (size_t i = 0; i < patch->num_functions; i++) {
		const struct record_function *function = &patch->functions[i];

		HFX_TRY(engine_plan_guard(plan, function->new_live_addr,
		                          function->new_live_addr +
		                                  function->new_size,
		                          patch->function_names[i]));
	}
	for (size_t i = 0; i < patch->num_code; i++) {
		const struct record_code *code = &patch->code[i];
		const char *name =
			code->function == RECORD_NO_FUNCTION
				? patch->code_names[i]
				: patch->function_names[code->function];

		HFX_TRY(engine_plan_guard(plan, code->live_addr,
		                          code->live_addr + code->size, name));
	}
	if (patch->flags & RECORD_HAS_CODE)
		return NULL;
	return guard_region(patch, patch->name, plan);
}

struct hfx_error *engine_guard_function(const struct engine_patch *patch,
                                        size_t index, struct engine_plan *plan)
{
	const struct record_function *function = &patch->functions[index];
	const char *name = patch->function_names[index];

	if (!(patch->flags & RECORD_HAS_CODE))
		return guard_region(patch, name, plan);
	HFX_TRY(engine_plan_guard(
		plan, function->new_live_addr + function->new_entry + 1,
		function->new_live_addr + function->new_size, name));
	for (size_t i = 0; i < patch->num_code; i++) {
		const struct record_code *code = &patch->code[i];

		if (code->function == index)
			HFX_TRY(engine_plan_guard(plan, code->live_addr,
			                          code->live_addr + code->size,
			                          name));
	}
	return NULL;
}

struct hfx_error *engine_guard_images(const struct engine *engine,
                                      struct engine_plan *plan)
{
	for (size_t i = 0; i < engine->patches.num_patches; i++) {
		const struct engine_patch *patch = &engine->patches.patches[i];
		struct commit_image image = {
			.start_addr = patch->record_addr,
			.end_addr = patch->region_addr + patch->region_size,
			.eh_frame_addr = patch->eh_frame_addr,
		};

		if (patch->eh_frame_addr < image.start_addr ||
		    patch->eh_frame_addr >= image.end_addr)
			continue;
		if (!HFX_ARRAY_PUSH(plan, images, image))
			return hfx_error_no_memory();
	}
	return NULL;
}
