/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "debug_private.h"

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *producer_of(const struct debug_unit *unit)
{
	Dwarf_Die die = unit->die;
	Dwarf_Attribute attr;
	const char *text =
		dwarf_formstring(dwarf_attr(&die, DW_AT_producer, &attr));

	return text ? text : "";
}

/* The distinct ones of @p texts, joined by "; ". */
static struct hfx_error *join(const char **texts, size_t count, char **ret)
{
	const char *last = "";
	char *joined = NULL;

	HFX_TRY(debug_text_set(&joined, "%s", ""));
	for (size_t i = 0; i < count; i++) {
		HFX_CLEANUP(hfx_free) char *longer = NULL;

		if (!strcmp(texts[i], last))
			continue;
		struct hfx_error *err =
			debug_text_set(&longer, "%s%s%s", joined,
		                       *joined ? "; " : "", texts[i]);
		if (err) {
			free(joined);
			return err;
		}
		free(joined);
		joined = HFX_TAKE(longer);
		last = texts[i];
	}
	*ret = joined;
	return NULL;
}

struct hfx_error *debug_info_producers(struct debug_info *debug, char **ret)
{
	HFX_CLEANUP(hfx_free) const char **texts = NULL;

	HFX_TRY(debug_units_list(debug));
	texts = calloc(debug->num_listed + 1, sizeof(*texts));
	if (!texts)
		return hfx_error_no_memory();
	for (size_t i = 0; i < debug->num_listed; i++)
		texts[i] = producer_of(debug->listed[i]);
	if (debug->num_listed)
		qsort(texts, debug->num_listed, sizeof(*texts), compare_texts);
	return join(texts, debug->num_listed, ret);
}
