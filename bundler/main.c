/* SPDX-License-Identifier: MIT */
/* hfx-bundle: the command line. Only main*.c print and exit. */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "bundle.h"
#include "cleanup.h"
#include "main.h"
#include "manifest_show.h"
#include "pipeline.h"

enum {
	OPTION_ACCEPT_DATA = 256,
	OPTION_ACCEPT_TYPE,
	OPTION_ALL,
	OPTION_COLOR,
	OPTION_DESCRIPTION,
	OPTION_HTML,
	OPTION_JSON,
	OPTION_MODULE,
	OPTION_NAME,
	OPTION_NEW_DEBUG,
	OPTION_OLD_DEBUG,
	OPTION_ONLY,
	OPTION_PASSWORD_FILE,
	OPTION_SIGN_KEY,
	OPTION_SKIP,
	OPTION_TRUST,
	OPTION_VERSION,
};

static const char usage_text[] =
	"Usage: hfx-bundle diff OLD NEW [-o FIX.hfx] [OPTION...]\n"
	"       hfx-bundle diff --module OLD NEW [--module OLD NEW]... "
	"[OPTION...]\n"
	"       hfx-bundle show FIX.hfx [--json] [--trust DIR|KEY]\n"
	"       hfx-bundle verify FIX.hfx OLD [--trust DIR|KEY]\n"
	"       hfx-bundle keygen NAME [OPTION...]\n"
	"       hfx-bundle sign FIX.hfx --sign-key KEY [OPTION...]\n"
	"       hfx-bundle --help | --version\n";

static const char diff_help_text[] =
	"Usage: hfx-bundle diff OLD NEW [-o FIX.hfx] [OPTION...]\n"
	"       hfx-bundle diff --module OLD NEW [--module OLD NEW]... "
	"[OPTION...]\n"
	"\n"
	"Find the functions that differ between two builds of a program or\n"
	"shared library, and write a bundle that patches OLD while it runs.\n"
	"Without -o, only report.\n"
	"\n"
	"  -o, --output FILE       bundle to write\n"
	"      --module OLD NEW    one of several modules that the bundle\n"
	"                          patches together (repeat)\n"
	"      --old-debug FILE    debug file of OLD, if it is stripped; with\n"
	"                          --module, of the one before it\n"
	"      --new-debug FILE    the same for NEW\n"
	"      --all               select every function that can be patched\n"
	"      --only PATTERN      only functions whose name matches (repeat)\n"
	"      --skip PATTERN      no functions whose name matches (repeat)\n"
	"      --accept-type PATTERN  patch although this type changed\n"
	"                          (repeat)\n"
	"      --accept-data PATTERN  patch although this variable has "
	"another\n"
	"                          initial value or type (repeat)\n"
	"      --name NAME         name of the patch (default: from FILE)\n"
	"      --version TEXT      version of the patch\n"
	"      --description TEXT  what it is for\n"
	"      --sign-key KEY      sign the bundle with this secret key\n"
	"      --password-file FILE  where the password of KEY is (default:\n"
	"                          ask for it)\n"
	"      --html FILE         write the report as HTML, with the code\n"
	"      --json              print the report as JSON\n"
	"      --color WHEN        auto, always or never (default: auto)\n"
	"  -q, --quiet             refusals and totals only\n"
	"  -v, --verbose           also addresses, signatures, what was left "
	"out\n"
	"  -h, --help              this text\n"
	"\n"
	"Exit status: 0 done, 1 refused as unsafe, 2 usage or bad input,\n"
	"3 nothing to patch (no bundle is written).\n";

enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

struct diff_command {
	struct diff_options options;
	/** OLD and NEW without --module. */
	struct diff_input plain;
	enum report_detail detail;
	enum when color;
	bool json;
	bool help;
	const char *sign_key_path;
	const char *password_path;
};

int usage_error(const char *format, ...)
{
	va_list args;

	fputs("hfx-bundle: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n%s", usage_text);
	return EXIT_BAD_INPUT;
}

int fail(struct hfx_error *err)
{
	fprintf(stderr, "hfx-bundle: %s\n", hfx_error_message(err));
	hfx_error_destroy(err);
	return EXIT_BAD_INPUT;
}

int finish_output(int code)
{
	if (!ferror(stdout) && !fflush(stdout))
		return code;
	perror("hfx-bundle: standard output");
	return EXIT_BAD_INPUT;
}

static bool parse_when(const char *text, enum when *ret)
{
	static const char *const names[] = {"auto", "always", "never"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(text, names[i])) {
			*ret = i;
			return true;
		}
	return false;
}

