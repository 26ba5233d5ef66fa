/* SPDX-License-Identifier: MIT */
/*
 * What stands between a program and its libraries, at run time: imports, IFUNC
 * symbols, shared libraries that are patched inside a program, and variables
 * that live on while a program patches itself.
 */
#include <stdio.h>
#include <string.h>

#include "sandbox.h"

#define HEAD                                                                   \
	"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"       \
	"#define NOINLINE __attribute__((noinline, noclone))\n"

/* ---- Imports ------------------------------------------------------------ */

static const char new_imports[] =
	HEAD "#include <math.h>\n#include <time.h>\n"
	     "NOINLINE static long work(const char *s, int n)\n"
	     "{ puts(s);\n"
	     "#ifdef NEW\n"
	     "  char copy[64]; memcpy(copy, s, n); memset(copy + n, '.', 3);\n"
	     "  copy[n + 3] = 0; printf(\"%s %s\\n\", copy, strchr(s, '7'));\n"
	     "  return strtol(s, NULL, 10) + strlen(copy) + (time(NULL) > 5);\n"
	     "#endif\n"
	     "  return n; }\n"
	     "int main(int argc, char **argv)\n"
	     "{ (void)argv; printf(\"%ld\\n\", work(\"1278\", argc + 2));\n"
	     "  return 0; }\n";

static void new_imports_are_bound(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2", new_imports);
	expect_behaves_as_new("-O0", new_imports);
	expect_behaves_as_new("-O2 -fno-plt", new_imports);
	expect_behaves_as_new("-O2 -fno-builtin -Wl,-z,now", new_imports);
}

static void show_lists_imports_with_their_version(void **state)
{
	(void)state;
	build_pair("-O2", new_imports);
	expect_diff(0, "");
	SCOPED_RUN shown = run(HFX_BUNDLE_PROGRAM " show fix.hfx --json");
	SCOPED_JSON *manifest = json_loads(shown.out, 0, NULL);
	json_t *module = json_array_get(
		json_object_get(json_object_get(manifest, "manifest"),
	                        "modules"),
		0);
	json_t *import;
	size_t i;
	bool found = false;

	json_array_foreach(json_object_get(module, "imports"), i, import)
		found |=
		!strcmp("strtol",
	                json_string_value(json_object_get(import, "name"))) &&
		!strcmp("GLIBC_2.2.5",
	                json_string_value(json_object_get(import, "version")));
	assert_true(found);
	SCOPED_RUN text = run(HFX_BUNDLE_PROGRAM " show fix.hfx");
	assert_non_null(strstr(text.out, "strtol"));
}

/* The default version of a symbol is not the one that the program imports. */
static void imports_are_bound_by_version(void **state)
{
	(void)state;
	write_file("v.c",
	           "__asm__(\".symver one, answer@V1\");\n"
	           "__asm__(\".symver two, answer@@V2\");\n"
	           "int one(void) { return 1; } int two(void) { return 2; }\n");
	write_file("v.map", "V1 { global: answer; local: *; }; V2 {} V1;\n");
	expect_status(0, "gcc -shared -fPIC v.c -o libv.so -Wl,-soname,libv.so "
	                 "-Wl,--version-script=v.map");
	expect_behaves_as_new(
		"-O2 -Wl,--no-as-needed -L.. -lv -Wl,-rpath,$PWD/.. ../libv.so",
		HEAD
		"#ifdef NEW\n"
		"__asm__(\".symver answer, answer@V1\"); int answer(void);\n"
		"#endif\n"
		"NOINLINE static int ask(void)\n"
		"{ puts(\"ask\"); return V(0, answer()); }\n"
		"int main(void) { printf(\"%d\\n\", ask()); return 0; }\n");
}

