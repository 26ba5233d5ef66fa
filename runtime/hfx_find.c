/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "digest.h"
#include "hfx_cli.h"

/** Digits of an id that name a patch. */
#define MIN_ID 6

static bool matches(const struct engine_patch *patch, const char *which)
{
	char id[2 * DIGEST_SIZE + 1];
	size_t size = strlen(which);

	if (!strcmp(patch->name, which))
		return true;
	hex_encode(patch->id.bytes, DIGEST_SIZE, id);
	return size >= MIN_ID && size < sizeof(id) &&
	       !strncasecmp(id, which, size);
}

/** @param[in] last One that is not there any more, or `NULL`. */
static struct hfx_error *none_error(pid_t pid, const char *which,
                                    const struct engine_patch *last)
{
	const char *why = "";

	if (last && last->state == RECORD_REVERTED)
		why = " any more: it was reverted";
	else if (last)
		why = " any more: its module was unloaded";
	return hfx_error_create(
		HFX_ERROR_NOT_APPLIED,
		"process %d has no patch %s%s; `hfx list %d` shows what it has",
		pid, which, why, pid);
}

struct hfx_error *cli_find_patch(const struct engine_patches *patches,
                                 pid_t pid, const char *which,
                                 const struct engine_patch **ret)
{
	const struct engine_patch *found = NULL, *last = NULL;

	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *patch = &patches->patches[i];

		if (!matches(patch, which))
			continue;
		if (patch->state == RECORD_REVERTED ||
		    patch->state == RECORD_UNLOADED) {
			last = patch;
			continue;
		}
		if (found && !digest_equal(&found->id, &patch->id))
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"process %d has several patches %s; give the "
				"id that `hfx list %d` shows",
				pid, which, pid);
		found = patch;
	}
	if (!found)
		return none_error(pid, which, last);
	*ret = found;
	return NULL;
}