static bool use_color(enum when when)
{
	const char *no_color = getenv("NO_COLOR");

	if (when != WHEN_AUTO)
		return when == WHEN_ALWAYS;
	return isatty(STDOUT_FILENO) && !(no_color && *no_color);
}

static const struct option diff_long_options[] = {
	{"accept-data", required_argument, NULL, OPTION_ACCEPT_DATA},
	{"accept-type", required_argument, NULL, OPTION_ACCEPT_TYPE},
	{"all", no_argument, NULL, OPTION_ALL},
	{"color", required_argument, NULL, OPTION_COLOR},
	{"description", required_argument, NULL, OPTION_DESCRIPTION},
	{"help", no_argument, NULL, 'h'},
	{"html", required_argument, NULL, OPTION_HTML},
	{"json", no_argument, NULL, OPTION_JSON},
	{"module", required_argument, NULL, OPTION_MODULE},
	{"name", required_argument, NULL, OPTION_NAME},
	{"new-debug", required_argument, NULL, OPTION_NEW_DEBUG},
	{"old-debug", required_argument, NULL, OPTION_OLD_DEBUG},
	{"only", required_argument, NULL, OPTION_ONLY},
	{"output", required_argument, NULL, 'o'},
	{"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
	{"quiet", no_argument, NULL, 'q'},
	{"sign-key", required_argument, NULL, OPTION_SIGN_KEY},
	{"skip", required_argument, NULL, OPTION_SKIP},
	{"verbose", no_argument, NULL, 'v'},
	{"version", required_argument, NULL, OPTION_VERSION},
	{0},
};

static int add_pattern(struct patterns *patterns, const char *pattern)
{
	if (HFX_ARRAY_PUSH(patterns, items, pattern))
		return EXIT_DONE;
	return fail(hfx_error_no_memory());
}

/* What options of one pair are about. */
static struct diff_input *current_input(struct diff_command *command)
{
	struct diff_options *options = &command->options;

	return options->num_inputs ? &options->inputs[options->num_inputs - 1]
	                           : &command->plain;
}

/* --module OLD NEW: getopt_long() has taken OLD alone. */
static int take_module(struct diff_command *command, int argc, char **argv)
{
	struct diff_options *options = &command->options;
	struct diff_input input = {.old_path = optarg};

	if (optind >= argc || *argv[optind] == '-')
		return usage_error("--module takes two files, OLD and NEW");
	input.new_path = argv[optind++];
	if (options->num_inputs >= MANIFEST_MAX_MODULES)
		return usage_error("a bundle has at most %d modules",
		                   MANIFEST_MAX_MODULES);
	if (HFX_ARRAY_PUSH(options, inputs, input))
		return EXIT_DONE;
	return fail(hfx_error_no_memory());
}

/* One option; anything but EXIT_DONE ends the program. */
static int take_option(struct diff_command *command, int option)
{
	struct diff_options *options = &command->options;

	switch (option) {
	case 'o':
		options->output_path = optarg;
		return EXIT_DONE;
	case 'q':
		command->detail = REPORT_QUIET;
		return EXIT_DONE;
	case 'v':
		command->detail = REPORT_VERBOSE;
		return EXIT_DONE;
	case OPTION_ACCEPT_DATA:
		return add_pattern(&options->accept_data, optarg);
	case OPTION_ACCEPT_TYPE:
		return add_pattern(&options->accept_type, optarg);
	case OPTION_ALL:
		options->all = true;
		return EXIT_DONE;
	case OPTION_COLOR:
		if (parse_when(optarg, &command->color))
			return EXIT_DONE;
		return usage_error("--color takes auto, always or never, "
		                   "not \"%s\"",
		                   optarg);
	case OPTION_DESCRIPTION:
		options->description = optarg;
		return EXIT_DONE;
	case OPTION_HTML:
		options->html_path = optarg;
		return EXIT_DONE;
	case OPTION_JSON:
		command->json = true;
		return EXIT_DONE;
	case OPTION_NAME:
		options->name = optarg;
		return EXIT_DONE;
	case OPTION_NEW_DEBUG:
		current_input(command)->new_debug_path = optarg;
		return EXIT_DONE;
	case OPTION_OLD_DEBUG:
		current_input(command)->old_debug_path = optarg;
		return EXIT_DONE;
	case OPTION_ONLY:
		return add_pattern(&options->only, optarg);
	case OPTION_PASSWORD_FILE:
		command->password_path = optarg;
		return EXIT_DONE;
	case OPTION_SIGN_KEY:
		command->sign_key_path = optarg;
		return EXIT_DONE;
	case OPTION_SKIP:
		return add_pattern(&options->skip, optarg);
	case OPTION_VERSION:
		options->version = optarg;
		return EXIT_DONE;
	default:
		fputs(usage_text, stderr);
		return EXIT_BAD_INPUT;
	}
}

static int print_report(const struct diff_command *command,
                        const struct reports *reports)
{
	struct report_style style = {
		.detail = command->detail,
		.use_color = use_color(command->color),
	};

	if (!command->json) {
		report_print(stdout, reports, &style);
		return EXIT_DONE;
	}
	struct hfx_error *err = report_print_json(stdout, reports);
	return err ? fail(err) : EXIT_DONE;
}

static int exit_code_of(enum diff_outcome outcome)
{
	switch (outcome) {
	case DIFF_DONE:
		return EXIT_DONE;
	case DIFF_REFUSED:
		return EXIT_REFUSED;
	default:
		return EXIT_NOTHING;
	}
}

static int run_diff(const struct diff_command *command,
                    const struct diff_options *options)
{
	struct reports reports = {0};
	struct hfx_error *err = diff_run(options, &reports);
	int code = err ? fail(err) : print_report(command, &reports);

	if (code == EXIT_DONE)
		code = exit_code_of(reports.outcome);
	reports_deinit(&reports);
	return finish_output(code);
}

/* The key first: its password is asked for before the work, not after it. */
static int run_signed_diff(const struct diff_command *command)
{
	struct password_source source = password_from(command->password_path);
	HFX_CLEANUP(secret_key_deinit) struct secret_key key = {0};
	struct diff_options options = command->options;
	struct hfx_error *err;

	if (!command->sign_key_path)
		return run_diff(command, &options);
	if (!options.output_path)
		return usage_error("--sign-key needs -o, a bundle to sign");
	err = secret_key_read(command->sign_key_path, &source, &key);
	if (err)
		return fail(err);
	options.sign_key = &key;
	return run_diff(command, &options);
}

/* The files that are not options: OLD and NEW, or none with --module. */
static int take_files(struct diff_command *command, int count, char **files)
{
	struct diff_options *options = &command->options;

	options->by_module = options->num_inputs > 0;
	if (!options->by_module && count != 2)
		return usage_error("diff takes two files, OLD and NEW");
	if (options->by_module && count)
		return usage_error("with --module, each OLD and NEW stands "
		                   "behind one; \"%s\" does not",
		                   files[0]);
	if (options->by_module) {
		if (!command->plain.old_debug_path &&
		    !command->plain.new_debug_path)
			return EXIT_DONE;
		return usage_error("--old-debug and --new-debug stand behind "
		                   "the --module that they are of");
	}
	command->plain.old_path = files[0];
	command->plain.new_path = files[1];
	if (HFX_ARRAY_PUSH(options, inputs, command->plain))
		return EXIT_DONE;
	return fail(hfx_error_no_memory());
}

static int parse_diff(int argc, char **argv, struct diff_command *command)
{
	int code = EXIT_DONE, option;

	while (code == EXIT_DONE &&
	       (option = getopt_long(argc, argv, "ho:qv", diff_long_options,
	                             NULL)) != -1) {
		if (option == 'h') {
			command->help = true;
			return EXIT_DONE;
		}
		if (option == OPTION_MODULE)
			code = take_module(command, argc, argv);
		else
			code = take_option(command, option);
	}
	if (code != EXIT_DONE)
		return code;
	return take_files(command, argc - optind, argv + optind);
}

static void diff_command_deinit(struct diff_command *command)
{
	free(command->options.inputs);
	free(command->options.only.items);
	free(command->options.skip.items);
	free(command->options.accept_type.items);
	free(command->options.accept_data.items);
}

static int command_diff(int argc, char **argv)
{
	HFX_CLEANUP(diff_command_deinit)
	struct diff_command command = {.detail = REPORT_NORMAL};
	int code = parse_diff(argc, argv, &command);

	if (code != EXIT_DONE)
		return code;
	if (command.help) {
		fputs(diff_help_text, stdout);
		return finish_output(EXIT_DONE);
	}
	command.options.show_progress = command.detail != REPORT_QUIET;
	return run_signed_diff(&command);
}

/* What show and verify are asked for. */
struct read_command {
	bool json;
	bool help;
	/** Keys that must have signed the bundle, or `NULL`. */
	const char *trust;
};

static int parse_read_options(int argc, char **argv,
                              struct read_command *command)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, OPTION_JSON},
		{"trust", required_argument, NULL, OPTION_TRUST},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (option) {
		case 'h':
			command->help = true;
			return EXIT_DONE;
		case OPTION_JSON:
			command->json = true;
			break;
		case OPTION_TRUST:
			command->trust = optarg;
			break;
		default:
			fputs(usage_text, stderr);
			return EXIT_BAD_INPUT;
		}
	return EXIT_DONE;
}

