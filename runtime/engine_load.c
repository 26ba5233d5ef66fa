/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "engine_apply.h"
#include "image.h"
#include "symbols.h"

/**
 * Room in a record for applying the patch again, on top of others: so many
 * sites per function.
 */
#define SPARE_SITES 4

static struct hfx_error *bind_imports(struct apply *apply, uint64_t *addrs)
{
	for (size_t i = 0; i < apply->image.num_imports; i++) {
		const struct image_load_import *import =
			&apply->image.imports[i];
		struct symbol_query query = {
			.name = import->name,
			.version = import->version,
			.library = import->library,
			.is_call = import->is_call,
		};

		HFX_TRY(symbols_find(apply->engine->target,
		                     &apply->engine->modules, &query,
		                     &addrs[i]));
		if (!addrs[i] && !import->is_weak)
			return hfx_error_create(
				HFX_ERROR_UNRESOLVED,
				"the new code needs %s%s%s%s%s, which process "
				"%d does not have",
				import->name, *import->version ? "@" : "",
				import->version, *import->library ? " of " : "",
				import->library,
				(int)apply->engine->target->pid);
	}
	return NULL;
}

static uint64_t *new_addrs(const struct image_load *image)
{
	return calloc(image->num_imports + 1, sizeof(uint64_t));
}

/** Bytes for the sites, which record_size() does not know of yet. */
static uint64_t sites_room(const struct apply *apply)
{
	return (apply->patch->num_functions + apply->num_stacked +
	        apply_count_calls(apply)) *
	       sizeof(struct record_site);
}

/** Resolve what the image refers to, and relocate it for its region. */
static struct hfx_error *relocate(struct apply *apply, const uint64_t *imports)
{
	struct image_load_values values = {
		.image_bias = apply->region.image_bias,
		.module_bias = apply->module->bias,
		.imports = imports,
	};

	if (apply->image.needs_tls_index)
		HFX_TRY(module_tls_index(apply->engine->target, apply->module,
		                         &values.tls_index));
	return image_load_relocate(&apply->image, &values);
}

static struct hfx_error *create_region(struct apply *apply)
{
	HFX_CLEANUP(hfx_free) uint64_t *imports = new_addrs(&apply->image);

	if (!imports)
		return hfx_error_no_memory();
	HFX_TRY(bind_imports(apply, imports));
	apply_measure_symbols(apply);
	HFX_TRY(engine_region_create(
		apply->engine, &apply->image,
		record_size(apply->patch) + sites_room(apply) * SPARE_SITES +
			record_symbols_size(&apply->patch->symbols),
		apply->near_start_addr, apply->near_end_addr, &apply->region));
	apply->owns_region = true;
	HFX_TRY(relocate(apply, imports));
	HFX_TRY(apply_write_symbols(apply));
	return engine_region_fill(apply->engine->target, &apply->region,
	                          &apply->image);
}

/* ---- An earlier life --------------------------------------------------- */

/** Whether the code in the region is that of @p image, relocated for it. */
static struct hfx_error *
code_is_in_place(struct apply *apply, const struct image_load *image, bool *ret)
{
	*ret = false;
	for (size_t i = 0; i < image->num_segments; i++) {
		const struct image_load_segment *segment = &image->segments[i];
		HFX_CLEANUP(hfx_free) uint8_t *bytes = NULL;

		if (!(segment->protection & PROT_EXEC))
			continue;
		bytes = malloc(segment->num_bytes + 1);
		if (!bytes)
			return hfx_error_no_memory();
		HFX_TRY(apply_read(apply,
		                   apply->region.image_bias + segment->addr,
		                   bytes, segment->num_bytes));
		if (memcmp(bytes, segment->bytes, segment->num_bytes) != 0)
			return NULL;
	}
	*ret = true;
	return NULL;
}

/** As code_is_in_place(), for a second copy: relocating is for once. */
static struct hfx_error *code_is_intact(struct apply *apply, bool *ret)
{
	const struct buffer *bytes = apply->image_bytes;
	HFX_CLEANUP(image_load_deinit) struct image_load image = {0};
	HFX_CLEANUP(hfx_free) uint64_t *imports = NULL;
	struct image_load_values values = {
		.image_bias = apply->region.image_bias,
		.module_bias = apply->module->bias,
	};

	HFX_TRY(image_load_parse(bytes->data, bytes->size, &image));
	/* Code refers to the module alone, never to an import. */
	imports = new_addrs(&image);
	if (!imports)
		return hfx_error_no_memory();
	values.imports = imports;
	HFX_TRY(image_load_relocate(&image, &values));
	return code_is_in_place(apply, &image, ret);
}

