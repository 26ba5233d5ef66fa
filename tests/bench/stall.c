/* SPDX-License-Identifier: MIT */
/*
 * How long a running thread stands still while a bundle is applied and
 * reverted, against a bare stop of the same threads, by turns.
 *
 *	bench_stall THREADS RUNS PROGRAMS BUNDLE
 *
 * PROGRAMS is the folder of `hfx`, hfx-tracer and the programs of the
 * benchmark; BUNDLE is one for bench_threads. Prints medians in nanoseconds:
 *
 *	apply APPLY_NS REFERENCE_NS
 *	revert ...
 *	apply-active ...	with --allow-active: no look at stacks
 *	revert-active ...
 *	apply-inside ...
 *	revert-inside ...
 *
 * The last two, in which the process patches itself, need two threads.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "window.h"

#define SETTLE_US  20000
#define BETWEEN_US 5000
/** Until a thread that was stopped to the last has looked at the clock. */
#define AFTER_US    300
#define POLL_US     200
#define MAX_RUNS    1000
#define MAX_WAIT_US 20000000

enum action {
	ACTION_STOP,
	ACTION_APPLY,
	ACTION_REVERT,
	ACTION_APPLY_ACTIVE,
	ACTION_REVERT_ACTIVE,
	ACTION_APPLY_INSIDE,
	ACTION_REVERT_INSIDE,
	NUM_ACTIONS,
};

static const char *const action_names[] = {
	"stop",          "apply",        "revert",        "apply-active",
	"revert-active", "apply-inside", "revert-inside",
};

struct stall {
	const char *programs;
	char *bundle;
	char *threads;
	pid_t pid;
	char pid_text[16];
	struct window *window;
	/** Longest stalls; the reference is measured before each action. */
	uint64_t ours_ns[NUM_ACTIONS][MAX_RUNS];
	uint64_t reference_ns[NUM_ACTIONS][MAX_RUNS];
};

extern char **environ;

static pid_t start(const struct stall *stall, const char *name, char **argv,
                   const posix_spawn_file_actions_t *actions)
{
	char path[PATH_MAX];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s", stall->programs, name);
	argv[0] = path;
	errno = posix_spawn(&pid, path, actions, NULL, argv, environ);
	if (errno)
		err(1, "%s", path);
	return pid;
}

/* The process that is measured ends with this one, however that ends. */
static void fail(const struct stall *stall, const char *what)
{
	if (stall->pid > 0)
		kill(stall->pid, SIGKILL);
	errx(1, "%s failed with %s threads", what, stall->threads);
}

static void run(const struct stall *stall, const char *name, char **argv)
{
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	pid = start(stall, name, argv, &actions);
	posix_spawn_file_actions_destroy(&actions);
	if (waitpid(pid, &status, 0) != pid || status)
		fail(stall, name);
}

/* Wait until a word of the shared page is @p value. */
static void await(const struct stall *stall, _Atomic uint32_t *word,
                  uint32_t value, const char *what)
{
	for (unsigned int us = 0; atomic_load(word) != value; us += POLL_US) {
		if (us > MAX_WAIT_US || waitpid(stall->pid, NULL, WNOHANG))
			fail(stall, what);
		usleep(POLL_US);
	}
}

static void give_order(const struct stall *stall, enum window_order order)
{
	atomic_store(&stall->window->order, order);
	await(stall, &stall->window->order, 0, "patching itself");
	if (atomic_load(&stall->window->has_failed))
		fail(stall, "patching itself");
}

