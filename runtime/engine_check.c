/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "cleanup.h"
#include "cursor.h"
#include "engine_apply.h"
#include "image.h"

/* ---- The module -------------------------------------------------------- */

static bool has_build_id(const struct module *module,
                         const struct build_id *build_id)
{
	return module->build_id.size == build_id->size &&
	       !memcmp(module->build_id.bytes, build_id->bytes, build_id->size);
}

bool engine_has_build(const struct engine *engine,
                      const struct build_id *build_id)
{
	for (size_t i = 0; i < engine->modules.num_modules; i++)
		if (has_build_id(&engine->modules.modules[i], build_id))
			return true;
	return false;
}

static struct hfx_error *wrong_build(const struct apply *apply)
{
	const struct manifest_module *manifest = apply->manifest;
	char wanted[2 * BUILD_ID_MAX + 1], present[2 * BUILD_ID_MAX + 1];
	char name[MODULE_MAX_NAME];

	hex_encode(manifest->old_build_id.bytes, manifest->old_build_id.size,
	           wanted);
	for (size_t i = 0; i < apply->engine->modules.num_modules; i++) {
		const struct module *module =
			&apply->engine->modules.modules[i];

		module_file_name(module, name);
		if (strcmp(name, manifest->name) != 0)
			continue;
		hex_encode(module->build_id.bytes, module->build_id.size,
		           present);
		return hfx_error_create(
			HFX_ERROR_BUILD_MISMATCH,
			"the bundle is for %s with build-id %s, but process %d "
			"runs %s%s",
			name, wanted, (int)apply->engine->target->pid,
			*present ? present : "one without a build-id",
			has_build_id(module, &manifest->new_build_id) &&
					*present
				? ", the fixed build; if it lacks the fix, "
				  "the builds were swapped when the bundle "
				  "was made"
				: "");
	}
	return hfx_error_create(HFX_ERROR_BUILD_MISMATCH,
	                        "the bundle is for %s with build-id %s, which "
	                        "process %d has not loaded",
	                        manifest->name, wanted,
	                        (int)apply->engine->target->pid);
}

static struct hfx_error *find_by_build_id(struct apply *apply)
{
	const struct build_id *wanted = &apply->manifest->old_build_id;

	for (size_t i = 0; i < apply->engine->modules.num_modules; i++) {
		const struct module *module =
			&apply->engine->modules.modules[i];

		if (!has_build_id(module, wanted))
			continue;
		if (apply->module)
			return hfx_error_create(
				HFX_ERROR_UNSUPPORTED,
				"%s is loaded twice (at %#llx and %#llx), and "
				"a patch cannot go to both",
				module->path,
				(unsigned long long)apply->module->start_addr,
				(unsigned long long)module->start_addr);
		apply->module = module;
	}
	if (!apply->module)
		return wrong_build(apply);
	apply->near_start_addr = apply->module->start_addr;
	apply->near_end_addr = apply->module->end_addr;
	return NULL;
}

/** Whether @p patch was applied to this build, which was unloaded since. */
static bool is_of_earlier_load(const struct apply *apply,
                               const struct engine_patch *patch)
{
	return patch->state == RECORD_UNLOADED &&
	       has_build_id(apply->module, &patch->build_id);
}

/** Find an earlier life of the patch in this module. */
static void find_previous(struct apply *apply, bool *is_applied_ret)
{
	const struct engine_patches *patches = &apply->engine->patches;

	*is_applied_ret = false;
	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *patch = &patches->patches[i];

		if (!digest_equal(&patch->id, &apply->bundle->id))
			continue;
		if (is_of_earlier_load(apply, patch))
			apply->previous = patch;
		if (engine_module_of(apply->engine, patch) != apply->module)
			continue;
		if (patch->state == RECORD_APPLIED)
			*is_applied_ret = true;
		if (patch->state == RECORD_REVERTED)
			apply->previous = patch;
	}
}

struct hfx_error *apply_find_module(struct apply *apply, bool *is_applied_ret)
{
	HFX_TRY(find_by_build_id(apply));
	find_previous(apply, is_applied_ret);
	return NULL;
}

/* ---- Patches that this one replaces ------------------------------------ */

/** Nothing is stacked on what leaves. */
static void drop_functions(struct engine *engine)
{
	size_t count = 0;

	for (size_t i = 0; i < engine->num_functions; i++)
		if (!engine->leaves[engine->functions[i].patch])
			engine->functions[count++] = engine->functions[i];
	engine->num_functions = count;
}

struct hfx_error *change_find_replaced(struct change *change)
{
	const struct engine_options *options = change->options;
	struct engine *engine = &change->engine;

	if (!options || (!options->num_replaces && !options->replaces_all))
		return NULL;
	if (options->replaces_all)
		engine_leave_all(engine);
	for (size_t i = 0; i < options->num_replaces; i++) {
		if (!engine_find_applied(engine, &options->replaces[i]))
			return engine_not_applied(engine,
			                          &options->replaces[i]);
		engine_leave(engine, &options->replaces[i]);
	}
	HFX_TRY(engine_check_leaving(engine));
	drop_functions(engine);
	return NULL;
}

/* ---- The bytes in place ------------------------------------------------ */

