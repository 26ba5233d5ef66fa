/* SPDX-License-Identifier: MIT */
/*
 * Texts without a name, merged by linkers and counted through by code, and
 * numbers that look like some: new code reads NEW's.
 */
#include "sandbox.h"

#define HEAD                                                                   \
	"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"       \
	"#define NOINLINE __attribute__((noinline, noclone))\n"

/* Pitfall 2. */
static void one_string_is_the_tail_of_another(void **state)
{
	static const char source[] = HEAD
		"NOINLINE static void plain(void)\n"
		"{ puts(\"a word and its tail\"); puts(\"brief tail\"); }\n"
		"NOINLINE static void changed(int n)\n"
		"{ puts(n ? \"its tail\" : \"tail\");\n"
		"  puts(V(\"old\", \"and its tail\"));\n"
		"  puts(V(\"brief\", \"a very brief tail\")); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; plain(); changed(argc); changed(argc - 1);\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O2 -fuse-ld=gold", source);
}

static void only_a_tail_is_used_by_the_change(void **state)
{
	static const char source[] =
		HEAD "NOINLINE static void plain(void)\n"
		     "{ puts(\"long text with an end\"); }\n"
		     "NOINLINE static void changed(void)\n"
		     "{ puts(V(\"other text\", \"with an end\")); }\n"
		     "int main(void) { plain(); changed(); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
}

static void long_strings_and_strings_with_nul(void **state)
{
	static const char source[] =
		HEAD "NOINLINE static void changed(void)\n"
		     "{ fwrite(\"a\\0b\\0\" V(\"c\", \"d\") \"\\0e\\n\", 1, 8,"
		     " stdout);\n"
		     "  puts(\"0123456789012345678901234567890123456789"
		     "012345678901234567890123456789\" V(\"\", \"!\")); }\n"
		     "int main(void) { changed(); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
}

static void strings_that_are_counted_from_one(void **state)
{
	static const char source[] =
		HEAD "char text[4];\n"
		     "NOINLINE void first(int n)\n"
		     "{ if (n) puts(V(FIRST, SECOND)); }\n"
		     "NOINLINE int order(const char *a, int step)\n"
		     "{ const char *most = \"922337203685477580\"; int c = 0;\n"
		     "  for (int i = 0; c == 0 && i < 18; i++)\n"
		     "    c = (a[i * step] - most[i]) * 10;\n"
		     "  return c + V(1, 2); }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; first(argc - 1); printf(\"%d\\n\", "
		     "order(text, 1));\n"
		     "  printf(\"%d\\n\", order(\"922337203685477580\", 1));\n"
		     "  printf(\"%d\\n\", order(\"9123\", 1)); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2 -fno-toplevel-reorder"
	                      " -DFIRST='\"x\"' -DSECOND='\"longer\"'",
	                      source);
	/* Without a string before: behind the last byte of _IO_stdin_used. */
	expect_behaves_as_new("-O2 -fno-toplevel-reorder"
	                      " -DFIRST='\"x\"' -DSECOND=text",
	                      source);
}

/* The address in the code is that of the text's NUL, from which it subtracts.
 */
#define REST(text)                                                             \
	HEAD "NOINLINE int rest(const char *a, unsigned long left)\n"          \
	     "{ if (left > 24) return V(1, 2);\n"                              \
	     "  return memcmp(" text " + 24 - left, a, left); }\n"             \
	     "int main(void)\n"                                                \
	     "{ printf(\"%d %d\\n\", rest(\".\\r\\n\", 3), rest(\"\", 99));\n" \
	     "  return 0; }\n"

static void strings_that_are_counted_from_their_end(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2", REST("\"what code counts back.\\r\\n\""));
	expect_behaves_as_new("clang -O2",
	                      REST("\"what code counts back.\\r\\n\""));
}

static void a_string_that_changed_before_what_code_counts_from(void **state)
{
	static const char source[] = HEAD
		"NOINLINE int rest(const char *a, unsigned long left)\n"
		"{ return !memcmp(V(\"one ends so\", \"two ends so\") + "
		"11 - left, a, left); }\n"
		"int main(void)\n"
		"{ printf(\"%d\\n\", rest(\"one ends so\", 11)); return 0; "
		"}\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
}

