/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "digest.h"
#include "hfx_cli.h"
#include "hfx_json.h"
#include "proc_status.h"
#include "target.h"

/** Digits of an id that the table shows. */
#define SHORT_ID 12

static const char help[] =
	"Usage: hfx list [--json] PID\n"
	"List the patches in a process, oldest first: applied, reverted, and\n"
	"waiting for a library to be loaded.\n"
	"CALLS is how many direct calls lead to the new code without a jump.\n"
	"One of several modules has a line for each.\n"
	"\n"
	"      --json  print a JSON document (docs/hfx-json.md)\n"
	"      --help  show this help\n";

/* ---- Table ----------------------------------------------------------------
 */

static int text_width(const char *text, int least)
{
	HFX_CLEANUP(hfx_free) char *escaped = output_escape(text);
	int width = escaped ? (int)strlen(escaped) : 0;

	return width > least ? width : least;
}

static void format_time(uint64_t ns, char *text, size_t size)
{
	time_t seconds = (time_t)(ns / 1000000000u);
	struct tm local;

	if (!ns || !localtime_r(&seconds, &local) ||
	    !strftime(text, size, "%F %T", &local))
		snprintf(text, size, "-");
}

static void print_row(const struct engine_patches *patches,
                      const struct engine_patch *patch, int name_width,
                      int version_width)
{
	char id[2 * DIGEST_SIZE + 1];
	char applied[32];
	char pause[32];

	hex_encode(patch->id.bytes, DIGEST_SIZE, id);
	format_time(patch->applied_ns, applied, sizeof(applied));
	output_duration(patch->pause_ns, pause, sizeof(pause));
	output_text(stdout, patch->name, name_width);
	fputs("  ", stdout);
	output_text(stdout, *patch->version ? patch->version : "-",
	            version_width);
	printf("  %.*s  %-10s  %-19s  %8s  %9zu  %5zu  ", SHORT_ID, id,
	       output_state(patch->state), applied, pause, patch->num_functions,
	       engine_patch_num_calls(patches, patch));
	output_text(stdout, patch->module_name, 0);
	if (patch->reason && *patch->reason) {
		fputs(": ", stdout);
		output_text(stdout, patch->reason, 0);
	}
	putchar('\n');
}

static void print_table(pid_t pid, const struct engine_patches *patches)
{
	int name_width = 4;
	int version_width = 7;

	if (!patches->num_patches) {
		fputs("no patches in", stdout);
		output_process(stdout, pid);
		fputc('\n', stdout);
		return;
	}
	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *patch = &patches->patches[i];

		name_width = text_width(patch->name, name_width);
		version_width = text_width(patch->version, version_width);
	}
	printf("%-*s  %-*s  %-12s  %-10s  %-19s  %8s  %9s  %5s  %s\n",
	       name_width, "NAME", version_width, "VERSION", "ID", "STATE",
	       "APPLIED", "PAUSE", "FUNCTIONS", "CALLS", "MODULE");
	for (size_t i = 0; i < patches->num_patches; i++)
		print_row(patches, &patches->patches[i], name_width,
		          version_width);
}

/* ---- JSON -----------------------------------------------------------------
 */

static int print_json(pid_t pid, const struct engine_patches *patches)
{
	struct proc_status status = {0};
	json_t *list = json_array();

	(void)proc_status_read(pid, pid, &status);
	for (size_t i = 0; i < patches->num_patches; i++)
		json_array_append_new(
			list, json_patch(patches, &patches->patches[i]));
	return json_print(json_pack("{si si so so}", "format", 1, "pid",
	                            (int)pid, "process", json_text(status.name),
	                            "patches", list));
}

/* ---- The command ----------------------------------------------------------
 */

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int list(pid_t pid, bool json)
{
	struct engine_patches patches = {0};
	struct target *target;
	struct hfx_error *err;
	int code = HFX_EXIT_DONE;

	err = target_create_ptrace(pid, &target);
	if (err)
		return output_error(err, HFX_EXIT_FAILED);
	err = engine_list(target, &patches);
	target_destroy(target);
	if (err)
		return output_error(err, HFX_EXIT_FAILED);
	if (json)
		code = print_json(pid, &patches);
	else
		print_table(pid, &patches);
	engine_patches_deinit(&patches);
	return code;
}

int hfx_list_main(int argc, char **argv)
{
	bool json = false;
	uint32_t pid;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) !=
	       -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return HFX_EXIT_DONE;
		}
		if (option != 'j')
			return output_usage("list", "unknown option '%s'",
			                    argv[optind - 1]);
		json = true;
	}
	if (argc - optind != 1)
		return output_usage("list", "list takes a process id");
	if (!parse_number(argv[optind], INT_MAX, &pid))
		return output_usage("list", "'%s' is no process id",
		                    argv[optind]);
	return list((pid_t)pid, json);
}