/* Pitfall 18. */
static void ifunc_symbols_of_the_program(void **state)
{
	static const char source[] = HEAD
		"static int slow(int n) { return n + 1; }\n"
		"static int fast(int n) { return n + 2; }\n"
		"static void *choose(void)\n"
		"{ return __builtin_cpu_supports(\"sse2\") ? fast : slow; }\n"
		"static void *choose_other(void) { return slow; }\n"
		"#ifdef NEW\n"
		"int pad(int n) { return n * 77; }\n"
		"#endif\n"
		"int step(int n) __attribute__((ifunc(\"choose\")));\n"
		"static int other(int n) __attribute__((ifunc("
		"\"choose_other\")));\n"
		"NOINLINE static int twice(int n) { return step(other(n)); }\n"
		"NOINLINE static int work(int n)\n"
		"{ puts(\"work\"); return step(n) V(+, * 2 +) other(n); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d %d\\n\", work(argc), twice(argc));\n"
		"  return 0; }\n";

	(void)state;
	build_pair("-O2", source);
	expect_pair_behaves_as_new("old/prog", "new/prog");
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "work", "");
	expect_not_listed(report, "twice");
}

/* ---- Shared libraries --------------------------------------------------- */

#define HOST                                                                   \
	"extern int serve(int n); int printf(const char *, ...);\n"            \
	"int main(int argc, char **argv)\n"                                    \
	"{ (void)argv; printf(\"%d\\n\", serve(argc));\n"                      \
	"  printf(\"%d\\n\", serve(argc)); return 0; }\n"

/* Patch the library that is old/prog, inside a host that links it. */
static void expect_library_behaves_as_new(const char *flags, const char *source)
{
	char options[256];

	snprintf(options, sizeof(options),
	         "%s -fPIC -shared -Wl,-soname,lib.so.1", flags);
	write_file("host.c", HOST);
	build_pair(options, source);
	expect_status(0, "ln -s prog old/lib.so.1; ln -s prog new/lib.so.1; "
	                 "gcc host.c -o host old/lib.so.1");
	expect_pair_behaves_as_new("env LD_LIBRARY_PATH=old ./host",
	                           "env LD_LIBRARY_PATH=new ./host");
	expect_status(0, "rm old/lib.so.1 new/lib.so.1");
}

static const char library[] = HEAD
	"__thread int mine = 3; static __thread long hidden;\n"
	"int exported = 5; static int count;\n"
	"static const char *const words[] = {\"zero\", V(\"one\", \"eins\")};\n"
	"#ifdef NEW\n"
	"int added = 9; int *pointer = &exported;\n"
	"#endif\n"
	"int helper(int n) { printf(\"helper %d\\n\", n); return n + 1; }\n"
	"NOINLINE static int internal(int n)\n"
	"{ mine += n; hidden += mine; count++;\n"
	"  printf(\"%s %d %ld %d\\n\", words[1], mine, hidden, count);\n"
	"#ifdef NEW\n"
	"  added += *pointer += abs(count) + strtol(\"4\", NULL, 10);\n"
	"  printf(\"%d %s\\n\", added, strrchr(words[0], 'e'));\n"
	"#endif\n"
	"  return helper(n) * V(1, 2); }\n"
	"int serve(int n) { return internal(n) + exported; }\n";

static void a_shared_library_in_a_program(void **state)
{
	(void)state;
	expect_library_behaves_as_new("-O2", library);
	expect_library_behaves_as_new("-O2 -fno-plt", library);
	expect_library_behaves_as_new("-O2 -Bsymbolic", library);
	expect_library_behaves_as_new("-O0", library);
}

/* New code must not read the old content through the old slot. */
static void exported_tables_of_a_shared_library(void **state)
{
	(void)state;
	expect_library_behaves_as_new(
		"-O2", HEAD
		"const char *const names[2] = {\"a\", V(\"b\", \"beta\")};\n"
		"const int numbers[3] = {1, V(2, 20), 3}; int live[2] = {7, "
		"8};\n"
		"NOINLINE int serve(int n)\n"
		"{ live[n & 1]++; printf(\"%s %d\\n\", names[n], live[n & "
		"1]);\n"
		"  return numbers[n]; }\n");
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "serve", "");
}