/** Whether the region of the previous life is laid out for this image. */
static bool layout_fits(const struct apply *apply)
{
	const struct engine_patch *previous = apply->previous;
	const struct image_load *image = &apply->image;
	uint64_t start = previous->image_bias + image->start_addr;
	uint64_t record_end = previous->record_addr + record_size(previous);

	if (start % PAGE_BYTES || start < record_end ||
	    start - previous->region_addr +
	                    (image->end_addr - image->start_addr) +
	                    SCRATCH_ROOM !=
	            previous->region_size)
		return false;
	for (size_t i = 0; i < image->num_segments; i++)
		if (!maps_cover(&apply->engine->maps,
		                previous->image_bias +
		                        image->segments[i].start_addr,
		                image->segments[i].size,
		                image->segments[i].protection))
			return false;
	return previous->region_addr < apply->near_end_addr + IMAGE_REACH &&
	       apply->near_start_addr < previous->region_addr + IMAGE_REACH;
}

/**
 * Whether the region of a patch whose module was unloaded can be written anew:
 * nothing of it is in use, and the unwinder, if it knows of the image, knows of
 * it still. From outside nobody can tell whether it was not loaded anew as
 * well, and to tell it twice would be an error.
 */
static bool may_write_anew(const struct apply *apply)
{
	const struct engine_patch *previous = apply->previous;
	bool knows = apply->engine->target->ops->unwinder &&
	             !apply->own_unwinder_addr;

	return !(previous->flags & RECORD_HOOKS_RAN) &&
	       !engine_has_shadow_table(previous) &&
	       (knows || !(previous->flags & RECORD_UNWINDABLE));
}

/** Write the image into the region of the previous life. */
static struct hfx_error *write_anew(struct apply *apply)
{
	HFX_CLEANUP(hfx_free) uint64_t *imports = new_addrs(&apply->image);

	if (!imports)
		return hfx_error_no_memory();
	HFX_TRY(bind_imports(apply, imports));
	HFX_TRY(relocate(apply, imports));
	return engine_region_fill(apply->engine->target, &apply->region,
	                          &apply->image);
}

static struct hfx_error *save_record(struct apply *apply)
{
	size_t size = record_size(apply->previous);

	apply->saved_record.data = malloc(size);
	if (!apply->saved_record.data)
		return hfx_error_no_memory();
	apply->saved_record.size = size;
	return apply_read(apply, apply->previous->record_addr,
	                  apply->saved_record.data, size);
}

/**
 * Use the region of the patch's previous life, if it still fits. Otherwise a
 * new one is made and the old one stays, since pointers may lead there.
 */
static struct hfx_error *reuse_region(struct apply *apply, bool *ret)
{
	const struct engine_patch *previous = apply->previous;

	*ret = false;
	if (!previous || !layout_fits(apply) ||
	    (previous->state == RECORD_UNLOADED && !may_write_anew(apply)))
		return NULL;
	apply->region = (struct engine_region){
		.addr = previous->region_addr,
		.size = previous->region_size,
		.image_bias = previous->image_bias,
		.record_room = previous->image_bias + apply->image.start_addr -
	                       previous->record_addr,
	};
	apply->patch->symbols = previous->symbols;
	if (record_size(apply->patch) + sites_room(apply) +
	            record_symbols_size(&previous->symbols) >
	    apply->region.record_room)
		return NULL;
	if (previous->state != RECORD_UNLOADED)
		return code_is_intact(apply, ret);
	HFX_TRY(write_anew(apply));
	*ret = true;
	return NULL;
}

/** Fill in where the image is. */
static void note_place(struct apply *apply)
{
	struct engine_patch *patch = apply->patch;

	patch->record_addr = apply->region.addr + RECORD_OFF;
	patch->region_addr = apply->region.addr;
	patch->region_size = apply->region.size;
	patch->image_bias = apply->region.image_bias;
	for (size_t i = 0; i < patch->num_functions; i++)
		patch->functions[i].new_live_addr += patch->image_bias;
	for (size_t i = 0; i < patch->num_code; i++)
		patch->code[i].live_addr += patch->image_bias;
	if (patch->eh_frame_addr)
		patch->eh_frame_addr += patch->image_bias;
}

struct hfx_error *apply_load_image(struct apply *apply)
{
	bool is_reused = false;

	HFX_TRY(reuse_region(apply, &is_reused));
	if (is_reused) {
		HFX_TRY(save_record(apply));
		apply->patch->state = RECORD_REVERTED;
		apply->patch->flags = apply->previous->flags | RECORD_LAYOUT;
	} else {
		HFX_TRY(create_region(apply));
		apply->patch->state = RECORD_PREPARED;
	}
	note_place(apply);
	return NULL;
}
