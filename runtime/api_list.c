/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "cleanup.h"
#include "engine.h"
#include "target.h"

struct hfx_patch_list {
	/** Owner of the strings. */
	struct engine_patches patches;
	struct hfx_patch_info *infos;
	size_t num_infos;
};

static struct hfx_error *list_self(struct engine_patches *ret)
{
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(target_create_self(NULL, 0, &target));
	err = engine_list(target, ret);
	target_destroy(target);
	return err;
}

static struct hfx_patch_info make_info(const struct engine_patch *patch)
{
	struct hfx_patch_info info = {
		.name = patch->name,
		.version = patch->version,
		.description = patch->description,
		.module_name = patch->module_name,
		.applied_ns = patch->applied_ns,
		.pause_ns = patch->pause_ns,
		.num_functions = patch->num_functions,
		.state = patch->state == RECORD_WAITING ? HFX_PATCH_WAITING
	                                                : HFX_PATCH_APPLIED,
		.reason = patch->reason ? patch->reason : "",
	};

	memcpy(info.id.bytes, patch->id.bytes, sizeof(info.id.bytes));
	return info;
}

static struct hfx_error *create(struct hfx_patch_list **ret)
{
	struct hfx_patch_list *list = calloc(1, sizeof(*list));
	struct hfx_error *err;

	if (!list)
		return hfx_error_no_memory();
	err = list_self(&list->patches);
	if (err) {
		free(list);
		return err;
	}
	list->infos =
		calloc(list->patches.num_patches + 1, sizeof(*list->infos));
	if (!list->infos) {
		hfx_patch_list_destroy(list);
		return hfx_error_no_memory();
	}
	for (size_t i = 0; i < list->patches.num_patches; i++)
		if (engine_patch_is_in_place(&list->patches.patches[i]))
			list->infos[list->num_infos++] =
				make_info(&list->patches.patches[i]);
	*ret = list;
	return NULL;
}

HFX_API struct hfx_error *hfx_patch_list_create(struct hfx_patch_list **ret)
{
	int saved_errno = errno;
	struct hfx_error *err = create(ret);

	errno = saved_errno;
	return err;
}

HFX_API size_t hfx_patch_list_count(const struct hfx_patch_list *list)
{
	return list->num_infos;
}

HFX_API const struct hfx_patch_info *
hfx_patch_list_get(const struct hfx_patch_list *list, size_t i)
{
	return i < list->num_infos ? &list->infos[i] : NULL;
}

HFX_API void hfx_patch_list_destroy(struct hfx_patch_list *list)
{
	if (!list)
		return;
	engine_patches_deinit(&list->patches);
	free(list->infos);
	free(list);
}

/** Whether no record before it is of the same patch, in the same state. */
static bool is_first_of_patch(const struct engine_patches *patches,
                              size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (patches->patches[i].state ==
		            patches->patches[index].state &&
		    digest_equal(&patches->patches[i].id,
		                 &patches->patches[index].id))
			return false;
	return true;
}

/** What stands in the way of every apply, as far as it can be told now. */
static struct hfx_error *fill_status(struct hfx_status *status)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};
	struct hfx_error *err = list_self(&patches);
	enum hfx_error_code code = hfx_error_code(err);

	if (api_is_poisoned())
		status->blocked_by = HFX_ERROR_POISONED;
	else if (code == HFX_ERROR_BAD_RECORD ||
	         code == HFX_ERROR_BUNDLE_VERSION)
		status->blocked_by = (uint32_t)code;
	else
		HFX_TRY(err);
	hfx_error_destroy(code ? err : NULL);
	for (size_t i = 0; i < patches.num_patches; i++) {
		const struct engine_patch *patch = &patches.patches[i];

		if (patch->generation > status->generation)
			status->generation = patch->generation;
		if (!is_first_of_patch(&patches, i))
			continue;
		status->num_applied += patch->state == RECORD_APPLIED;
		status->num_waiting += patch->state == RECORD_WAITING;
	}
	return NULL;
}

HFX_API struct hfx_error *hfx_get_status(struct hfx_status *status)
{
	struct hfx_status full = {.sz = sizeof(full)};
	int saved_errno = errno;
	struct hfx_error *err;

	if (!status || status->sz < sizeof(status->sz))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the status' sz is not set to its "
		                        "size");
	err = fill_status(&full);
	errno = saved_errno;
	HFX_TRY(err);
	full.sz = status->sz;
	memcpy(status, &full,
	       status->sz < sizeof(full) ? status->sz : sizeof(full));
	return NULL;
}
