/* SPDX-License-Identifier: MIT */
/**
 * @file commit.h
 *
 * The stop window: all threads stopped, none inside the bytes to be replaced,
 * the bytes written, the threads let go.
 *
 * A plan is computed, checked and allocated before; it is plain data, so that
 * libhfx can hand it to hfx-tracer through a pipe. The same commit_execute()
 * runs in `hfx` and in hfx-tracer.
 */
#ifndef HFX_RUNTIME_COMMIT_H
#define HFX_RUNTIME_COMMIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "record.h"

/** One write: up to SITE_SIZE bytes that must be `before` and become `after`.
 */
struct commit_write {
	uint64_t live_addr;
	uint32_t size;
	/** Whether these are code bytes, which no thread may stand inside. */
	uint32_t is_code;
	uint8_t before[SITE_SIZE];
	uint8_t after[SITE_SIZE];
};

struct commit_plan {
	/**
	 * Written in this order: the record's state COMMITTING, the code, the
	 * record's state APPLIED. A process that dies between leaves a record
	 * that says so.
	 */
	struct commit_write *writes;
	size_t num_writes;
	/** How long to keep trying to find a safe point. */
	uint32_t timeout_ms;
	/** Longest time to hold threads stopped in one try. */
	uint32_t max_pause_us;
};

struct commit_result {
	/** From the first thread's stop to the last one's release. */
	uint64_t pause_ns;
	uint32_t num_threads;
	/** Tries that were needed, and threads stepped out of code bytes. */
	uint32_t num_tries;
	uint32_t num_stepped;
};

/**
 * Stop every thread of @p pid but the caller's own process, write, let go.
 *
 * Either all writes are made or none is: when one fails, those before it are
 * undone in reverse order before the threads go on.
 *
 * Errors: #HFX_ERROR_PERMISSION (says what forbids it), #HFX_ERROR_NO_PROCESS,
 * #HFX_ERROR_BUSY (another tracer, named), #HFX_ERROR_STOP,
 * #HFX_ERROR_NOT_QUIESCENT, #HFX_ERROR_CODE_MISMATCH (bytes are not `before`),
 * #HFX_ERROR_POISONED.
 */
HFX_MUST_CHECK struct hfx_error *commit_execute(pid_t pid,
                                                const struct commit_plan *plan,
                                                struct commit_result *ret);

#endif /* HFX_RUNTIME_COMMIT_H */
