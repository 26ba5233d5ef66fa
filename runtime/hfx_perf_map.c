/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>

#include "hfx_cli.h"
#include "perf_map.h"
#include "target.h"

static const char help[] =
	"Usage: hfx perf-map [OPTION...] PID\n"
	"Write the names of new functions to /tmp/perf-PID.map of the "
	"process,\n"
	"where perf reads them. To be done before `perf report`, while the\n"
	"process runs.\n"
	"\n"
	"  -q, --quiet  print errors only\n"
	"      --help   show this help\n";

static const struct option long_options[] = {
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static struct hfx_error *write_map(pid_t pid, bool quiet)
{
	struct engine_patches patches = {0};
	char path[PERF_MAP_PATH_SIZE];
	struct target *target;
	struct hfx_error *err;
	size_t count = 0;

	HFX_TRY(target_create_ptrace(pid, &target));
	err = engine_list(target, &patches);
	if (!err)
		err = perf_map_write(pid, &patches, path, &count);
	engine_patches_deinit(&patches);
	target_destroy(target);
	if (!err && !quiet)
		printf("added %zu function%s to %s\n", count,
		       count == 1 ? "" : "s", path);
	return err;
}

int hfx_perf_map_main(int argc, char **argv)
{
	bool quiet = false;
	struct hfx_error *err;
	uint32_t pid;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "qh", long_options, NULL)) !=
	       -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return HFX_EXIT_DONE;
		}
		if (option != 'q')
			return output_usage("perf-map", "unknown option '%s'",
			                    argv[optind - 1]);
		quiet = true;
	}
	if (argc - optind != 1)
		return output_usage("perf-map", "perf-map takes a process id");
	if (!parse_number(argv[optind], INT_MAX, &pid))
		return output_usage("perf-map", "'%s' is no process id",
		                    argv[optind]);
	err = write_map((pid_t)pid, quiet);
	return err ? output_error(err, HFX_EXIT_FAILED) : HFX_EXIT_DONE;
}
