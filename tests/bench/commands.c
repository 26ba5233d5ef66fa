/* SPDX-License-Identifier: MIT */
/*
 * Run two commands by turns, and print the shortest time of each in
 * nanoseconds: the first, then the second. Their output is dropped.
 *
 *	bench_commands RUNS COMMAND ARG... -- REFERENCE ARG...
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t run(char **argv)
{
	posix_spawn_file_actions_t actions;
	uint64_t start_ns;
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	start_ns = now_ns();
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (errno)
		err(1, "%s", argv[0]);
	if (waitpid(pid, &status, 0) != pid)
		err(1, "wait for %s", argv[0]);
	if (status)
		errx(1, "%s %s failed", argv[0], argv[1] ? argv[1] : "");
	posix_spawn_file_actions_destroy(&actions);
	return now_ns() - start_ns;
}

static void keep_least(uint64_t *least, uint64_t value)
{
	if (value < *least)
		*least = value;
}

int main(int argc, char **argv)
{
	uint64_t ours_ns = UINT64_MAX;
	uint64_t reference_ns = UINT64_MAX;
	int split = 2;
	int runs = argc > 1 ? atoi(argv[1]) : 0;

	while (split < argc && strcmp(argv[split], "--"))
		split++;
	if (runs < 1 || split < 3 || split + 1 >= argc)
		errx(2, "usage: bench_commands RUNS COMMAND ARG... -- "
		        "REFERENCE ARG...");
	argv[split] = NULL;
	for (int i = 0; i < runs; i++) {
		keep_least(&ours_ns, run(argv + 2));
		keep_least(&reference_ns, run(argv + split + 1));
	}
	printf("%" PRIu64 " %" PRIu64 "\n", ours_ns, reference_ns);
	return 0;
}
