/* SPDX-License-Identifier: MIT */
#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUNDLER HFX_BUNDLE_PROGRAM

void sandbox_filter(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
}

int sandbox_enter(void **state)
{
	char *folder = strdup("/tmp/hfx-bundler-XXXXXX");

	*state = folder;
	if (!folder || !mkdtemp(folder) || chdir(folder))
		return -1;
	return system("mkdir old new");
}

int sandbox_leave(void **state)
{
	char command[256];

	if (getenv("HFX_KEEP_SANDBOX")) {
		fprintf(stderr, "kept: %s\n", (char *)*state);
		free(*state);
		return chdir("/");
	}
	snprintf(command, sizeof(command),
	         "chmod -R u+rwx %1$s; exec rm -rf %1$s", (char *)*state);
	free(*state);
	return chdir("/") || system(command);
}

void run_deinit(struct run *run)
{
	free(run->out);
	free(run->err);
}

/* As one string: a NUL becomes '@'. */
static char *read_all(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;
	FILE *copy = open_memstream(&text, &size);
	int byte;

	assert_non_null(file);
	assert_non_null(copy);
	while ((byte = getc(file)) != EOF)
		putc(byte ? byte : '@', copy);
	fclose(file);
	assert_int_equal(fclose(copy), 0);
	return text;
}

static struct run run_command(const char *command)
{
	char *line;
	int status;

	write_file(".command", command);
	assert_true(asprintf(&line, "timeout 600 sh .command >.out 2>.err") >
	            0);
	status = system(line);
	free(line);
	return (struct run){
		.status = WIFEXITED(status) ? WEXITSTATUS(status) : 255,
		.out = read_all(".out"),
		.err = read_all(".err"),
	};
}

struct run run(const char *format, ...)
{
	char *command;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&command, format, args) > 0);
	va_end(args);
	struct run result = run_command(command);
	free(command);
	return result;
}

static void check_status(const struct run *run, int status, const char *command)
{
	if (run->status == status)
		return;
	fprintf(stderr, "%s%s", run->out, run->err);
	fail_msg("%s: status %d, not %d", command, run->status, status);
}

void expect_status(int status, const char *format, ...)
{
	char *command;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&command, format, args) > 0);
	va_end(args);
	SCOPED_RUN result = run_command(command);
	check_status(&result, status, command);
	free(command);
}

void need_program(const char *name)
{
	SCOPED_RUN found = run("command -v %s", name);

	if (found.status)
		skip();
}

void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void write_version(const char *folder, const char *name,
                          const char *macros, const char *text)
{
	char *path, *whole;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	assert_true(asprintf(&whole, "%s\n#line 1\n%s", macros, text) > 0);
	write_file(path, whole);
	free(path);
	free(whole);
}

void write_source(const char *name, const char *text)
{
	write_version("old", name, "#define V(a, b) a\n", text);
	write_version("new", name, "#define V(a, b) b\n#define NEW 1", text);
}

void build_pair(const char *flags, const char *source)
{
	bool is_clang = !strncmp(flags, "clang ", 6);
	const char *compiler = is_clang ? "" : "gcc ";

	if (is_clang)
		need_program("clang");
	write_source("main.c", source);
	expect_status(0, "cd old && %s%s -g -o prog main.c", compiler, flags);
	expect_status(0, "cd new && %s%s -g -o prog main.c", compiler, flags);
}

static void expect_bundle(bool is_there)
{
	if (!access("fix.hfx", F_OK) == is_there)
		return;
	fail_msg("%s bundle was written", is_there ? "no" : "a");
}

json_t *diff(int status, const char *options)
{
	json_error_t error;

	unlink("fix.hfx");
	SCOPED_RUN result =
		run(BUNDLER " diff old/prog new/prog -o fix.hfx --json %s",
	            options);
	check_status(&result, status, "hfx-bundle diff");
	expect_bundle(status == 0);
	json_t *report = json_loads(result.out, 0, &error);
	if (!report)
		fail_msg("the report: %s\n%s", error.text, result.out);
	return report;
}

