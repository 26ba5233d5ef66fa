/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "log.h"

struct log_sink {
	hfx_log_fn *fn;
	void *arg;
	enum hfx_log_level max;
};

static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_sink sink;

void log_set(hfx_log_fn *fn, void *arg, enum hfx_log_level max)
{
	pthread_mutex_lock(&sink_lock);
	sink = (struct log_sink){.fn = fn, .arg = arg, .max = max};
	pthread_mutex_unlock(&sink_lock);
}

/** A copy, so that the callback runs without the lock and may set another. */
static struct log_sink current_sink(void)
{
	struct log_sink copy;

	pthread_mutex_lock(&sink_lock);
	copy = sink;
	pthread_mutex_unlock(&sink_lock);
	return copy;
}

void log_message(enum hfx_log_level level, const char *format, ...)
{
	struct log_sink to = current_sink();
	int saved_errno = errno;
	HFX_CLEANUP(hfx_free) char *message = NULL;
	va_list args;

	if (!to.fn || level > to.max)
		return;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	if (message)
		to.fn(to.arg, level, message);
	errno = saved_errno;
}
