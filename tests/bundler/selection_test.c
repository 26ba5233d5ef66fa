/* SPDX-License-Identifier: MIT */
/* Which functions a report lists, why, and which it does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox.h"

#define HEAD                                                                   \
	"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"       \
	"#define NOINLINE __attribute__((noinline, noclone))\n"

#define MAIN                                                                   \
	"int main(int argc, char **argv)\n"                                    \
	"{ (void)argv; printf(\"%d\\n\", work(argc)); return 0; }\n"

static void the_same_source_means_the_same(void **state)
{
	(void)state;
	expect_nothing_changed("-O2",
	                       HEAD "int work(int n) { return n; }\n" MAIN);
}

static void folders_and_dates_do_not_count(void **state)
{
	static const char source[] =
		HEAD "NOINLINE int work(int n)\n"
		     "{ return printf(\"%s %d\\n\", __FILE__, n); }\n" MAIN;

	(void)state;
	write_source("main.c", source);
	expect_status(0, "for b in old new; do (cd $b && gcc -O2 -g "
	                 "-ffile-prefix-map=$PWD=/src -o prog $PWD/main.c); "
	                 "sleep 1; done");
	expect_diff(3, "");
}

static void the_order_of_functions_does_not_count(void **state)
{
	static const char source[] = HEAD
		"#define A NOINLINE int a(int n) { return n * 77; }\n"
		"#define B NOINLINE int b(int n) { return puts(\"b\") + n; }\n"
		"V(A, B)\nV(B, A)\n"
		"NOINLINE int work(int n) { return a(n) + b(n); }\n" MAIN;

	(void)state;
	expect_nothing_changed("-O2 -ffile-prefix-map=old=new", source);
}

static void texts_behind_a_table_that_moved_do_not_count(void **state)
{
	static const char table[] =
		"int getchar(void);\nint rand(void);\n"
		"int before(int n) { return n + V(1, 0x11111) + V(0, rand()); "
		"}\n"
		"int table(int n) { switch (n) {\n"
		"case 0: return getchar(); case 1: return rand();\n"
		"case 2: return getchar() + 1; case 3: return rand() + 1;\n"
		"case 4: return getchar() + 2; default: return n; } }\n";
	static const char source[] = HEAD
		"int before(int n);\nint table(int n);\n"
		"NOINLINE const char *text(const char *s)\n"
		"{ const char *t = \"1.0\"; return !s || s != t ? t : 0; }\n"
		"NOINLINE int work(int n)\n"
		"{ return *text(0) + table(n) + before(n); }\n" MAIN;

	(void)state;
	write_source("table.c", table);
	build_pair("-O2 table.c", source);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "before", "");
	expect_not_listed(report, "text");
	expect_not_listed(report, "table");
}

static void a_changed_instruction_is_named_by_its_offset(void **state)
{
	(void)state;
	build_pair("-O2",
	           HEAD "NOINLINE int other(int n) { return n * 7 - 1; }\n"
	                "NOINLINE int work(int n)\n"
	                "{ return other(n + 5) + (n ^ V(0x111111, 0x222222)); "
	                "}\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "work", "instruction at +0x");
	expect_not_listed(report, "other");
	expect_not_listed(report, "main");
}

static void a_changed_size_is_told(void **state)
{
	(void)state;
	build_pair("-O2",
	           HEAD "NOINLINE int work(int n)\n"
	                "{ puts(\"a\"); V(, puts(\"b\");) return n; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "work", "size ");
	expect_not_listed(report, "main");
}

static void a_changed_string_is_quoted(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "NOINLINE int work(int n)\n"
	           "{ puts(V(\"apples\", \"pears!\")); return n; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "work",
	              "refers to \"pears!\" instead of \"apples\"");
}

static void text_of_any_encoding_is_accepted(void **state)
{
	(void)state;
	build_pair(
		"-O2", HEAD
		"NOINLINE int work(int n)\n"
		"{ puts(V(\"caf\\xe9 0123456789012345678901234567890123\","
		"         \"caf\\xc3\\xa9 012345678901234567890123456789\"));\n"
		"  return n; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "work", "caf");
}

static void readers_of_a_changed_table_are_selected(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "static const int table[] = {1, 2, V(3, 4), 5};\n"
	           "static const char *const names[] =\n"
	           "  {\"a\", V(\"b\", \"c\"), \"d\"};\n"
	           "NOINLINE int number(int n) { return table[n & 3]; }\n"
	           "NOINLINE int name(int n) { return puts(names[n & 1]); }\n"
	           "NOINLINE int work(int n) { return number(n) + name(n); "
	           "}\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "number",
	              "reads table table, whose content changed");
	expect_listed(report, "changed", "name",
	              "reads table names, whose content changed");
	expect_not_listed(report, "work");
}

static void a_changed_float_is_found(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "NOINLINE double scale(double d) { return d * V(2.5, 7.25)"
	           " + 1.125; }\n"
	           "NOINLINE int work(int n) { return scale(n); }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "scale", "constant data at +0x");
	expect_not_listed(report, "work");
}

static void callers_of_changed_functions_stay(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "NOINLINE int leaf(int n) { puts(\"leaf\");\n"
	           "  return n * V(3, 5); }\n"
	           "NOINLINE int work(int n) { return leaf(n) + 1; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "leaf", "");
	expect_not_listed(report, "work");
	expect_not_listed(report, "main");
}

static void callers_of_inlined_functions_are_selected(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "static inline int tiny(int n)\n"
	           "{ if (n > 5) { puts(\"big\"); n = V(7, 9) * abs(n); }\n"
	           "  return n; }\n"
	           "NOINLINE int one(int n) { return tiny(n) - 3; }\n"
	           "NOINLINE int two(int n) { return puts(\"x\") + tiny(n); }\n"
	           "NOINLINE int three(int n) { return n * 5 + 2; }\n"
	           "NOINLINE int work(int n)\n"
	           "{ return one(n) + two(n) + three(n); }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "one", "inlines tiny, which changed");
	expect_listed(report, "changed", "two", "inlines tiny, which changed");
	expect_not_listed(report, "three");
	expect_not_listed(report, "work");
}

static void an_inlined_function_that_is_the_same_is_not_to_blame(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "static inline void tiny(const int *data, int n)\n"
	           "{ if (data[n] > 5) printf(\"%d\\n\", data[0]); }\n"
	           "NOINLINE void same(const int *data)\n"
	           "{ tiny(data, 3); puts(\"same\"); }\n"
	           "NOINLINE int work(int n)\n"
	           "{ const int data[8] = {n, n, n, n + 3};\n"
	           "  tiny(data, V(3, 2)); same(data); return n; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "work", "at +");
	expect_not_listed(report, "same");
}

/* gcc moves the rest of check() into check.part.0, and inlines it again. */
static void a_split_function_does_not_inline_itself(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "struct data { int first, more[V(10, 20)], last; };\n"
	           "NOINLINE void *make(struct data *data)\n"
	           "{ data->last = 3; return data; }\n"
	           "int check(struct data *data, int n)\n"
	           "{ if (n < 0) return 0;\n"
	           "  make(data); if (!data->last) puts(\"none\");\n"
	           "  if (n > data->last) printf(\"%d\\n\", data->last);\n"
	           "  return data->last + n * data->first; }\n"
	           "NOINLINE int one(struct data *data)\n"
	           "{ return check(data, data->first) + 1; }\n"
	           "NOINLINE int work(int n)\n"
	           "{ struct data data = {n}; return one(&data) * 2; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "--accept-type '*'");
	expect_listed(report, "changed", "check", "at +");
}

