/* SPDX-License-Identifier: MIT */
/* Several modules in one bundle: `diff --module OLD NEW --module OLD NEW`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"

#define BUNDLER HFX_BUNDLE_PROGRAM
#define DIFF    BUNDLER " diff "
#define PROGRAM "--module old/prog new/prog "
#define LIBRARY "--module old/libx.so new/libx.so "

/** The function of the program calls that of the library. */
static const char program_source[] =
	"#include <stdio.h>\n"
	"#include <string.h>\n"
	"int value(int n);\n"
	"__attribute__((noinline, noclone)) int sum(int n)\n"
	"{ puts(\"sum\"); return value(n) + V(10, 20); }\n"
	"int main(int argc, char **argv)\n"
	"{ (void)argv; printf(\"%d\\n\", sum(argc)); return 0; }\n";

static const char library_source[] =
	"#include <stdio.h>\n"
	"int value(int n) { puts(\"value\"); return n + V(1, 2); }\n";

/** Too short for a jump. */
static const char refused_source[] =
	"__asm__(\".text\\n.globl value\\n.type value,@function\\n\"\n"
	"        \"value: \" V(\"nop\", \"cld\") \"; ret\\n\"\n"
	"        \".size value, .-value\\n.type next,@function\\n\"\n"
	"        \"next: nop; ret\\n.size next, .-next\\n\");\n";

/** old/libx.so and new/libx.so. */
static void build_library(const char *source)
{
	const char *const builds[] = {"old", "new"};

	write_source("lib.c", source);
	for (size_t i = 0; i < 2; i++)
		expect_status(0,
		              "cd %s && gcc -g -O2 -shared -fPIC "
		              "-Wl,-soname,libx.so lib.c -o libx.so",
		              builds[i]);
}

static void build_both(const char *program, const char *library)
{
	expect_status(0, "mkdir -p old new");
	build_library(library);
	build_pair("-O2 -Wl,--no-as-needed libx.so '-Wl,-rpath,$ORIGIN'",
	           program);
}

