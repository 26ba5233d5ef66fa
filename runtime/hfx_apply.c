/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "bundle.h"
#include "cleanup.h"
#include "hfx_apply_all.h"
#include "hfx_cli.h"
#include "hfx_replace.h"
#include "target.h"

static const char help[] =
	"Usage: hfx apply [OPTION...] PID FIX.hfx\n"
	"       hfx apply [OPTION...] --all FIX.hfx\n"
	"Apply a bundle to a running process. Either all of it is applied, or\n"
	"the process runs on as it was.\n"
	"\n"
	"      --all           apply it to every process that has loaded what "
	"it\n"
	"                      is for\n"
	"      --undo-on-failure\n"
	"                      with --all: when one process fails, take it "
	"back\n"
	"                      from the others\n"
	"      --replaces P    revert patch P in the same stop: its name, at "
	"least\n"
	"                      6 digits of its id, or all; may be repeated\n"
	"      --dry-run       do everything but stop threads and redirect "
	"code\n"
	"      --allow-active  threads may be inside functions that are "
	"replaced;\n"
	"                      such calls finish in the old code\n"
	"      --redirect-calls\n"
	"                      also rewrite direct calls of these functions, "
	"which\n"
	"                      then cost what they did before\n"
	"      --trust KEYS    accept bundles signed by these keys only: a "
	"folder,\n"
	"                      a file or a key (default: /etc/hfx/trusted.d)\n"
	"      --log-file F    append a line on what was done to this file, "
	"too\n"
	"                      (always: syslog)\n"
	"      --timeout MS    keep trying for so long to find all threads\n"
	"                      outside of them (default 1000)\n"
	"  -q, --quiet         print errors only\n"
	"  -v, --verbose       print each function\n"
	"      --help          show this help\n";

struct apply_options {
	struct engine_options engine;
	struct replace_wish replaces;
	bool all;
	bool undo;
	bool quiet;
	bool verbose;
	bool help;
	pid_t pid;
	const char *path;
	/** Keys, or `NULL` for those of the host. */
	const char *trust;
	const char *log_path;
	struct audit audit;
};

static const struct option long_options[] = {
	{"all", no_argument, NULL, 'A'},
	{"undo-on-failure", no_argument, NULL, 'U'},
	{"replaces", required_argument, NULL, 'r'},
	{"dry-run", no_argument, NULL, 'n'},
	{"log-file", required_argument, NULL, 'l'},
	{"allow-active", no_argument, NULL, 'a'},
	{"redirect-calls", no_argument, NULL, 'c'},
	{"timeout", required_argument, NULL, 't'},
	{"trust", required_argument, NULL, 'T'},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int parse_option(int option, const char *text,
                        struct apply_options *options)
{
	switch (option) {
	case 'A':
		options->all = true;
		return 0;
	case 'U':
		options->undo = true;
		return 0;
	case 'r':
		if (replace_add_wish(&options->replaces, optarg))
			return 0;
		return output_error(hfx_error_no_memory(), HFX_EXIT_FAILED);
	case 'n':
		options->engine.dry_run = true;
		return 0;
	case 'a':
		options->engine.allow_active = true;
		return 0;
	case 'c':
		options->engine.redirect_calls = true;
		return 0;
	case 't':
		if (parse_number(optarg, 3600000, &options->engine.timeout_ms))
			return 0;
		return output_usage("apply",
		                    "--timeout is a number of milliseconds "
		                    "from 1 to 3600000, not '%s'",
		                    optarg);
	case 'l':
		options->log_path = optarg;
		return 0;
	case 'T':
		options->trust = optarg;
		return 0;
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
		return output_usage("apply",
		                    "unknown or incomplete option '%s'", text);
	}
}

static int parse_arguments(int argc, char **argv, struct apply_options *options)
{
	uint32_t pid;

	if (argc != (options->all ? 1 : 2))
		return output_usage("apply",
		                    options->all
		                            ? "apply --all takes a bundle"
		                            : "apply takes a process id and a "
		                              "bundle");
	if (options->undo && !options->all)
		return output_usage("apply",
		                    "--undo-on-failure goes with --all");
	if (options->undo &&
	    (options->replaces.all || options->replaces.num_which))
		return output_usage("apply",
		                    "--undo-on-failure would not bring back "
		                    "what --replaces takes away: use one of "
		                    "them");
	options->path = argv[argc - 1];
	if (options->all)
		return 0;
	if (!parse_number(argv[0], INT_MAX, &pid))
		return output_usage("apply", "'%s' is no process id", argv[0]);
	options->pid = (pid_t)pid;
	return 0;
}

static int parse(int argc, char **argv, struct apply_options *options)
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

static size_t count_changed(const struct manifest *manifest)
{
	size_t count = 0;

	for (size_t i = 0; i < manifest->num_modules; i++) {
		const struct manifest_module *module = &manifest->modules[i];

		for (size_t j = 0; j < module->num_functions; j++)
			count += module->functions[j].kind ==
			         MANIFEST_FUNCTION_CHANGED;
	}
	return count;
}

static void print_functions(const struct manifest_module *module)
{
	for (size_t i = 0; i < module->num_functions; i++) {
		const struct manifest_function *function =
			&module->functions[i];

		if (function->kind == MANIFEST_FUNCTION_PART)
			continue;
		printf("  %s ", function->kind == MANIFEST_FUNCTION_NEW
		                        ? "new     "
		                        : "replaced");
		output_text(stdout, function->name, 0);
		fputs("  ", stdout);
		output_text(stdout, function->source, 0);
		fputc('\n', stdout);
	}
}

static void print_warnings(const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->num_modules; i++) {
		const struct manifest_module *module = &manifest->modules[i];

		for (size_t j = 0; j < module->num_warnings; j++) {
			fputs("hfx: warning: ", stderr);
			output_text(stderr, module->warnings[j], 0);
			fputc('\n', stderr);
		}
	}
}

