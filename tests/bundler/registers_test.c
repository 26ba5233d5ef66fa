/* SPDX-License-Identifier: MIT */
/*
 * Calls of old code that are under way keep what they have in registers. With
 * -O2, gcc lets a caller keep values in registers that a function it knows does
 * not use, and put nothing behind the call of one that never returns. A fix may
 * use them, or return.
 */
#include <string.h>

#include "sandbox.h"

/* `clobber()` overwrites what a function may, in the new build. */
#define HEAD                                                                   \
	"#include <dlfcn.h>\n#include <stdio.h>\n#include <stdlib.h>\n"        \
	"#define NOINLINE __attribute__((noinline, noclone))\n"                \
	"static volatile long one = 1000, two = 7;\n"                          \
	"#define clobber() V(, __asm__ volatile(\"xor %%ecx,%%ecx\\n\""        \
	"  \"xor %%edx,%%edx\\nxor %%esi,%%esi\\nxor %%r8d,%%r8d\\n\""         \
	"  \"xor %%r9d,%%r9d\\nxor %%r10d,%%r10d\\nxor %%r11d,%%r11d\""        \
	"  ::: \"rcx\", \"rdx\", \"rsi\", \"r8\", \"r9\", \"r10\", "           \
	"\"r11\"))\n"

#define APPLY                                                                  \
	"static void apply(void)\n"                                            \
	"{ void *(*fn)(const char *, const void *, void *) =\n"                \
	"    dlsym(RTLD_DEFAULT, \"hfx_apply_bundle\");\n"                     \
	"  /* sz, and HFX_APPLY_ALLOW_ACTIVE: it is inside what it replaces. " \
	"*/\n"                                                                 \
	"  unsigned long opts[2] = {sizeof(opts), 2};\n"                       \
	"  if (!fn || fn(\"fix.hfx\", opts, 0)) { puts(\"no\"); exit(1); } "   \
	"}\n"

#define HALF                                                                   \
	"NOINLINE static long half(long n)\n"                                  \
	"{ clobber(); return n / 2 + V(0, 1); }\n"

#define WORK(callee)                                                           \
	"NOINLINE static long work(int first)\n"                               \
	"{ if (first) apply(); long a = one, b = " callee "(two);\n"           \
	"  return a + b; }\n"

#define MAIN                                                                   \
	"int main(void)\n"                                                     \
	"{ printf(\"%ld\\n\", work(1)); printf(\"%ld\\n\", work(0)); "         \
	"return 0; }\n"

/* Old code applies the bundle to itself, and goes on. */
static void expect_output_of_old(const char *wanted)
{
	SCOPED_RUN run_of_old = run("LD_PRELOAD=" HFX_LIBRARY " old/prog");

	assert_int_equal(run_of_old.status, 0);
	assert_string_equal(run_of_old.out, wanted);
}

static void a_call_under_way_keeps_its_registers(void **state)
{
	(void)state;
	build_pair("-O2", HEAD APPLY HALF WORK("half") MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "half", "only new code calls it");
	expect_warning(report, "half stays old for calls of the old work");
	expect_output_of_old("1003\n1004\n");
}

static void a_function_between_them_is_no_way_around(void **state)
{
	(void)state;
	build_pair("-O2", HEAD APPLY HALF
	           "NOINLINE static long middle(long n)\n"
	           "{ return half(n ^ 1) + 1; }\n" WORK("middle") MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "middle", "whose old entry stays");
	expect_output_of_old("1004\n1005\n");
}

static void another_caller_gets_the_new_function(void **state)
{
	(void)state;
	build_pair("-O2", HEAD APPLY HALF WORK(
				  "half") "NOINLINE static long other(long n)\n"
	                                  "{ return half(n) * 10; }\n"
	                                  "int main(void)\n"
	                                  "{ printf(\"%ld\\n\", work(1)); "
	                                  "printf(\"%ld\\n\",\n"
	                                  "  other(two)); return 0; }\n");
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "other", "whose old entry stays");
	expect_output_of_old("1003\n40\n");
}