static void act(struct stall *stall, enum action action)
{
	char *stop[] = {NULL, stall->pid_text, NULL};
	char *apply[] = {NULL, "apply", stall->pid_text, stall->bundle, NULL};
	char *revert[] = {NULL, "revert", stall->pid_text, "stall", NULL};
	char *apply_active[] = {
		NULL,          "apply", "--allow-active", stall->pid_text,
		stall->bundle, NULL};
	char *revert_active[] = {
		NULL,    "revert", "--allow-active", stall->pid_text,
		"stall", NULL};

	switch (action) {
	case ACTION_APPLY:
		return run(stall, "hfx", apply);
	case ACTION_REVERT:
		return run(stall, "hfx", revert);
	case ACTION_APPLY_ACTIVE:
		return run(stall, "hfx", apply_active);
	case ACTION_REVERT_ACTIVE:
		return run(stall, "hfx", revert_active);
	case ACTION_APPLY_INSIDE:
		return give_order(stall, WINDOW_APPLY);
	case ACTION_REVERT_INSIDE:
		return give_order(stall, WINDOW_REVERT);
	default:
		return run(stall, "bench_bare_stop", stop);
	}
}

/* Longest stall while @p action is carried out. */
static uint64_t measure(struct stall *stall, enum action action)
{
	struct window *window = stall->window;
	uint32_t number = atomic_load(&window->number) + 1;

	usleep(BETWEEN_US);
	atomic_store(&window->number, number);
	await(stall, &window->current, number, "the spinning thread");
	act(stall, action);
	usleep(AFTER_US);
	atomic_store(&window->number, number + 1);
	return atomic_load(&window->longest_ns);
}

static void start_process(struct stall *stall)
{
	posix_spawn_file_actions_t actions;
	char tracer[PATH_MAX];
	char *argv[] = {NULL, stall->threads, stall->bundle, tracer, NULL};
	int fd = memfd_create("window", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof(*stall->window)))
		err(1, "shared memory");
	stall->window = mmap(NULL, sizeof(*stall->window),
	                     PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (stall->window == MAP_FAILED)
		err(1, "shared memory");
	fd = fcntl(fd, F_DUPFD_CLOEXEC, WINDOW_FD + 1);
	snprintf(tracer, sizeof(tracer), "%s/hfx-tracer", stall->programs);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, WINDOW_FD);
	stall->pid = start(stall, "bench_threads", argv, &actions);
	posix_spawn_file_actions_destroy(&actions);
	snprintf(stall->pid_text, sizeof(stall->pid_text), "%d", stall->pid);
	await(stall, &stall->window->is_ready, 1, "starting bench_threads");
	usleep(SETTLE_US);
}

static void end_process(struct stall *stall)
{
	kill(stall->pid, SIGKILL);
	waitpid(stall->pid, NULL, 0);
}

static int compare_times(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t median(uint64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare_times);
	return values[count / 2];
}

static void print_results(struct stall *stall, enum action last, size_t runs)
{
	for (enum action action = ACTION_APPLY; action <= last; action++)
		printf("%s %" PRIu64 " %" PRIu64 "\n", action_names[action],
		       median(stall->ours_ns[action], runs),
		       median(stall->reference_ns[action], runs));
}

int main(int argc, char **argv)
{
	static struct stall stall;
	enum action last;
	size_t runs;

	if (argc != 5)
		errx(2, "usage: bench_stall THREADS RUNS PROGRAMS BUNDLE");
	stall.threads = argv[1];
	runs = strtoul(argv[2], NULL, 10);
	stall.programs = argv[3];
	stall.bundle = argv[4];
	if (!runs || runs > MAX_RUNS)
		errx(2, "RUNS is from 1 to %d", MAX_RUNS);
	last = atoi(stall.threads) > 1 ? ACTION_REVERT_INSIDE
	                               : ACTION_REVERT_ACTIVE;
	start_process(&stall);
	for (size_t i = 0; i < runs; i++) {
		for (enum action action = ACTION_APPLY; action <= last;
		     action++) {
			stall.reference_ns[action][i] =
				measure(&stall, ACTION_STOP);
			stall.ours_ns[action][i] = measure(&stall, action);
		}
	}
	end_process(&stall);
	print_results(&stall, last, runs);
	return 0;
}