static void expect_text(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void one_bundle_patches_a_program_and_its_library(void **state)
{
	(void)state;
	build_both(program_source, library_source);
	SCOPED_RUN made = run(DIFF PROGRAM LIBRARY "-o fix.hfx");
	assert_int_equal(made.status, 0);
	expect_text(made.out, "prog: old/prog -> new/prog\n");
	expect_text(made.out, "libx.so: old/libx.so -> new/libx.so\n");
	SCOPED_RUN old = run("old/prog");
	SCOPED_RUN patched = run_patched("old/prog");
	SCOPED_RUN new = run("new/prog");
	expect_text(old.out, "12\n");
	assert_string_equal(patched.out, new.out);
	assert_string_equal(patched.err, "");
}

static void debug_files_belong_to_the_module_before_them(void **state)
{
	(void)state;
	build_both(program_source, library_source);
	expect_status(0, "objcopy --only-keep-debug old/libx.so old.debug");
	expect_status(0, "objcopy --only-keep-debug new/libx.so new.debug");
	expect_status(0, "strip old/libx.so new/libx.so");
	SCOPED_RUN made = run(DIFF PROGRAM LIBRARY
	                      "--old-debug old.debug --new-debug new.debug");
	assert_int_equal(made.status, 0);
	expect_text(made.out, "lib.c:2");
	expect_status(2, DIFF "--old-debug old.debug " PROGRAM LIBRARY);
	expect_status(2, DIFF LIBRARY "--old-debug old.debug " PROGRAM
	                              "--new-debug new.debug");
}

static void a_module_without_changes_is_left_out(void **state)
{
	(void)state;
	build_both(program_source, "int value(int n) { return V(n, n); }\n");
	SCOPED_RUN made = run(DIFF PROGRAM LIBRARY "-o fix.hfx");
	assert_int_equal(made.status, 0);
	expect_text(made.out, "libx.so has nothing to patch and is left out\n");
	expect_status(0, BUNDLER " verify fix.hfx old/prog");
	expect_status(1, BUNDLER " verify fix.hfx old/libx.so");
	/* The one that comes first, too. */
	expect_status(0, DIFF LIBRARY PROGRAM "-o fix.hfx");
	expect_status(0, BUNDLER " verify fix.hfx old/prog");
}

static void nothing_to_patch_means_in_no_module(void **state)
{
	(void)state;
	build_both("int value(int n);\n"
	           "int main(int argc, char **argv)\n"
	           "{ (void)argv; return value(argc); }\n",
	           "int value(int n) { return n; }\n");
	SCOPED_RUN made = run(DIFF PROGRAM LIBRARY "-o fix.hfx");
	assert_int_equal(made.status, 3);
	assert_int_not_equal(access("fix.hfx", F_OK), 0);
}

static void one_refused_module_refuses_the_bundle(void **state)
{
	(void)state;
	build_both(program_source, refused_source);
	SCOPED_RUN made = run(DIFF PROGRAM LIBRARY "-o fix.hfx --html p.html");
	assert_int_equal(made.status, 1);
	expect_text(made.out, "refused: value");
	assert_int_not_equal(access("fix.hfx", F_OK), 0);
	SCOPED_RUN page = run("cat p.html");
	expect_text(page.out, "<strong>Refused.</strong>");
}

static void a_page_has_a_part_for_each_module(void **state)
{
	(void)state;
	build_both(program_source, library_source);
	expect_status(0, DIFF PROGRAM LIBRARY "--html p.html");
	SCOPED_RUN page = run("cat p.html");
	expect_text(page.out, "id=\"m1-f0\"");
	expect_text(page.out, "id=\"m2-f0\"");
	expect_text(page.out, ">libx.so</h2>");
	/* An id stands for one place. */
	SCOPED_RUN twice =
		run("grep -oE ' id=\"[^\"]*\"' p.html | sort | uniq -d");
	assert_string_equal(twice.out, "");
}

static void one_module_alone_gives_the_bundle_of_a_plain_diff(void **state)
{
	(void)state;
	build_both(program_source, library_source);
	expect_status(0, DIFF PROGRAM "-o a.hfx --name x");
	expect_status(0, DIFF "old/prog new/prog -o b.hfx --name x");
	expect_status(0, "cmp a.hfx b.hfx");
}

static void verify_takes_each_file_of_a_bundle(void **state)
{
	(void)state;
	build_both(program_source, library_source);
	expect_status(0, DIFF PROGRAM LIBRARY "-o fix.hfx");
	expect_status(0, BUNDLER " verify fix.hfx old/prog");
	expect_status(0, BUNDLER " verify fix.hfx old/libx.so");
	expect_status(1, BUNDLER " verify fix.hfx new/libx.so");
	SCOPED_RUN shown = run(BUNDLER " show fix.hfx");
	expect_text(shown.out, "module prog\n");
	expect_text(shown.out, "module libx.so\n");
}

static void a_pattern_is_for_the_modules_that_have_such_functions(void **state)
{
	(void)state;
	build_both(program_source, library_source);
	SCOPED_RUN made = run(DIFF PROGRAM LIBRARY "--only sum --only value "
	                                           "--only vlaue -o fix.hfx");
	assert_int_equal(made.status, 0);
	expect_text(made.out, "--only vlaue matches no function");
	assert_null(strstr(made.out, "--only sum matches"));
	assert_null(strstr(made.out, "--only value matches"));
}

static void wrong_arguments_are_said(void **state)
{
	(void)state;
	build_both(program_source, library_source);
	SCOPED_RUN half = run(DIFF PROGRAM "--module old/libx.so");
	assert_int_equal(half.status, 2);
	expect_text(half.err, "--module takes two files");
	SCOPED_RUN option = run(DIFF "--module old/libx.so --json " PROGRAM);
	assert_int_equal(option.status, 2);
	SCOPED_RUN loose = run(DIFF "old/prog new/prog " LIBRARY);
	assert_int_equal(loose.status, 2);
	expect_text(loose.err, "old/prog");
	SCOPED_RUN twice = run(DIFF PROGRAM PROGRAM "-o fix.hfx");
	assert_int_equal(twice.status, 2);
	expect_text(twice.err, "the same build");
	SCOPED_RUN over = run(DIFF PROGRAM LIBRARY "-o old/libx.so");
	assert_int_equal(over.status, 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(one_bundle_patches_a_program_and_its_library),
		SANDBOX_TEST(debug_files_belong_to_the_module_before_them),
		SANDBOX_TEST(a_module_without_changes_is_left_out),
		SANDBOX_TEST(nothing_to_patch_means_in_no_module),
		SANDBOX_TEST(one_refused_module_refuses_the_bundle),
		SANDBOX_TEST(a_page_has_a_part_for_each_module),
		SANDBOX_TEST(one_module_alone_gives_the_bundle_of_a_plain_diff),
		SANDBOX_TEST(verify_takes_each_file_of_a_bundle),
		SANDBOX_TEST(
			a_pattern_is_for_the_modules_that_have_such_functions),
		SANDBOX_TEST(wrong_arguments_are_said),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
