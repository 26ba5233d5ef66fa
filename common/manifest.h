/* SPDX-License-Identifier: MIT */
/**
 * @file manifest.h
 *
 * What a bundle says of itself: `manifest.json` (docs/format.md) as C.
 *
 * Strings are owned by the manifest and never `NULL` after a successful
 * manifest_parse(): what is absent is empty. Addresses are virtual addresses
 * of the file that they are of (`old_`, `new_`), before any load bias.
 */
#ifndef HFX_COMMON_MANIFEST_H
#define HFX_COMMON_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "error.h"
#include "file.h"

/** Version of the bundle format that this code reads and writes. */
#define MANIFEST_FORMAT 1

#define MANIFEST_MAX_SIZE      (64u << 20)
#define MANIFEST_MAX_MODULES   16
#define MANIFEST_MAX_FUNCTIONS 1000000
#define MANIFEST_MAX_IMPORTS   100000
#define MANIFEST_MAX_OBJECTS   1000000
#define MANIFEST_MAX_STRING    65536
#define MANIFEST_MAX_WARNINGS  100000
#define MANIFEST_MAX_ACCEPTED  100000
#define MANIFEST_MAX_CALLS     100000
/** Bytes of code of the unwinder's function. */
#define MANIFEST_MAX_UNWINDER 65536u
/** Nesting of JSON, and JSON values in all. */
#define MANIFEST_MAX_DEPTH  16
#define MANIFEST_MAX_VALUES (4 << 20)
/** Largest `created`: what an archive can say of a modification time. */
#define MANIFEST_MAX_CREATED UINT64_C(077777777777)

/** Longest build-id that is accepted, in bytes; usual are 16 and 20. */
#define BUILD_ID_MAX 64

struct build_id {
	uint8_t bytes[BUILD_ID_MAX];
	/** 0 when there is none. */
	size_t size;
};

enum manifest_function_kind {
	/** OLD has it; its entry is redirected to the new code. */
	MANIFEST_FUNCTION_CHANGED,
	/** Only NEW has it. */
	MANIFEST_FUNCTION_NEW,
	/**
	 * A piece of another function (`foo.cold`): new code without an entry
	 * of its own.
	 */
	MANIFEST_FUNCTION_PART,
};

/** Functions of a patch that the runtime calls (hfx_patch.h). */
enum manifest_hook {
	MANIFEST_PRE_APPLY,
	MANIFEST_POST_APPLY,
	MANIFEST_PRE_REVERT,
	MANIFEST_POST_REVERT,
	MANIFEST_NUM_HOOKS,
};

/** Their names in the symbol table of NEW, and in the manifest. */
extern const char *const manifest_hook_symbols[MANIFEST_NUM_HOOKS];
extern const char *const manifest_hook_names[MANIFEST_NUM_HOOKS];

/** `new_entry` of a function whose new code cannot hold a jump itself. */
#define MANIFEST_NO_ENTRY UINT32_MAX

/** `whole` of a part of which no more is known. */
#define MANIFEST_NO_WHOLE UINT32_MAX

struct manifest_function {
	/** For people: demangled in C++. */
	char *name;
	/** As in the symbol table. */
	char *linkage_name;
	/** Compilation unit, as DWARF names it. */
	char *unit;
	/** C declaration without the semicolon. */
	char *signature;
	struct digest signature_digest;
	/** "file:line" of the definition in NEW. */
	char *source;
	/** Why it is in the bundle, one line. */
	char *reason;
	enum manifest_function_kind kind;
	/** Of a PART: index of the function that it is a piece of. */
	uint32_t whole;
	/** The following four are 0 unless `kind` is CHANGED. */
	uint64_t old_addr;
	uint64_t old_size;
	struct digest old_digest;
	/**
	 * Offset of the jump from `old_addr`: 0, or 4 behind an `endbr64`.
	 * The 5 bytes from there are overwritten; they lie inside `old_size`
	 * or in padding behind it (then `old_size` counts that padding too,
	 * and `old_digest` covers it).
	 */
	uint32_t old_entry;
	uint64_t new_addr;
	uint64_t new_size;
	/** As `old_entry`, in the new code, for patches on top of this one. */
	uint32_t new_entry;
};

/**
 * Code of OLD that a function of the bundle takes the place of, besides what
 * its `old_addr` gives: cold parts, and the code of a function whose entry
 * stays as it is. A thread inside it is inside the function.
 */