static void a_caller_that_only_the_old_build_has(void **state)
{
	(void)state;
	build_pair("-O2", HEAD APPLY HALF
	           "V(NOINLINE,) static long add(int first)\n"
	           "{ if (first) apply(); long a = one, b = half(two);\n"
	           "  return a + b; }\n"
	           "NOINLINE static long work(int first)\n"
	           "{ return add(first) * 2; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "half stays old for calls of the old add");
	expect_output_of_old("2006\n2008\n");
}

static void a_value_that_an_import_takes_is_kept(void **state)
{
	(void)state;
	build_pair("-O2", HEAD APPLY HALF
	           "NOINLINE static int work(int first)\n"
	           "{ if (first) apply(); long a = one, b = half(two);\n"
	           "  return fprintf(stdout, \"%ld %ld\\n\", a, b); }\n"
	           "int main(void) { work(1); work(0); return 0; }\n");
	expect_diff(0, "");
	expect_output_of_old("1000 3\n1000 4\n");
}

static void a_pointer_to_the_function_asks_for_a_safe_point(void **state)
{
	(void)state;
	build_pair("-O2", HEAD APPLY HALF WORK(
				  "half") "long (*volatile pointer)(long) = "
	                                  "half;\n"
	                                  "int main(int argc, char **argv)\n"
	                                  "{ (void)argv; printf(\"%ld\\n\", "
	                                  "work(argc == V(1, 2 - 1 + "
	                                  "!argv[0]))); "
	                                  "return 0; }\n");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "half must be applied at a safe point");
	expect_warning(report, "its address is taken");
	expect_warning(report, "at the start of the program, or leave the");
	SCOPED_RUN show = run(HFX_BUNDLE_PROGRAM " show fix.hfx");
	assert_non_null(strstr(show.out, "at a safe point only"));
	SCOPED_RUN active = run("LD_PRELOAD=" HFX_LIBRARY " old/prog");
	assert_string_equal(active.out, "no\n");
	SCOPED_RUN patched = run_patched("old/prog early");
	assert_string_equal(patched.out, "1004\n");
}

static void a_caller_that_is_left_out_is_refused(void **state)
{
	(void)state;
	build_pair("-O2", HEAD APPLY HALF WORK("half") MAIN);
	SCOPED_JSON *report = diff(1, "--skip work");
	expect_refusal(report, "half", "code that is left out calls it");
}

/* capstone 4 does not know this instruction, and not all processors do. */
static void vector_registers_are_seen_too(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "static volatile double real = 1.5;\n"
	           "NOINLINE static long half(long n)\n"
	           "{ V(, if (n > 9) __asm__ volatile(\"vprold "
	           "$7,%%zmm0,%%zmm0\\n\"\n"
	           "  \"vprold $7,%%zmm1,%%zmm1\" ::: \"xmm0\", \"xmm1\");)\n"
	           "  return n / 2 + V(0, 1); }\n"
	           "NOINLINE static double work(void)\n"
	           "{ double a = real; return a + half(two); }\n"
	           "int main(void)\n"
	           "{ printf(\"%f\\n\", work()); return 0; }\n");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "values in registers (xmm");
	expect_pair_behaves_as_new("old/prog", "new/prog");
}

static void a_function_that_begins_to_return(void **state)
{
	(void)state;
	build_pair("-O2", HEAD APPLY
	           "NOINLINE static void fail(int n)\n"
	           "{ V(, if (n == 5) return;) printf(\"fail %d\\n\", n);\n"
	           "  exit(0); }\n"
	           "NOINLINE static int work(int n)\n"
	           "{ if (n == 5) apply(); if (n > 4) fail(n); return n; }\n"
	           "int main(int argc, char **argv)\n"
	           "{ (void)argv; puts(\"go\"); return work(argc + 4); }\n");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "they do not expect it to return");
	expect_output_of_old("go\nfail 5\n");
}

/* The caller changes, and has values in registers, but not across the call. */
static void registers_that_nobody_reads_do_not_matter(void **state)
{
	(void)state;
	build_pair(
		"-O2", HEAD HALF
		"NOINLINE static int work(int n)\n"
		"{ puts(V(\"old\", \"new\")); long b = half(two + n);\n"
		"  if (b > 3) puts(\"more\"); else abort();\n"
		"  for (int i = 0; i < n; i++) printf(\"%d %ld\\n\", i, b);\n"
		"  switch (n) { case 1: puts(\"1\"); break;\n"
		"  case 2: puts(\"2\"); break; case 3: puts(\"3\"); break;\n"
		"  case 4: puts(\"4\"); break; case 5: puts(\"5\"); }\n"
		"  return n; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; return work(argc) - 1; }\n");
	SCOPED_JSON *report = diff(0, "");
	assert_int_equal(json_array_size(json_object_get(report, "warnings")),
	                 0);
	expect_pair_behaves_as_new("old/prog", "new/prog");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(a_call_under_way_keeps_its_registers),
		SANDBOX_TEST(a_function_between_them_is_no_way_around),
		SANDBOX_TEST(another_caller_gets_the_new_function),
		SANDBOX_TEST(a_caller_that_only_the_old_build_has),
		SANDBOX_TEST(a_value_that_an_import_takes_is_kept),
		SANDBOX_TEST(a_pointer_to_the_function_asks_for_a_safe_point),
		SANDBOX_TEST(a_caller_that_is_left_out_is_refused),
		SANDBOX_TEST(vector_registers_are_seen_too),
		SANDBOX_TEST(a_function_that_begins_to_return),
		SANDBOX_TEST(registers_that_nobody_reads_do_not_matter),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("registers", tests, NULL, NULL);
}
