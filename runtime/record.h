/* SPDX-License-Identifier: MIT */
/**
 * @file record.h
 *
 * The record of an applied patch, kept in the memory of the patched process:
 * docs/format.md, "The record".
 *
 * Every patch has one, at the start of the address range reserved for it. It is
 * the only state: libhfx inside the process and `hfx` outside both find all
 * records by looking through the process's mappings, so either can list and
 * revert what the other applied, and a forked child has its own copies. Bytes
 * read from a process are treated as untrusted: every offset, count and address
 * is checked before use.
 *
 * All members are little-endian and naturally aligned.
 */
#ifndef HFX_RUNTIME_RECORD_H
#define HFX_RUNTIME_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "file.h"
#include "manifest.h"

/** First bytes of a record, also the first bytes of its mapping. */
#define RECORD_MAGIC   "hfxpatch"
#define RECORD_VERSION 1

/** Largest record that is read, in bytes. */
#define RECORD_MAX_SIZE (64u << 20)
/** Most records of a process, and bytes of all of them. */
#define RECORDS_MAX_COUNT 1024
#define RECORDS_MAX_SIZE  (256u << 20)

enum record_state {
	/** Loaded, no entry written. Left behind only by a killed `hfx`. */
	RECORD_PREPARED = 1,
	/** Entries are being written: some may be, others not. */
	RECORD_COMMITTING = 2,
	/** All entries written. */
	RECORD_APPLIED = 3,
	/** Entries are being put back. */
	RECORD_REVERTING = 4,
	/** All put back; the code stays, since pointers may lead to it. */
	RECORD_REVERTED = 5,
	/** The module was unloaded, and took its code along. */
	RECORD_UNLOADED = 6,
	/** Nothing but this record is there: libhfx applies the patch when the
	 * process has loaded the module. */
	RECORD_WAITING = 7,
};

enum record_flags {
	/**
	 * The process's unwinder may know of the image: the range must stay
	 * mapped whatever the state.
	 */
	RECORD_UNWINDABLE = 1 << 0,
	/** The header has the members behind `flags`. */
	RECORD_HAS_CODE = 1 << 1,
	/** And those behind `eh_frame_addr`. */
	RECORD_HAS_SYMBOLS = 1 << 2,
	/** And those behind `symbols`. */
	RECORD_HAS_SHADOW = 1 << 3,
	/** And those behind `shadow_table_addr`. */
	RECORD_HAS_HOOKS = 1 << 4,
	/** A hook of the image may have run: the range must stay mapped. */
	RECORD_HOOKS_RAN = 1 << 5,
	/** An apply or a revert by `hfx` is under way, of which hooks are told;
	 * left behind only by a killed one. Then the region has a job. */
	RECORD_HOOKS_APPLYING = 1 << 6,
	RECORD_HOOKS_REVERTING = 1 << 7,
	/** The header has the members behind `hooks`. */
	RECORD_HAS_REASON = 1 << 8,
};

/**
 * The parts of the image's file that are not loaded: its headers, then what
 * stands behind its segments. For debuggers and profilers.
 */
struct record_symbols {
	/** Offset of both from the start of the record. */
	uint64_t off;
	/** 0 when they are not there. */
	uint32_t head_size;
	uint32_t tail_size;
	/** Where the second part stands in the file. */
	uint64_t tail_off;
};

/** Live addresses of functions of the image, each 0 if there is none. */
struct record_hooks {
	/** By #manifest_hook. */
	uint64_t addrs[MANIFEST_NUM_HOOKS];
	/** Starts a thread for one of them. */
	uint64_t starter_addr;
};

/** What a record that is written now has. */
#define RECORD_LAYOUT                                                          \
	(RECORD_HAS_CODE | RECORD_HAS_SYMBOLS | RECORD_HAS_SHADOW |            \
	 RECORD_HAS_HOOKS | RECORD_HAS_REASON)

/** With any of these the range stays mapped whatever the state. */
#define RECORD_STAYS (RECORD_UNWINDABLE | RECORD_HOOKS_RAN)