struct manifest_old_code {
	/** Index of the function. */
	uint32_t function;
	uint64_t old_addr;
	uint64_t old_size;
};

/**
 * A place in OLD where a direct call or jump of 5 bytes leads to a function of
 * kind CHANGED: its first byte. It overlaps neither `old` code nor what a jump
 * at the start of any function would take.
 */
struct manifest_call {
	/** Index of the function. */
	uint32_t function;
	uint64_t old_addr;
};

/**
 * OLD's own __register_frame_info() of libgcc, when it has an unwinder inside
 * (-static, -static-libgcc): the unwinder is told of the image by it.
 */
struct manifest_unwinder {
	uint64_t old_addr;
	/** 0 when there is none. */
	uint64_t old_size;
	struct digest old_digest;
};

/** A symbol that the image takes from other modules of the process. */
struct manifest_import {
	char *name;
	/** Symbol version, or empty. */
	char *version;
	/** DT_SONAME that the version is of, or empty. */
	char *library;
};

/** A variable that only NEW has and that lives in the image. */
struct manifest_object {
	char *name;
	char *unit;
	uint64_t new_addr;
	uint64_t new_size;
};

struct manifest_module {
	/** File name of OLD without folders, for messages only. */
	char *name;
	struct build_id old_build_id;
	/** `size` is 0 if NEW has none. */
	struct build_id new_build_id;
	/** Name of the archive member that holds the image. */
	char *image_member;
	uint64_t image_size;
	struct digest image_digest;

	struct manifest_function *functions;
	size_t num_functions;
	struct manifest_old_code *old_code;
	size_t num_old_code;
	/**
	 * No call may be under way in the code that is replaced: it would go
	 * wrong, not merely finish in OLD.
	 */
	bool needs_safe_point;
	/** In ascending order; not necessarily all that there are. */
	struct manifest_call *calls;
	size_t num_calls;
	struct manifest_import *imports;
	size_t num_imports;
	struct manifest_object *objects;
	size_t num_objects;
	/** Address of the table of shadow variables (hfx_patch.h), or 0. */
	uint64_t shadow_table_addr;
	/** Addresses of the hooks, each 0 if there is none, and with any of
	 * them that of the function that starts a thread for one. */
	uint64_t hook_addrs[MANIFEST_NUM_HOOKS];
	uint64_t hook_starter_addr;
	struct manifest_unwinder unwinder;
	/** What the user was warned of when the bundle was made. */
	char **warnings;
	size_t num_warnings;
	/**
	 * What changed although it lives in the process, and the user accepted
	 * by name: types ("struct parser") and variables.
	 */
	char **accepted_types;
	size_t num_accepted_types;
	char **accepted_data;
	size_t num_accepted_data;
};

struct manifest {
	/** [A-Za-z0-9._+-]{1,128}: what `hfx revert` takes. */
	char *name;
	char *version;
	char *description;
	/** Program and version that wrote the bundle. */
	char *generator;
	/** Seconds since the epoch from SOURCE_DATE_EPOCH, or 0. */
	uint64_t created;
	struct manifest_module *modules;
	size_t num_modules;
};

/**
 * Read the text of a manifest.
 *
 * Every limit above is enforced; unknown members of objects are an error, as
 * is a `format` above #MANIFEST_FORMAT (#HFX_ERROR_BUNDLE_VERSION).
 *
 * @param[out] ret Manifest, for manifest_destroy().
 */
HFX_MUST_CHECK struct hfx_error *manifest_parse(const void *text, size_t size,
                                                struct manifest **ret);

/**
 * Write a manifest as text: the same manifest gives the same bytes.
 *
 * `image_digest` and the other digests are written as they stand; `NULL`
 * strings are written as empty ones. What manifest_parse() would refuse is not
 * written (#HFX_ERROR_INVALID_ARGUMENT, or the error of manifest_parse()).
 */
HFX_MUST_CHECK struct hfx_error *
manifest_format(const struct manifest *manifest, struct buffer *ret);

/** Whether @p name may be the name of a patch. */
bool manifest_name_is_valid(const char *name);

/** Free a manifest and all it owns; `NULL` and half-built ones are allowed. */
void manifest_destroy(struct manifest *manifest);

#endif /* HFX_COMMON_MANIFEST_H */
