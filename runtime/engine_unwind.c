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
 * A process may have no such function yet (a C program that has not used
 * backtrace()), or a module one of its own that nobody else can find
 * (-static-libgcc). For most patches that costs backtraces; one with exception
 * tables gets a warning.
 */
#include <stddef.h>
#include <string.h>

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
	struct target *target = apply->engine.target;
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
	return symbols_find(target, &apply->engine.modules, &query,
	                    &apply->unwinder_addr);
}

/** Whether the module unwinds by what it shares with the rest. */
static bool module_shares_unwinder(const struct apply *apply)
{
	struct target *target = apply->engine.target;
	const struct module *module = apply->module;

	return module_holds(module, apply->unwinder_addr, 1, PF_X) ||
	       module_needs(target, module, "libgcc_s.so.1") ||
	       module_needs(target, module, "libstdc++.so.6");
}

struct hfx_error *apply_find_unwinder(struct apply *apply)
{
	HFX_TRY(find_function(apply));
	if (!has_exception_tables(&apply->image))
		return NULL;
	if (!apply->unwinder_addr)
		log_message(HFX_LOG_WARNING,
		            "functions of the patch have exception tables, and "
		            "process %d has not loaded libgcc_s, which could "
		            "be told of them: exceptions and cancellation will "
		            "not pass these functions",
		            (int)apply->engine.target->pid);
	else if (!module_shares_unwinder(apply))
		log_message(HFX_LOG_WARNING,
		            "functions of the patch have exception tables, and "
		            "%s has an unwinder of its own (-static-libgcc), "
		            "which cannot be told of them: exceptions will not "
		            "pass these functions",
		            apply->manifest->name);
	return NULL;
}

struct hfx_error *apply_register_unwind(struct apply *apply)
{
	struct target *target = apply->engine.target;
	uint64_t args[2], result;

	if (!apply->image.eh_frame_addr || !apply->unwinder_addr ||
	    (apply->patch.flags & RECORD_UNWINDABLE))
		return NULL;
	args[0] = apply->region.image_bias + apply->image.eh_frame_addr;
	HFX_TRY(engine_region_open_scratch(target, &apply->region, &args[1]));
	apply->patch.flags |= RECORD_UNWINDABLE;
	HFX_TRY(apply_write_word(apply, offsetof(struct record_header, flags),
	                         apply->patch.flags));
	return hfx_error_wrap(
		target->ops->call(target, apply->unwinder_addr, args, &result),
		"register the unwind information of the new "
		"code");
}