static struct hfx_error *verify_function(struct apply *apply,
                                         const struct manifest_function *f)
{
	uint64_t live_addr = apply->module->bias + f->old_addr;
	HFX_CLEANUP(hfx_free) uint8_t *bytes = NULL;
	struct digest digest;

	if (!range_fits(f->old_entry, JUMP_SIZE, f->old_size))
		return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
		                        "%s has no room for a jump", f->name);
	if (!module_holds(apply->module, live_addr, f->old_size, PF_X))
		return hfx_error_create(HFX_ERROR_CODE_MISMATCH,
		                        "%s is not in the code of %s", f->name,
		                        apply->module->path);
	bytes = malloc(f->old_size);
	if (!bytes)
		return hfx_error_no_memory();
	HFX_TRY(apply_read(apply, live_addr, bytes, f->old_size));
	engine_take_out_jumps(apply->engine, live_addr, bytes, f->old_size);
	digest = digest_of(bytes, f->old_size);
	if (!digest_equal(&digest, &f->old_digest))
		return hfx_error_create(
			HFX_ERROR_CODE_MISMATCH,
			"the code of %s in process %d is not what the bundle "
			"was made for: something else has changed it (a "
			"breakpoint, another patching tool)",
			f->name, (int)apply->engine->target->pid);
	return NULL;
}

static struct hfx_error *verify_image(const struct apply *apply,
                                      const struct manifest_function *f)
{
	const struct image_load_segment *segment =
		image_load_find(&apply->image, f->new_addr, f->new_size);

	if (f->new_size && segment && (segment->protection & PROT_EXEC) &&
	    (f->new_entry == MANIFEST_NO_ENTRY ||
	     range_fits(f->new_entry, JUMP_SIZE, f->new_size)))
		return NULL;
	return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
	                        "%s is not in the code of the patch image",
	                        f->name);
}

struct hfx_error *apply_verify(struct apply *apply)
{
	for (size_t i = 0; i < apply->manifest->num_functions; i++) {
		const struct manifest_function *function =
			&apply->manifest->functions[i];

		HFX_TRY(verify_image(apply, function));
		if (function->kind == MANIFEST_FUNCTION_CHANGED)
			HFX_TRY(verify_function(apply, function));
	}
	return NULL;
}

/* ---- Stacking ---------------------------------------------------------- */

static int by_old_addr(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/** Old addresses of our functions, sorted, for bsearch(). */
static uint64_t *sorted_old_addrs(const struct engine_patch *patch)
{
	uint64_t *addrs = calloc(patch->num_functions + 1, sizeof(*addrs));

	if (!addrs)
		return NULL;
	for (size_t i = 0; i < patch->num_functions; i++)
		addrs[i] = patch->functions[i].old_live_addr;
	hfx_array_sort(addrs, patch->num_functions, sizeof(*addrs),
	               by_old_addr);
	return addrs;
}

/** Whether @p below has a function that @p patch does not replace. */
static struct hfx_error *has_other_functions(const struct engine_patch *patch,
                                             const struct engine_patch *below,
                                             bool *ret)
{
	HFX_CLEANUP(hfx_free) uint64_t *addrs = sorted_old_addrs(patch);

	if (!addrs)
		return hfx_error_no_memory();
	*ret = false;
	for (size_t i = 0; i < below->num_functions && !*ret; i++)
		*ret = !hfx_array_search(&below->functions[i].old_live_addr,
		                         addrs, patch->num_functions,
		                         sizeof(*addrs), by_old_addr);
	return NULL;
}

/** Whether our function can go on top of that of an applied patch. */
static struct hfx_error *check_stacking(const struct apply *apply,
                                        const struct record_function *ours,
                                        const struct engine_patch *below,
                                        uint32_t index)
{
	const struct record_function *theirs = &below->functions[index];
	bool has_others = false;

	if (theirs->new_entry == MANIFEST_NO_ENTRY)
		return hfx_error_create(HFX_ERROR_ORDER,
		                        "%s is already patched by %s, whose "
		                        "code cannot hold a jump; revert %s "
		                        "first",
		                        below->function_names[index],
		                        below->name, below->name);
	if (!memcmp(ours->signature_digest, theirs->signature_digest,
	            sizeof(ours->signature_digest)))
		return NULL;
	HFX_TRY(has_other_functions(apply->patch, below, &has_others));
	if (has_others)
		return hfx_error_create(
			HFX_ERROR_ORDER,
			"%s is already patched by %s with another signature, "
			"which other functions of %s use; revert %s first",
			below->function_names[index], below->name, below->name,
			below->name);
	return NULL;
}

/** The new code must also reach what it is stacked on. */
static void stay_near(struct apply *apply, const struct engine_patch *below)
{
	uint64_t end = below->region_addr + below->region_size;

	if (below->region_addr < apply->near_start_addr)
		apply->near_start_addr = below->region_addr;
	if (end > apply->near_end_addr)
		apply->near_end_addr = end;
}

struct hfx_error *apply_check_stack(struct apply *apply)
{
	const struct engine *engine = apply->engine;

	for (size_t i = 0; i < apply->patch->num_functions; i++) {
		const struct record_function *ours =
			&apply->patch->functions[i];
		size_t k = engine_function_from(engine, ours->old_live_addr);

		for (;
		     k < engine->num_functions &&
		     engine->functions[k].old_live_addr == ours->old_live_addr;
		     k++) {
			const struct engine_patch *below =
				&engine->patches
					 .patches[engine->functions[k].patch];

			HFX_TRY(check_stacking(apply, ours, below,
			                       engine->functions[k].function));
			stay_near(apply, below);
			apply->num_stacked++;
		}
	}
	return NULL;
}