void expect_diff(int status, const char *options)
{
	json_decref(diff(status, options));
}

static bool has_text(const json_t *object, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value && !strcmp(value, text);
}

const char *reason_of(const json_t *report, const char *kind, const char *name)
{
	json_t *function;
	size_t i;

	json_array_foreach(json_object_get(report, "functions"), i, function) if (
		has_text(function, "kind", kind) &&
		has_text(
			function, "linkage_name",
			name)) return json_string_value(json_object_get(function,
	                                                                "reaso"
	                                                                "n"));
	return NULL;
}

static void fail_with(const json_t *report, const char *what, const char *name)
{
	char *text = json_dumps(report, JSON_INDENT(1));

	fprintf(stderr, "%s\n", text);
	free(text);
	fail_msg("%s: %s", what, name);
}

void expect_listed(const json_t *report, const char *kind, const char *name,
                   const char *reason)
{
	const char *found = reason_of(report, kind, name);

	if (!found)
		fail_with(report, "not in the report", name);
	else if (!strstr(found, reason))
		fail_with(report, "listed for another reason", reason);
}

void expect_not_listed(const json_t *report, const char *name)
{
	static const char *const kinds[] = {"changed", "new", "part",
	                                    "removed"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (reason_of(report, kinds[i], name))
			fail_with(report, "in the report", name);
}

void expect_refusal(const json_t *report, const char *subject,
                    const char *reason)
{
	json_t *refusal;
	size_t i;

	json_array_foreach(json_object_get(report, "refusals"), i, refusal)
	{
		const char *text =
			json_string_value(json_object_get(refusal, "reason"));
		const char *remedy =
			json_string_value(json_object_get(refusal, "remedy"));

		if (has_text(refusal, "subject", subject) &&
		    strstr(text, reason)) {
			assert_string_not_equal(remedy, "");
			return;
		}
	}
	fail_with(report, "no such refusal", reason);
}

void expect_warning(const json_t *report, const char *part)
{
	json_t *warning;
	size_t i;

	json_array_foreach(
		json_object_get(report, "warnings"), i,
		warning) if (strstr(json_string_value(warning), part)) return;
	fail_with(report, "no such warning", part);
}

void expect_nothing_changed(const char *flags, const char *source)
{
	build_pair(flags, source);
	SCOPED_JSON *report = diff(3, "");
	assert_int_equal(json_array_size(json_object_get(report, "functions")),
	                 0);
}

void expect_refused(const char *flags, const char *source, const char *subject,
                    const char *reason)
{
	build_pair(flags, source);
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, subject, reason);
}

struct run run_patched(const char *command)
{
	return run("exec env HFX_BUNDLES=fix.hfx LD_PRELOAD=" HFX_LIBRARY " %s",
	           command);
}

static void expect_same_run(const char *command, const struct run *wanted,
                            const char *which)
{
	SCOPED_RUN patched = run_patched(command);

	if (strcmp(patched.out, wanted->out) || strcmp(patched.err, ""))
		fail_msg("with %s:\n%s%sinstead of:\n%s", which, patched.out,
		         patched.err, wanted->out);
	check_status(&patched, wanted->status, which);
}

void expect_pair_behaves_as_new(const char *old, const char *new)
{
	SCOPED_RUN before = run("exec %s", old);
	SCOPED_RUN wanted = run("exec %s", new);

	/* A program that crashes, or two that do the same, prove nothing. */
	assert_true(before.status < 100 && wanted.status < 100);
	assert_string_not_equal(before.out, wanted.out);
	expect_diff(0, "");
	expect_same_run(old, &wanted, "what changed");
	expect_diff(0, "--all");
	expect_same_run(old, &wanted, "all that can be replaced");
}

void expect_behaves_as_new(const char *flags, const char *source)
{
	build_pair(flags, source);
	expect_pair_behaves_as_new("old/prog", "new/prog");
}
