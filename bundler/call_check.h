/* SPDX-License-Identifier: MIT */
/**
 * @file call_check.h
 *
 * Whether all who will call a function call it as it wants to be called.
 *
 * A function whose signature changed is entered through OLD's address by OLD's
 * code, which passes what the old signature says. That is right for callers
 * that go into the patch, too, and for callers whose code is the same in both
 * builds: NEW's own calls are these very instructions. It is wrong for callers
 * that were left out, for those that only OLD has and that still run, and
 * nobody knows of callers through pointers or from other modules. The same
 * holds for clones (`f.isra.0`), whose calling convention is the compiler's
 * private matter, and the other way around for functions that were left out
 * and that new code calls.
 */
#ifndef HFX_BUNDLER_CALL_CHECK_H
#define HFX_BUNDLER_CALL_CHECK_H

#include "call_graph.h"
#include "error.h"
#include "model.h"
#include "refusal.h"

struct call_check {
	/** Borrowed. */
	const struct program *old_program;
	const struct program *new_program;
	const struct call_graph *old_calls;
	struct refusals *refusals;
};

/** @pre The functions with `is_selected` in NEW are all that are selected. */
HFX_MUST_CHECK struct hfx_error *call_check_run(const struct call_check *check);

/**
 * Functions of OLD that can still be called after the patch and then run as OLD
 * has them: those left out, and what OLD alone has and something leads to.
 *
 * @param[out] ret For each function of OLD; for free().
 */
HFX_MUST_CHECK struct hfx_error *
call_check_find_stayers(const struct call_check *check, bool **ret);

/** Whether OLD's code that is not replaced may call a function of NEW. */
bool call_check_is_open(const struct call_check *check,
                        const struct function *function);

/**
 * Whether @p function, which is selected and has a counterpart, is called in
 * another way than OLD's and by selected functions alone. Then OLD's entry must
 * stay: calls that are under way come from old code, and call as it does.
 */
HFX_MUST_CHECK struct hfx_error *
call_check_keeps_entry(const struct call_check *check,
                       const struct function *function, bool *ret);

#endif /* HFX_BUNDLER_CALL_CHECK_H */
