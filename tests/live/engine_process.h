/* SPDX-License-Identifier: MIT */
/**
 * @file engine_process.h
 *
 * For tests of the engine: a process that obeys (engine_victim.c), bundles for
 * it, and applying from outside. Everything fails the test by itself.
 */
#ifndef HFX_TESTS_LIVE_ENGINE_PROCESS_H
#define HFX_TESTS_LIVE_ENGINE_PROCESS_H

#include <stdio.h>
#include <sys/types.h>

#include "elf_fixture.h"
#include "engine.h"
#include "engine_bundle.h"
#include "engine_victim.h"
#include "target.h"

/** A victim that runs. */
struct victim {
	pid_t pid;
	FILE *in;
	FILE *out;
	char answer[8192];
};

/** Folder of the test, where bundles are. */
extern char *folder;

int enter_folder(void **state);
int leave_folder(void **state);

/** Start @p program; @p bundles and @p error_path may be `NULL`. */
struct victim start(const char *program, int num_threads, const char *bundles,
                    const char *error_path);

/** Give it a command; its answer, without the newline. */
__attribute__((__format__(__printf__, 2, 3))) const char *
ask(struct victim *victim, const char *format, ...);

/** It must end by itself, in good health. */
void end(struct victim *victim);

/** What it calls gives these numbers. */
void assert_results(struct victim *victim, int f, int g);

/** The answer is an error of this code whose text has @p text. */
void assert_refused(const char *answer, enum hfx_error_code code,
                    const char *text);

/** Mappings of it, none of them writable and executable. */
size_t count_mappings(const struct victim *victim);

/** Write a bundle; its path. */
const char *write_bundle(struct test_bundle *bundle);

/** A bundle of f, and of g unless @p g is 0. */
const char *make_bundle(const char *program, const char *name, int f, int g);

struct target *open_target(const struct victim *victim);

/** Machines that run tests are busy. */
extern const struct engine_options patience;

enum hfx_error_code apply_outside(const struct victim *victim,
                                  const char *path);

/** As apply_outside(), with options. */
enum hfx_error_code apply_outside_with(const struct victim *victim,
                                       const char *path,
                                       const struct engine_options *options);

/**
 * Apply @p path, or if it is `NULL` revert `options->replaces`; killed before
 * write @p count.
 *
 * @return 1 if it was killed, 0 if it made all writes.
 */
int be_killed(const struct victim *victim, const char *path,
              const struct engine_options *options, size_t count);

enum hfx_error_code revert_all_outside(const struct victim *victim);

#endif /* HFX_TESTS_LIVE_ENGINE_PROCESS_H */
