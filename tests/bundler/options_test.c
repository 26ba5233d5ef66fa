/* SPDX-License-Identifier: MIT */
/*
 * Options, debug files that stand beside stripped builds, and what is written:
 * the same bytes each time, small, and a file that ELF tools understand.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"

#define BUNDLER HFX_BUNDLE_PROGRAM
#define DIFF    BUNDLER " diff old/prog new/prog "

static const char source[] =
	"#include <stdio.h>\n"
	"#define NOINLINE __attribute__((noinline, noclone))\n"
	"NOINLINE int first(int n) { puts(\"first\"); return n * V(2, 30); }\n"
	"NOINLINE int second(int n) { puts(\"second\"); return n + V(4, 5); }\n"
	"NOINLINE int third(int n) { puts(\"third\"); return n; }\n"
	"int main(int argc, char **argv)\n"
	"{ (void)argv; printf(\"%d\\n\", first(argc) + second(argc) +\n"
	"                     third(argc)); return 0; }\n";

static int enter_with_pair(void **state)
{
	if (sandbox_enter(state))
		return -1;
	build_pair("-O2", source);
	return 0;
}

#define PAIR_TEST(function)                                                    \
	cmocka_unit_test_setup_teardown(function, enter_with_pair,             \
	                                sandbox_leave)

static void expect_text(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void expect_no_text(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

/* ---- Options ------------------------------------------------------------ */

static void only_takes_what_matches(void **state)
{
	(void)state;
	SCOPED_JSON *report = diff(0, "--only 'fi*'");
	expect_listed(report, "changed", "first", "");
	assert_int_equal(json_array_size(json_object_get(report, "skipped")),
	                 1);
	SCOPED_RUN patched = run_patched("old/prog");
	expect_text(patched.out, "\n36\n");
}

static void skip_leaves_out_what_matches(void **state)
{
	(void)state;
	SCOPED_JSON *report = diff(0, "--skip first --skip 'no*'");
	expect_listed(report, "changed", "second", "");
	SCOPED_RUN patched = run_patched("old/prog");
	expect_text(patched.out, "\n9\n");
}

static void skipping_all_changes_leaves_nothing(void **state)
{
	(void)state;
	expect_diff(3, "--skip 'first' --skip 's?cond'");
}

static void all_takes_every_function(void **state)
{
	(void)state;
	SCOPED_JSON *report = diff(0, "--all");
	expect_listed(report, "changed", "third", "");
	expect_listed(report, "changed", "main", "");
}

static void all_patches_a_program_with_itself(void **state)
{
	(void)state;
	expect_status(0, BUNDLER " diff --all old/prog old/prog -o fix.hfx");
	SCOPED_RUN plain = run("exec old/prog");
	SCOPED_RUN patched = run_patched("old/prog");
	assert_string_equal(patched.out, plain.out);
	assert_string_equal(patched.err, "");
}

static void show_prints_name_version_and_description(void **state)
{
	(void)state;
	expect_diff(0, "--name my-fix --version 1.2 "
	               "--description 'What it is for'");
	SCOPED_RUN shown = run(BUNDLER " show fix.hfx");
	expect_text(shown.out, "my-fix");
	expect_text(shown.out, "1.2");
	expect_text(shown.out, "What it is for");
	expect_text(shown.out, "int first(int n)");
}

static void a_pattern_that_matches_nothing_is_told(void **state)
{
	(void)state;
	SCOPED_JSON *report =
		diff(0, "--only 'firs*' --only 'secund' --skip mian");
	expect_warning(report, "--only secund matches no function");
	expect_warning(report, "--skip mian matches no function");
	assert_int_equal(json_array_size(json_object_get(report, "warnings")),
	                 2);
}

static void the_name_comes_from_the_output(void **state)
{
	(void)state;
	expect_status(0, DIFF "-o ./bounds-check.2.hfx");
	SCOPED_RUN shown = run(BUNDLER " show bounds-check.2.hfx --json");
	expect_text(shown.out, "\"name\": \"bounds-check.2\"");
}

