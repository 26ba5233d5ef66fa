/* SPDX-License-Identifier: MIT */
/*
 * What of this machine would stop hfx. Settings are read where they are
 * written; whether it works in the end is tried on a child.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "hfx_cli.h"
#include "hfx_doctor.h"
#include "hfx_json.h"
#include "proc_status.h"

static const char help[] =
	"Usage: hfx doctor [--json] [PID]\n"
	"Say what on this machine would stop hfx, for this user, or what "
	"would\n"
	"stop it from patching one process. A child is patched to try it out.\n"
	"\n"
	"      --json  print a JSON document (docs/hfx-json.md)\n"
	"      --help  show this help\n"
	"\n"
	"Exit code: 0 nothing stops it; 1 something does; 2 wrong arguments.\n";

/** Largest file of /proc or /sys that is read. */
#define MAX_FILE 65536u

struct doctor {
	/** Findings for --json, or `NULL`: then they are printed at once. */
	json_t *findings;
	struct proc_status self;
	bool is_stopped;
};

static const char *const level_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_STOP] = "stop",
};

void doctor_say(struct doctor *doctor, enum doctor_level level,
                const char *name, const char *format, ...)
{
	HFX_CLEANUP(hfx_free) char *message = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	doctor->is_stopped |= level == DOCTOR_STOP;
	if (doctor->findings) {
		json_array_append_new(
			doctor->findings,
			json_pack("{ss ss so}", "check", name, "result",
		                  level_names[level], "message",
		                  json_text(message ? message : "")));
		return;
	}
	printf("%-4s  %-10s  ", level_names[level], name);
	output_text(stdout, message ? message : "", 0);
	putchar('\n');
}

void doctor_say_error(struct doctor *doctor, const char *name,
                      struct hfx_error *err)
{
	doctor_say(doctor, DOCTOR_STOP, name, "%s", hfx_error_message(err));
	hfx_error_destroy(err);
}

/** A whole file as a string without its last newline, or `NULL`. Owned. */
static char *read_text(const char *path)
{
	HFX_CLEANUP(buffer_deinit) struct buffer text = {0};
	struct hfx_error *err = file_read(path, MAX_FILE, &text);
	size_t size;
	char *copy;

	if (err) {
		hfx_error_destroy(err);
		return NULL;
	}
	copy = strndup((const char *)text.data, text.size);
	size = copy ? strlen(copy) : 0;
	if (size && copy[size - 1] == '\n')
		copy[size - 1] = '\0';
	return copy;
}

static bool has_cap(const struct doctor *doctor, int cap)
{
	return doctor->self.effective_caps >> cap & 1;
}

/* ---- The checks -------------------------------------------------------- */

static void check_rights(struct doctor *doctor)
{
	if (has_cap(doctor, CAP_SYS_PTRACE))
		doctor_say(doctor, DOCTOR_OK, "rights",
		           "CAP_SYS_PTRACE is held: processes of all users");
	else
		doctor_say(doctor, DOCTOR_NOTE, "rights",
		           "no CAP_SYS_PTRACE: only processes of user %u that "
		           "are dumpable; run as root for others",
		           doctor->self.uids[0]);
	if (!has_cap(doctor, CAP_SYS_ADMIN))
		doctor_say(doctor, DOCTOR_NOTE, "rights",
		           "no CAP_SYS_ADMIN: no processes that run under "
		           "seccomp");
}

static void check_namespace(struct doctor *doctor)
{
	HFX_CLEANUP(hfx_free) char *map = read_text("/proc/self/uid_map");
	unsigned int inside, outside, count;

	if (!map || sscanf(map, "%u %u %u", &inside, &outside, &count) != 3 ||
	    (inside == 0 && outside == 0 && count == UINT_MAX))
		return;
	doctor_say(doctor, DOCTOR_NOTE, "namespace",
	           "this is a user namespace: processes outside of it cannot "
	           "be patched, whatever the capabilities");
}

