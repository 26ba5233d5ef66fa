/* SPDX-License-Identifier: MIT */
/*
 * The places where code changes: the jump at the entry of each function, also
 * in the code of patches below, and direct calls that are redirected.
 *
 * A call is a place like a jump: what was there and what is written stand in
 * the record, so all that takes jumps back does the same with calls. It may be
 * left as it is at any time, since the jump at the entry stays; so it is unless
 * everything about it is as expected.
 */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cursor.h"
#include "engine_apply.h"
#include "image.h"
#include "log.h"

/* ---- The jumps --------------------------------------------------------- */

/** Write a direct call or jump, whose first byte is @p opcode. */
static struct hfx_error *make_branch(uint8_t opcode, uint64_t from, uint64_t to,
                                     uint8_t bytes_ret[static SITE_SIZE])
{
	int64_t distance = (int64_t)(to - (from + JUMP_SIZE));
	int32_t field = (int32_t)distance;

	if (field != distance)
		return hfx_error_create(
			HFX_ERROR_NO_ADDRESS_SPACE,
			"the new code at %#llx is too far from %#llx for a "
			"jump",
			(unsigned long long)to, (unsigned long long)from);
	memset(bytes_ret, 0, SITE_SIZE);
	bytes_ret[0] = opcode;
	memcpy(bytes_ret + 1, &field, sizeof(field));
	return NULL;
}

/**
 * Check the bytes that a jump replaces: the newest jump at the same place, if
 * one is recorded, and no part of another. Where jumps leave, the record is to
 * say what comes back with them.
 */
static struct hfx_error *check_before(const struct apply *apply,
                                      struct record_site *site)
{
	const struct engine *engine = apply->engine;
	uint64_t addr = site->live_addr;
	size_t i = engine_site_from(engine, addr - (JUMP_SIZE - 1));
	const struct record_site *newest = NULL, *leaving = NULL;

	for (; i < engine->num_sites &&
	       engine->sites[i].live_addr < addr + JUMP_SIZE;
	     i++) {
		if (engine->sites[i].live_addr != addr)
			return hfx_error_create(
				HFX_ERROR_CODE_MISMATCH,
				"the jump at %#llx would cut one of an applied "
				"patch",
				(unsigned long long)addr);
		newest = engine_record_site(engine, i);
		if (!leaving && engine->leaves[engine->sites[i].patch])
			leaving = newest;
	}
	if (newest && memcmp(newest->after, site->before, JUMP_SIZE) != 0)
		return hfx_error_create(HFX_ERROR_CODE_MISMATCH,
		                        "something else has changed the jump "
		                        "of an applied patch at %#llx",
		                        (unsigned long long)addr);
	if (leaving)
		memcpy(site->before, leaving->before, JUMP_SIZE);
	return NULL;
}

static struct hfx_error *add_site(struct apply *apply, uint64_t from,
                                  uint64_t to)
{
	struct record_site site = {.live_addr = from};

	HFX_TRY(apply_read(apply, from, site.before, JUMP_SIZE));
	HFX_TRY(check_before(apply, &site));
	HFX_TRY(make_branch(JUMP_OPCODE, from, to, site.after));
	apply->patch->sites[apply->patch->num_sites++] = site;
	return NULL;
}

/** Sites in the code of applied patches that replace the same function. */
static struct hfx_error *add_stacked_sites(struct apply *apply,
                                           const struct record_function *ours)
{
	const struct engine *engine = apply->engine;
	size_t i = engine_function_from(engine, ours->old_live_addr);

	for (; i < engine->num_functions &&
	       engine->functions[i].old_live_addr == ours->old_live_addr;
	     i++) {
		const struct engine_function *entry = &engine->functions[i];
		const struct record_function *theirs =
			&engine->patches.patches[entry->patch]
				 .functions[entry->function];

		HFX_TRY(add_site(apply,
		                 theirs->new_live_addr + theirs->new_entry,
		                 ours->new_live_addr));
	}
	return NULL;
}

/* ---- Calls ------------------------------------------------------------- */

/** Whether a jump of an applied patch begins near @p live_addr, but not there.
 */
static bool is_cut(const struct engine *engine, uint64_t live_addr)
{
	size_t i = engine_site_from(engine, live_addr - (JUMP_SIZE - 1));

	for (; i < engine->num_sites &&
	       engine->sites[i].live_addr < live_addr + JUMP_SIZE;
	     i++)
		if (engine->sites[i].live_addr != live_addr)
			return true;
	return false;
}

