/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "bundle.h"
#include "cleanup.h"
#include "hfx_cli.h"
#include "hfx_json.h"
#include "log.h"
#include "proc_status.h"
#include "target.h"

static const char help[] =
	"Usage: hfx check [OPTION...] PID FIX.hfx\n"
	"Say whether a bundle would apply to a process and, if not, why. No\n"
	"code is changed; one thread is borrowed for a few system calls.\n"
	"\n"
	"      --stop        also stop the threads for a moment, as apply "
	"does,\n"
	"                    to see whether any is inside what is replaced\n"
	"      --timeout MS  with --stop: as for apply (default 1000)\n"
	"      --redirect-calls\n"
	"                    as for apply: count the calls\n"
	"      --trust KEYS  as for apply\n"
	"      --json        print a JSON document (docs/hfx-json.md)\n"
	"  -q, --quiet       print nothing if it would apply\n"
	"      --help        show this help\n"
	"\n"
	"Exit code: 0 it would apply; 1 it would not; 2 wrong arguments, or a\n"
	"bundle that cannot be read.\n";

struct check_options {
	struct engine_options engine;
	bool json;
	bool quiet;
	bool help;
	pid_t pid;
	const char *path;
	/** Keys, or `NULL` for those of the host. */
	const char *trust;
};

static const struct option long_options[] = {
	{"stop", no_argument, NULL, 's'},
	{"timeout", required_argument, NULL, 't'},
	{"redirect-calls", no_argument, NULL, 'c'},
	{"json", no_argument, NULL, 'j'},
	{"trust", required_argument, NULL, 'T'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int parse(int argc, char **argv, struct check_options *options)
{
	uint32_t pid;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "qh", long_options, NULL)) !=
	       -1) {
		if (option == '?')
			return output_usage("check",
			                    "unknown or incomplete option "
			                    "'%s'",
			                    argv[optind - 1]);
		if (option == 't' &&
		    !parse_number(optarg, 3600000, &options->engine.timeout_ms))
			return output_usage("check",
			                    "--timeout is a number of "
			                    "milliseconds from 1 to 3600000, "
			                    "not '%s'",
			                    optarg);
		if (option == 'T')
			options->trust = optarg;
		options->engine.try_stop |= option == 's';
		options->engine.redirect_calls |= option == 'c';
		options->json |= option == 'j';
		options->quiet |= option == 'q';
		options->help |= option == 'h';
	}
	if (options->help)
		return 0;
	if (options->engine.timeout_ms && !options->engine.try_stop)
		return output_usage("check",
		                    "--timeout says how long to try to stop "
		                    "the threads, which is done only with "
		                    "--stop");
	if (argc - optind != 2)
		return output_usage("check",
		                    "check takes a process id and a bundle");
	if (!parse_number(argv[optind], INT_MAX, &pid))
		return output_usage("check", "'%s' is no process id",
		                    argv[optind]);
	options->pid = (pid_t)pid;
	options->path = argv[optind + 1];
	return 0;
}

static struct hfx_error *check(const struct check_options *options,
                               const struct bundle *bundle,
                               struct commit_result *result)
{
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(target_create_ptrace(options->pid, &target));
	err = engine_apply(target, bundle, &options->engine, result);
	target_destroy(target);
	return err;
}

/** For hfx_set_log(): a warning of the engine goes to the JSON list @p arg. */
static void keep_warning(void *arg, enum hfx_log_level level,
                         const char *message)
{
	(void)level;
	json_array_append_new(arg, json_text(message));
}

/** Those of the bundle, and @p list, those of the engine, taken. */
static json_t *json_warnings(const struct manifest *manifest, json_t *list)
{
	for (size_t i = 0; i < manifest->num_modules; i++)
		for (size_t k = 0; k < manifest->modules[i].num_warnings; k++)
			json_array_append_new(
				list,
				json_text(manifest->modules[i].warnings[k]));
	return list;
}

static int print_json(const struct check_options *options,
                      const struct bundle *bundle, const struct hfx_error *err,
                      const struct commit_result *result, json_t *warnings)
{
	struct proc_status status = {0};
	json_t *document;

	(void)proc_status_read(options->pid, options->pid, &status);
	document = json_pack(
		"{si si so s{so so} sb so so so sb so so}", "format", 1, "pid",
		(int)options->pid, "process", json_text(status.name), "bundle",
		"name", json_text(bundle->manifest->name), "id",
		json_hex(bundle->id.bytes, DIGEST_SIZE), "applies", !err,
		"code", json_code_of(err), "reason",
		err ? json_text(hfx_error_message(err)) : json_null(),
		"warnings", json_warnings(bundle->manifest, warnings),
		"transient", hfx_error_is_transient(err), "pause_ns",
		options->engine.try_stop ? json_count(result->pause_ns)
					 : json_null(),
		"num_calls",
		options->engine.redirect_calls && !err
			? json_count(result->num_calls)
			: json_null());
	return json_print(document);
}

static void print_text(const struct check_options *options,
                       const struct bundle *bundle, const struct hfx_error *err,
                       const struct commit_result *result)
{
	if (options->quiet && !err)
		return;
	output_text(stdout, bundle->manifest->name, 0);
	printf(" would %sapply to", err ? "not " : "");
	output_process(stdout, options->pid);
	if (err) {
		fputs(": ", stdout);
		output_text(stdout, hfx_error_message(err), 0);
	}
	if (!err && options->engine.redirect_calls)
		printf(" and redirect %u call%s", result->num_calls,
		       result->num_calls == 1 ? "" : "s");
	if (!err && options->engine.try_stop)
		output_stop(stdout, result, false);
	else
		putchar('\n');
}

int hfx_check_main(int argc, char **argv)
{
	struct check_options options = {.engine = {.dry_run = true}};
	struct commit_result result = {0};
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
	HFX_CLEANUP(json_decrefp) json_t *warnings = json_array();
	struct bundle *bundle = NULL;
	int code = parse(argc, argv, &options);

	if (code)
		return code;
	if (options.help) {
		fputs(help, stdout);
		return HFX_EXIT_DONE;
	}
	err = cli_read_bundle(options.path, options.trust, &bundle);
	if (err) {
		code = cli_bundle_exit_code(err);
		return output_error(HFX_TAKE(err), code);
	}
	if (options.json)
		log_set(keep_warning, warnings, HFX_LOG_WARNING);
	else if (!options.quiet)
		output_warnings();
	err = check(&options, bundle, &result);
	log_set(NULL, NULL, HFX_LOG_ERROR);
	if (options.json)
		code = print_json(&options, bundle, err, &result,
		                  HFX_TAKE(warnings));
	else
		print_text(&options, bundle, err, &result);
	bundle_destroy(bundle);
	return err ? HFX_EXIT_FAILED : code;
}
