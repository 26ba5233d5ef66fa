/* SPDX-License-Identifier: MIT */
/*
 * Shadow variables (hfx_patch.h): all patches of a process use one table. It is
 * the one in the image of the first patch that has one. Its region stays mapped
 * also when that patch is reverted, as those of all patches do whose code may
 * have run; the records say where it is.
 */
#include <sys/mman.h>

#include "engine_apply.h"

/** Live address of the table that one of @p patches uses, or 0. */
static uint64_t table_of(const struct engine_patches *patches)
{
	for (size_t i = 0; i < patches->num_patches; i++)
		if (patches->patches[i].shadow_table_addr)
			return patches->patches[i].shadow_table_addr;
	return 0;
}

/** Live address of the table that the process has, or will have, or 0. */
static uint64_t table_in_use(const struct change *change)
{
	uint64_t live_addr = table_of(&change->engine.patches);

	return live_addr ? live_addr : table_of(&change->coming);
}

bool engine_has_shadow_table(const struct engine_patch *patch)
{
	return patch->shadow_table_addr >= patch->region_addr &&
	       patch->shadow_table_addr - patch->region_addr <
	               patch->region_size;
}

static struct hfx_error *check_table(const struct apply *apply)
{
	const struct image_load_segment *segment = image_load_find(
		&apply->image, apply->manifest->shadow_table_addr,
		sizeof(uint64_t));

	if (segment && (segment->protection & PROT_WRITE))
		return NULL;
	return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
	                        "the table of shadow variables is not in the "
	                        "image's data");
}

struct hfx_error *apply_link_shadow(struct apply *apply,
                                    const struct change *change)
{
	struct target *target = apply->engine->target;
	uint64_t own_addr =
		apply->patch->image_bias + apply->manifest->shadow_table_addr;
	uint64_t used_addr = table_in_use(change);

	if (!apply->manifest->shadow_table_addr)
		return NULL;
	HFX_TRY(check_table(apply));
	apply->patch->shadow_table_addr = used_addr ? used_addr : own_addr;
	if (apply->patch->shadow_table_addr == own_addr)
		return NULL;
	/* The table's first member says which one to use in its place. */
	return target->ops->write(target, own_addr, &used_addr,
	                          sizeof(used_addr));
}
