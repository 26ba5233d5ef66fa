/* SPDX-License-Identifier: MIT */
/*
 * Addresses at which one variable begins and from which another is counted:
 * which of the two the code can mean, by the debug information.
 */
#include <stdio.h>

#include "sandbox.h"

/* Variables in the order of the source, with nothing of others in between. */
#define HEAD                                                                   \
	"#include <stdio.h>\n"                                                 \
	"#define NOINLINE __attribute__((noinline))\n"                         \
	"#define ROW __attribute__((section(\".data.row\"), aligned(4)))\n"

/* What begins one element before `table` is what the tests are about. */
#define LOOK                                                                   \
	"NOINLINE static int look(int n)\n"                                    \
	"{ const int *before;\n"                                               \
	"  __asm__(\"lea table-4(%%rip), %0\" : \"=r\"(before));\n"            \
	"  return before[n] * V(10, 100); }\n"

/* In a file of its own: `gap` before or behind what the others cannot name. */
static const char counter[] = HEAD "#ifdef NEW\n"
				   "int gap[4] ROW = {9};\n"
				   "#endif\n"
				   "static int calls ROW = 70;\n"
				   "int bump(void) { return calls++; }\n";

/* One element before `table` is what begins there in the other file. */
static const char reader[] =
	HEAD "int bump(void);\n"
	     "#ifndef NEW\n"
	     "int gap[4] ROW = {9};\n"
	     "#else\n"
	     "extern int gap[4];\n"
	     "#endif\n"
	     "int table[3] ROW = {1, 2, 3};\n" LOOK "int main(void)\n"
	     "{ gap[0] += bump() + bump(); table[0] += gap[0];\n"
	     "  printf(\"%d %d %d\\n\", look(1), look(2), gap[0]);\n"
	     "  return bump() != 72; }\n";

static const char *const linkers[] = {"bfd", "gold", "lld", "mold"};

static void check_each_linker(const char *compiler, const char *source)
{
	char flags[128];

	for (size_t i = 0; i < sizeof(linkers) / sizeof(*linkers); i++) {
		snprintf(flags, sizeof(flags), "%s -fuse-ld=%s counter.c",
		         compiler, linkers[i]);
		print_message("%s\n", flags);
		expect_behaves_as_new(flags, source);
	}
}

static void need_linkers(void)
{
	need_program("ld.gold");
	need_program("ld.lld");
	need_program("mold");
}

static void a_table_behind_a_variable_of_another_file(void **state)
{
	(void)state;
	need_linkers();
	write_source("counter.c", counter);
	check_each_linker("-O1 -fno-toplevel-reorder", reader);
}

static void a_table_behind_a_variable_of_another_file_by_clang(void **state)
{
	(void)state;
	need_linkers();
	write_source("counter.c", counter);
	check_each_linker("clang -O1", reader);
}

/* The end of `list` is one element before `table`, too. */
static void the_end_of_a_table_before_a_variable_of_another_file(void **state)
{
	static const char first[] = HEAD "int list[4] ROW = {1, 2, 3, 4};\n";
	static const char between[] =
		HEAD "static int V(other, calls) ROW = V(500, 70);\n"
		     "static int V(calls, other) ROW = V(70, 500);\n"
		     "int bump(void) { return calls++ + other++; }\n"
		     "#ifndef NEW\n"
		     "int gap[4] ROW = {9};\n"
		     "#endif\n";
	static const char last[] = HEAD
		"extern int list[4];\n"
		"int bump(void);\n"
		"int table[3] ROW = {1, 2, 3};\n"
		"#ifdef NEW\n"
		"int gap[4] ROW = {9};\n"
		"#else\n"
		"extern int gap[4];\n"
		"#endif\n"
		"NOINLINE static int total(void)\n"
		"{ int sum = 0, *end;\n"
		"  __asm__(\"lea list+16(%%rip), %0\" : \"=r\"(end));\n"
		"  for (int *p = list; p != end; p++) sum += *p * V(1, 100);\n"
		"  return sum + table[1]; }\n"
		"int main(void)\n"
		"{ list[1] += bump() + gap[0]; table[1]++;\n"
		"  printf(\"%d %d\\n\", total(), bump()); return 0; }\n";

	(void)state;
	write_source("first.c", first);
	write_source("between.c", between);
	expect_behaves_as_new("-O1 -fno-toplevel-reorder first.c between.c",
	                      last);
}

/* A place inside `fresh` that `letters['i' - 'a']` would begin to count from.
 */
#define LETTERS                                                                \
	HEAD "#include <string.h>\n"                                           \
	     "#ifdef NEW\n"                                                    \
	     "char fresh[48] ROW = \"\\1\";\n"                                 \
	     "#endif\n"                                                        \
	     "long letters[26] ROW = {1, 2, 3, 4, 5, 6, 7, 8, 9};\n"

