/* SPDX-License-Identifier: MIT */
/**
 * @file engine_bundle.h
 *
 * For tests: bundles whose new code is written by hand, for functions of a real
 * program. Everything fails the test by itself.
 */
#ifndef HFX_TESTS_LIVE_ENGINE_BUNDLE_H
#define HFX_TESTS_LIVE_ENGINE_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include "bundle_write.h"
#include "image_writer.h"

/** Where new code stands; each function gets FUNCTION_ROOM bytes. */
#define NEW_CODE_ADDR 0x1000000u
#define NEW_DATA_ADDR 0x1010000u
#define FUNCTION_ROOM 64u

#define MAX_FUNCTIONS 4

struct test_function {
	/** Symbol of the program. */
	const char *name;
	uint8_t code[FUNCTION_ROOM];
	size_t code_size;
};

/** What a test wants in its bundle. */
struct test_bundle {
	const char *name;
	/** File of the program. */
	const char *program;
	struct test_function functions[MAX_FUNCTIONS];
	size_t num_functions;
	/** Bound to the slots from NEW_DATA_ADDR on. */
	struct image_import imports[4];
	size_t num_imports;
	struct image_relocation relocations[4];
	size_t num_relocations;
	/** Signature of every function; "int f(void)" if `NULL`. */
	const char *signature;
	/** Makes the build-id, or the digest of the code, another one. */
	bool wrong_build_id;
	bool wrong_digest;
	/** The new code is said to hold no jump. */
	bool no_new_entry;
	/** Function whose direct calls of the others are listed, or `NULL`. */
	const char *caller;
	/** How far from their places they are said to be. */
	uint64_t call_shift;
};

/** Add a function whose new code returns @p value. */
void test_bundle_return(struct test_bundle *bundle, const char *function,
                        int value);

/** Add a function with this code. */
void test_bundle_code(struct test_bundle *bundle, const char *function,
                      const uint8_t *code, size_t size);

/** Address of a symbol of the bundle's program. */
uint64_t test_bundle_symbol(const struct test_bundle *bundle, const char *name);

/**
 * Address of the first direct call of @p callee in @p caller, or 0.
 */
uint64_t test_bundle_call(const struct test_bundle *bundle, const char *caller,
                          const char *callee);

/** Write it to @p path. */
void test_bundle_write(const struct test_bundle *bundle, const char *path);

#endif /* HFX_TESTS_LIVE_ENGINE_BUNDLE_H */
