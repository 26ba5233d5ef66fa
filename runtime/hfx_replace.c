/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "hfx_cli.h"
#include "hfx_replace.h"

bool replace_add_wish(struct replace_wish *wish, const char *which)
{
	if (!strcmp(which, "all")) {
		wish->all = true;
		return true;
	}
	return HFX_ARRAY_PUSH(wish, which, which);
}

/** A patch of several modules has several records, and leaves once. */
static void add(struct replacement *replacement,
                const struct engine_patch *patch)
{
	for (size_t i = 0; i < replacement->num_leaving; i++)
		if (digest_equal(&replacement->ids[i], &patch->id))
			return;
	replacement->leaving[replacement->num_leaving] = patch;
	replacement->ids[replacement->num_leaving++] = patch->id;
}

static struct hfx_error *find(const struct replace_wish *wish,
                              struct target *target,
                              struct replacement *replacement)
{
	const struct engine_patches *patches = &replacement->patches;

	for (size_t i = 0; wish->all && i < patches->num_patches; i++)
		if (engine_patch_is_in_place(&patches->patches[i]))
			add(replacement, &patches->patches[i]);
	for (size_t i = 0; i < wish->num_which; i++) {
		const struct engine_patch *patch;

		HFX_TRY(cli_find_patch(patches, target->pid, wish->which[i],
		                       &patch));
		add(replacement, patch);
	}
	return NULL;
}

static bool has_applied(const struct engine_patches *patches,
                        const struct digest *id)
{
	for (size_t i = 0; i < patches->num_patches; i++)
		if (engine_patch_is_in_place(&patches->patches[i]) &&
		    digest_equal(&patches->patches[i].id, id))
			return true;
	return false;
}

struct hfx_error *replace_find(const struct replace_wish *wish,
                               struct target *target, const struct digest *id,
                               struct replacement *ret)
{
	HFX_CLEANUP(replacement_deinit) struct replacement replacement = {0};
	size_t count;

	if (wish->all || wish->num_which)
		HFX_TRY(engine_list(target, &replacement.patches));
	count = replacement.patches.num_patches;
	replacement.leaving = calloc(count + 1, sizeof(*replacement.leaving));
	replacement.ids = calloc(count + 1, sizeof(*replacement.ids));
	if (!replacement.leaving || !replacement.ids)
		return hfx_error_no_memory();
	if (!has_applied(&replacement.patches, id))
		HFX_TRY(find(wish, target, &replacement));
	*ret = replacement;
	replacement = (struct replacement){0};
	return NULL;
}

void replacement_deinit(struct replacement *replacement)
{
	free(replacement->leaving);
	free(replacement->ids);
	engine_patches_deinit(&replacement->patches);
	*replacement = (struct replacement){0};
}

void replace_print(FILE *file, const struct replacement *replacement)
{
	for (size_t i = 0; i < replacement->num_leaving; i++) {
		fputs(i ? ", " : " in place of ", file);
		output_text(file, replacement->leaving[i]->name, 0);
	}
}

void replace_note(const struct replacement *replacement,
                  const struct audit *audit, const struct audit_event *event)
{
	struct audit_event one = *event;

	for (size_t i = 0; i < replacement->num_leaving; i++) {
		one.name = replacement->leaving[i]->name;
		one.id = &replacement->leaving[i]->id;
		audit_write(audit, &one);
	}
}