struct record_header {
	char magic[8];
	uint32_t version;
	/** One of #record_state. */
	uint32_t state;
	/** Live address of this header: tells a record from a copy of one. */
	uint64_t self;
	/** Bytes of the whole record: header, tables and strings. */
	uint64_t size;
	/** SHA-256 of the bundle's manifest. */
	uint8_t id[32];
	/** Position in the stack of patches: later ones are larger. */
	uint64_t sequence;
	/** Number of applies and reverts in this process up to the last change
	 * of this record; the largest of all records is the process's. */
	uint64_t generation;
	/** CLOCK_REALTIME of the apply, and how long threads were stopped. */
	uint64_t applied_ns;
	uint64_t pause_ns;
	/** The reserved range, from its guard page on. */
	uint64_t region_addr;
	uint64_t region_size;
	/** Added to the image's addresses to get live ones. */
	uint64_t image_bias;
	/** Added to OLD's addresses to get live ones. */
	uint64_t module_bias;
	uint8_t build_id[BUILD_ID_MAX];
	uint32_t build_id_size;
	/** Offsets from the start of the record. */
	uint32_t functions_off;
	uint32_t num_functions;
	uint32_t sites_off;
	uint32_t num_sites;
	/** Offsets of NUL-terminated strings. */
	uint32_t name_off;
	uint32_t version_off;
	uint32_t description_off;
	uint32_t module_name_off;
	/** Set of #record_flags. */
	uint32_t flags;
	/** From here on with #RECORD_HAS_CODE only. Code that is not in the
	 * list of functions. */
	uint32_t code_off;
	uint32_t num_code;
	/** Live address of the image's `.eh_frame`, or 0. */
	uint64_t eh_frame_addr;
	/** From here on with #RECORD_HAS_SYMBOLS only. */
	struct record_symbols symbols;
	/** From here on with #RECORD_HAS_SHADOW only. Live address of the table
	 * of shadow variables that the patch uses, or 0: that of the first
	 * patch of the process with one, which stays mapped. */
	uint64_t shadow_table_addr;
	/** From here on with #RECORD_HAS_HOOKS only. */
	struct record_hooks hooks;
	/** From here on with #RECORD_HAS_REASON only. Text: why it still waits
	 * although the module is loaded; else empty. */
	uint32_t reason_off;
	uint32_t reserved;
};

/** Bytes of a header without the members behind `flags`. */
#define RECORD_HEADER_LEAST 232

/** A function that the patch replaces. */
struct record_function {
	/** Live address and size of OLD's code. */
	uint64_t old_live_addr;
	uint64_t old_size;
	/** Live address and size of the new code. */
	uint64_t new_live_addr;
	uint64_t new_size;
	/** Offsets of the jump in old and new code; see manifest_function. */
	uint32_t old_entry;
	uint32_t new_entry;
	uint32_t name_off;
	uint32_t reserved;
	uint8_t signature_digest[32];
};

/** `function` of code that is a function of its own. */
#define RECORD_NO_FUNCTION UINT32_MAX

/** Code that only NEW has: new functions, and parts of functions. */
struct record_code {
	uint64_t live_addr;
	uint64_t size;
	uint32_t name_off;
	/** Index of the function that it is a part of. */
	uint32_t function;
};

#define SITE_SIZE 8

/** A place in code where the patch wrote a jump. */
struct record_site {
	/** First byte that is written. */
	uint64_t live_addr;
	/** The JUMP_SIZE bytes there before and after; the rest is zero. */
	uint8_t before[SITE_SIZE];
	uint8_t after[SITE_SIZE];
};

/** Any of these: what the first hook began the second one has not ended. */
#define RECORD_HOOKS_OWED (RECORD_HOOKS_APPLYING | RECORD_HOOKS_REVERTING)

/** `module_bias` of a record that waits: no module has it. */
#define RECORD_NO_BIAS UINT64_MAX

/** The record lies this far behind the start of its region: a guard page. */
#define RECORD_OFF 4096u

struct engine_patch;

/** Bytes that the symbols take, aligned. */
uint64_t record_symbols_size(const struct record_symbols *symbols);

/** Bytes of the record that record_format() makes of @p patch. */
uint64_t record_size(const struct engine_patch *patch);

/**
 * Write the record of @p patch as bytes. `self` is `patch->record_addr`; the
 * name offsets of functions are filled in.
 */
HFX_MUST_CHECK struct hfx_error *record_format(const struct engine_patch *patch,
                                               struct buffer *ret);

/** Whether a mapping at @p self_addr that begins so holds a record. */
bool record_is_header(const struct record_header *header, uint64_t self_addr);

/**
 * Check the bytes of a whole record, read from @p self_addr, and copy it out.
 *
 * What it says of addresses is checked against itself, not against the
 * process. Errors: #HFX_ERROR_BAD_RECORD, and #HFX_ERROR_BUNDLE_VERSION for a
 * record of a newer hfx.
 *
 * @param[out] ret Patch, for engine_patch_deinit().
 */
HFX_MUST_CHECK struct hfx_error *record_parse(const void *data, size_t size,
                                              uint64_t self_addr,
                                              struct engine_patch *ret);

#endif /* HFX_RUNTIME_RECORD_H */