static void print_result(const struct apply_options *options,
                         const struct manifest *manifest,
                         const struct replacement *replacement,
                         const struct commit_result *result)
{
	size_t count = count_changed(manifest);

	fputs(options->engine.dry_run ? "would apply " : "applied ", stdout);
	output_text(stdout, manifest->name, 0);
	printf(" (%zu function%s", count, count == 1 ? "" : "s");
	if (options->engine.redirect_calls)
		printf(", %u call%s redirected", result->num_calls,
		       result->num_calls == 1 ? "" : "s");
	putchar(')');
	replace_print(stdout, replacement);
	fputs(" to", stdout);
	output_process(stdout, options->pid);
	if (options->engine.dry_run)
		fputc('\n', stdout);
	else
		output_stop(stdout, result, options->verbose);
	for (size_t i = 0; options->verbose && i < manifest->num_modules; i++)
		print_functions(&manifest->modules[i]);
}

/** Tell the log; a dry run changes nothing and is only told of when it fails.
 */
static void note(const struct apply_options *options, const char *result,
                 const struct bundle *bundle, const struct commit_result *stop,
                 const struct hfx_error *err)
{
	struct audit_event event = {
		.action = options->engine.dry_run ? "dry-run" : "apply",
		.result = result,
		.err = err,
		.pid = options->pid,
		.bundle_path = options->path,
		.stop = stop,
	};

	if (bundle) {
		event.name = bundle->manifest->name;
		event.id = &bundle->id;
		event.signer =
			*bundle->signer.name ? bundle->signer.name : NULL;
	}
	if (err || !options->engine.dry_run)
		audit_write(&options->audit, &event);
}

/** Tell the log of a patch that another one takes the place of. */
static void note_replaced(const struct apply_options *options,
                          const struct replacement *replacement,
                          const struct commit_result *stop,
                          const struct hfx_error *err)
{
	const struct audit_event event = {
		.action = "revert",
		.result = stop ? "reverted" : "started",
		.err = err,
		.pid = options->pid,
		.stop = stop,
	};

	if (!options->engine.dry_run)
		replace_note(replacement, &options->audit, &event);
}

static struct hfx_error *apply_to(const struct apply_options *options,
                                  const struct bundle *bundle,
                                  struct target *target,
                                  struct replacement *replacement,
                                  struct commit_result *result)
{
	struct engine_options engine = options->engine;
	struct hfx_error *err;

