/* SPDX-License-Identifier: MIT */
/**
 * @file report.h
 *
 * What `hfx-bundle diff` found, as data that the passes fill, and two ways to
 * print it: for people, and as JSON (docs/diff-json.md).
 *
 * Strings are owned by the report; `NULL` stands for an empty one. Lists are
 * printed in the order in which they were filled.
 */
#ifndef HFX_BUNDLER_REPORT_H
#define HFX_BUNDLER_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"
#include "manifest.h"
#include "type_parts.h"

/** Value of the member "report" of the JSON document. */
#define REPORT_FORMAT 1

enum report_kind {
	/** OLD has it and its entry would be redirected. */
	REPORT_CHANGED,
	/** Only NEW has it. */
	REPORT_NEW,
	/** A piece of another function that is taken along: `foo.cold`. */
	REPORT_PART,
	/** Only OLD has it; it stays as it is. */
	REPORT_REMOVED,
};

struct report_function {
	enum report_kind kind;
	/** For people: demangled in C++. */
	char *name;
	/** As in the symbol table. */
	char *linkage_name;
	/** Compilation unit. */
	char *unit;
	/** "file:line". */
	char *source;
	/** Why it is listed: `size 362 -> 389`. */
	char *reason;
	/** C declaration. */
	char *signature;
	/** In OLD; both 0 for NEW and PART. */
	uint64_t old_addr;
	uint64_t old_size;
	/** In NEW; both 0 for REMOVED. */
	uint64_t new_addr;
	uint64_t new_size;
};

/** Something that makes a bundle unsafe. */
struct report_refusal {
	/** Function, object or type that it is about. */
	char *subject;
	/** "file:line". */
	char *source;
	/** What is wrong; a full stop is added. */
	char *reason;
	/** What the user can do, a sentence; likewise. */
	char *remedy;
};

enum report_type_verdict {
	/** There is a refusal of it, too. */
	REPORT_TYPE_REFUSED,
	/** By --accept-type. */
	REPORT_TYPE_ACCEPTED,
	/** No object of it is there when the patch comes. */
	REPORT_TYPE_HARMLESS,
};

/** A type that differs between the builds. */
struct report_type {
	/** "struct parser", "enum state". */
	char *name;
	/** "file:line". */
	char *source;
	enum report_type_verdict verdict;
	/** What differs, who uses it, where its objects live: one line. */
	char *facts;
	/**
	 * Where its objects live: "stack" (only there), "unknown", "others"
	 * (code outside the patch has it), "heap", "global"; "none" where no
	 * object has what changed. A literal.
	 */
	const char *storage;
	/** Linkage names of the patch's functions that have it. */
	char **users;
	size_t num_users;
	size_t cap_users;
	/** In bytes. */
	uint64_t old_size;
	uint64_t new_size;
	struct type_parts old_parts;
	struct type_parts new_parts;
};

void report_type_deinit(struct report_type *type);

/** A function that was left out, as --all, --only and --skip do. */
struct report_skip {
	char *name;
	char *source;
	char *reason;
};

struct report_totals {
	/** Functions of OLD that were compared. */
	uint64_t functions;
	/** Instructions of these, in OLD. */
	uint64_t instructions;
	uint64_t same;
	uint64_t changed;
	uint64_t added;
	uint64_t removed;
	uint64_t skipped;
};

/** OLD or NEW. */
struct report_input {
	char *path;
	struct build_id build_id;
};

enum diff_outcome {
	/** Something to patch; the bundle is written if one was asked for. */
	DIFF_DONE,
	/** Nothing to patch; no bundle. */
	DIFF_NOTHING,
	/** There are refusals; no bundle. */
	DIFF_REFUSED,
};

/** What was found of OLD and NEW. Zero-initialized is empty. */
struct report {
	enum diff_outcome outcome;
	struct report_input old_input;
	struct report_input new_input;
	struct report_function *functions;
	size_t num_functions;
	size_t cap_functions;
	struct report_refusal *refusals;
	size_t num_refusals;
	size_t cap_refusals;
	/** Each one line. */
	char **warnings;
	size_t num_warnings;
	size_t cap_warnings;
	struct report_type *types;
	size_t num_types;
	size_t cap_types;
	/** Types and variables that changed and that the user accepted. */
	char **accepted_types;
	size_t num_accepted_types;
	size_t cap_accepted_types;
	char **accepted_data;
	size_t num_accepted_data;
	size_t cap_accepted_data;
	struct report_skip *skips;
	size_t num_skips;
	size_t cap_skips;
	struct report_totals totals;
};

/** All of a diff: one report for each module. Zero-initialized is empty. */
struct reports {
	/** Of all: the bundle is written when one is done and none refused. */
	enum diff_outcome outcome;
	struct report *items;
	size_t num_items;
	/** Say which module each speaks of, also when there is one. */
	bool by_module;
	/** Bundle that was written; `NULL` for none. */
	char *bundle_path;
	/** Of the file, in bytes. */
	uint64_t bundle_size;
};

/** Guards and destructors: free all strings and lists. */
void report_deinit(struct report *report);
void reports_deinit(struct reports *reports);

/** The file name of OLD: what the module is called. */
const char *report_module_name(const struct report *report);

enum report_detail {
	/** Refusals and totals only. */
	REPORT_QUIET,
	/** Also functions, warnings and the bundle. */
	REPORT_NORMAL,
	/** Also files, addresses, signatures and what was left out. */
	REPORT_VERBOSE,
};

struct report_style {
	enum report_detail detail;
	/** Use terminal colours (ECMA-48, SGR). */
	bool use_color;
};

/**
 * Print for people, one line each. Control characters in what is printed become
 * `?`. The caller asks ferror() of @p out.
 */
void report_print(FILE *out, const struct reports *reports,
                  const struct report_style *style);

/**
 * Print everything as one JSON document and a newline. Bytes that are not UTF-8
 * become `?`.
 */
HFX_MUST_CHECK struct hfx_error *
report_print_json(FILE *out, const struct reports *reports);

#endif /* HFX_BUNDLER_REPORT_H */