/* Keys are looked at only on demand: those of this machine are for hfx. */
static struct hfx_error *read_bundle(const char *path,
                                     const struct read_command *command,
                                     struct bundle **ret)
{
	HFX_CLEANUP(trust_cleanup) struct trust *trust = NULL;

	if (command->trust)
		HFX_TRY(trust_load(command->trust, &trust));
	return bundle_read_trusted(path, trust, ret);
}

static int exit_code_of_error(const struct hfx_error *err)
{
	switch (hfx_error_code(err)) {
	case HFX_ERROR_NONE:
		return EXIT_DONE;
	case HFX_ERROR_BUILD_MISMATCH:
	case HFX_ERROR_CODE_MISMATCH:
	case HFX_ERROR_UNTRUSTED:
	case HFX_ERROR_WITHDRAWN:
		return EXIT_REFUSED;
	default:
		return EXIT_BAD_INPUT;
	}
}

/* Print the error, if there is one. */
static int finish(struct hfx_error *err)
{
	int code = exit_code_of_error(err);

	if (err)
		fail(err);
	return finish_output(code);
}

static int command_show(int argc, char **argv)
{
	struct read_command command = {0};
	struct bundle *bundle = NULL;
	int code = parse_read_options(argc, argv, &command);

	if (code != EXIT_DONE)
		return code;
	if (command.help) {
		fputs(usage_text, stdout);
		return finish_output(EXIT_DONE);
	}
	if (argc - optind != 1)
		return usage_error("show takes one file, a bundle");
	struct hfx_error *err = read_bundle(argv[optind], &command, &bundle);
	if (!err && command.json)
		err = manifest_show_json(stdout, bundle);
	else if (!err)
		manifest_show(stdout, bundle);
	bundle_destroy(bundle);
	return finish(err);
}