static void check_yama(struct doctor *doctor)
{
	HFX_CLEANUP(hfx_free)
	char *text = read_text("/proc/sys/kernel/yama/ptrace_scope");
	int scope = text ? atoi(text) : 0;

	if (scope >= 3)
		doctor_say(doctor, DOCTOR_STOP, "yama",
		           "kernel.yama.ptrace_scope=3 forbids all tracing "
		           "until the next boot");
	else if (scope && !has_cap(doctor, CAP_SYS_PTRACE))
		doctor_say(doctor, DOCTOR_STOP, "yama",
		           "kernel.yama.ptrace_scope=%d asks for "
		           "CAP_SYS_PTRACE; run as root%s",
		           scope,
		           scope == 1 ? ", or `sysctl "
		                        "kernel.yama.ptrace_scope=0`"
		                      : "");
	else
		doctor_say(doctor, DOCTOR_OK, "yama",
		           text ? "kernel.yama.ptrace_scope=%d does not stop "
		                  "this user"
		                : "not in this kernel",
		           scope);
}

static void check_seccomp(struct doctor *doctor)
{
	if (!doctor->self.seccomp)
		doctor_say(doctor, DOCTOR_OK, "seccomp",
		           "hfx runs without a filter");
	else
		doctor_say(doctor, DOCTOR_NOTE, "seccomp",
		           "hfx runs under seccomp: the filter may forbid "
		           "ptrace (see trial), and processes under seccomp "
		           "cannot be patched from here");
}

/** no_new_privs keeps a setuid sudo or file capabilities from working. */
static void check_no_new_privs(struct doctor *doctor)
{
	HFX_CLEANUP(hfx_free) char *status = read_text("/proc/self/status");

	if (status && strstr(status, "NoNewPrivs:\t1"))
		doctor_say(doctor, DOCTOR_NOTE, "privileges",
		           "no_new_privs is set: sudo and file capabilities "
		           "give no rights here");
}

/** Options of the mount at /proc, e.g. "rw,hidepid=invisible". Owned. */
static char *proc_mount_options(void)
{
	HFX_CLEANUP(hfx_free) char *mounts = read_text("/proc/self/mountinfo");
	char *rest = mounts, *line;
	char *found = NULL;

	while ((line = strsep(&rest, "\n"))) {
		char *options = strstr(line, " - proc ");

		if (!strstr(line, " / /proc ") || !options)
			continue;
		free(found);
		found = strdup(options);
	}
	return found;
}

static void check_proc(struct doctor *doctor)
{
	HFX_CLEANUP(hfx_free) char *options = proc_mount_options();
	const char *hide = options ? strstr(options, "hidepid=") : NULL;

	if (access("/proc/self/stat", R_OK))
		doctor_say(doctor, DOCTOR_STOP, "proc", "/proc is not mounted");
	else if (hide && strncmp(hide, "hidepid=0", 9) != 0 &&
	         strncmp(hide, "hidepid=off", 11) != 0 &&
	         !has_cap(doctor, CAP_SYS_PTRACE))
		doctor_say(doctor, DOCTOR_NOTE, "proc",
		           "/proc is mounted with %.*s: processes of other "
		           "users are not to be seen",
		           (int)strcspn(hide, ",\n"), hide);
	else
		doctor_say(doctor, DOCTOR_OK, "proc", "/proc is mounted");
}

static void check_security_modules(struct doctor *doctor)
{
	HFX_CLEANUP(hfx_free)
	char *deny = read_text("/sys/fs/selinux/booleans/deny_ptrace");
	HFX_CLEANUP(hfx_free) char *confined = NULL;

	if (deny && *deny == '1')
		doctor_say(doctor, DOCTOR_STOP, "selinux",
		           "the boolean deny_ptrace is on; `setsebool "
		           "deny_ptrace 0`");
	if (access("/sys/kernel/security/apparmor", F_OK) == 0)
		confined = read_text("/proc/self/attr/current");
	if (confined && *confined && strcmp(confined, "unconfined") != 0)
		doctor_say(doctor, DOCTOR_NOTE, "apparmor",
		           "hfx is confined by the profile %s, which may "
		           "forbid ptrace",
		           confined);
}

