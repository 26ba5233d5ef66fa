/* SPDX-License-Identifier: MIT */
/*
 * What a call of a patched function costs against one of the same function
 * unpatched: the process applies BUNDLE to itself and reverts it, by turns,
 * without and with redirected calls.
 *
 *	bench_calls ROUNDS BUNDLE
 *
 * Prints, for the shortest function and for one that hashes a key of 20 bytes,
 * the best time of a call in picoseconds, patched and not:
 *
 *	shortest PATCHED_PS UNPATCHED_PS
 *	shortest-redirected PATCHED_PS UNPATCHED_PS
 *	hash PATCHED_PS UNPATCHED_PS
 *	hash-redirected PATCHED_PS UNPATCHED_PS
 *
 * One thread, so no helper is needed.
 */
#include <err.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "hfx.h"

#define CALLS     2000000u
#define REPEATS   5
#define NUM_KINDS 2

struct best {
	uint64_t patched_ns[NUM_KINDS];
	uint64_t redirected_ns[NUM_KINDS];
	uint64_t unpatched_ns[NUM_KINDS];
};

uint32_t bench_shortest(const uint8_t *key, size_t size);
uint32_t bench_hash(const uint8_t *key, size_t size);

__attribute__((__noipa__)) uint32_t bench_shortest(const uint8_t *key,
                                                   size_t size)
{
	return key[0] + (uint32_t)size;
}

/* FNV-1a */
__attribute__((__noipa__)) uint32_t bench_hash(const uint8_t *key, size_t size)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ key[i]) * 16777619u;
	return hash;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Written out for each, so that both are called directly. */
#define TIME_CALLS(function)                                                   \
	({                                                                     \
		static const uint8_t key[20] = "user:session:000042";          \
		uint64_t start_ns = now_ns();                                  \
		for (uint32_t call = 0; call < CALLS; call++)                  \
			function(key, sizeof(key));                            \
		now_ns() - start_ns;                                           \
	})

static void keep_least(uint64_t *least, uint64_t value)
{
	if (!*least || value < *least)
		*least = value;
}

static void measure(uint64_t best_ns[NUM_KINDS])
{
	for (int i = 0; i < REPEATS; i++) {
		keep_least(&best_ns[0], TIME_CALLS(bench_shortest));
		keep_least(&best_ns[1], TIME_CALLS(bench_hash));
	}
}

static void must(struct hfx_error *error)
{
	if (error)
		errx(1, "%s", hfx_error_message(error));
}

static void measure_round(const char *bundle, struct best *best)
{
	const struct hfx_apply_opts redirecting = {
		.sz = sizeof(redirecting),
		.flags = HFX_APPLY_REDIRECT_CALLS,
	};

	measure(best->unpatched_ns);
	must(hfx_apply_bundle(bundle, NULL, NULL));
	measure(best->patched_ns);
	must(hfx_revert_all(NULL));
	must(hfx_apply_bundle(bundle, &redirecting, NULL));
	measure(best->redirected_ns);
	must(hfx_revert_all(NULL));
}

static void print_ps(const char *name, const char *how, uint64_t ours_ns,
                     uint64_t reference_ns)
{
	printf("%s%s %" PRIu64 " %" PRIu64 "\n", name, how,
	       ours_ns * 1000 / CALLS, reference_ns * 1000 / CALLS);
}

int main(int argc, char **argv)
{
	static const char *const names[NUM_KINDS] = {"shortest", "hash"};
	struct best best = {0};
	int rounds = argc == 3 ? atoi(argv[1]) : 0;

	if (rounds < 1)
		errx(2, "usage: bench_calls ROUNDS BUNDLE");
	for (int i = 0; i < rounds; i++)
		measure_round(argv[2], &best);
	for (int i = 0; i < NUM_KINDS; i++) {
		print_ps(names[i], "", best.patched_ns[i],
		         best.unpatched_ns[i]);
		print_ps(names[i], "-redirected", best.redirected_ns[i],
		         best.unpatched_ns[i]);
	}
	return 0;
}