static void a_bad_name_is_an_error(void **state)
{
	(void)state;
	SCOPED_RUN result = run(DIFF "-o fix.hfx --name 'a b'");
	assert_int_equal(result.status, 2);
	expect_text(result.err, "a b");
	assert_int_not_equal(access("fix.hfx", F_OK), 0);
}

static void an_output_that_may_not_grow_is_an_error(void **state)
{
	(void)state;
	SCOPED_RUN result =
		run("mkdir small && ulimit -f 1 && " DIFF "-o small/fix.hfx");
	assert_int_equal(result.status, 2);
	expect_text(result.err, "small/fix.hfx: cannot write: File too large");
	/* Nor is anything left of it. */
	expect_status(0, "rmdir small");
}

static void without_output_nothing_is_written(void **state)
{
	(void)state;
	expect_status(0, "ls -R > before; touch after; ls -R > before");
	expect_status(0, DIFF);
	expect_status(0, "ls -R > after; cmp before after");
}

static void quiet_prints_totals_only(void **state)
{
	(void)state;
	SCOPED_RUN quiet = run(DIFF "-q");
	expect_no_text(quiet.out, "first");
	expect_text(quiet.out, "2 changed");
}

static void verbose_prints_addresses_and_signatures(void **state)
{
	(void)state;
	SCOPED_RUN plain = run(DIFF);
	SCOPED_RUN verbose = run(DIFF "-v");
	expect_no_text(plain.out, "int first(int n)");
	expect_text(verbose.out, "int first(int n)");
	expect_text(verbose.out, "0x");
	expect_text(plain.out, "main.c:3");
}

static void color_is_for_terminals_or_on_demand(void **state)
{
	(void)state;
	SCOPED_RUN plain = run(DIFF);
	SCOPED_RUN always = run(DIFF "--color=always");
	SCOPED_RUN never = run(DIFF "--color=never");
	expect_no_text(plain.out, "\x1b[");
	expect_text(always.out, "\x1b[");
	expect_no_text(never.out, "\x1b[");
	expect_status(2, DIFF "--color=sometimes");
}

static void no_color_is_heard_on_a_terminal(void **state)
{
	(void)state;
	need_program("script");
	SCOPED_RUN terminal = run(
		"env -u NO_COLOR TERM=xterm script -qec '" DIFF "' /dev/null");
	SCOPED_RUN plain = run("env NO_COLOR=1 TERM=xterm script -qec '" DIFF
	                       "' /dev/null");
	expect_text(terminal.out, "\x1b[");
	expect_no_text(plain.out, "\x1b[3");
}

static void verify_tells_whether_a_bundle_fits(void **state)
{
	(void)state;
	expect_diff(0, "");
	expect_status(0, BUNDLER " verify fix.hfx old/prog");
	SCOPED_RUN other = run(BUNDLER " verify fix.hfx new/prog");
	assert_int_not_equal(other.status, 0);
	expect_text(other.err, "build-id");
	expect_status(0, "strip -o bare old/prog");
	expect_status(0, BUNDLER " verify fix.hfx bare");
}

/* ---- Debug files -------------------------------------------------------- */

/* Leave `prog` stripped, and its debug information in `prog.debug`. */
static void strip_both(void)
{
	expect_status(0, "for b in old new; do (cd $b && "
	                 "objcopy --only-keep-debug prog prog.debug && "
	                 "strip prog); done");
}

static void expect_full_report(const char *options)
{
	SCOPED_JSON *report = diff(0, options);
	json_t *function =
		json_array_get(json_object_get(report, "functions"), 0);

	expect_listed(report, "changed", "first", "");
	expect_listed(report, "changed", "second", "");
	expect_text(json_string_value(json_object_get(function, "source")),
	            "main.c:");
	SCOPED_RUN patched = run_patched("old/prog");
	SCOPED_RUN wanted = run("exec new/prog");
	assert_string_equal(patched.out, wanted.out);
}

static void debug_files_are_given(void **state)
{
	(void)state;
	strip_both();
	expect_full_report("--old-debug old/prog.debug "
	                   "--new-debug new/prog.debug");
}

