/* SPDX-License-Identifier: MIT */
/*
 * String literals have no names, but addresses: what the old code has stored
 * is equal to what new code loads, as if nothing had been patched.
 */
#include <stdio.h>
#include <string.h>

#include "sandbox.h"

#define HEAD                                                                   \
	"#include <dlfcn.h>\n#include <stdio.h>\n#include <stdlib.h>\n"        \
	"#include <string.h>\n"                                                \
	"#ifdef __clang__\n"                                                   \
	"#define NOINLINE __attribute__((noinline))\n"                         \
	"#else\n"                                                              \
	"#define NOINLINE __attribute__((noinline, noclone))\n"                \
	"#endif\n"                                                             \
	"static void apply(void)\n"                                            \
	"{ void *(*fn)(const char *, const void *, void *) =\n"                \
	"    dlsym(RTLD_DEFAULT, \"hfx_apply_bundle\");\n"                     \
	"  unsigned long opts[2] = {sizeof(opts), 2};\n"                       \
	"  if (!fn || fn(\"fix.hfx\", opts, 0)) exit(7); }\n"

/* The program applies the bundle to itself, between two calls. */
static void expect_live(const char *flags, const char *source,
                        const char *wanted)
{
	build_pair(flags, source);
	expect_diff(0, "");
	SCOPED_RUN live = run("LD_PRELOAD=%s exec old/prog", HFX_LIBRARY);
	assert_string_equal(live.err, "");
	assert_string_equal(live.out, wanted);
	assert_int_equal(live.status, 0);
}

/* What stores the literal stays, what compares with it is new. */
static void a_stored_literal_is_equal(void **state)
{
	static const char source[] =
		HEAD "static const char *const none = \"none\";\n"
		     "static const char *stored;\n"
		     "NOINLINE static void init(void) { stored = none; }\n"
		     "NOINLINE static int is_none(int n)\n"
		     "{ return (stored == none) * V(10, 20) + n; }\n"
		     "int main(void)\n"
		     "{ init(); printf(\"%d \", is_none(1)); apply();\n"
		     "  printf(\"%d\\n\", is_none(1)); return 0; }\n";

	(void)state;
	expect_live("-O2", source, "11 21\n");
	expect_live("-O0", source, "11 21\n");
	expect_live("clang -O2", source, "11 21\n");
	expect_live("clang -O0", source, "11 21\n");
	expect_live("-O2 -fno-pie -no-pie -Wl,--emit-relocs", source,
	            "11 21\n");
}

/* The new code stores what old code compares with. */
static void a_literal_that_new_code_stores_is_equal(void **state)
{
	static const char source[] =
		HEAD "static const char *const none = \"none\";\n"
		     "static const char *stored;\n"
		     "NOINLINE static void set(int n)\n"
		     "{ stored = n > V(5, 0) ? none : \"some\"; }\n"
		     "NOINLINE static int is_none(int n)\n"
		     "{ return (stored == none) * 10 + n; }\n"
		     "int main(void)\n"
		     "{ set(1); printf(\"%d \", is_none(1)); apply(); set(1);\n"
		     "  printf(\"%d\\n\", is_none(1)); return 0; }\n";

	(void)state;
	expect_live("-O2", source, "1 11\n");
	expect_live("clang -O2", source, "1 11\n");
}

/* Of a table that changed, what did not change. */
static void literals_of_a_changed_table_are_equal(void **state)
{
	static const char source[] = HEAD
		"static const char *stored;\n"
		"static const char *const names[] =\n"
		"  {\"first\", \"second\", V(\"third\", \"3rd\"), \"last\"};\n"
		"NOINLINE static const char *name(int n) { return names[n]; }\n"
		"NOINLINE static int number(void)\n"
		"{ for (int i = 0; i < 4; i++)\n"
		"    if (names[i] == stored) return i;\n"
		"  return -1; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; stored = name(argc - 1);\n"
		"  printf(\"%d \", number()); apply();\n"
		"  printf(\"%d %s\\n\", number(), name(2)); return 0; }\n";

	(void)state;
	expect_live("-O2", source, "0 0 3rd\n");
	expect_live("-O0", source, "0 0 3rd\n");
	expect_live("clang -O0", source, "0 0 3rd\n");
}

/* Linkers keep one text where another one has the same end. */
static void the_tail_of_a_new_text_is_equal(void **state)
{
	static const char source[] = HEAD
		"static const char *stored;\n"
		"NOINLINE static void init(void) { stored = \"ending\"; }\n"
		"NOINLINE static int is_it(int n)\n"
		"{ if (n > 5) puts(V(\"other\", \"another ending\"));\n"
		"  return (stored == \"ending\") * V(10, 20) + n; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; init(); is_it(argc + 5); apply();\n"
		"  int n = is_it(argc); is_it(argc + 5); printf(\"%d\\n\", "
		"n);\n"
		"  return 0; }\n";

	(void)state;
	build_pair("-O2", source);
	expect_diff(0, "");
	SCOPED_RUN live = run("LD_PRELOAD=%s exec old/prog", HFX_LIBRARY);
	assert_string_equal(live.out, "other\nanother ending\n21\n");
	assert_int_equal(live.status, 0);
}

