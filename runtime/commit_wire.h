/* SPDX-License-Identifier: MIT */
/**
 * @file commit_wire.h
 *
 * A commit plan and its result as bytes between libhfx and hfx-tracer.
 *
 * Both ends are of one installation, so integers have the machine's order; a
 * version still tells an hfx-tracer of another release. The descriptor is one
 * end of a pipe or, better, of a stream socket pair: there a peer that has died
 * gives an error instead of SIGPIPE. One plan goes in, one result comes out:
 *
 *     libhfx       commit_wire_send_plan      commit_wire_receive_result
 *     hfx-tracer   commit_wire_receive_plan   commit_wire_send_result
 *
 * Interrupted and short reads and writes are continued. Descriptors block and
 * stay the caller's.
 */
#ifndef HFX_RUNTIME_COMMIT_WIRE_H
#define HFX_RUNTIME_COMMIT_WIRE_H

#include "commit.h"

/** Largest number of writes in a plan that is received. */
#define COMMIT_WIRE_MAX_WRITES (1u << 22)
/** Likewise of guards, bytes of names, and images. */
#define COMMIT_WIRE_MAX_GUARDS (1u << 22)
#define COMMIT_WIRE_MAX_NAMES  (64u << 20)
#define COMMIT_WIRE_MAX_IMAGES 65536u
/** Longer error messages are cut, in bytes. */
#define COMMIT_WIRE_MAX_MESSAGE 4096u

/** Send @p plan for the process @p pid. */
HFX_MUST_CHECK struct hfx_error *
commit_wire_send_plan(int fd, pid_t pid, const struct commit_plan *plan);

/**
 * Receive a plan.
 *
 * Errors: #HFX_ERROR_INVALID_ARGUMENT for what is no plan, is cut short, breaks
 * a limit, has a write of no or more than #SITE_SIZE bytes, or a guard whose
 * name is none.
 *
 * @param[out] ret Plan, for commit_plan_deinit().
 */
HFX_MUST_CHECK struct hfx_error *
commit_wire_receive_plan(int fd, pid_t *pid_ret, struct commit_plan *ret);

/** Free all that a plan that was received owns. */
void commit_plan_deinit(struct commit_plan *plan);

/**
 * Send how commit_execute() ended.
 *
 * @param[in] err Its error, borrowed, or `NULL`: then @p result is sent.
 */
HFX_MUST_CHECK struct hfx_error *
commit_wire_send_result(int fd, const struct hfx_error *err,
                        const struct commit_result *result);

/**
 * Receive how commit_execute() ended, and return the error it ended with.
 *
 * Errors of its own: #HFX_ERROR_STOP when the peer went away without a result;
 * the plan may then be carried out in part, so look at the bytes.
 */
HFX_MUST_CHECK struct hfx_error *
commit_wire_receive_result(int fd, struct commit_result *ret);

#endif /* HFX_RUNTIME_COMMIT_WIRE_H */