static void new_and_removed_functions_are_listed(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "#ifdef NEW\n"
	           "NOINLINE int added(int n) { return puts(\"new\") + n; }\n"
	           "#else\n"
	           "NOINLINE int gone(int n) { return puts(\"gone\") + n; }\n"
	           "#endif\n"
	           "NOINLINE int work(int n) { puts(\"work\");\n"
	           "  return V(gone, added)(n); }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "new", "added", "only the new build has it");
	expect_listed(report, "removed", "gone", "");
	expect_listed(report, "changed", "work",
	              "refers to added instead of gone");
}

static void source_places_units_and_signatures_are_told(void **state)
{
	json_t *function;

	(void)state;
	build_pair("-O2",
	           HEAD "typedef struct { int a; } box;\n"
	                "NOINLINE int work(int n) { return n; }\n"
	                "NOINLINE const char *get(const box *b, size_t n,\n"
	                "                         ...)\n"
	                "{ puts(\"get\"); return V(\"a\", \"b\") + n; }\n"
	                "int main(void) { box b = {0};\n"
	                "  puts(get(&b, 0)); return work(0); }\n");
	SCOPED_JSON *report = diff(0, "");
	function = json_array_get(json_object_get(report, "functions"), 0);
	assert_string_equal(
		json_string_value(json_object_get(function, "signature")),
		"const char *get(const box *b, size_t n, ...)");
	assert_string_equal(
		json_string_value(json_object_get(function, "source")),
		"main.c:7");
	assert_string_equal(
		json_string_value(json_object_get(function, "unit")), "main.c");
}

