/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S      UINT64_C(1000000000)
#define PATIENCE_NS   NS_PER_S
#define MIN_PERIOD_NS (NS_PER_S / 10)

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void progress_init(struct progress *progress, bool enabled)
{
	*progress = (struct progress){
		.is_enabled = enabled && isatty(STDERR_FILENO),
		.start_ns = monotonic_ns(),
		.out = stderr,
		.now_ns = monotonic_ns,
	};
}

static void show(struct progress *progress, const char *what, uint64_t done,
                 uint64_t total)
{
	int old_width = progress->width, width;

	fputc('\r', progress->out);
	if (total)
		width = fprintf(progress->out,
		                "%s: %" PRIu64 " of %" PRIu64 " (%.0f %%)",
		                what, done, total, 100.0 * done / total);
	else
		width = fprintf(progress->out, "%s: %" PRIu64, what, done);
	/* Blanks over what a longer line has left. */
	if (width < old_width)
		fprintf(progress->out, "%*s", old_width - width, "");
	progress->width = width < old_width ? old_width : width;
	fflush(progress->out);
}

void progress_step(struct progress *progress, const char *what, uint64_t done,
                   uint64_t total)
{
	uint64_t now;

	if (!progress->is_enabled)
		return;
	now = progress->now_ns();
	if (now - progress->start_ns < PATIENCE_NS ||
	    now - progress->last_ns < MIN_PERIOD_NS)
		return;
	progress->last_ns = now;
	show(progress, what, done, total);
}

void progress_finish(struct progress *progress)
{
	if (!progress->width)
		return;
	fprintf(progress->out, "\r%*s\r", progress->width, "");
	fflush(progress->out);
	progress->width = 0;
}