static void debug_files_are_found_by_link(void **state)
{
	(void)state;
	strip_both();
	expect_status(0, "for b in old new; do (cd $b && objcopy "
	                 "--add-gnu-debuglink=prog.debug prog); done");
	expect_full_report("");
	expect_status(0, "for b in old new; do (cd $b && mkdir .debug && "
	                 "mv prog.debug .debug); done");
	expect_full_report("");
}

static void a_debug_file_of_another_build_is_an_error(void **state)
{
	(void)state;
	strip_both();
	SCOPED_RUN result = run(DIFF "--old-debug new/prog.debug "
	                             "--new-debug new/prog.debug -o fix.hfx");
	assert_int_equal(result.status, 2);
	expect_text(result.err, "new/prog.debug");
	expect_text(result.err, "build-id");
}

static void symbols_without_dwarf_do_with_a_warning(void **state)
{
	(void)state;
	expect_status(0, "strip -g old/prog new/prog");
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "first", "");
	expect_warning(report, "no debug information");
}

/* ---- What is written ---------------------------------------------------- */

static void the_same_input_gives_the_same_bytes(void **state)
{
	(void)state;
	expect_status(0, DIFF "-o fix.hfx > one");
	expect_status(0, "mkdir x && cp -r old new x && sleep 1");
	expect_status(0, DIFF "-o again.hfx --name fix > two");
	expect_status(0, "cmp fix.hfx again.hfx");
	expect_status(0, "cd x && " DIFF "-o ../moved.hfx --name fix");
	expect_status(0, "cmp fix.hfx moved.hfx");
}

static void the_source_date_changes_only_the_date(void **state)
{
	(void)state;
	expect_status(0, DIFF "-o fix.hfx");
	expect_status(0, "SOURCE_DATE_EPOCH=1700000000 " DIFF
	                 "-o dated.hfx --name fix");
	expect_status(0, "for b in fix dated; do " BUNDLER
	                 " show --json $b.hfx | grep -v '\"id\"' > $b; done");
	SCOPED_RUN lines = run("diff fix dated | grep '^[<>]'");
	assert_string_equal(lines.out, "<     \"created\": 0,\n"
	                               ">     \"created\": 1700000000,\n");
	expect_status(0, "mkdir a b; tar --zstd -xf fix.hfx -C a; "
	                 "tar --zstd -xf dated.hfx -C b; "
	                 "cmp a/modules/0.so b/modules/0.so");
	expect_status(2, "SOURCE_DATE_EPOCH=soon " DIFF "-o bad.hfx");
	expect_status(2, "SOURCE_DATE_EPOCH=8589934592 " DIFF "-o bad.hfx");
	expect_status(1, "test -e bad.hfx");
}

static void tools_understand_the_image(void **state)
{
	(void)state;
	expect_diff(0, "");
	expect_status(0, "tar --zstd -xf fix.hfx");
	SCOPED_RUN all = run("readelf -aW modules/0.so");
	assert_int_equal(all.status, 0);
	assert_string_equal(all.err, "");
	expect_text(all.out, "DYN (");
	SCOPED_RUN names = run("nm modules/0.so");
	assert_string_equal(names.err, "");
	expect_text(names.out, " T first");
	SCOPED_RUN code = run("objdump -d modules/0.so");
	assert_string_equal(code.err, "");
	expect_text(code.out, "<first>:");
	expect_text(code.out, "<second>:");
	expect_no_text(code.out, "<third>:");
	SCOPED_RUN frames = run("readelf --debug-dump=frames modules/0.so");
	assert_string_equal(frames.err, "");
	expect_text(frames.out, "FDE");
}