static bool leads_to(const uint8_t bytes[static JUMP_SIZE], uint64_t from,
                     uint64_t to)
{
	int32_t distance;

	memcpy(&distance, bytes + 1, sizeof(distance));
	return (bytes[0] == CALL_OPCODE || bytes[0] == JUMP_OPCODE) &&
	       from + JUMP_SIZE + (uint64_t)(int64_t)distance == to;
}

/**
 * Read what is at a call, and check that OLD's leads to @p old_live_addr and
 * nothing but applied patches has changed it.
 *
 * A call across two pages is left alone: only what lies in one is written in
 * one go, whatever kills hfx meanwhile.
 */
static struct hfx_error *read_call(struct apply *apply, uint64_t old_live_addr,
                                   struct record_site *site, bool *fits_ret)
{
	const struct engine *engine = apply->engine;
	uint64_t live_addr = site->live_addr;
	uint8_t old_bytes[JUMP_SIZE];
	size_t end;

	*fits_ret = false;
	if (live_addr % PAGE_BYTES > PAGE_BYTES - JUMP_SIZE ||
	    !module_holds(apply->module, live_addr, JUMP_SIZE, PF_X) ||
	    is_cut(engine, live_addr))
		return NULL;
	HFX_TRY(apply_read(apply, live_addr, site->before, JUMP_SIZE));
	end = engine_site_from(engine, live_addr + 1);
	if (end && engine->sites[end - 1].live_addr == live_addr &&
	    memcmp(engine_record_site(engine, end - 1)->after, site->before,
	           JUMP_SIZE) != 0)
		return NULL;
	memcpy(old_bytes, site->before, JUMP_SIZE);
	engine_take_out_jumps(engine, live_addr, old_bytes, JUMP_SIZE);
	*fits_ret = leads_to(old_bytes, live_addr, old_live_addr);
	return NULL;
}

static struct hfx_error *
add_call(struct apply *apply, const struct manifest_call *call, bool *fits_ret)
{
	const struct manifest_function *f =
		&apply->manifest->functions[call->function];
	uint64_t bias = apply->module->bias;
	struct record_site site = {.live_addr = bias + call->old_addr};

	HFX_TRY(read_call(apply, bias + f->old_addr, &site, fits_ret));
	if (!*fits_ret)
		return NULL;
	HFX_TRY(make_branch(site.before[0], site.live_addr,
	                    apply->patch->image_bias + f->new_addr,
	                    site.after));
	HFX_TRY(check_before(apply, &site));
	apply->patch->sites[apply->patch->num_sites++] = site;
	return NULL;
}

static struct hfx_error *add_calls(struct apply *apply)
{
	size_t num_left = 0, count = apply_count_calls(apply);

	for (size_t i = 0; i < count; i++) {
		bool fits;

		HFX_TRY(add_call(apply, &apply->manifest->calls[i], &fits));
		num_left += !fits;
	}
	apply->num_calls = (uint32_t)(count - num_left);
	if (count)
		log_message(HFX_LOG_INFO,
		            "%s: %zu direct calls are redirected, %zu stay",
		            apply->patch->name, count - num_left, num_left);
	return NULL;
}

size_t apply_count_calls(const struct apply *apply)
{
	return apply->options && apply->options->redirect_calls
	               ? apply->manifest->num_calls
	               : 0;
}

/* ---- All of them -------------------------------------------------------- */

static int by_live_addr(const void *a, const void *b)
{
	const struct record_site *left = a, *right = b;

	return (left->live_addr > right->live_addr) -
	       (left->live_addr < right->live_addr);
}

static struct hfx_error *check_overlaps(struct engine_patch *patch)
{
	hfx_array_sort(patch->sites, patch->num_sites, sizeof(*patch->sites),
	               by_live_addr);
	for (size_t i = 1; i < patch->num_sites; i++)
		if (patch->sites[i].live_addr - patch->sites[i - 1].live_addr <
		    JUMP_SIZE)
			return hfx_error_create(
				HFX_ERROR_BAD_BUNDLE,
				"two jumps of the bundle overlap at %#llx",
				(unsigned long long)patch->sites[i].live_addr);
	return NULL;
}

struct hfx_error *apply_make_sites(struct apply *apply)
{
	struct engine_patch *patch = apply->patch;

	patch->sites = calloc(patch->num_functions + apply->num_stacked +
	                              apply_count_calls(apply) + 1,
	                      sizeof(*patch->sites));
	if (!patch->sites)
		return hfx_error_no_memory();
	for (size_t i = 0; i < patch->num_functions; i++) {
		const struct record_function *function = &patch->functions[i];

		HFX_TRY(add_site(apply,
		                 function->old_live_addr + function->old_entry,
		                 function->new_live_addr));
		HFX_TRY(add_stacked_sites(apply, function));
	}
	HFX_TRY(add_calls(apply));
	return check_overlaps(patch);
}