/** Kernels from 6.12 may forbid to write over protection by /proc/PID/mem. */
static void check_kernel_options(struct doctor *doctor)
{
	HFX_CLEANUP(hfx_free) char *line = read_text("/proc/cmdline");
	const char *force =
		line ? strstr(line, "proc_mem.force_override=") : NULL;

	if (force)
		doctor_say(doctor, DOCTOR_NOTE, "kernel",
		           "started with %.*s (see trial)",
		           (int)strcspn(force, " \n"), force);
}

/** Whether there is an hfx-tracer at @p path; says so. */
static bool check_tracer_at(struct doctor *doctor, const char *path)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	if (access(path, X_OK))
		doctor_say(doctor, DOCTOR_STOP, "tracer",
		           "%s may not be executed: %s", path, strerror(errno));
	else if (st.st_mode & (S_ISUID | S_ISGID))
		doctor_say(doctor, DOCTOR_NOTE, "tracer",
		           "%s is setuid or setgid, which it must not be",
		           path);
	else
		doctor_say(doctor, DOCTOR_OK, "tracer", "%s", path);
	return true;
}

static void check_tracer(struct doctor *doctor)
{
	char folder[PATH_MAX - 64] = "";
	char path[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	char *slash;

	folder[size > 0 ? size : 0] = '\0';
	slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
	snprintf(path, sizeof(path), "%s/../libexec/hfx/hfx-tracer", folder);
	if (check_tracer_at(doctor, path))
		return;
	snprintf(path, sizeof(path), "%s/hfx-tracer", folder);
	if (check_tracer_at(doctor, path) ||
	    check_tracer_at(doctor, HFX_LIBEXECDIR "/hfx-tracer"))
		return;
	doctor_say(doctor, DOCTOR_NOTE, "tracer",
	           "there is no hfx-tracer in %s: programs with several "
	           "threads cannot patch themselves by libhfx",
	           HFX_LIBEXECDIR);
}

/* ---- The command ------------------------------------------------------- */

static void examine(struct doctor *doctor, pid_t pid)
{
	if (proc_status_read(getpid(), gettid(), &doctor->self))
		doctor->self = (struct proc_status){0};
	check_proc(doctor);
	check_rights(doctor);
	check_no_new_privs(doctor);
	check_namespace(doctor);
	check_yama(doctor);
	check_seccomp(doctor);
	check_security_modules(doctor);
	check_kernel_options(doctor);
	check_tracer(doctor);
	doctor_try(doctor);
	if (pid)
		doctor_look_at(doctor, pid);
}

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int run(bool json, pid_t pid)
{
	struct doctor doctor = {.findings = json ? json_array() : NULL};
	int code;

	examine(&doctor, pid);
	code = doctor.is_stopped ? HFX_EXIT_FAILED : HFX_EXIT_DONE;
	if (json && json_print(json_pack("{si sb so}", "format", 1, "works",
	                                 !doctor.is_stopped, "findings",
	                                 doctor.findings)))
		code = HFX_EXIT_FAILED;
	return code;
}

int hfx_doctor_main(int argc, char **argv)
{
	bool json = false;
	uint32_t pid = 0;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) !=
	       -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return HFX_EXIT_DONE;
		}
		if (option != 'j')
			return output_usage("doctor", "unknown option '%s'",
			                    argv[optind - 1]);
		json = true;
	}
	if (argc - optind > 1)
		return output_usage("doctor",
		                    "doctor takes one process id at most");
	if (argc - optind == 1 && !parse_number(argv[optind], INT_MAX, &pid))
		return output_usage("doctor", "'%s' is no process id",
		                    argv[optind]);
	return run(json, (pid_t)pid);
}
