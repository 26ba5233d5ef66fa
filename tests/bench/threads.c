/* SPDX-License-Identifier: MIT */
/*
 * A process to stop: one thread spins and notes the longest time between two
 * looks at the clock, the others mostly sleep. Started by bench_stall.
 *
 *	bench_threads THREADS BUNDLE TRACER
 *
 * A third of the sleeping threads waits in poll() without end, a third sleeps
 * 20 ms at a time, a third waits on a futex. The first of them carries out
 * orders, if there is one.
 */
#include <err.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hfx.h"
#include "window.h"

#define SLEEP_US   20000
#define ORDER_US   1000
#define PAUSE_US   200
#define STACK_SIZE 65536

/* What the bundle patches: as many functions as a security fix may change. */
/* clang-format finds no end with lists of macros. */
/* clang-format off */
#define FOR_EACH_WORK(X)                                                       \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)    \
	X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

#define DEFINE_WORK(n)                                                         \
	int work_##n(int value);                                               \
	__attribute__((__noipa__)) int work_##n(int value)                     \
	{                                                                      \
		for (int i = 0; i < value; i++)                                \
			value += i ^ n;                                        \
		return value;                                                  \
	}

#define NAME_WORK(n) work_##n,

FOR_EACH_WORK(DEFINE_WORK)

static int (*const works[])(int) = {FOR_EACH_WORK(NAME_WORK)};
/* clang-format on */

static struct window *window;
static const char *bundle_path;
static const char *tracer_path;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct hfx_error *carry_out(uint32_t order)
{
	struct hfx_apply_opts apply = {
		.sz = sizeof(apply),
		.helper_path = tracer_path,
	};
	struct hfx_revert_opts revert = {
		.sz = sizeof(revert),
		.helper_path = tracer_path,
	};

	if (order == WINDOW_APPLY)
		return hfx_apply_bundle(bundle_path, &apply, NULL);
	return hfx_revert_all(&revert);
}

static void *take_orders(void *arg)
{
	(void)arg;
	for (;; usleep(ORDER_US)) {
		uint32_t order = atomic_load(&window->order);
		struct hfx_error *error;

		if (!order)
			continue;
		error = carry_out(order);
		if (error)
			warnx("%s", hfx_error_message(error));
		atomic_store(&window->has_failed, error != NULL);
		hfx_error_destroy(error);
		atomic_store(&window->order, 0);
	}
	return NULL;
}

static void *wait_somehow(void *arg)
{
	uint32_t futex = 0;

	for (size_t kind = (size_t)arg % 3;;) {
		if (kind == 0)
			poll(NULL, 0, -1);
		else if (kind == 1)
			usleep(SLEEP_US);
		else
			syscall(SYS_futex, &futex, FUTEX_WAIT_PRIVATE, 0, NULL);
	}
	return NULL;
}

static void start_threads(size_t count)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE * 4);
	for (size_t i = 1; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attr,
		                   i == 1 ? take_orders : wait_somehow,
		                   (void *)i))
			errx(1, "cannot start thread %zu", i);
	}
	pthread_attr_destroy(&attr);
}

/* Between windows it leaves the CPU to others. */
static uint32_t await_window(void)
{
	uint32_t number;

	while (!((number = atomic_load(&window->number)) & 1))
		usleep(PAUSE_US);
	return number;
}

/* One window, until it is closed. */
static void spin(void)
{
	uint32_t number = await_window();
	uint64_t longest_ns = 0;
	uint64_t last_ns = now_ns();

	atomic_store(&window->longest_ns, 0);
	atomic_store(&window->current, number);
	for (size_t turn = 0; atomic_load(&window->number) == number; turn++) {
		uint64_t ns = now_ns();

		if (ns - last_ns > longest_ns) {
			longest_ns = ns - last_ns;
			atomic_store(&window->longest_ns, longest_ns);
		}
		last_ns = ns;
		works[turn % (sizeof(works) / sizeof(*works))](0);
	}
}

/* Only a stop is to keep the spinning thread from running, no other load. */
static void run_first(void)
{
	struct sched_param param = {.sched_priority = 2};

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		warn("without real-time priority, other load is measured too");
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "usage: bench_threads THREADS BUNDLE TRACER");
	window = mmap(NULL, sizeof(*window), PROT_READ | PROT_WRITE, MAP_SHARED,
	              WINDOW_FD, 0);
	if (window == MAP_FAILED)
		err(1, "started without bench_stall");
	bundle_path = argv[2];
	tracer_path = argv[3];
	start_threads(strtoul(argv[1], NULL, 10));
	run_first();
	atomic_store(&window->is_ready, 1);
	for (;;)
		spin();
}
