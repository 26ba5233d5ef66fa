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
 */
#include <stddef.h>

#include "engine_apply.h"
#include "symbols.h"

static struct hfx_error *find_function(struct apply *apply, uint64_t *addr_ret)
{
	const struct symbol_query query = {
		.name = "__register_frame_info",
		.version = "GCC_3.0",
		.library = "libgcc_s.so.1",
		.is_call = true,
	};

	return symbols_find(apply->engine.target, &apply->engine.modules,
	                    &query, addr_ret);
}

struct hfx_error *apply_register_unwind(struct apply *apply)
{
	struct target *target = apply->engine.target;
	uint64_t args[2], function_addr, result;

	if (!apply->image.eh_frame_addr ||
	    (apply->patch.flags & RECORD_UNWINDABLE))
		return NULL;
	HFX_TRY(find_function(apply, &function_addr));
	if (!function_addr)
		return NULL;
	args[0] = apply->region.image_bias + apply->image.eh_frame_addr;
	HFX_TRY(engine_region_open_scratch(target, &apply->region, &args[1]));
	apply->patch.flags |= RECORD_UNWINDABLE;
	HFX_TRY(apply_write_word(apply, offsetof(struct record_header, flags),
	                         apply->patch.flags));
	return hfx_error_wrap(
		target->ops->call(target, function_addr, args, &result),
		"register the unwind information of the new code");
}
