/* SPDX-License-Identifier: MIT */
#include "workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define MAX_THREADS 64
/* Items that a thread takes at a time. */
#define CHUNK 32

struct work {
	worker_task task;
	void *context;
	size_t count;
	atomic_size_t next;
	atomic_bool has_failed;
};

struct worker {
	struct work *work;
	pthread_t thread;
	struct hfx_error *err;
};

static struct hfx_error *do_chunk(struct work *work, struct decoder *decoder,
                                  size_t start)
{
	size_t end = work->count - start < CHUNK ? work->count : start + CHUNK;

	for (size_t i = start; i < end; i++)
		HFX_TRY(work->task(work->context, decoder, i));
	return NULL;
}

static struct hfx_error *do_work(struct work *work)
{
	struct decoder *decoder;
	size_t start;

	HFX_TRY(decoder_create(&decoder));
	struct hfx_error *err = NULL;
	while (!err && !work->has_failed &&
	       (start = atomic_fetch_add(&work->next, CHUNK)) < work->count)
		err = do_chunk(work, decoder, start);
	decoder_destroy(decoder);
	return err;
}

static void *run(void *arg)
{
	struct worker *worker = arg;

	worker->err = do_work(worker->work);
	if (worker->err)
		worker->work->has_failed = true;
	return NULL;
}

static size_t count_threads(size_t num_items)
{
	size_t wanted = (num_items + CHUNK - 1) / CHUNK;
	size_t cores = 1;
	cpu_set_t set;

	if (!sched_getaffinity(0, sizeof(set), &set))
		cores = CPU_COUNT(&set);
	if (cores > MAX_THREADS)
		cores = MAX_THREADS;
	return wanted < cores ? wanted : cores;
}

struct hfx_error *workers_run(size_t count, worker_task task, void *context)
{
	struct work work = {.task = task, .context = context, .count = count};
	struct worker workers[MAX_THREADS];
	size_t num_threads = count_threads(count), num_started = 1;
	struct hfx_error *err = NULL;

	if (!count)
		return NULL;
	for (size_t i = 0; i < num_threads; i++)
		workers[i] = (struct worker){.work = &work};
	while (num_started < num_threads &&
	       !pthread_create(&workers[num_started].thread, NULL, run,
	                       &workers[num_started]))
		num_started++;
	/* The first is this thread. */
	run(&workers[0]);
	for (size_t i = 0; i < num_started; i++) {
		if (i)
			pthread_join(workers[i].thread, NULL);
		if (!err)
			err = workers[i].err;
		else
			hfx_error_destroy(workers[i].err);
	}
	return err;
}
