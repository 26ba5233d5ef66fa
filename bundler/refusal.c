/* SPDX-License-Identifier: MIT */
#include "refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

static void refusal_deinit(struct refusal *refusal)
{
	free(refusal->subject);
	free(refusal->reason);
}

static bool is_there(const struct refusals *refusals,
                     const struct refusal *wanted)
{
	for (size_t i = 0; i < refusals->num_items; i++) {
		const struct refusal *refusal = &refusals->items[i];

		if (refusal->function == wanted->function &&
		    !strcmp(refusal->subject, wanted->subject) &&
		    !strcmp(refusal->reason, wanted->reason))
			return true;
	}
	return false;
}

struct hfx_error *refusals_add(struct refusals *refusals, uint32_t function,
                               const char *subject, const char *remedy,
                               const char *format, ...)
{
	struct refusal refusal = {.function = function, .remedy = remedy};
	va_list args;

	va_start(args, format);
	int length = vasprintf(&refusal.reason, format, args);
	va_end(args);
	if (length < 0)
		refusal.reason = NULL;
	refusal.subject = strdup(subject);
	if (!refusal.reason || !refusal.subject) {
		refusal_deinit(&refusal);
		return hfx_error_no_memory();
	}
	if (is_there(refusals, &refusal)) {
		refusal_deinit(&refusal);
		return NULL;
	}
	if (!HFX_ARRAY_PUSH(refusals, items, refusal)) {
		refusal_deinit(&refusal);
		return hfx_error_no_memory();
	}
	return NULL;
}

void refusals_deinit(struct refusals *refusals)
{
	for (size_t i = 0; i < refusals->num_items; i++)
		refusal_deinit(&refusals->items[i]);
	free(refusals->items);
	*refusals = (struct refusals){0};
}
