/* SPDX-License-Identifier: MIT */
/*
 * A process to be patched by an hfx that fails: a program and a library, of a
 * function each, in one bundle. The program has threads that call the patched
 * functions all the time, and one that answers for each line of its input with
 * what they return now, and whether all threads have gone on. With libhfx,
 * `a` in a line applies a bundle and `r` reverts it:
 *
 *	victim [BUNDLE TRACER]
 *
 * With -DHOOKS the patch has hooks, and the answer also says whether one of
 * them has begun what no other one has ended, and which state they were told.
 *
 * With LIBRARY it is the library.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#ifndef VERSION
#define VERSION 1
#endif
#define NUM_THREADS 3

#if defined(HOOKS) && !defined(LIBRARY)
static volatile int begun, is_applied;
#if VERSION > 1
#include <hfx_patch.h>
HFX_PRE_APPLY()
{
	begun = 1;
	return NULL;
}
HFX_POST_APPLY()
{
	begun = 0;
	is_applied = 1;
}
HFX_PRE_REVERT()
{
	begun = 1;
}
HFX_POST_REVERT()
{
	begun = 0;
	is_applied = 0;
}
#endif
#endif

int first(int n);
int second(int n);

#ifdef LIBRARY
int second(int n)
{
	return n * 100 + VERSION;
}
#else

static atomic_long rounds[NUM_THREADS];
static atomic_long wrong;

__attribute__((__noinline__)) int first(int n)
{
	return n * 10 + VERSION;
}

static int is_known(int value)
{
	return value == 1 || value == 2;
}

static void *work(void *arg)
{
	atomic_long *count = arg;
	struct timespec nap = {.tv_nsec = 100000};

	for (;;) {
		double before = (double)*count;

		if (!is_known(first(1) - 10) || !is_known(second(1) - 100))
			wrong++;
		if (count == rounds)
			nanosleep(&nap, NULL);
		if (before != (double)*count)
			wrong++;
		(*count)++;
	}
	return NULL;
}

/** Whether each thread does another round. */
static int all_go_on(void)
{
	struct timespec nap = {.tv_nsec = 1000000};

	for (int i = 0; i < NUM_THREADS; i++) {
		long before = rounds[i];

		for (int tries = 0; rounds[i] == before; tries++) {
			if (tries == 20000)
				return 0;
			nanosleep(&nap, NULL);
		}
	}
	return 1;
}

#ifdef HAVE_LIBHFX
#include <hfx.h>

static void change(int c, char **argv)
{
	struct hfx_apply_opts apply = {
		.sz = sizeof(apply),
		.helper_path = argv[2],
		.timeout_ms = 60000,
	};
	struct hfx_revert_opts revert = {
		.sz = sizeof(revert),
		.helper_path = argv[2],
		.timeout_ms = 60000,
	};
	struct hfx_error *err =
		c == 'a' ? hfx_apply_bundle(argv[1], &apply, NULL)
			 : hfx_revert_all(&revert);

	hfx_error_destroy(err);
}
#endif

int main(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	(void)argv;

	for (int i = 0; i < NUM_THREADS; i++)
		pthread_create(&thread, NULL, work, &rounds[i]);
	for (int c; (c = getchar()) != EOF;) {
#ifdef HAVE_LIBHFX
		if (c == 'a' || c == 'r')
			change(c, argv);
#endif
		if (c != '\n')
			continue;
		printf("%d %d %ld %d", first(0), second(0), (long)wrong,
		       all_go_on());
#ifdef HOOKS
		printf(" %d %d", begun, is_applied);
#endif
		putchar('\n');
		fflush(stdout);
	}
	return 0;
}
#endif
