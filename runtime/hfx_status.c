/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "hfx_cli.h"
#include "hfx_json.h"
#include "process_view.h"

static const char help[] =
	"Usage: hfx status [--json] [FIX.hfx]\n"
	"Look through the processes of this machine. With a bundle: those "
	"that\n"
	"have loaded what it is for, and whether it is applied. Without: "
	"those\n"
	"that carry patches.\n"
	"\n"
	"      --json  print a JSON document (docs/hfx-json.md)\n"
	"      --help  show this help\n";

struct status {
	/** What was asked for, or `NULL`. */
	const struct bundle *bundle;
	bool json;
	struct process_view *views;
	size_t num_views;
	size_t cap_views;
	/** Processes that this user may not look at. */
	size_t num_hidden;
	/** Processes whose records cannot be read. */
	size_t num_failed;
};

static void status_deinit(struct status *status)
{
	for (size_t i = 0; i < status->num_views; i++)
		process_view_deinit(&status->views[i]);
	free(status->views);
	*status = (struct status){0};
}

/* ---- Looking ----------------------------------------------------------- */

static bool is_wanted(const struct status *status,
                      const struct process_view *view)
{
	if (!status->bundle)
		return view->patches.num_patches > 0;
	return view->fits || process_view_patch(view, status->bundle);
}

static struct hfx_error *look_at(struct status *status, pid_t pid)
{
	struct process_view view;
	struct hfx_error *err = process_view_read(pid, status->bundle, &view);

	if (process_view_is_none(err) ||
	    hfx_error_code(err) == HFX_ERROR_PERMISSION) {
		status->num_hidden +=
			hfx_error_code(err) == HFX_ERROR_PERMISSION;
		hfx_error_destroy(err);
		return NULL;
	}
	if (err) {
		status->num_failed++;
		(void)output_error(hfx_error_wrap(err, "process %d", pid), 0);
		return NULL;
	}
	if (!is_wanted(status, &view)) {
		process_view_deinit(&view);
		return NULL;
	}
	if (HFX_ARRAY_PUSH(status, views, view))
		return NULL;
	process_view_deinit(&view);
	return hfx_error_no_memory();
}

static struct hfx_error *look(struct status *status)
{
	HFX_CLEANUP(process_list_deinit) struct process_list list = {0};

	HFX_TRY(process_list_read(&list));
	for (size_t i = 0; i < list.num_pids; i++)
		HFX_TRY(look_at(status, list.pids[i]));
	return NULL;
}

/** What the bundle is to this process. */
static const char *bundle_state(const struct status *status,
                                const struct process_view *view)
{
	const struct engine_patch *patch =
		process_view_patch(view, status->bundle);

	return patch ? output_state(patch->state) : "fits";
}

/* ---- Table ------------------------------------------------------------- */

static int name_width(const struct status *status)
{
	int width = 7;

	for (size_t i = 0; i < status->num_views; i++) {
		HFX_CLEANUP(hfx_free)
		char *name = output_escape(status->views[i].name);
		int size = name ? (int)strlen(name) : 0;

		width = size > width ? size : width;
	}
	return width;
}

static void print_process(const struct process_view *view, int width)
{
	printf("%7d  ", view->pid);
	output_text(stdout, view->name, width);
}

static void print_for_bundle(const struct status *status)
{
	int width = name_width(status);

	printf("%7s  %-*s  %-10s  %s\n", "PID", width, "PROCESS", "STATE",
	       "MODULE");
	for (size_t i = 0; i < status->num_views; i++) {
		const struct process_view *view = &status->views[i];

		print_process(view, width);
		printf("  %-10s  ", bundle_state(status, view));
		output_text(stdout, view->module_path ? view->module_path : "-",
		            0);
		putchar('\n');
	}
}

static void print_patches(const struct status *status)
{
	int width = name_width(status);

	printf("%7s  %-*s  %-10s  %s\n", "PID", width, "PROCESS", "STATE",
	       "PATCH");
	for (size_t i = 0; i < status->num_views; i++) {
		const struct process_view *view = &status->views[i];

		for (size_t k = 0; k < view->patches.num_patches; k++) {
			const struct engine_patch *patch =
				&view->patches.patches[k];

			print_process(view, width);
			printf("  %-10s  ", output_state(patch->state));
			output_text(stdout, patch->name, 0);
			putchar(*patch->version ? ' ' : '\n');
			if (*patch->version) {
				output_text(stdout, patch->version, 0);
				putchar('\n');
			}
		}
	}
}

static void print_table(const struct status *status)
{
	if (status->num_views && status->bundle)
		print_for_bundle(status);
	else if (status->num_views)
		print_patches(status);
	else
		puts(status->bundle ? "no process has loaded what the bundle "
		                      "is for"
		                    : "no process carries patches");
	if (status->num_hidden)
		fprintf(stderr,
		        "hfx: %zu process%s may not be looked at; "
		        "CAP_SYS_PTRACE shows all\n",
		        status->num_hidden,
		        status->num_hidden == 1 ? "" : "es");
}

/* ---- JSON -------------------------------------------------------------- */

static json_t *json_view(const struct status *status,
                         const struct process_view *view)
{
	json_t *patches = json_array();
	json_t *object = json_pack("{si so si so}", "pid", (int)view->pid,
	                           "process", json_text(view->name), "uid",
	                           (int)view->uid, "patches", patches);

	for (size_t i = 0; i < view->patches.num_patches; i++)
		json_array_append_new(
			patches,
			json_patch(&view->patches, &view->patches.patches[i]));
	if (!status->bundle)
		return object;
	json_object_set_new(object, "state",
	                    json_string(bundle_state(status, view)));
	json_object_set_new(object, "module_path",
	                    view->module_path ? json_text(view->module_path)
	                                      : json_null());
	return object;
}

static int print_json(const struct status *status)
{
	json_t *list = json_array();
	json_t *bundle = json_null();

	if (status->bundle)
		bundle = json_pack(
			"{so so}", "name",
			json_text(status->bundle->manifest->name), "id",
			json_hex(status->bundle->id.bytes, DIGEST_SIZE));
	for (size_t i = 0; i < status->num_views; i++)
		json_array_append_new(list,
		                      json_view(status, &status->views[i]));
	return json_print(json_pack(
		"{si so so so so}", "format", 1, "bundle", bundle, "processes",
		list, "num_hidden", json_count(status->num_hidden),
		"num_failed", json_count(status->num_failed)));
}

/* ---- The command ------------------------------------------------------- */

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int run(struct status *status)
{
	struct hfx_error *err = look(status);
	int code = HFX_EXIT_DONE;

	if (err)
		return output_error(err, HFX_EXIT_FAILED);
	if (status->json)
		code = print_json(status);
	else
		print_table(status);
	return status->num_failed ? HFX_EXIT_FAILED : code;
}

int hfx_status_main(int argc, char **argv)
{
	HFX_CLEANUP(status_deinit) struct status status = {0};
	struct bundle *bundle = NULL;
	struct hfx_error *err;
	int option, code;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) !=
	       -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return HFX_EXIT_DONE;
		}
		if (option != 'j')
			return output_usage("status", "unknown option '%s'",
			                    argv[optind - 1]);
		status.json = true;
	}
	if (argc - optind > 1)
		return output_usage("status",
		                    "status takes one bundle at most");
	if (argc - optind == 1) {
		err = cli_read_bundle(argv[optind], NULL, &bundle);
		if (err)
			return output_error(err, cli_bundle_exit_code(err));
	}
	status.bundle = bundle;
	code = run(&status);
	bundle_destroy(bundle);
	return code;
}
