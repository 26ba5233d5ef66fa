/* SPDX-License-Identifier: MIT */
/**
 * @file register_check.h
 *
 * Whether old code that is under way finds its registers after a call.
 *
 * A caller that keeps a value across a call in a register that any function may
 * overwrite, because this one does not (registers.h), loses it when the call
 * leads to a new version that does. In the new build such a caller was compiled
 * anew, so it is in the patch; but calls of its old code that are under way go
 * on, and call. For them OLD's entry of the function stays. Where it cannot,
 * the patch must be applied at a safe point, when no such calls are under way;
 * that does not help where the caller is not in the patch.
 */
#ifndef HFX_BUNDLER_REGISTER_CHECK_H
#define HFX_BUNDLER_REGISTER_CHECK_H

#include <stdbool.h>

#include "call_graph.h"
#include "checks.h"
#include "error.h"
#include "model.h"
#include "refusal.h"
#include "registers.h"

struct register_check {
	/** Borrowed. */
	const struct program *old_program;
	const struct program *new_program;
	const struct call_graph *old_calls;
	struct registers *old_registers;
	struct registers *new_registers;
	/** Of NEW: why the function is left out, or `NULL`. */
	char *const *exclusions;
	/** Of OLD: can still be called after the patch (call_check.h). */
	const bool *stays;
	/** Of NEW, set by the check: OLD's entry must stay. */
	bool *keeps;
	/** Of NEW, set by the check: must be selected, to call the former. */
	bool *takes;
	/** Of NEW, set by the check: no old call may be under way. */
	bool *needs_safe_point;
	struct refusals *refusals;
	/** What the user should know of the entries that stay. */
	struct warnings *warnings;
};

/**
 * @pre The functions with `is_selected` in NEW are all that are selected.
 * @param[out] again_ret Whether `keeps` or `takes` were extended: select again.
 */
HFX_MUST_CHECK struct hfx_error *
register_check_run(const struct register_check *check, bool *again_ret);

#endif /* HFX_BUNDLER_REGISTER_CHECK_H */
