/* SPDX-License-Identifier: MIT */
/**
 * @file progress.h
 *
 * A line on the terminal that says how far long work is.
 *
 * It appears on stderr if that is a terminal, after a second, is written anew
 * at most ten times a second, and is gone when the work is done.
 */
#ifndef HFX_BUNDLER_PROGRESS_H
#define HFX_BUNDLER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
	bool is_enabled;
	/** Columns of the line that is on the terminal; 0 for none. */
	int width;
	/** CLOCK_MONOTONIC of the start and of the last line. */
	uint64_t start_ns;
	uint64_t last_ns;
	/** Both set by progress_init(), for tests to replace. */
	FILE *out;
	uint64_t (*now_ns)(void);
};

/**
 * Start the clock.
 *
 * @param[in] enabled False for no line in any case.
 */
void progress_init(struct progress *progress, bool enabled);

/**
 * Say that @p done of @p total steps of @p what ("comparing") are done. Cheap
 * enough to be called for each function.
 *
 * @param[in] total 0 if it is not known.
 */
void progress_step(struct progress *progress, const char *what, uint64_t done,
                   uint64_t total);

/** Clear the line; later steps may show it again. */
void progress_finish(struct progress *progress);

#endif /* HFX_BUNDLER_PROGRESS_H */
