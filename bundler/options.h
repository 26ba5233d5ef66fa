/* SPDX-License-Identifier: MIT */
/**
 * @file options.h
 *
 * What the user asks of `hfx-bundle diff`.
 */
#ifndef HFX_BUNDLER_OPTIONS_H
#define HFX_BUNDLER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/** Shell patterns (fnmatch()), in the order they were given. */
struct patterns {
	const char **items;
	size_t num_items;
	size_t cap_items;
};

struct secret_key;

/** Two builds of one program or library. */
struct diff_input {
	const char *old_path;
	const char *new_path;
	/** Separate debug files, or `NULL`. */
	const char *old_debug_path;
	const char *new_debug_path;
};

/**
 * Which patterns have matched a function of some module so far; filled by the
 * passes. One that matches none of any module most likely has a mistake.
 */
struct pattern_use {
	bool *only;
	bool *skip;
	/** No module comes behind this one. */
	bool is_last;
};

struct diff_options {
	/** At least one; one module of the bundle each. */
	struct diff_input *inputs;
	size_t num_inputs;
	size_t cap_inputs;
	/** They were given as modules: the report says which it speaks of. */
	bool by_module;
	/** Bundle to write, or `NULL` to report only. */
	const char *output_path;
	/** Key to sign the bundle with, or `NULL`. */
	const struct secret_key *sign_key;
	/** Report to write as HTML, or `NULL`. */
	const char *html_path;
	/** `NULL`: from the output's file name. */
	const char *name;
	const char *version;
	const char *description;
	/** Select every function that can be patched, changed or not. */
	bool all;
	struct patterns only;
	struct patterns skip;
	/** Of these two, set by diff_run(). */
	struct pattern_use *use;
	/** Types and variables that may change although they live. */
	struct patterns accept_type;
	struct patterns accept_data;
	bool show_progress;
};

#endif /* HFX_BUNDLER_OPTIONS_H */
