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
	free(refusal->source);
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

/* Takes what @p refusal owns. */
static struct hfx_error *add(struct refusals *refusals, struct refusal *refusal)
{
	struct hfx_error *err = NULL;

	if (refusal->reason && refusal->subject) {
		if (!is_there(refusals, refusal) &&
		    HFX_ARRAY_PUSH(refusals, items, *refusal))
			return NULL;
		if (!is_there(refusals, refusal))
			err = hfx_error_no_memory();
	} else {
		err = hfx_error_no_memory();
	}
	refusal_deinit(refusal);
	return err;
}

struct hfx_error *refusals_add(struct refusals *refusals, uint32_t function,
                               const char *subject, const char *remedy,
                               const char *format, ...)
{
	struct refusal refusal = {.function = function, .remedy = remedy};
	va_list args;

	va_start(args, format);
	if (vasprintf(&refusal.reason, format, args) < 0)
		refusal.reason = NULL;
	va_end(args);
	refusal.subject = strdup(subject);
	return add(refusals, &refusal);
}

struct hfx_error *refusals_add_at(struct refusals *refusals, const char *source,
                                  const char *subject, const char *remedy,
                                  const char *format, ...)
{
	struct refusal refusal = {.function = UINT32_MAX, .remedy = remedy};
	va_list args;

	va_start(args, format);
	if (vasprintf(&refusal.reason, format, args) < 0)
		refusal.reason = NULL;
	va_end(args);
	refusal.subject = strdup(subject);
	refusal.source = strdup(source ? source : "");
	return add(refusals, &refusal);
}

void refusals_deinit(struct refusals *refusals)
{
	for (size_t i = 0; i < refusals->num_items; i++)
		refusal_deinit(&refusals->items[i]);
	free(refusals->items);
	*refusals = (struct refusals){0};
}
