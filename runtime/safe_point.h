/* SPDX-License-Identifier: MIT */
/**
 * @file safe_point.h
 *
 * Whether all stopped threads are outside of the code that a plan guards, and
 * which are not.
 *
 * First each thread gets a quick look (stack_scan.h), which is enough for most.
 * Where it finds something, the thread's frames decide (unwinder.h). The
 * unwinder is made when it is needed, while threads run, so the try in which
 * the first such thread turns up fails, and the next one has it. A thread that
 * cannot be unwound to its end counts as inside.
 */
#ifndef HFX_RUNTIME_SAFE_POINT_H
#define HFX_RUNTIME_SAFE_POINT_H

#include "commit.h"
#include "stop.h"

struct safe_point;

/** @param[in] plan Borrowed. */
HFX_MUST_CHECK struct hfx_error *
safe_point_create(pid_t pid, const struct commit_plan *plan,
                  struct safe_point **ret);

/** Free; `NULL` is allowed. */
void safe_point_destroy(struct safe_point *point);

/** Before each stop, with all threads traced and running. */
HFX_MUST_CHECK struct hfx_error *safe_point_prepare(struct safe_point *point,
                                                    struct stop *stop);

/**
 * Look at all stopped threads. Makes no message.
 *
 * @return 0, -EAGAIN if some thread is inside, or -ETIMEDOUT.
 */
int safe_point_check(struct safe_point *point, struct stop *stop);

/** After -EAGAIN: what the next try does. */
enum safe_point_advice {
	/** It knows more than this one. */
	SAFE_POINT_AT_ONCE,
	SAFE_POINT_LATER,
	/** A thread that waits for the commit is inside. */
	SAFE_POINT_NEVER,
};

enum safe_point_advice safe_point_advise(const struct safe_point *point);

/** #HFX_ERROR_NOT_QUIESCENT with the threads that were inside. */
HFX_MUST_CHECK struct hfx_error *
safe_point_error(const struct safe_point *point);

#endif /* HFX_RUNTIME_SAFE_POINT_H */