static void an_exported_variable_whose_size_changed(void **state)
{
	(void)state;
	expect_refused("-O2 -fPIC -shared",
	               HEAD "int live[V(2, 4)];\n"
	                    "NOINLINE int serve(int n)\n"
	                    "{ return ++live[n % V(2, 4)]; }\n",
	               "serve", "whose size changed from 8 to 16 bytes");
}

/* The calls are never made, but lead somewhere in the code. */
static void weak_symbols_that_nobody_defines(void **state)
{
	static const char source[] = HEAD
		"int nobody(int) __attribute__((weak));\n"
		"NOINLINE static int work(int n)\n"
		"{ return nobody ? nobody(n) : n + V(1, 2); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d\\n\", work(argc)); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O2 -fno-pie -no-pie -Wl,--emit-relocs", source);
	build_pair("-O2 -static-pie -fPIE", source);
	expect_diff(0, "");
}

static void a_shared_library_with_tls_descriptors(void **state)
{
	(void)state;
	expect_library_behaves_as_new("-O2 -mtls-dialect=gnu2", library);
}

static void a_shared_library_with_local_dynamic_tls(void **state)
{
	(void)state;
	expect_library_behaves_as_new(
		"-O2",
		HEAD "static __thread int a = 1; static __thread int b = 2;\n"
		     "NOINLINE static int *get(int n) { return n ? &a : &b; }\n"
		     "NOINLINE int serve(int n)\n"
		     "{ a += n; b V(+=, -=) 2 * n; puts(\"serve\");\n"
		     "  return a * 100 + b + *get(n); }\n");
}

/* ---- Variables that live on --------------------------------------------- */

#define APPLY                                                                  \
	"#include <hfx.h>\n"                                                   \
	"static void apply(void)\n"                                            \
	"{ struct hfx_error *e = hfx_apply_bundle(\"fix.hfx\", NULL, NULL);\n" \
	"  if (e) { puts(hfx_error_message(e)); exit(9); } }\n"

/* Run old/prog, which applies the bundle to itself. */
static void expect_live_output(const char *more, const char *source,
                               const char *wanted)
{
	char flags[1024];

	snprintf(flags, sizeof(flags),
	         "-O2 -I%s -I%s %s -Wl,--no-as-needed %s -Wl,-rpath,%s",
	         HFX_INCLUDE_DIR, HFX_ERROR_INCLUDE_DIR, more, HFX_LIBRARY,
	         HFX_LIBRARY_DIR);
	build_pair(flags, source);
	expect_diff(0, "");
	SCOPED_RUN live = run("exec old/prog");
	assert_string_equal(live.out, wanted);
	assert_int_equal(live.status, 0);
}

static void variables_keep_their_values(void **state)
{
	(void)state;
	expect_live_output(
		"",
		HEAD APPLY
		"static int count = 1; static __thread int mine = 2;\n"
		"char *text; int list[4];\n"
		"#ifdef NEW\n"
		"static int fresh = 40;\n"
		"#endif\n"
		"NOINLINE static void step(void)\n"
		"{ count++; mine++; list[count & 3] V(+=, -=) 5;\n"
		"  text = strdup(V(\"old\", \"new\"));\n"
		"#ifdef NEW\n"
		"  count += fresh++;\n"
		"#endif\n"
		"  printf(\"%d %d %s \", count, mine, text); }\n"
		"int main(void)\n"
		"{ step(); step(); apply(); step(); step();\n"
		"  puts(text); return 0; }\n",
		"2 3 old 3 4 old 44 5 new 86 6 new new\n");
}

