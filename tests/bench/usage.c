/* SPDX-License-Identifier: MIT */
/*
 * Run a command several times, and print the least of each: time by the clock
 *in nanoseconds, processor time in nanoseconds, and the most memory it had at
 *once (ru_maxrss) in KiB. Its output is dropped.
 *
 *	bench_usage RUNS COMMAND ARG...
 *
 * Processor time is what to compare on a machine that others use.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

struct usage {
	uint64_t clock_ns;
	uint64_t processor_ns;
	uint64_t memory_kib;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t in_ns(struct timeval time)
{
	return ((uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec) *
	       1000;
}

static struct usage run(char **argv)
{
	posix_spawn_file_actions_t actions;
	uint64_t start_ns;
	struct rusage rusage;
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	start_ns = now_ns();
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (errno)
		err(1, "%s", argv[0]);
	if (wait4(pid, &status, 0, &rusage) != pid)
		err(1, "wait for %s", argv[0]);
	if (status)
		errx(1, "%s %s failed", argv[0], argv[1] ? argv[1] : "");
	posix_spawn_file_actions_destroy(&actions);
	return (struct usage){
		.clock_ns = now_ns() - start_ns,
		.processor_ns = in_ns(rusage.ru_utime) + in_ns(rusage.ru_stime),
		.memory_kib = (uint64_t)rusage.ru_maxrss,
	};
}

static void keep_least(uint64_t *least, uint64_t value)
{
	if (value < *least)
		*least = value;
}

int main(int argc, char **argv)
{
	struct usage least = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
	int runs = argc > 2 ? atoi(argv[1]) : 0;

	if (runs < 1)
		errx(2, "usage: bench_usage RUNS COMMAND ARG...");
	for (int i = 0; i < runs; i++) {
		struct usage usage = run(argv + 2);

		keep_least(&least.clock_ns, usage.clock_ns);
		keep_least(&least.processor_ns, usage.processor_ns);
		keep_least(&least.memory_kib, usage.memory_kib);
	}
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", least.clock_ns,
	       least.processor_ns, least.memory_kib);
	return 0;
}