static void the_tail_of_another_string_in_each_build(void **state)
{
	static const char source[] =
		HEAD "NOINLINE void put(const char *a, const char *b)\n"
		     "{ printf(\"%s%s\\n\", a, b); }\n"
		     "NOINLINE void user(void) { put(\"tail\", \"\"); }\n"
		     "NOINLINE const char *name(const char *a)\n"
		     "{ put(a, a); return \"tail\"; }\n"
		     "NOINLINE void other(void)\n"
		     "{ put(V(\"old tail\", \"new tail\"), \"\"); }\n"
		     "int main(void)\n"
		     "{ user(); other(); puts(name(\"\")); return 0; }\n";
	SCOPED_JSON *report = NULL;

	(void)state;
	build_pair("-O2", source);
	report = diff(0, "");
	expect_listed(report, "changed", "other", "");
	expect_not_listed(report, "user");
	expect_not_listed(report, "name");
}

/* What is kept in the frame may be counted from: it is not sure to be the same.
 */
static void a_tail_that_code_may_count_from_is_told(void **state)
{
	static const char source[] = HEAD
		"NOINLINE void put(const char *const *a)\n"
		"{ printf(\"%s%s%s\\n\", a[0], a[1], a[2]); }\n"
		"NOINLINE void user(void)\n"
		"{ const char *all[] = {\"tail\", \"a\", \"b\"}; put(all); }\n"
		"NOINLINE void other(void)\n"
		"{ puts(V(\"old tail\", \"a newer tail\")); }\n"
		"int main(void) { user(); other(); return 0; }\n";
	SCOPED_JSON *report = NULL;

	(void)state;
	build_pair("-O1", source);
	report = diff(0, "");
	expect_listed(report, "changed", "user", "is the end of another text");
	expect_behaves_as_new("-O1", source);
}

/* The end of "b" is as far before the next constant as padding would be. */
static void a_string_ends_before_another_constant(void **state)
{
	static const char source[] = HEAD
		"#define RANGE(text) range(text, text + sizeof(text) - 1)\n"
		"NOINLINE static void range(const char *p, const char *end)\n"
		"{ while (p != end) putchar(*p++); putchar(10); }\n"
		"const char behind[16] __attribute__((section(\".rodata.z\"),"
		" aligned(32))) = \"behind\";\n"
		"NOINLINE static void same(void)\n"
		"{ RANGE(\"one\"); RANGE(\"two\"); }\n"
		"NOINLINE static void changed(void)\n"
		"{ RANGE(V(\"old, and longer than new\", \"new\"));\n"
		"  RANGE(\"b\"); RANGE(V(\"x\", \"yz\")); }\n"
		"int main(void) { same(); changed(); puts(behind); return 0; "
		"}\n";

	(void)state;
	expect_behaves_as_new("-O1", source);
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O1 -fuse-ld=gold", source);
	expect_behaves_as_new("-no-pie -Wl,--emit-relocs -O1", source);
}

/* {'A', 310, 5} begins like "A"; {31, 28, 310} like distances to strings. */
static void numbers_that_look_like_a_text(void **state)
{
	static const char source[] =
		HEAD "NOINLINE static int letter(unsigned n)\n"
		     "{ switch (n) { case 0: return 'A'; case 1: return 28;"
		     " case 2: return V(310, 311); case 3: return 7;"
		     " case 4: return 5; } return 0; }\n"
		     "NOINLINE static int days(unsigned n)\n"
		     "{ switch (n) { case 0: return 31; case 1: return 28;"
		     " case 2: return V(310, 311); case 3: return 30;"
		     " case 4: return 5; } return 0; }\n"
		     "NOINLINE static const char *wind(unsigned n)\n"
		     "{ static const char *const names[] ="
		     " {\"north\", \"east\", \"south\", \"west\"};"
		     " return names[n & 3]; }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; for (unsigned i = argc - 1; i < 6; i++)"
		     " printf(\"%d %d %s\\n\", letter(i), days(i), wind(i));"
		     " return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	need_program("clang");
	expect_behaves_as_new("clang -O2", source);
	expect_behaves_as_new("clang -O2 -no-pie -Wl,--emit-relocs", source);
	expect_behaves_as_new("clang -O2 -fuse-ld=lld", source);
}