static void a_place_inside_a_new_variable(void **state)
{
	static const char source[] =
		LETTERS "NOINLINE static const char *show(int n)\n"
			"{\n"
			"#ifdef NEW\n"
			"  snprintf(fresh + 8, sizeof(fresh) - 8, \"%d\", n);\n"
			"  memcpy(fresh, \"12345678\", 8);\n"
			"  return fresh;\n"
			"#endif\n"
			"  return n ? \"x\" : \"y\"; }\n"
			"int main(int argc, char **argv)\n"
			"{ (void)argv; letters[argc]++;\n"
			"  printf(\"%s %ld\\n\", show(argc), letters[1]); "
			"return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2 -fno-toplevel-reorder", source);
	expect_behaves_as_new("clang -O2", source);
	expect_behaves_as_new("clang -O0", source);
}

/* The same address, from which code counts: of `letters`, it cannot be told. */
static void a_place_inside_a_new_variable_that_is_counted_from(void **state)
{
	static const char source[] = LETTERS
		"NOINLINE static long look(long n)\n"
		"{ const char *before;\n"
		"#ifdef NEW\n"
		"  fresh[0]++;\n"
		"#endif\n"
		"  __asm__(\"lea letters-32(%%rip), %0\" : \"=r\"(before));\n"
		"  return V(7, *(const long *)(before + 8 * n)); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; letters[argc]++;\n"
		"  printf(\"%ld\\n\", look(argc + 4)); return 0; }\n";

	(void)state;
	expect_refused("-O1 -fno-toplevel-reorder", source, "look",
	               "moved apart");
	expect_refused("clang -O1", source, "look", "moved apart");
}

/* Both are in the image, as far from each other as in the new build. */
static void a_place_between_new_variables(void **state)
{
	static const char source[] =
		HEAD "#ifdef NEW\n"
		     "int fresh[4] ROW = {1, 2, 3, 4};\n"
		     "int more[16] ROW = {5, 6, 7, 8, 9};\n"
		     "#endif\n"
		     "NOINLINE static int look(long n)\n"
		     "{\n"
		     "#ifdef NEW\n"
		     "  const int *before;\n"
		     "  fresh[0]++;\n"
		     "  __asm__(\"lea more-8(%%rip), %0\" : \"=r\"(before));\n"
		     "  return before[n];\n"
		     "#endif\n"
		     "  return n * 1234567 / 7; }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; printf(\"%d\\n\", look(argc + 2)); return "
		     "0; }\n";

	(void)state;
	expect_behaves_as_new("-O1 -fno-toplevel-reorder", source);
	expect_behaves_as_new("clang -O1", source);
}

/* One element before `table` is a variable that only bump() can name. */
static void a_table_behind_a_variable_of_another_function(void **state)
{
	static const char source[] = HEAD
		"#ifdef NEW\n"
		"int gap[GAP] ROW = {9};\n"
		"#endif\n"
		"NOINLINE static int bump(void)\n"
		"{ static int calls ROW = 70; return calls++; }\n"
		"#ifndef NEW\n"
		"int gap[GAP] ROW = {9};\n"
		"#endif\n"
		"int table[3] ROW = {1, 2, 3};\n" LOOK "int main(void)\n"
		"{ gap[0] += bump() + bump(); table[0] += gap[0];\n"
		"  printf(\"%d %d %d\\n\", look(1), look(2), gap[0]); return "
		"0; }\n";

	(void)state;
	expect_behaves_as_new("-O1 -fno-toplevel-reorder -DGAP=4", source);
	/* Where another object begins there in OLD, it cannot be told. */
	expect_refused("-O1 -fno-toplevel-reorder -DGAP=1", source, "look",
	               "moved apart");
}

/* At the end of `table` begins what only another file can name. */
static void the_end_of_a_table_before_a_constant_of_another_file(void **state)
{
	(void)state;
	write_source(
		"first.c", HEAD
		"struct entry { const char *name; int *counter; };\n"
		"static int counter;\n"
		"static const struct entry table[4] "
		"__attribute__((aligned(32))) =\n"
		"  {{\"a\", &counter}, {\"b\", &counter},\n"
		"   {\"c\", &counter}, {\"d\", &counter}};\n"
		"int work(int n)\n"
		"{ for (const struct entry *e = table; e != table + 4; e++)\n"
		"    *e->counter += n + V(1, 2);\n"
		"  return counter; }\n");
	expect_behaves_as_new(
		"-O0 first.c",
		HEAD "int work(int n);\n"
		     "static const char *const names[4] "
		     "__attribute__((aligned(32))) =\n"
		     "  {\"x\", \"y\", \"z\", \"\"};\n"
		     "const char *const more[4] __attribute__((aligned(32))) "
		     "=\n"
		     "  {\"u\", V(\"v\", \"vee\"), \"w\", \"\"};\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; puts(names[argc]); puts(more[argc]);\n"
		     "  return printf(\"%d\\n\", work(argc)) < 0; }\n");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(a_table_behind_a_variable_of_another_file),
		SANDBOX_TEST(
			a_table_behind_a_variable_of_another_file_by_clang),
		SANDBOX_TEST(
			the_end_of_a_table_before_a_variable_of_another_file),
		SANDBOX_TEST(a_place_inside_a_new_variable),
		SANDBOX_TEST(
			a_place_inside_a_new_variable_that_is_counted_from),
		SANDBOX_TEST(a_place_between_new_variables),
		SANDBOX_TEST(a_table_behind_a_variable_of_another_function),
		SANDBOX_TEST(
			the_end_of_a_table_before_a_constant_of_another_file),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
