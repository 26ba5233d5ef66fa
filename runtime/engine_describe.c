/* SPDX-License-Identifier: MIT */
/* What the record of a patch says of one module, and how it gets there. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "engine_apply.h"

/* ---- What the record says ---------------------------------------------- */

static struct hfx_error *copy_text(const char *text, char **ret)
{
	*ret = strdup(text);
	return *ret ? NULL : hfx_error_no_memory();
}

static size_t count_changed(const struct manifest_module *manifest)
{
	size_t count = 0;

	for (size_t i = 0; i < manifest->num_functions; i++)
		count += manifest->functions[i].kind ==
		         MANIFEST_FUNCTION_CHANGED;
	return count;
}

static struct hfx_error *describe_texts(struct apply *apply)
{
	const struct manifest *manifest = apply->bundle->manifest;
	struct engine_patch *patch = apply->patch;

	HFX_TRY(copy_text(manifest->name, &patch->name));
	HFX_TRY(copy_text(manifest->version, &patch->version));
	HFX_TRY(copy_text(manifest->description, &patch->description));
	return copy_text(apply->manifest->name, &patch->module_name);
}

static struct record_function
describe_function(const struct apply *apply, const struct manifest_function *f)
{
	struct record_function function = {
		.old_live_addr = apply->module->bias + f->old_addr,
		.old_size = f->old_size,
		.new_live_addr = f->new_addr,
		.new_size = f->new_size,
		.old_entry = f->old_entry,
		.new_entry = f->new_entry,
	};

	memcpy(function.signature_digest, f->signature_digest.bytes,
	       sizeof(function.signature_digest));
	return function;
}

/** Parts are of the function at their whole's place in `patch->functions`. */
static struct hfx_error *describe_code(struct apply *apply)
{
	const struct manifest_module *manifest = apply->manifest;
	struct engine_patch *patch = apply->patch;
	HFX_CLEANUP(hfx_free)
	uint32_t *indexes =
		calloc(manifest->num_functions + 1, sizeof(*indexes));
	uint32_t next = 0;

	patch->code = calloc(manifest->num_functions + 1, sizeof(*patch->code));
	patch->code_names =
		calloc(manifest->num_functions + 1, sizeof(*patch->code_names));
	if (!indexes || !patch->code || !patch->code_names)
		return hfx_error_no_memory();
	for (size_t i = 0; i < manifest->num_functions; i++)
		indexes[i] =
			manifest->functions[i].kind == MANIFEST_FUNCTION_CHANGED
				? next++
				: RECORD_NO_FUNCTION;
	for (size_t i = 0; i < manifest->num_functions; i++) {
		const struct manifest_function *f = &manifest->functions[i];

		if (f->kind == MANIFEST_FUNCTION_CHANGED)
			continue;
		patch->code[patch->num_code++] = (struct record_code){
			.live_addr = f->new_addr,
			.size = f->new_size,
			.function =
				f->kind == MANIFEST_FUNCTION_PART &&
						f->whole != MANIFEST_NO_WHOLE
					? indexes[f->whole]
					: RECORD_NO_FUNCTION,
		};
		HFX_TRY(copy_text(f->name,
		                  &patch->code_names[patch->num_code - 1]));
	}
	return NULL;
}

struct hfx_error *apply_describe(struct apply *apply)
{
	struct engine_patch *patch = apply->patch;
	size_t count = count_changed(apply->manifest);

	patch->id = apply->bundle->id;
	patch->build_id = apply->module->build_id;
	patch->module_bias = apply->module->bias;
	/* The word in the record is written again when this changes. */
	patch->flags = RECORD_LAYOUT;
	patch->sequence = engine_patches_sequence(&apply->engine->patches) + 1;
	patch->generation =
		engine_patches_generation(&apply->engine->patches) + 1;
	HFX_TRY(describe_texts(apply));
	HFX_TRY(describe_code(apply));
	patch->eh_frame_addr = apply->image.eh_frame_addr;
	patch->functions = calloc(count + 1, sizeof(*patch->functions));
	patch->function_names =
		calloc(count + 1, sizeof(*patch->function_names));
	if (!patch->functions || !patch->function_names)
		return hfx_error_no_memory();
	for (size_t i = 0; i < apply->manifest->num_functions; i++) {
		const struct manifest_function *f =
			&apply->manifest->functions[i];

		if (f->kind != MANIFEST_FUNCTION_CHANGED)
			continue;
		patch->functions[patch->num_functions] =
			describe_function(apply, f);
		patch->num_functions++;
		HFX_TRY(copy_text(
			f->name,
			&patch->function_names[patch->num_functions - 1]));
	}
	return NULL;
}

/* ---- The record -------------------------------------------------------- */

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) +
	       (uint64_t)now.tv_nsec;
}

struct hfx_error *apply_write_record(struct apply *apply)
{
	struct target *target = apply->engine->target;
	HFX_CLEANUP(buffer_deinit) struct buffer record = {0};

	apply->patch->applied_ns = realtime_ns();
	HFX_TRY(record_format(apply->patch, &record));
	if (record.size > apply->region.record_room -
	                          record_symbols_size(&apply->patch->symbols))
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "the record of this patch has no room");
	return target->ops->write(target, apply->patch->record_addr,
	                          record.data, record.size);
}

struct hfx_error *apply_write_word(struct apply *apply, uint64_t header_off,
                                   uint32_t value)
{
	struct target *target = apply->engine->target;

	return target->ops->write(target,
	                          apply->patch->record_addr + header_off,
	                          &value, sizeof(value));
}

struct hfx_error *apply_restore_record(struct apply *apply)
{
	struct target *target = apply->engine->target;

	if (!apply->saved_record.data)
		return NULL;
	HFX_TRY(target->ops->write(target, apply->patch->record_addr,
	                           apply->saved_record.data,
	                           apply->saved_record.size));
	return apply_write_word(apply, offsetof(struct record_header, flags),
	                        apply->previous->flags |
	                                (apply->patch->flags &
	                                 (RECORD_STAYS | RECORD_HOOKS_OWED)));
}
