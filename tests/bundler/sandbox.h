/* SPDX-License-Identifier: MIT */
/**
 * @file sandbox.h
 *
 * For tests of hfx-bundle: a temporary folder that is the working directory of
 * one test, two builds in it of a few lines of C, and what hfx-bundle makes of
 * them. Everything fails the test by itself.
 *
 * The builds are `old/prog` and `new/prog`, the bundle is `fix.hfx`. With
 * HFX_KEEP_SANDBOX in the environment the folder stays.
 */
#ifndef HFX_TESTS_BUNDLER_SANDBOX_H
#define HFX_TESTS_BUNDLER_SANDBOX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

/** A test with a sandbox of its own. */
#define SANDBOX_TEST(function)                                                 \
	cmocka_unit_test_setup_teardown(function, sandbox_enter, sandbox_leave)

/** Run only the tests that match the first argument, if there is one. */
void sandbox_filter(int argc, char **argv);

int sandbox_enter(void **state);
int sandbox_leave(void **state);

/** What a command did. A signal N ends it with 128 + N, a time-out with 124. */
struct run {
	int status;
	char *out;
	char *err;
};

void run_deinit(struct run *run);
#define SCOPED_RUN __attribute__((cleanup(run_deinit))) struct run

/** Run a shell command, for at most a minute. */
__attribute__((format(printf, 1, 2))) struct run run(const char *format, ...);

/** Run a command that must end with @p status; shows its output if not. */
__attribute__((format(printf, 2, 3))) void
expect_status(int status, const char *format, ...);

/** Skip the test if there is no such program. */
void need_program(const char *name);

void write_file(const char *path, const char *text);

/**
 * Write a source file for both builds. In it, `V(a, b)` is `a` in the old
 * build and `b` in the new one, which also has `NEW` defined.
 */
void write_source(const char *name, const char *text);

/**
 * Compile @p source twice, with "gcc -g" and @p flags, into `old/prog` and
 * `new/prog`. Flags may name more sources and another compiler: "clang ...".
 */
void build_pair(const char *flags, const char *source);

/**
 * Run "hfx-bundle diff old/prog new/prog -o fix.hfx --json" and @p options.
 *
 * @return The report, for json_decref().
 */
json_t *diff(int status, const char *options);
#define SCOPED_JSON __attribute__((cleanup(json_decrefp))) json_t

/** Like diff(), without a look at the report. */
void expect_diff(int status, const char *options);

/** The reason for which the report has function @p name, or NULL. */
const char *reason_of(const json_t *report, const char *kind, const char *name);

/** The report has the function, and @p reason is a part of the reason. */
void expect_listed(const json_t *report, const char *kind, const char *name,
                   const char *reason);
void expect_not_listed(const json_t *report, const char *name);

/** A refusal of @p subject, of which @p reason is a part of the reason. */
void expect_refusal(const json_t *report, const char *subject,
                    const char *reason);
void expect_warning(const json_t *report, const char *part);

/** Both builds mean the same: exit status 3, and no bundle. */
void expect_nothing_changed(const char *flags, const char *source);

/** The pair cannot be patched: exit status 1, and no bundle. */
void expect_refused(const char *flags, const char *source, const char *subject,
                    const char *reason);

/** Run a command with `fix.hfx` preloaded. */
struct run run_patched(const char *command);

/**
 * Build a pair whose output differs and check that the old program with the
 * bundle preloaded does as the new one does: with the functions that changed,
 * and with all that can be replaced. @p source runs as `old/prog`.
 */
void expect_behaves_as_new(const char *flags, const char *source);

/** The same of a pair that is there, run with the command @p old or @p new. */
void expect_pair_behaves_as_new(const char *old, const char *new);

#endif /* HFX_TESTS_BUNDLER_SANDBOX_H */
