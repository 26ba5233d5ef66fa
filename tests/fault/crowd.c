/* SPDX-License-Identifier: MIT */
/*
 * A process in which everything happens at once: many threads that call the
 * patched functions, threads and processes that come and go, and signals. One
 * thread answers for each line of its input:
 *
 *	FIRST SECOND WRONG ROUNDS SIGNALS MAPPINGS DESCRIPTORS KILOBYTES
 *
 * With libhfx, `a` in a line applies a bundle and `r` reverts it:
 *
 *	crowd THREADS [BUNDLE TRACER]
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_LIBHFX
#include <hfx.h>
#endif

#ifndef VERSION
#define VERSION 1
#endif

int first(int n);
int second(int n);

static atomic_long rounds;
static atomic_long wrong;
static atomic_long signals;

__attribute__((__noinline__)) int first(int n)
{
	return n * 10 + VERSION;
}

__attribute__((__noinline__)) int second(int n)
{
	return n * 100 + VERSION;
}

static int answers_are_known(void)
{
	int a = first(7) - 70, b = second(7) - 700;

	return (a == 1 || a == 2) && (b == 1 || b == 2);
}

static void do_round(void)
{
	if (!answers_are_known())
		wrong++;
	rounds++;
}

/* ---- Threads of different habits ------------------------------------------
 */

static void *sleeping(void *arg)
{
	struct timespec nap = {.tv_nsec = 2000000};

	(void)arg;
	for (;;) {
		do_round();
		/* Signal handlers are all that may end it early. */
		if (nanosleep(&nap, NULL) && errno != EINTR)
			wrong++;
	}
	return NULL;
}

static void *polling(void *arg)
{
	int fds[2];
	struct pollfd poll_fd = {.events = POLLIN};

	(void)arg;
	if (pipe(fds))
		abort();
	poll_fd.fd = fds[0];
	for (;;) {
		do_round();
		if (poll(&poll_fd, 1, 3) > 0)
			wrong++;
	}
	return NULL;
}

static void *allocating(void *arg)
{
	struct timespec nap = {.tv_nsec = 1000000};

	(void)arg;
	for (;;) {
		char *bytes = malloc(10000);

		memset(bytes, 1, 10000);
		do_round();
		if (bytes[9999] != 1)
			wrong++;
		free(bytes);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static void *once(void *arg)
{
	do_round();
	return arg;
}

/** Threads that come and go. */
static void *spawning(void *arg)
{
	pthread_t thread;

	for (;;) {
		void *result = NULL;

		if (pthread_create(&thread, NULL, once, arg))
			continue;
		pthread_join(thread, &result);
		if (result != arg)
			wrong++;
	}
	return NULL;
}

/** Processes that come and go. */
static void *forking(void *arg)
{
	(void)arg;
	for (;;) {
		pid_t pid = fork();
		int status = 1;

		if (!pid)
			_exit(!answers_are_known());
		if (pid > 0)
			while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
				;
		if (pid > 0 && status)
			wrong++;
	}
	return NULL;
}

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void start_signals(void)
{
	struct itimerval timer = {{0, 5000}, {0, 5000}};
	struct sigaction action = {
		.sa_handler = on_signal,
		.sa_flags = SA_RESTART,
	};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void start_threads(int count)
{
	static void *(*const habits[])(void *) = {sleeping, polling,
	                                          allocating};
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	for (int i = 0; i < count; i++)
		if (pthread_create(&thread, &attr, habits[i % 3], NULL))
			abort();
	if (pthread_create(&thread, NULL, spawning, &rounds) ||
	    pthread_create(&thread, NULL, forking, NULL))
		abort();
}

/* ---- Answers ---------------------------------------------------------------
 */

static long count_lines(const char *path)
{
	FILE *file = fopen(path, "r");
	long count = 0;

	for (int c; file && (c = getc(file)) != EOF;)
		count += c == '\n';
	if (file)
		fclose(file);
	return count;
}

static long count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	long count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

static long kilobytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long size, resident = 0;

	if (file && fscanf(file, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return resident * 4;
}

static void change(int c, char **argv)
{
#ifdef HAVE_LIBHFX
	struct hfx_apply_opts apply = {
		.sz = sizeof(apply),
		.helper_path = argv[3],
		.max_pause_us = 100000,
		.timeout_ms = 10000,
	};
	struct hfx_revert_opts revert = {
		.sz = sizeof(revert),
		.helper_path = argv[3],
		.max_pause_us = 100000,
		.timeout_ms = 10000,
	};
	struct hfx_error *err =
		c == 'a' ? hfx_apply_bundle(argv[2], &apply, NULL)
			 : hfx_revert_all(&revert);

	if (err)
		fprintf(stderr, "%s\n", hfx_error_message(err));
	hfx_error_destroy(err);
#else
	(void)c;
	(void)argv;
#endif
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 1;
	start_signals();
	start_threads(atoi(argv[1]));
	for (int c; (c = getchar()) != EOF;) {
		if (c == 'a' || c == 'r')
			change(c, argv);
		if (c != '\n')
			continue;
		printf("%d %d %ld %ld %ld %ld %ld %ld\n", first(0), second(0),
		       (long)wrong, (long)rounds, (long)signals,
		       count_lines("/proc/self/maps"), count_descriptors(),
		       kilobytes());
		fflush(stdout);
	}
	return 0;
}
