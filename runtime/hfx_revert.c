/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "digest.h"
#include "hfx_cli.h"
#include "target.h"

static const char help[] =
	"Usage: hfx revert [OPTION...] PID NAME|ID\n"
	"       hfx revert [OPTION...] --all PID\n"
	"Take a patch back: its name, or at least 6 digits of its id.\n"
	"\n"
	"      --all           take all patches back, newest first, in one "
	"stop\n"
	"      --allow-active  threads may be inside the code that is taken "
	"back;\n"
	"                      such calls finish in it\n"
	"      --log-file F    as for apply\n"
	"      --timeout MS    as for apply (default 1000)\n"
	"  -q, --quiet         print errors only\n"
	"  -v, --verbose       print how the threads were stopped\n"
	"      --help          show this help\n";

struct revert_options {
	struct engine_options engine;
	bool all;
	bool quiet;
	bool verbose;
	bool help;
	pid_t pid;
	/** Name or id; `NULL` with `all`. */
	const char *which;
	const char *log_path;
	struct audit audit;
};

static const struct option long_options[] = {
	{"all", no_argument, NULL, 'a'},
	{"log-file", required_argument, NULL, 'l'},
	{"allow-active", no_argument, NULL, 'A'},
	{"timeout", required_argument, NULL, 't'},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int parse_option(int option, const char *text,
                        struct revert_options *options)
{
	switch (option) {
	case 'a':
		options->all = true;
		return 0;
	case 'l':
		options->log_path = optarg;
		return 0;
	case 'A':
		options->engine.allow_active = true;
		return 0;
	case 't':
		if (parse_number(optarg, 3600000, &options->engine.timeout_ms))
			return 0;
		return output_usage("revert",
		                    "--timeout is a number of milliseconds "
		                    "from 1 to 3600000, not '%s'",
		                    optarg);
	case 'q':
		options->quiet = true;
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	default:
		return output_usage("revert",
		                    "unknown or incomplete option '%s'", text);
	}
}

static int parse_arguments(int argc, char **argv,
                           struct revert_options *options)
{
	uint32_t pid;

	if (argc != (options->all ? 1 : 2))
		return output_usage(
			"revert", options->all
					  ? "revert --all takes a process id"
					  : "revert takes a process id and the "
					    "name or id of a patch");
	if (!parse_number(argv[0], INT_MAX, &pid))
		return output_usage("revert", "'%s' is no process id", argv[0]);
	options->pid = (pid_t)pid;
	options->which = argv[1];
	return 0;
}

static int parse(int argc, char **argv, struct revert_options *options)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "qvh", long_options, NULL)) !=
	       -1) {
		int code = parse_option(option, argv[optind - 1], options);

		if (code)
			return code;
	}
	if (options->help)
		return 0;
	return parse_arguments(argc - optind, argv + optind, options);
}

static size_t count_in_place(const struct engine_patches *patches)
{
	size_t count = 0;

	for (size_t i = 0; i < patches->num_patches; i++)
		count += engine_patch_is_in_place(&patches->patches[i]);
	return count;
}

static void print_result(const struct revert_options *options,
                         const struct engine_patch *patch, size_t count,
                         const struct commit_result *result)
{
	if (options->quiet)
		return;
	if (!patch && !count) {
		fputs("no applied patches in", stdout);
		output_process(stdout, options->pid);
		fputc('\n', stdout);
		return;
	}
	fputs("reverted ", stdout);
	if (patch)
		output_text(stdout, patch->name, 0);
	else
		printf("%zu patch%s", count, count == 1 ? "" : "es");
	fputs(" of", stdout);
	output_process(stdout, options->pid);
	output_stop(stdout, result, options->verbose);
}

static void note_one(const struct revert_options *options,
                     const struct engine_patch *patch, const char *result,
                     const struct commit_result *stop,
                     const struct hfx_error *err)
{
	struct audit_event event = {
		.action = "revert",
		.result = result,
		.err = err,
		.pid = options->pid,
		.name = patch ? patch->name : options->which,
		.id = patch ? &patch->id : NULL,
		.stop = stop,
	};

	audit_write(&options->audit, &event);
}

/** Tell the log of @p patch, or if that is `NULL` of all that are applied. */
static void note(const struct revert_options *options,
                 const struct engine_patches *patches,
                 const struct engine_patch *patch, const char *result,
                 const struct commit_result *stop, const struct hfx_error *err)
{
	if (patch)
		note_one(options, patch, result, stop, err);
	for (size_t i = patches->num_patches; !patch && i-- > 0;)
		if (engine_patch_is_in_place(&patches->patches[i]))
			note_one(options, &patches->patches[i], result, stop,
			         err);
}

static struct hfx_error *revert_listed(const struct revert_options *options,
                                       struct target *target,
                                       const struct engine_patches *patches)
{
	const struct engine_patch *patch = NULL;
	struct commit_result result = {0};
	struct hfx_error *err = NULL;

	if (!options->all)
		err = cli_find_patch(patches, options->pid, options->which,
		                     &patch);
	if (err) {
		note_one(options, NULL, NULL, NULL, err);
		return err;
	}
	note(options, patches, patch, "started", NULL, NULL);
	if (patch)
		err = engine_revert(target, &patch->id, &options->engine,
		                    &result);
	else
		err = engine_revert_all(target, &options->engine, &result);
	note(options, patches, patch, "reverted", &result, err);
	HFX_TRY(err);
	print_result(options, patch, count_in_place(patches), &result);
	return NULL;
}

static struct hfx_error *revert_in(const struct revert_options *options,
                                   struct target *target)
{
	struct engine_patches patches = {0};
	struct hfx_error *err = engine_list(target, &patches);

	if (err) {
		note_one(options, NULL, NULL, NULL, err);
		return err;
	}
	err = revert_listed(options, target, &patches);
	engine_patches_deinit(&patches);
	return err;
}

static struct hfx_error *revert(const struct revert_options *options)
{
	struct target *target;
	struct hfx_error *err = target_create_ptrace(options->pid, &target);

	if (err) {
		note_one(options, NULL, NULL, NULL, err);
		return err;
	}
	err = revert_in(options, target);
	target_destroy(target);
	return err;
}

int hfx_revert_main(int argc, char **argv)
{
	struct revert_options options = {0};
	struct hfx_error *err;
	int code = parse(argc, argv, &options);

	if (code)
		return code;
	if (options.help) {
		fputs(help, stdout);
		return HFX_EXIT_DONE;
	}
	err = audit_open(options.log_path, &options.audit);
	if (err)
		return output_error(err, HFX_EXIT_USAGE);
	if (!options.quiet)
		output_warnings();
	err = revert(&options);
	audit_close(&options.audit);
	return err ? output_error(err, HFX_EXIT_FAILED) : HFX_EXIT_DONE;
}
