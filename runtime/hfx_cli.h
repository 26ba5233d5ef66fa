/* SPDX-License-Identifier: MIT */
/**
 * @file hfx_cli.h
 *
 * The parts of the command `hfx`. Only these files print and choose exit codes.
 */
#ifndef HFX_RUNTIME_HFX_CLI_H
#define HFX_RUNTIME_HFX_CLI_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "commit.h"
#include "engine.h"
#include "error.h"

enum hfx_exit {
	HFX_EXIT_DONE = 0,
	/** Refused or failed; the process runs on as it was. */
	HFX_EXIT_FAILED = 1,
	/** Wrong arguments, or a bundle that cannot be read. */
	HFX_EXIT_USAGE = 2,
};

/** The commands; `argv[0]` is the command's name. They return an exit code. */
int hfx_apply_main(int argc, char **argv);
int hfx_check_main(int argc, char **argv);
int hfx_doctor_main(int argc, char **argv);
int hfx_list_main(int argc, char **argv);
int hfx_perf_map_main(int argc, char **argv);
int hfx_persist_main(int argc, char **argv);
int hfx_revert_main(int argc, char **argv);
int hfx_status_main(int argc, char **argv);

struct bundle;

/**
 * Read a bundle that these keys have signed; `NULL` for those of the host.
 */
HFX_MUST_CHECK struct hfx_error *cli_read_bundle(const char *path,
                                                 const char *trusted_keys,
                                                 struct bundle **ret);

/** Exit code for an error of cli_read_bundle(). */
int cli_bundle_exit_code(const struct hfx_error *err);

/**
 * Find the patch of process @p pid with this name, or with an id that begins
 * so.
 *
 * Errors: #HFX_ERROR_NOT_APPLIED, #HFX_ERROR_INVALID_ARGUMENT for several.
 *
 * @param[out] ret Borrowed from @p patches.
 */
HFX_MUST_CHECK struct hfx_error *
cli_find_patch(const struct engine_patches *patches, pid_t pid,
               const char *which, const struct engine_patch **ret);

/** Print `hfx: message` to stderr, free @p err and return @p exit_code. */
int output_error(struct hfx_error *err, int exit_code);

/** Print warnings of the engine to stderr, `hfx: warning: ...`. */
void output_warnings(void);

/** Print `hfx: message`, and where there is help, to stderr; HFX_EXIT_USAGE. */
HFX_PRINTF(2, 3) int output_usage(const char *command, const char *format, ...);

/**
 * @p text with what is not printable ASCII or well-formed UTF-8 as `\xNN`, so
 * that it cannot steer a terminal.
 *
 * @return Memory of malloc(); `NULL` when memory is short.
 */
char *output_escape(const char *text);

/** Print @p text as output_escape() gives it, padded to @p width columns. */
void output_text(FILE *file, const char *text, int width);

/** A word for the state of a patch. */
const char *output_state(enum record_state state);

/** "61 us" or "12.3 ms". */
void output_duration(uint64_t ns, char *text, size_t size);

/** ` 4242 (memcached)`: the process, for messages. */
void output_process(FILE *file, pid_t pid);

/** ` in 61 us pause, 5 threads`, and more if @p verbose. */
void output_stop(FILE *file, const struct commit_result *result, bool verbose);

/** Read a pid or milliseconds. @return False if @p text is no such number. */
bool parse_number(const char *text, uint32_t max, uint32_t *ret);

#endif /* HFX_RUNTIME_HFX_CLI_H */
