/* SPDX-License-Identifier: MIT */
/**
 * @file hfx_replace.h
 *
 * `hfx apply --replaces`: the patches of one process that a bundle takes the
 * place of.
 */
#ifndef HFX_RUNTIME_HFX_REPLACE_H
#define HFX_RUNTIME_HFX_REPLACE_H

#include <stdio.h>

#include "audit.h"
#include "engine.h"

/** What the user wants: names, ids, or all. */
struct replace_wish {
	/** Borrowed from the command line. */
	const char **which;
	size_t num_which;
	size_t cap_which;
	bool all;
};

struct replacement {
	/** All patches of the process. */
	struct engine_patches patches;
	/** Those that are to leave, each once. */
	const struct engine_patch **leaving;
	/** Their ids, for engine_options. */
	struct digest *ids;
	size_t num_leaving;
};

/** Note an argument of the option. @return False without memory. */
bool replace_add_wish(struct replace_wish *wish, const char *which);

/**
 * Find the patches of a process; none are there to leave when @p id, the one to
 * come, is applied already.
 *
 * Errors: as cli_find_patch().
 */
HFX_MUST_CHECK struct hfx_error *replace_find(const struct replace_wish *wish,
                                              struct target *target,
                                              const struct digest *id,
                                              struct replacement *ret);

/** Guard and destructor. */
void replacement_deinit(struct replacement *replacement);

/** Print ` in place of v1, v2`, or nothing when none leaves. */
void replace_print(FILE *file, const struct replacement *replacement);

/** Tell the log of each that leaves, as @p event says. */
void replace_note(const struct replacement *replacement,
                  const struct audit *audit, const struct audit_event *event);

#endif /* HFX_RUNTIME_HFX_REPLACE_H */
