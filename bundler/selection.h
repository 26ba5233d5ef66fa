/* SPDX-License-Identifier: MIT */
/**
 * @file selection.h
 *
 * Which functions go into the bundle, and whether they may.
 */
#ifndef HFX_BUNDLER_SELECTION_H
#define HFX_BUNDLER_SELECTION_H

#include "call_graph.h"
#include "checks.h"
#include "closure.h"
#include "compare.h"
#include "entry.h"
#include "error.h"
#include "model.h"
#include "namesakes.h"
#include "options.h"

struct selection {
	/** Borrowed. */
	const struct diff_options *options;
	struct program *old_program;
	struct program *new_program;
	struct comparison *comparison;
	struct decoder *decoder;
	const struct unwind_table *unwind;
	struct entry_checker *old_entries;
	struct entry_checker *new_entries;
	struct call_graph *old_calls;
	struct namesakes namesakes;
	struct literals *literals;
	struct registers *old_registers;
	struct registers *new_registers;
	/** Functions of NEW whose old entry must stay (register_check.h), and
	 * those that are selected for the sake of these. */
	bool *keeps;
	bool *takes;
	/** Functions of NEW that calls under way must not meet. */
	bool *needs_safe_point;
	/** About the former. */
	struct warnings warnings;
	/** Why the user or --all leaves out each function of NEW, or `NULL`. */
	char **exclusions;
	/** What the functions of NEW with `is_selected` bring with them. */
	struct closure closure;
	bool has_closure;
};

HFX_MUST_CHECK struct hfx_error *
selection_init(struct selection *selection, const struct diff_options *options,
               struct comparison *comparison, struct program *old_program,
               struct program *new_program, const struct unwind_table *unwind,
               struct decoder *decoder);

/**
 * Set `is_selected` in NEW and compute the closure. Afterwards
 * `closure.refusals` holds the reasons against the bundle; with --all, a
 * function with such a reason is left out instead.
 */
HFX_MUST_CHECK struct hfx_error *selection_run(struct selection *selection);

/** Whether the bundle must not be applied with --allow-active. */
bool selection_needs_safe_point(const struct selection *selection);

void selection_deinit(struct selection *selection);

/** Whether @p function, selected, gets a jump at OLD's entry. */
bool selection_redirects(const struct function *function);

#endif /* HFX_BUNDLER_SELECTION_H */