/* A program of many functions, one of which changes. */
static void a_small_fix_of_a_large_program_is_small(void **state)
{
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	struct stat status;

	(void)state;
	assert_non_null(file);
	fputs("#include <stdio.h>\n", file);
	for (int i = 0; i < 3000; i++)
		fprintf(file,
		        "__attribute__((noinline)) int f%d(int n)\n"
		        "{ printf(\"text %d of %%d\\n\", n); return n * %s; "
		        "}\n",
		        i, i, i == 1500 ? "V(3, 5)" : "7");
	fputs("int (*const list[])(int) = {", file);
	for (int i = 0; i < 3000; i++)
		fprintf(file, "f%d,", i);
	fputs("};\nint main(int c, char **v) { (void)v; return list[c](c); }\n",
	      file);
	fclose(file);
	build_pair("-O1", text);
	free(text);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "f1500", "");
	assert_int_equal(json_array_size(json_object_get(report, "functions")),
	                 1);
	assert_int_equal(stat("fix.hfx", &status), 0);
	assert_in_range(status.st_size, 1, 16 * 1024);
}

/* One function of a real program, where it has been built. */
static void a_small_fix_of_memcached_is_small(void **state)
{
	static const char folder[] = "/tmp/memcached-build";
	struct stat status;

	(void)state;
	if (access("/tmp/memcached-build/new/memcached", R_OK))
		skip();
	expect_status(0,
	              BUNDLER " diff %1$s/old/memcached %1$s/new/memcached "
	                      "--only sasl_server_userdb_checkpass "
	                      "-o one.hfx",
	              folder);
	assert_int_equal(stat("one.hfx", &status), 0);
	assert_in_range(status.st_size, 1, 16 * 1024);
}

/** Where the file system has files without a name. */
static void a_killed_diff_leaves_no_file_behind(void **state)
{
	const char *kill_it = "strace -f -qq -o /dev/null "
			      "-e inject=fsync:signal=KILL " BUNDLER
			      " diff -q old/prog new/prog -o fix.hfx; true";
	int fd = open(".", O_TMPFILE | O_WRONLY, 0600);

	(void)state;
	need_program("strace");
	if (fd < 0)
		skip();
	close(fd);
	build_pair("-O2", source);
	expect_status(0, "%s", kill_it);
	expect_status(0, "ls >names && test \"$(cat names)\" = "
	                 "\"$(printf '%%s\n' names new old)\"");
	expect_status(0, BUNDLER " diff -q old/prog new/prog -o fix.hfx");
	expect_status(0, "cp fix.hfx names; %s", kill_it);
	expect_status(0, "cmp fix.hfx names && test \"$(ls | wc -l)\" = 4");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(only_takes_what_matches),
		PAIR_TEST(skip_leaves_out_what_matches),
		PAIR_TEST(skipping_all_changes_leaves_nothing),
		PAIR_TEST(all_takes_every_function),
		PAIR_TEST(all_patches_a_program_with_itself),
		PAIR_TEST(show_prints_name_version_and_description),
		PAIR_TEST(a_pattern_that_matches_nothing_is_told),
		PAIR_TEST(the_name_comes_from_the_output),
		PAIR_TEST(a_bad_name_is_an_error),
		PAIR_TEST(an_output_that_may_not_grow_is_an_error),
		PAIR_TEST(without_output_nothing_is_written),
		PAIR_TEST(quiet_prints_totals_only),
		PAIR_TEST(verbose_prints_addresses_and_signatures),
		PAIR_TEST(color_is_for_terminals_or_on_demand),
		PAIR_TEST(no_color_is_heard_on_a_terminal),
		PAIR_TEST(verify_tells_whether_a_bundle_fits),
		PAIR_TEST(debug_files_are_given),
		PAIR_TEST(debug_files_are_found_by_link),
		PAIR_TEST(a_debug_file_of_another_build_is_an_error),
		PAIR_TEST(symbols_without_dwarf_do_with_a_warning),
		PAIR_TEST(the_same_input_gives_the_same_bytes),
		PAIR_TEST(the_source_date_changes_only_the_date),
		PAIR_TEST(tools_understand_the_image),
		SANDBOX_TEST(a_killed_diff_leaves_no_file_behind),
		SANDBOX_TEST(a_small_fix_of_a_large_program_is_small),
		SANDBOX_TEST(a_small_fix_of_memcached_is_small),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