static void shifted_lines_do_not_count(void **state)
{
	(void)state;
	expect_nothing_changed(
		"-O2", HEAD
		"V(, \n\n\n)\n"
		"NOINLINE int work(int n) { return puts(\"x\") + n; }\n" MAIN);
}

static void an_accepted_initial_value_is_a_warning(void **state)
{
	(void)state;
	build_pair("-O2", HEAD "int limit = V(10, 20);\n"
	                       "NOINLINE int work(int n) { puts(\"work\");\n"
	                       "  return n * V(2, 3) + limit; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "--accept-data limit");
	expect_warning(report, "limit is accepted");
}

static void an_accepted_structure_is_a_warning(void **state)
{
	(void)state;
	build_pair("-O2",
	           HEAD "struct item { int a; V(, long b;) int c; };\n"
	                "NOINLINE int use(struct item *i) { puts(\"use\");\n"
	                "  return i->c + i->a; }\n"
	                "NOINLINE int work(int n)\n"
	                "{ struct item *i = calloc(1, sizeof(*i)); i->c = n;\n"
	                "  return use(i); }\n" MAIN);
	SCOPED_JSON *report = diff(0, "--accept-type item");
	expect_warning(report, "struct item");
	expect_listed(report, "changed", "use", "");
	expect_listed(report, "changed", "work", "");
}

static void other_compilers_are_a_warning(void **state)
{
	static const char source[] =
		HEAD "NOINLINE int work(int n)\n"
		     "{ return printf(\"%d\\n\", n) * V(2, 3) + 1; }\n" MAIN;

	(void)state;
	need_program("clang");
	build_pair("-O2", source);
	expect_status(0, "cd new && clang -O2 -g main.c -o prog "
	                 "-Wno-unknown-attributes");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "the builds are by different compilers");
}

static void other_options_are_a_warning(void **state)
{
	static const char source[] =
		HEAD "NOINLINE int work(int n)\n"
		     "{ return printf(\"%d\\n\", n) * V(2, 3) + 1; }\n" MAIN;

	(void)state;
	build_pair("-O2", source);
	expect_status(0, "cd new && gcc -O1 -g main.c -o prog");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "NEW: ...-O1");
}

/* ---- Lambdas, which compilers number ------------------------------------ */

#define LAMBDAS                                                                \
	"static int (*hooks[4])(int);\n"                                       \
	"__attribute__((noinline)) void before(int n)\n"                       \
	"{ BEFORE hooks[3] = [](int x) { return x - 9; };\n"                   \
	"  hooks[2] = hooks[n]; }\n"                                           \
	"__attribute__((noinline)) void setup()\n"                             \
	"{ WITHIN hooks[0] = [](int x) { return x + 1; };\n"                   \
	"  hooks[1] = [](int x) { return x + 2000; }; }\n"                     \
	"int main(int argc, char **)\n"                                        \
	"{ setup(); before(argc);\n"                                           \
	"  return hooks[0](1) + hooks[1](1) + hooks[3](2); }\n"

/* A pointer to the first lambda of OLD must not lead to the first of NEW. */
static void a_lambda_before_others_makes_them_no_others(void **state)
{
	static const char within[] =
		"-O1 -x c++ -DBEFORE= "
		"-DWITHIN='V(, hooks[2] = [](int x) { return x * 100; };)'";

	(void)state;
	build_pair(within, LAMBDAS);
	SCOPED_JSON *gcc = diff(0, "--skip main");
	expect_listed(gcc, "changed", "_Z5setupv", "");
	expect_listed(gcc, "new", "_ZZ5setupvENUliE_4_FUNEi", "");
	expect_listed(gcc, "new", "_ZZ5setupvENUliE1_4_FUNEi", "");
	assert_null(reason_of(gcc, "changed", "_ZZ5setupvENUliE_4_FUNEi"));
	assert_null(reason_of(gcc, "changed", "_ZZ5setupvENUliE0_4_FUNEi"));
	need_program("clang");
	char *flags = NULL;
	assert_true(asprintf(&flags, "clang %s", within) > 0);
	build_pair(flags, LAMBDAS);
	free(flags);
	SCOPED_JSON *clang = diff(0, "--skip main");
	expect_listed(clang, "changed", "_Z5setupv", "");
	assert_null(reason_of(clang, "changed", "_ZZ5setupvEN3$_18__invokeEi"));
	assert_null(reason_of(clang, "changed", "_ZZ5setupvEN3$_28__invokeEi"));
}

