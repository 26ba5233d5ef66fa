/* SPDX-License-Identifier: MIT */
/**
 * @file engine_apply.h
 *
 * What the steps of one apply share. engine_apply.c lists them in order; the
 * checks are in engine_check.c, the image's way into the process in
 * engine_load.c, what the record says in engine_describe.c.
 */
#ifndef HFX_RUNTIME_ENGINE_APPLY_H
#define HFX_RUNTIME_ENGINE_APPLY_H

#include "engine_private.h"

/** One module of a bundle on its way into the process. */
struct apply {
	/** Shared by all modules, borrowed. */
	struct engine *engine;
	const struct bundle *bundle;
	const struct engine_options *options;
	const struct manifest_module *manifest;
	/** The image as the bundle has it, borrowed. */
	const struct buffer *image_bytes;
	const struct module *module;
	struct image_load image;
	/** An earlier life of this patch whose region is used again. */
	const struct engine_patch *previous;
	/** Bytes of its record, to put back. */
	struct buffer saved_record;
	struct engine_region region;
	/** Set while the region is to be given back on failure. */
	bool owns_region;
	/** Live address of its __register_frame_info(), or 0. */
	uint64_t unwinder_addr;
	/** The same of the unwinder that the module has inside, if another. */
	uint64_t own_unwinder_addr;
	/** What the new record says: its place in `change::coming`. */
	struct engine_patch *patch;
	/** Addresses that jumps go from: the module, patches below this one. */
	uint64_t near_start_addr;
	uint64_t near_end_addr;
	/** Functions of applied patches that this one goes on top of. */
	size_t num_stacked;
	/** Direct calls that are redirected. */
	uint32_t num_calls;
};

/** One apply of a bundle, from its start to its end: all modules or none. */
struct change {
	struct engine engine;
	const struct bundle *bundle;
	const struct engine_options *options;
	/** The modules that get code, in the order of the manifest. */
	struct apply *applies;
	size_t num_applies;
	/** Their records, in the same order. */
	struct engine_patches coming;
	struct engine_plan plan;
};

/** Read code or data of the process. */
static inline struct hfx_error *
apply_read(struct apply *apply, uint64_t live_addr, void *buffer, size_t size)
{
	struct target *target = apply->engine->target;

	return target->ops->read(target, live_addr, buffer, size);
}

/**
 * Find the module by its build-id, and an earlier life of the same patch.
 *
 * Errors: #HFX_ERROR_BUILD_MISMATCH, #HFX_ERROR_UNSUPPORTED when the module is
 * loaded twice.
 *
 * @param[out] is_applied_ret Whether the patch is applied to the module.
 */
HFX_MUST_CHECK struct hfx_error *apply_find_module(struct apply *apply,
                                                   bool *is_applied_ret);

/**
 * Have the patches leave that this one replaces: it stands on none of them.
 *
 * Errors: #HFX_ERROR_NOT_APPLIED, #HFX_ERROR_ORDER.
 */
HFX_MUST_CHECK struct hfx_error *change_find_replaced(struct change *change);

/**
 * Check that the functions are in the image, and that the process has the code
 * they were made for, jumps of applied patches aside.
 *
 * Errors: #HFX_ERROR_BAD_BUNDLE, #HFX_ERROR_CODE_MISMATCH.
 */
HFX_MUST_CHECK struct hfx_error *apply_verify(struct apply *apply);

/** Fill in `patch`, but for the addresses that apply_load_image() knows. */
HFX_MUST_CHECK struct hfx_error *apply_describe(struct apply *apply);

/** Write the record. */
HFX_MUST_CHECK struct hfx_error *apply_write_record(struct apply *apply);

/** Put back the record of the earlier life, with what has been added since. */
HFX_MUST_CHECK struct hfx_error *apply_restore_record(struct apply *apply);

/**
 * Check that the functions can go on top of those of applied patches, and note
 * what has to be near.
 *
 * Errors: #HFX_ERROR_ORDER.
 */
HFX_MUST_CHECK struct hfx_error *apply_check_stack(struct apply *apply);

/**
 * Bring the relocated image into the process, or find it there from an earlier
 * life; fills in the addresses of `patch`.
 *
 * Errors: #HFX_ERROR_UNRESOLVED, #HFX_ERROR_NO_ADDRESS_SPACE.
 */
HFX_MUST_CHECK struct hfx_error *apply_load_image(struct apply *apply);

/**
 * Have the image use the table of shadow variables that the process has, or
 * that of a module before it in @p change, or its own if there is none.
 */
HFX_MUST_CHECK struct hfx_error *apply_link_shadow(struct apply *apply,
                                                   const struct change *change);

/**
 * Note where the hooks are.
 *
 * Error: #HFX_ERROR_BAD_BUNDLE.
 */
HFX_MUST_CHECK struct hfx_error *apply_find_hooks(struct apply *apply);

/**
 * Work out all places that are written, and what goes there: `patch.sites`.
 *
 * Errors: #HFX_ERROR_CODE_MISMATCH, #HFX_ERROR_NO_ADDRESS_SPACE.
 */
HFX_MUST_CHECK struct hfx_error *apply_make_sites(struct apply *apply);

/** How many calls may become sites. */
size_t apply_count_calls(const struct apply *apply);

/** How much of the image's file is kept for debuggers: `patch.symbols`. */
void apply_measure_symbols(struct apply *apply);

/** Write it to the end of the record's pages, and note where. */
HFX_MUST_CHECK struct hfx_error *apply_write_symbols(struct apply *apply);

/** Write a 32-bit member of the record's header. */
HFX_MUST_CHECK struct hfx_error *
apply_write_word(struct apply *apply, uint64_t header_off, uint32_t value);

/**
 * Find the unwinder of the process, and warn where new code needs one that
 * cannot be told of it.
 */
HFX_MUST_CHECK struct hfx_error *apply_find_unwinder(struct apply *apply);

/**
 * Tell the unwinder of the process, if it has one, of the image: exceptions and
 * backtraces then pass through the new code. The record is written and says
 * so from then on.
 */
HFX_MUST_CHECK struct hfx_error *apply_register_unwind(struct apply *apply);

#endif /* HFX_RUNTIME_ENGINE_APPLY_H */
