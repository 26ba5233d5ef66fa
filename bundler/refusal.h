/* SPDX-License-Identifier: MIT */
/**
 * @file refusal.h
 *
 * Reasons not to make a bundle. They are collected, so that the user sees all.
 */
#ifndef HFX_BUNDLER_REFUSAL_H
#define HFX_BUNDLER_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct refusal {
	/** Index of the function of NEW that it is about, or NO_INDEX. */
	uint32_t function;
	/** Function or object, as text. Owned. */
	char *subject;
	/** "file:line", owned; `NULL`: that of the function. */
	char *source;
	/** One line. Owned. */
	char *reason;
	/** What the user can do; a constant string. */
	const char *remedy;
};

struct refusals {
	struct refusal *items;
	size_t num_items;
	size_t cap_items;
};

/** Add one, unless the same is there already. */
HFX_MUST_CHECK HFX_PRINTF(5, 6) struct hfx_error *refusals_add(
	struct refusals *refusals, uint32_t function, const char *subject,
	const char *remedy, const char *format, ...);

/** Add one that is about no function but something at @p source. */
HFX_MUST_CHECK HFX_PRINTF(5, 6) struct hfx_error *refusals_add_at(
	struct refusals *refusals, const char *source, const char *subject,
	const char *remedy, const char *format, ...);

void refusals_deinit(struct refusals *refusals);

#endif /* HFX_BUNDLER_REFUSAL_H */
