/* SPDX-License-Identifier: MIT */
/*
 * Unwinding through new code. The unwinder of gcc finds the tables of a module
 * through the dynamic linker, which does not know of an image; what it was told
 * by __register_frame_info() it finds first. That function keeps what it is
 * given in memory of the caller, 48 bytes of it, and allocates nothing.
 *
 * It takes a lock. Outside the process it is called on a borrowed thread, which
 * may hold that very lock: then the call does not return in time and the apply
 * fails, to be tried again.
 *
 * A module may have an unwinder of its own that nobody else can find (-static,
 * -static-libgcc): the manifest says where its function is. Both are told then,
 * since cancellation goes through libgcc_s where there is one.
 *
 * A process may have no such function yet (a C program that has not used
 * backtrace()). For most patches that costs backtraces; one with exception
 * tables gets a warning.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cursor.h"
#include "engine_apply.h"
#include "log.h"
#include "symbols.h"

/* ---- What the image needs ---------------------------------------------- */

/** Whether a CIE that begins here says that its functions have tables. */
static bool cie_has_tables(struct cursor *cie)
{
	const char *augmentation;

	(void)cursor_u8(cie);
	augmentation = cursor_string(cie);
	return augmentation && strchr(augmentation, 'L');
}

/** Whether some function of the image catches, or cleans up when unwound. */
static bool has_exception_tables(const struct image_load *image)
{
	const struct image_load_segment *segment =
		image_load_find(image, image->eh_frame_addr, 1);
	uint64_t off = segment ? image->eh_frame_addr - segment->addr : 0;
	struct cursor cursor;

	if (!image->eh_frame_addr || !segment || off > segment->num_bytes)
		return false;
	cursor = cursor_init(segment->bytes + off, segment->num_bytes - off);
	for (;;) {
		uint32_t size = cursor_u32(&cursor);
		size_t start = cursor.off;

		/* LSB Core, "Exception Frames": 0 ends the list. */
		if (!size || size > cursor_left(&cursor))
			return false;
		if (!cursor_u32(&cursor) && cie_has_tables(&cursor))
			return true;
		cursor_seek(&cursor, start + size);
	}
}

/* ---- What the process has ---------------------------------------------- */

static struct hfx_error *find_function(struct apply *apply)
{
	struct target *target = apply->engine->target;
	const struct symbol_query query = {
		.name = "__register_frame_info",
		.version = "GCC_3.0",
		.library = "libgcc_s.so.1",
		.is_call = true,
	};

	if (target->ops->unwinder) {
		apply->unwinder_addr = target->ops->unwinder(target);
		if (apply->unwinder_addr)
			return NULL;
	}
	return symbols_find(target, &apply->engine->modules, &query,
	                    &apply->unwinder_addr);
}

/** Whether the module unwinds by what it shares with the rest. */
static bool module_shares_unwinder(const struct apply *apply)
{
	struct target *target = apply->engine->target;
	const struct module *module = apply->module;

	return module_holds(module, apply->unwinder_addr, 1, PF_X) ||
	       module_needs(target, module, "libgcc_s.so.1") ||
	       module_needs(target, module, "libstdc++.so.6");
}

/** The module's own, whose code must be what the bundle was made for. */
static struct hfx_error *find_own(struct apply *apply)
{
	const struct manifest_unwinder *unwinder = &apply->manifest->unwinder;
	uint64_t live_addr = apply->module->bias + unwinder->old_addr;
	HFX_CLEANUP(hfx_free) uint8_t *bytes = NULL;
	struct digest digest;

	if (!unwinder->old_size)
		return NULL;
	if (!module_holds(apply->module, live_addr, unwinder->old_size, PF_X))
		return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
		                        "the unwinder is not in the code of %s",
		                        apply->module->path);
	bytes = malloc(unwinder->old_size);
	if (!bytes)
		return hfx_error_no_memory();
	HFX_TRY(apply_read(apply, live_addr, bytes, unwinder->old_size));
	engine_take_out_jumps(apply->engine, live_addr, bytes,
	                      unwinder->old_size);
	digest = digest_of(bytes, unwinder->old_size);
	if (!digest_equal(&digest, &unwinder->old_digest))
		return hfx_error_create(
			HFX_ERROR_CODE_MISMATCH,
			"the code of __register_frame_info in process %d is "
			"not what the bundle was made for",
			(int)apply->engine->target->pid);
	if (live_addr != apply->unwinder_addr)
		apply->own_unwinder_addr = live_addr;
	return NULL;
}

static void warn_of_missing(const struct apply *apply)
{
	if (!apply->unwinder_addr && !apply->own_unwinder_addr)
		log_message(HFX_LOG_WARNING,
		            "functions of the patch have exception tables, and "
		            "process %d has not loaded libgcc_s, which could "
		            "be told of them: exceptions and cancellation will "
		            "not pass these functions",
		            (int)apply->engine->target->pid);
	else if (!apply->own_unwinder_addr && !module_shares_unwinder(apply))
		log_message(HFX_LOG_WARNING,
		            "functions of the patch have exception tables, and "
		            "%s has an unwinder of its own (-static-libgcc), "
		            "which cannot be told of them: exceptions will not "
		            "pass these functions",
		            apply->manifest->name);
}

struct hfx_error *apply_find_unwinder(struct apply *apply)
{
	HFX_TRY(find_function(apply));
	HFX_TRY(find_own(apply));
	if (has_exception_tables(&apply->image))
		warn_of_missing(apply);
	return NULL;
}

/** Have one of them note the image in @p scratch_addr. */
static struct hfx_error *tell(struct apply *apply, uint64_t function_addr,
                              uint64_t scratch_addr)
{
	struct target *target = apply->engine->target;
	uint64_t args[2] = {
		apply->region.image_bias + apply->image.eh_frame_addr,
		scratch_addr,
	};
	uint64_t result;

	if (!function_addr)
		return NULL;
	return hfx_error_wrap(
		target->ops->call(target, function_addr, args, &result),
		"register the unwind information of the new code");
}

struct hfx_error *apply_register_unwind(struct apply *apply)
{
	struct target *target = apply->engine->target;
	uint64_t scratch_addr;

	if (!apply->image.eh_frame_addr ||
	    (!apply->unwinder_addr && !apply->own_unwinder_addr) ||
	    (apply->patch->flags & RECORD_UNWINDABLE))
		return NULL;
	HFX_TRY(engine_region_open_scratch(target, &apply->region,
	                                   &scratch_addr));
	apply->patch->flags |= RECORD_UNWINDABLE;
	HFX_TRY(apply_write_word(apply, offsetof(struct record_header, flags),
	                         apply->patch->flags));
	HFX_TRY(tell(apply, apply->unwinder_addr, scratch_addr));
	return tell(apply, apply->own_unwinder_addr,
	            scratch_addr + SCRATCH_ROOM / 2);
}