/* Two files have a copy each, and each goes to its own. */
static void copies_of_two_files_stay_apart(void **state)
{
	static const char one[] = HEAD
		"int other(int set, int n);\n"
		"static const char *stored;\n"
		"NOINLINE static int one(int set, int n)\n"
		"{ if (set) stored = \"sentinel\";\n"
		"  return (stored == \"sentinel\") * V(10, 20) + n; }\n"
		"int main(void)\n"
		"{ one(1, 0); other(1, 0); apply();\n"
		"  printf(\"%d %d\\n\", one(0, 1), other(0, 2)); return 0; }\n";
	static const char two[] =
		"static const char *stored;\n"
		"int other(int set, int n);\n"
		"int other(int set, int n)\n"
		"{ if (set) stored = \"sentinel\";\n"
		"  return (stored == \"sentinel\") * V(30, 40) + n; }\n";

	(void)state;
	write_source("two.c", two);
	expect_live("-O1 -fno-merge-constants two.c", one, "21 42\n");
}

/* What stands behind a text in the new build is somewhere else in the old. */
static void ends_of_texts_stay_with_them(void **state)
{
	static const char source[] = HEAD
		"#define A \"abcdefg\"\n"
		"NOINLINE static int sum(const char *p, const char *end)\n"
		"{ int s = 0; while (p != end) s = s * 3 + *p++; return s; }\n"
		"NOINLINE static int all(int n)\n"
		"{ const char *start = A, *end = &A[8];\n"
		"  __asm__(\"\" : \"+r\"(start)); __asm__(\"\" : "
		"\"+r\"(end));\n"
		"  return sum(start, end) + n + V(1, 2); }\n"
		"NOINLINE static void more(int n)\n"
		"{ if (n > 5) { V(puts(\"number five\"), puts(\"more\"));\n"
		"    puts(\"more\"); } }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d\\n\", all(argc)); more(argc + 5);\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2 -fno-toplevel-reorder", source);
	/* Or it shows nothing. */
	expect_status(0, "strings new/prog | grep -A1 abcdefg | grep -q more");
	expect_behaves_as_new("clang -O2", source);
}

/* Tables of distances need the texts where they are. */
static void texts_of_a_switch_are_the_same_in_all_new_code(void **state)
{
	static const char source[] =
		HEAD "NOINLINE static const char *name(int n)\n"
		     "{ switch (n) { case 1: return \"one\"; case 2: return "
		     "\"two\";\n"
		     "  case 3: return \"three\"; case 4: return V(\"4\", "
		     "\"four\");\n"
		     "  default: return \"many\"; } }\n"
		     "NOINLINE static int is_two(const char *p)\n"
		     "{ return (p == \"two\") * V(10, 20); }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; for (int i = 0; i < 6; i++)\n"
		     "    printf(\"%s %d\\n\", name(argc + i),\n"
		     "           is_two(name(argc + i)));\n"
		     "  return 0; }\n";

	(void)state;
	expect_behaves_as_new("clang -O2", source);
	expect_behaves_as_new("-O2", source);
}

/* Who holds the old one is told; it cannot be found. */
static void a_changed_constant_that_was_stored_is_told(void **state)
{
	static const char source[] =
		HEAD "struct ops { int (*f)(int); int flags; };\n"
		     "struct object { const struct ops *ops; };\n"
		     "NOINLINE static int f(int n) { return n; }\n"
		     "static const struct ops a_ops = {f, V(1, 2)}, b_ops = "
		     "{f, 7};\n"
		     "static const int limits[] = {1, 2, V(3, 4)};\n"
		     "static struct object object;\n"
		     "NOINLINE static int is_a(int n)\n"
		     "{ return (object.ops == &a_ops) * 10 + limits[n & 1]; }\n"
		     "NOINLINE static void make(struct object *o, int n)\n"
		     "{ o->ops = &a_ops; if (n > 5) o->ops = &b_ops; }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; make(&object, argc); apply();\n"
		     "  return is_a(argc) + object.ops->f(argc); }\n";
	static const char warning[] = "the constant a_ops changed: what the "
				      "old code of make stored or passed on";

	(void)state;
	for (int is_clang = 0; is_clang < 2; is_clang++) {
		build_pair(is_clang ? "clang -O1" : "-O1", source);
		SCOPED_JSON *report = diff(0, "");
		expect_warning(report, warning);
		for (size_t i = 0;
		     i < json_array_size(json_object_get(report, "warnings"));
		     i++)
			assert_null(strstr(
				json_string_value(json_array_get(
					json_object_get(report, "warnings"),
					i)),
				"limits"));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(a_stored_literal_is_equal),
		SANDBOX_TEST(a_literal_that_new_code_stores_is_equal),
		SANDBOX_TEST(literals_of_a_changed_table_are_equal),
		SANDBOX_TEST(the_tail_of_a_new_text_is_equal),
		SANDBOX_TEST(copies_of_two_files_stay_apart),
		SANDBOX_TEST(ends_of_texts_stay_with_them),
		SANDBOX_TEST(texts_of_a_switch_are_the_same_in_all_new_code),
		SANDBOX_TEST(a_changed_constant_that_was_stored_is_told),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("literal", tests, NULL, NULL);
}