/* counter.0 of OLD is counter.1 in NEW. */
static void renumbered_static_locals_keep_their_values(void **state)
{
	(void)state;
	expect_live_output(
		"",
		HEAD APPLY
		"#ifdef NEW\n"
		"NOINLINE static int added(void)\n"
		"{ static int counter = 1000; return ++counter; }\n"
		"#endif\n"
		"NOINLINE static int first(void)\n"
		"{ static int counter = 10; puts(V(\"f\", \"F\"));\n"
		"  return ++counter; }\n"
		"NOINLINE static int second(void)\n"
		"{ static int counter = 20; puts(V(\"s\", \"S\"));\n"
		"  return ++counter V(, + added()); }\n"
		"int main(void)\n"
		"{ printf(\"%d %d\\n\", first(), second()); apply();\n"
		"  printf(\"%d \", first()); printf(\"%d\\n\", second());\n"
		"  return 0; }\n",
		"s\nf\n11 21\nF\n12 S\n1023\n");
}

static void swapped_static_locals_keep_their_values(void **state)
{
	(void)state;
	expect_live_output(
		"",
		HEAD APPLY
		"#define FIRST NOINLINE static int first(void)\\\n"
		"{ static int counter = 10; return puts(V(\"f\", \"FF\")),\\\n"
		"  ++counter; }\n"
		"#define SECOND NOINLINE static int second(void)\\\n"
		"{ static int counter = 20; return puts(V(\"s\", \"SS\")),\\\n"
		"  ++counter; }\n"
		"V(FIRST, SECOND)\nV(SECOND, FIRST)\n"
		"int main(void)\n"
		"{ int a = first(), b = second(); apply(); a += first();\n"
		"  b += second(); printf(\"%d %d\\n\", a, b); return 0; }\n",
		"f\ns\nFF\nSS\n23 43\n");
}

static void two_static_locals_of_one_name_in_a_function(void **state)
{
	(void)state;
	expect_live_output(
		"",
		HEAD APPLY
		"NOINLINE static int count(int n)\n"
		"{ puts(V(\"a\", \"b\"));\n"
		"  if (n) { static int calls = 100; return ++calls; }\n"
		"  { static int calls = 200; return ++calls; } }\n"
		"int main(void)\n"
		"{ int s = count(0) + count(1); apply();\n"
		"  printf(\"%d %d\\n\", s, count(1) * 1000 + count(0));\n"
		"  return 0; }\n",
		"a\na\nb\nb\n302 102202\n");
}

static void twins_in_two_files_keep_their_values(void **state)
{
	(void)state;
	write_source("b.c", "static int count = 50;\n"
	                    "__attribute__((noinline)) int other(void)\n"
	                    "{ return V(++count, count += 2); }\n");
	expect_live_output(
		"b.c",
		HEAD APPLY
		"static int count = 7; int other(void);\n"
		"NOINLINE static int here(void)\n"
		"{ return V(++count, count += 3); }\n"
		"int main(void)\n"
		"{ int a = here() + other(); apply();\n"
		"  printf(\"%d %d %d\\n\", a, here(), other()); return 0; }\n",
		"59 11 53\n");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(new_imports_are_bound),
		SANDBOX_TEST(show_lists_imports_with_their_version),
		SANDBOX_TEST(imports_are_bound_by_version),
		SANDBOX_TEST(ifunc_symbols_of_the_program),
		SANDBOX_TEST(a_shared_library_in_a_program),
		SANDBOX_TEST(exported_tables_of_a_shared_library),
		SANDBOX_TEST(an_exported_variable_whose_size_changed),
		SANDBOX_TEST(weak_symbols_that_nobody_defines),
		SANDBOX_TEST(a_shared_library_with_tls_descriptors),
		SANDBOX_TEST(a_shared_library_with_local_dynamic_tls),
		SANDBOX_TEST(variables_keep_their_values),
		SANDBOX_TEST(renumbered_static_locals_keep_their_values),
		SANDBOX_TEST(swapped_static_locals_keep_their_values),
		SANDBOX_TEST(two_static_locals_of_one_name_in_a_function),
		SANDBOX_TEST(twins_in_two_files_keep_their_values),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("module", tests, NULL, NULL);
}