/* The module of the bundle that was made for this file, else the first. */
static struct hfx_error *verify_module(const struct bundle *bundle,
                                       const char *path)
{
	const struct manifest *manifest = bundle->manifest;
	struct hfx_error *first = NULL;

	for (size_t i = 0; i < manifest->num_modules; i++) {
		struct hfx_error *err =
			manifest_verify_file(&manifest->modules[i], path);

		if (hfx_error_code(err) != HFX_ERROR_BUILD_MISMATCH) {
			hfx_error_destroy(first);
			return err;
		}
		if (first)
			hfx_error_destroy(err);
		else
			first = err;
	}
	return first;
}

static struct hfx_error *verify(const char *path, const char *old_path,
                                const struct read_command *command)
{
	struct bundle *bundle = NULL;
	struct hfx_error *err;

	HFX_TRY(read_bundle(path, command, &bundle));
	err = verify_module(bundle, old_path);
	if (!err) {
		printf("%s fits %s; signed by ", path, old_path);
		manifest_show_signer(stdout, bundle);
		putchar('\n');
	}
	bundle_destroy(bundle);
	return err;
}

static int command_verify(int argc, char **argv)
{
	struct read_command command = {0};
	int code = parse_read_options(argc, argv, &command);

	if (code != EXIT_DONE)
		return code;
	if (command.help) {
		fputs(usage_text, stdout);
		return finish_output(EXIT_DONE);
	}
	if (argc - optind != 2 || command.json)
		return usage_error("verify takes two files, a bundle and OLD");
	return finish(verify(argv[optind], argv[optind + 1], &command));
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"diff", command_diff},     {"keygen", command_keygen},
	{"show", command_show},     {"sign", command_sign},
	{"verify", command_verify},
};

int main(int argc, char **argv)
{
	static char program[] = "hfx-bundle";

	/* A file that may not grow is an error that can be told. */
	signal(SIGXFSZ, SIG_IGN);
	if (argc < 2)
		return usage_error("give a command");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name)) {
			/* By which getopt_long() begins its messages. */
			argv[1] = program;
			return commands[i].run(argc - 1, argv + 1);
		}
	if (!strcmp(argv[1], "--version")) {
		puts("hfx-bundle " HFX_VERSION);
		return finish_output(EXIT_DONE);
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		fputs(usage_text, stdout);
		return finish_output(EXIT_DONE);
	}
	return usage_error("\"%s\" is not a command", argv[1]);
}