	HFX_TRY(replace_find(&options->replaces, target, &bundle->id,
	                     replacement));
	engine.replaces_all = options->replaces.all;
	engine.replaces = replacement->ids;
	engine.num_replaces =
		engine.replaces_all ? 0 : replacement->num_leaving;
	/* If hfx is killed, this is all that the log has. */
	note(options, "started", bundle, NULL, NULL);
	note_replaced(options, replacement, NULL, NULL);
	err = engine_apply(target, bundle, &engine, result);
	note_replaced(options, replacement, result, err);
	return err;
}

static struct hfx_error *apply(const struct apply_options *options,
                               const struct bundle *bundle,
                               struct replacement *replacement,
                               struct commit_result *result)
{
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(target_create_ptrace(options->pid, &target));
	err = apply_to(options, bundle, target, replacement, result);
	target_destroy(target);
	return err;
}

/** Apply to one process, and tell the log and the user what came of it. */
static struct hfx_error *apply_and_tell(const struct apply_options *options,
                                        const struct bundle *bundle)
{
	HFX_CLEANUP(replacement_deinit) struct replacement replacement = {0};
	struct commit_result result = {0};
	struct hfx_error *err = apply(options, bundle, &replacement, &result);
	bool is_news = !options->all ||
	               hfx_error_code(err) != HFX_ERROR_ALREADY_APPLIED;

	if (is_news)
		note(options, "applied", bundle, &result, err);
	if (!err && !options->quiet)
		print_result(options, bundle->manifest, &replacement, &result);
	return err;
}

/* ---- All processes ----------------------------------------------------- */

struct each {
	struct apply_options options;
	const struct bundle *bundle;
};

static struct hfx_error *apply_each(void *arg, pid_t pid)
{
	struct each *each = arg;

	each->options.pid = pid;
	return apply_and_tell(&each->options, each->bundle);
}

static void tell_reverted(const struct each *each, pid_t pid,
                          const struct commit_result *result,
                          const struct hfx_error *err)
{
	const struct audit_event event = {
		.action = "revert",
		.result = "reverted",
		.err = err,
		.pid = pid,
		.name = each->bundle->manifest->name,
		.id = &each->bundle->id,
		.stop = result,
	};

	audit_write(&each->options.audit, &event);
	if (err || each->options.quiet)
		return;
	fputs("reverted ", stdout);
	output_text(stdout, each->bundle->manifest->name, 0);
	fputs(" of", stdout);
	output_process(stdout, pid);
	output_stop(stdout, result, each->options.verbose);
}

static struct hfx_error *revert_each(void *arg, pid_t pid)
{
	struct each *each = arg;
	struct commit_result result = {0};
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(target_create_ptrace(pid, &target));
	err = engine_revert(target, &each->bundle->id, &each->options.engine,
	                    &result);
	target_destroy(target);
	tell_reverted(each, pid, &result, err);
	return err;
}

static int apply_all(const struct apply_options *options,
                     const struct bundle *bundle)
{
	struct each each = {.options = *options, .bundle = bundle};
	const struct apply_all request = {
		.bundle = bundle,
		.quiet = options->quiet,
		.dry_run = options->engine.dry_run,
		.undo = options->undo && !options->engine.dry_run,
		.apply = apply_each,
		.revert = revert_each,
		.arg = &each,
	};

	return apply_to_all(&request);
}

/* ---- The command ------------------------------------------------------- */

static int run(const struct apply_options *options)
{
	struct bundle *bundle = NULL;
	struct hfx_error *err =
		cli_read_bundle(options->path, options->trust, &bundle);
	int code = HFX_EXIT_DONE;

	if (err) {
		note(options, NULL, NULL, NULL, err);
		return output_error(err, cli_bundle_exit_code(err));
	}
	if (!options->quiet) {
		print_warnings(bundle->manifest);
		output_warnings();
	}
	if (options->all)
		code = apply_all(options, bundle);
	else
		err = apply_and_tell(options, bundle);
	bundle_destroy(bundle);
	return err ? output_error(err, HFX_EXIT_FAILED) : code;
}

int hfx_apply_main(int argc, char **argv)
{
	struct apply_options options = {0};
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
	code = run(&options);
	audit_close(&options.audit);
	free(options.replaces.which);
	return code;
}