static void only_what_follows_a_nul_in_a_text_changed(void **state)
{
	static const char source[] = HEAD
		"NOINLINE static void changed(void)\n"
		"{ fwrite(\"a word\\0\" V(\"one\", \"two\") \"\\n\", 1, 11,"
		" stdout); }\n"
		"int main(void) { changed(); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	need_program("clang");
	expect_behaves_as_new("clang -O2", source);
}

/*
 * Texts that the compiler left behind, as it does where it has put their
 * characters into code, stand behind one that is used.
 */
static void texts_that_nothing_refers_to_are_in_another_order(void **state)
{
	static const char source[] = HEAD
		"#include <wchar.h>\n"
		"#define TEXT(text) \".string \\\"\" text \"\\\"\\n\"\n"
		"#define WIDE(a, b) \".long \" a \",111,114,100,\" b "
		"\",0\\n\"\n"
		"#define SECTION(size, texts) __asm__(\".pushsection "
		".rodata.str\" size \".\" size \",\\\"aMS\\\",@progbits,\" size"
		" \"\\n\" texts \".popsection\");\n"
		"NOINLINE static void same(void)\n"
		"{ puts(\"request\"); }\n"
		"SECTION(\"1\", V(TEXT(\"left one\") TEXT(\"left two\"),"
		" TEXT(\"left two\") TEXT(\"left one\")))\n"
		"NOINLINE static void print(const wchar_t *text)\n"
		"{ while (*text) putchar(*text++); }\n"
		"NOINLINE static void same_wide(void) { print(L\"a wide "
		"text\"); }\n"
		"SECTION(\"4\", V(WIDE(\"119\", \"49\") WIDE(\"120\", \"50\"),"
		" WIDE(\"120\", \"50\") WIDE(\"119\", \"49\")))\n"
		"int main(void)\n"
		"{ same(); same_wide(); puts(V(\"old\", \"new\")); return 0; "
		"}\n";

	(void)state;
	build_pair("-O2 -fno-toplevel-reorder", source);
	SCOPED_JSON *report = diff(0, "");
	expect_not_listed(report, "same");
	expect_not_listed(report, "same_wide");
	expect_listed(report, "changed", "main", "");
}

/* clang makes a table of distances of `names`. */
static void tables_of_tails_of_texts(void **state)
{
	static const char source[] = HEAD
		"NOINLINE static void texts(void)\n"
		"{ puts(\"other zero\"); puts(\"other \" V(\"one\", \"uno\"));"
		" puts(\"other two\"); }\n"
		"NOINLINE static const char *name(unsigned n)\n"
		"{ static const char *const names[] ="
		" {\"zero\", V(\"one\", \"uno\"), \"two\"};"
		" return names[n % 3]; }\n"
		"NOINLINE static const char *other_name(unsigned n)\n"
		"{ static const char *const names[] ="
		" {\"zero\", \"two\", \"zero\"};"
		" return names[n % 3] + V(0, 1); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; texts(); for (unsigned i = argc - 1; i < 6; i++)"
		" printf(\"%s %s\\n\", name(i), other_name(i)); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O1", source);
	need_program("clang");
	expect_behaves_as_new("clang -O1", source);
	expect_behaves_as_new("clang -O3", source);
	expect_behaves_as_new("clang -O1 -fuse-ld=lld", source);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(one_string_is_the_tail_of_another),
		SANDBOX_TEST(only_a_tail_is_used_by_the_change),
		SANDBOX_TEST(long_strings_and_strings_with_nul),
		SANDBOX_TEST(strings_that_are_counted_from_one),
		SANDBOX_TEST(strings_that_are_counted_from_their_end),
		SANDBOX_TEST(
			a_string_that_changed_before_what_code_counts_from),
		SANDBOX_TEST(the_tail_of_another_string_in_each_build),
		SANDBOX_TEST(a_tail_that_code_may_count_from_is_told),
		SANDBOX_TEST(a_string_ends_before_another_constant),
		SANDBOX_TEST(numbers_that_look_like_a_text),
		SANDBOX_TEST(only_what_follows_a_nul_in_a_text_changed),
		SANDBOX_TEST(texts_that_nothing_refers_to_are_in_another_order),
		SANDBOX_TEST(tables_of_tails_of_texts),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
