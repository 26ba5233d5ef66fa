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
#include "guard.h"
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

/** A patch image of the process: its unwind table, for stacks that pass it. */
struct commit_image {
	uint64_t start_addr;
	uint64_t end_addr;
	uint64_t eh_frame_addr;
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
	/**
	 * Code that no thread may be inside. Without any, only the bytes that
	 * are written count.
	 */
	struct guard *guards;
	size_t num_guards;
	/** NUL-terminated names of the guards, one after the other. */
	char *names;
	size_t names_size;
	/** Images that frames of a stack may be of. */
	struct commit_image *images;
	size_t num_images;
	/** Thread that waits for the result and so stays where it is, or 0. */
	pid_t waiting_tid;
};

struct commit_result {
	/**
	 * From the first thread's stop to the last one's release; of several
	 * tries the longest.
	 */
	uint64_t pause_ns;
	uint32_t num_threads;
	/** Tries that were needed, and threads stepped out of code bytes. */
	uint32_t num_tries;
	uint32_t num_stepped;
	/** Direct calls that the plan redirects; the engine counts them. */
	uint32_t num_calls;
};

/**
 * Stop every thread of @p pid but the caller's own process, write, let go.
 *
 * Either all writes are made or none is: when one fails, those before it are
 * undone in reverse order before the threads go on.
 *
 * What is between the stop and the writes: safe_point.h.
 *
 * Errors: #HFX_ERROR_PERMISSION (says what forbids it), #HFX_ERROR_NO_PROCESS,
 * #HFX_ERROR_BUSY (another tracer, named), #HFX_ERROR_STOP,
 * #HFX_ERROR_NOT_QUIESCENT (the threads that are inside, named),
 * #HFX_ERROR_CODE_MISMATCH (bytes are not `before`), #HFX_ERROR_POISONED.
 */
HFX_MUST_CHECK struct hfx_error *commit_execute(pid_t pid,
                                                const struct commit_plan *plan,
                                                struct commit_result *ret);

#endif /* HFX_RUNTIME_COMMIT_H */
