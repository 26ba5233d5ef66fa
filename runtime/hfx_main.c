/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "hfx_cli.h"

static const char help[] =
	"Usage: hfx COMMAND [OPTION...] ARGUMENT...\n"
	"Hot-fix running processes with bundles made by hfx-bundle.\n"
	"\n"
	"  hfx apply PID FIX.hfx    apply a bundle to a process\n"
	"  hfx check PID FIX.hfx    say whether it would apply\n"
	"  hfx doctor [PID]         say what on this machine would stop hfx\n"
	"  hfx list PID             list the patches in a process\n"
	"  hfx perf-map PID         give perf the names of new functions\n"
	"  hfx persist FIX.hfx      have new starts get it, too\n"
	"  hfx revert PID NAME|ID   take a patch back\n"
	"  hfx status [FIX.hfx]     list the processes that carry patches, or "
	"that\n"
	"                           a bundle is for\n"
	"\n"
	"      --help     show this help; `hfx COMMAND --help` says more\n"
	"      --version  show the version\n"
	"\n"
	"Exit code: 0 done; 1 refused or failed, and the process runs on as "
	"it\n"
	"was; 2 wrong arguments or a bundle that cannot be read.\n";

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"apply", hfx_apply_main},       {"check", hfx_check_main},
	{"doctor", hfx_doctor_main},     {"list", hfx_list_main},
	{"perf-map", hfx_perf_map_main}, {"persist", hfx_persist_main},
	{"revert", hfx_revert_main},     {"status", hfx_status_main},
};

/** A full disk or a closed pipe must not look like success. */
static int finish(int exit_code)
{
	if (!fflush(stdout) && !ferror(stdout))
		return exit_code;
	perror("hfx: standard output");
	return exit_code ? exit_code : HFX_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	/* The log or an output that may not grow must not end a change. */
	signal(SIGXFSZ, SIG_IGN);
	if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
		fputs(help, stdout);
		return finish(HFX_EXIT_DONE);
	}
	if (!strcmp(name, "--version")) {
		puts("hfx " HFX_VERSION);
		return finish(HFX_EXIT_DONE);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(name, commands[i].name))
			return finish(commands[i].run(argc - 1, argv + 1));
	if (!*name)
		return output_usage("", "a command is missing");
	return output_usage("", "there is no command '%s'", name);
}
