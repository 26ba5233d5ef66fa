/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "cleanup.h"
#include "engine_private.h"

void engine_patches_deinit(struct engine_patches *patches)
{
	for (size_t i = 0; i < patches->num_patches; i++)
		engine_patch_deinit(&patches->patches[i]);
	free(patches->patches);
	*patches = (struct engine_patches){0};
}

uint64_t engine_patches_generation(const struct engine_patches *patches)
{
	uint64_t generation = 0;

	for (size_t i = 0; i < patches->num_patches; i++)
		if (patches->patches[i].generation > generation)
			generation = patches->patches[i].generation;
	return generation;
}

uint64_t engine_patches_sequence(const struct engine_patches *patches)
{
	uint64_t sequence = 0;

	for (size_t i = 0; i < patches->num_patches; i++)
		if (patches->patches[i].sequence > sequence)
			sequence = patches->patches[i].sequence;
	return sequence;
}

bool engine_patch_is_in_place(const struct engine_patch *patch)
{
	return patch->state == RECORD_APPLIED || patch->state == RECORD_WAITING;
}

static int by_live_addr(const void *a, const void *b)
{
	const uint64_t *wanted = a;
	const struct record_site *site = b;

	return (*wanted > site->live_addr) - (*wanted < site->live_addr);
}

const struct record_site *engine_patch_site(const struct engine_patch *patch,
                                            uint64_t live_addr)
{
	return hfx_array_search(&live_addr, patch->sites, patch->num_sites,
	                        sizeof(*patch->sites), by_live_addr);
}

/** Number of sites of @p patch below @p live_addr. */
static size_t sites_below(const struct engine_patch *patch, uint64_t live_addr)
{
	return hfx_array_lower_bound(&live_addr, patch->sites, patch->num_sites,
	                             sizeof(*patch->sites), by_live_addr);
}

/** What is no jump at an entry: of its functions, or into another patch. */
size_t engine_patch_num_calls(const struct engine_patches *patches,
                              const struct engine_patch *patch)
{
	size_t num_jumps = 0;

	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *below = &patches->patches[i];

		num_jumps += sites_below(patch, below->region_addr +
		                                        below->region_size) -
		             sites_below(patch, below->region_addr);
	}
	for (size_t i = 0; i < patch->num_functions; i++) {
		const struct record_function *f = &patch->functions[i];

		num_jumps +=
			engine_patch_site(patch, f->old_live_addr +
		                                         f->old_entry) != NULL;
	}
	return num_jumps < patch->num_sites ? patch->num_sites - num_jumps : 0;
}

/** Whether a record can begin there: private, readable, without a file. */
static bool may_hold_record(const struct mapping *mapping)
{
	return mapping->is_private && !mapping->inode &&
	       mapping->protection == PROT_READ &&
	       (mapping->name[0] != '[' ||
	        !strncmp(mapping->name, "[anon:", 6));
}

/** Records of a process that makes them up must not take all memory. */
static struct hfx_error *check_total(const struct engine_patches *patches,
                                     uint64_t *total_size, uint64_t size)
{
	if (patches->num_patches < RECORDS_MAX_COUNT &&
	    size <= RECORDS_MAX_SIZE - *total_size) {
		*total_size += size;
		return NULL;
	}
	return hfx_error_create(HFX_ERROR_BAD_RECORD,
	                        "the process has more than %d records of "
	                        "patches, or more than %u bytes of them: they "
	                        "are not hfx's",
	                        RECORDS_MAX_COUNT, RECORDS_MAX_SIZE);
}

static struct hfx_error *read_record(struct target *target,
                                     const struct mapping *mapping,
                                     uint64_t size, struct engine_patch *ret)
{
	HFX_CLEANUP(hfx_free) uint8_t *data = NULL;

	if (size > mapping->end_addr - mapping->start_addr ||
	    size > RECORD_MAX_SIZE)
		return hfx_error_create(
			HFX_ERROR_BAD_RECORD,
			"the record of a patch at %#llx is damaged: it says "
			"that it is longer than its memory",
			(unsigned long long)mapping->start_addr);
	data = malloc(size + 1);
	if (!data)
		return hfx_error_no_memory();
	HFX_TRY(target->ops->read(target, mapping->start_addr, data, size));
	return record_parse(data, size, mapping->start_addr, ret);
}

static struct hfx_error *list_mapping(struct target *target,
                                      const struct mapping *mapping,
                                      uint64_t *total_size,
                                      struct engine_patches *patches)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
	struct record_header header;
	struct engine_patch patch;

	/* It may be gone by now, and most are no records: no error. */
	err = target->ops->read(target, mapping->start_addr, &header,
	                        sizeof(header));
	if (err || !record_is_header(&header, mapping->start_addr))
		return NULL;
	HFX_TRY(read_record(target, mapping, header.size, &patch));
	err = check_total(patches, total_size, header.size);
	if (err) {
		engine_patch_deinit(&patch);
		return HFX_TAKE(err);
	}
	if (!HFX_ARRAY_PUSH(patches, patches, patch)) {
		engine_patch_deinit(&patch);
		return hfx_error_no_memory();
	}
	return NULL;
}

static int by_sequence(const void *a, const void *b)
{
	const struct engine_patch *left = a, *right = b;

	if (left->sequence != right->sequence)
		return left->sequence < right->sequence ? -1 : 1;
	if (left->record_addr != right->record_addr)
		return left->record_addr < right->record_addr ? -1 : 1;
	return 0;
}

struct hfx_error *engine_list_in(struct target *target, const struct maps *maps,
                                 struct engine_patches *ret)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};
	uint64_t total_size = 0;

	for (size_t i = 0; i < maps->num_mappings; i++)
		if (may_hold_record(&maps->mappings[i]))
			HFX_TRY(list_mapping(target, &maps->mappings[i],
			                     &total_size, &patches));
	hfx_array_sort(patches.patches, patches.num_patches,
	               sizeof(*patches.patches), by_sequence);
	*ret = patches;
	patches = (struct engine_patches){0};
	return NULL;
}

struct hfx_error *engine_list(struct target *target, struct engine_patches *ret)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};
	HFX_CLEANUP(modules_deinit) struct modules modules = {0};
	HFX_CLEANUP(maps_deinit) struct maps maps = {0};

	HFX_TRY(maps_read(target->pid, &maps));
	HFX_TRY(engine_list_in(target, &maps, &patches));
	if (patches.num_patches) {
		HFX_TRY(modules_read(target, &maps, &modules));
		HFX_TRY(engine_find_unloaded(target, &modules, &patches));
	}
	*ret = patches;
	patches = (struct engine_patches){0};
	return NULL;
}