/* Each pointer to a lambda of OLD must go on to do what it did. */
static void lambdas_that_change_places_are_not_paired(void **state)
{
	static const char source[] =
		"static int (*volatile hooks[2])(int);\n"
		"__attribute__((noinline)) void setup()\n"
		"{ V(auto a = [](int x) { return x + 1; };"
		"    auto b = [](int x) { return x * 10; };,"
		"    auto b = [](int x) { return x * 10; };"
		"    auto a = [](int x) { return x + 1; };)\n"
		"  hooks[0] = a; hooks[1] = b; }\n"
		"int main(int, char **)\n"
		"{ setup(); return hooks[0](1) + hooks[1](1); }\n";

	(void)state;
	build_pair("-O0 -x c++", source);
	SCOPED_JSON *gcc = diff(0, "--skip main");
	expect_listed(gcc, "new", "_ZZ5setupvENUliE_4_FUNEi", "");
	expect_listed(gcc, "new", "_ZZ5setupvENUliE0_4_FUNEi", "");
	build_pair("-O2 -x c++", source);
	SCOPED_JSON *fast = diff(0, "--skip main");
	assert_null(reason_of(fast, "changed", "_ZZ5setupvENUliE_4_FUNEi"));
	need_program("clang");
	build_pair("clang -O1 -x c++", source);
	SCOPED_JSON *clang = diff(0, "--skip main");
	assert_null(reason_of(clang, "changed", "_ZZ5setupvEN3$_08__invokeEi"));
}

/* clang numbers the lambdas of a file. */
static void a_lambda_in_another_function_is_no_difference(void **state)
{
	(void)state;
	need_program("clang");
	build_pair("clang -O1 -x c++ -DWITHIN= "
	           "-DBEFORE='V(, hooks[2] = [](int x) { return x * 100; };)'",
	           LAMBDAS);
	SCOPED_JSON *report = diff(0, "--skip main");
	expect_listed(report, "changed", "_Z6beforei", "");
	for (int i = 1; i < 4; i++) {
		char name[40];

		snprintf(name, sizeof(name), "_ZZ5setupvEN3$_%d8__invokeEi", i);
		expect_not_listed(report, name);
	}
	expect_not_listed(report, "_Z5setupv");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(the_same_source_means_the_same),
		SANDBOX_TEST(folders_and_dates_do_not_count),
		SANDBOX_TEST(texts_behind_a_table_that_moved_do_not_count),
		SANDBOX_TEST(the_order_of_functions_does_not_count),
		SANDBOX_TEST(a_changed_instruction_is_named_by_its_offset),
		SANDBOX_TEST(a_changed_size_is_told),
		SANDBOX_TEST(a_changed_string_is_quoted),
		SANDBOX_TEST(text_of_any_encoding_is_accepted),
		SANDBOX_TEST(readers_of_a_changed_table_are_selected),
		SANDBOX_TEST(a_changed_float_is_found),
		SANDBOX_TEST(callers_of_changed_functions_stay),
		SANDBOX_TEST(callers_of_inlined_functions_are_selected),
		SANDBOX_TEST(
			an_inlined_function_that_is_the_same_is_not_to_blame),
		SANDBOX_TEST(a_split_function_does_not_inline_itself),
		SANDBOX_TEST(new_and_removed_functions_are_listed),
		SANDBOX_TEST(source_places_units_and_signatures_are_told),
		SANDBOX_TEST(shifted_lines_do_not_count),
		SANDBOX_TEST(an_accepted_initial_value_is_a_warning),
		SANDBOX_TEST(an_accepted_structure_is_a_warning),
		SANDBOX_TEST(other_compilers_are_a_warning),
		SANDBOX_TEST(other_options_are_a_warning),
		SANDBOX_TEST(a_lambda_before_others_makes_them_no_others),
		SANDBOX_TEST(lambdas_that_change_places_are_not_paired),
		SANDBOX_TEST(a_lambda_in_another_function_is_no_difference),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("selection", tests, NULL, NULL);
}
