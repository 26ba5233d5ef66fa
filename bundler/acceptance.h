/* SPDX-License-Identifier: MIT */
/**
 * @file acceptance.h
 *
 * What changed although it lives in the process, and the user accepted by name.
 */
#ifndef HFX_BUNDLER_ACCEPTANCE_H
#define HFX_BUNDLER_ACCEPTANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "options.h"

/** Names, owned. */
struct acceptances {
	char **types;
	size_t num_types;
	size_t cap_types;
	char **data;
	size_t num_data;
	size_t cap_data;
};

void acceptances_deinit(struct acceptances *accepted);

/** Each name once. */
HFX_MUST_CHECK struct hfx_error *
acceptances_add_type(struct acceptances *accepted, const char *name);
HFX_MUST_CHECK struct hfx_error *
acceptances_add_data(struct acceptances *accepted, const char *name);

/** Whether a pattern matches a type's name, with or without its keyword. */
bool acceptance_of_type(const struct patterns *patterns, const char *name);

bool acceptance_of_data(const struct patterns *patterns, const char *name);

#endif /* HFX_BUNDLER_ACCEPTANCE_H */
