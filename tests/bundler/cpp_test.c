/* SPDX-License-Identifier: MIT */
/*
 * What C++ compilers make of classes, and names of several files: an old
 * program with the bundle does as the new one does.
 */
#include <string.h>

#include "sandbox.h"

#define CPP "-x c++ -Wl,--no-as-needed -lstdc++"

/** Refused for a type in whose name the text is, which compilers vary. */
static void expect_refused_type(const char *flags, const char *source,
                                const char *part)
{
	size_t found = 0;
	size_t i;
	json_t *refusal;

	build_pair(flags, source);
	SCOPED_JSON *report = diff(1, "");
	json_array_foreach(json_object_get(report, "refusals"), i, refusal)
	{
		json_t *subject = json_object_get(refusal, "subject");

		found += strstr(json_string_value(subject), part) != NULL;
	}
	if (!found)
		fail_msg("%s: no refusal of %s", flags, part);
}

/*
 * Objects of a class with virtual bases and no virtual functions point to the
 * end of its vtable, where the table of another class begins.
 */
static void objects_that_point_to_the_end_of_their_vtable(void **state)
{
	static const char source[] =
		"#include <cstdio>\n"
		"#define APART __attribute__((noinline))\n"
		"struct Plain { int v = 1; };\n"
		"struct A : virtual Plain { int a = 2; };\n"
		"#ifdef NEW\n"
		"struct N : virtual Plain { int n = 20; virtual ~N() {} };\n"
		"APART static N *make_n(int n)\n"
		"{ N *made = new N; made->v += n; return made; }\n"
		"#endif\n"
		"struct B : virtual Plain { int b = 3; };\n"
		"struct C : A, B { int c = 4; };\n"
		"APART static A *make_a(int n)\n"
		"{ A *made = new A; made->v += n * V(1, 2); return made; }\n"
		"APART static C *make_c(int n)\n"
		"{ C *made = new C; made->v += n * V(1, 2); return made; }\n"
		"APART static int sum(Plain *plain, A *a, B *b)\n"
		"{ return plain->v + a->a + a->v + (b ? b->b + b->v : 0); }\n"
		"APART static void round(int i)\n"
		"{\n"
		"  A *a = make_a(i);\n"
		"  C *c = make_c(i);\n"
		"  printf(\"%d %d\\n\", sum(a, a, nullptr), sum(c, c, c));\n"
		"#ifdef NEW\n"
		"  N *n = make_n(i);\n"
		"  printf(\"%d\\n\", n->v + n->n);\n"
		"#endif\n"
		"}\n"
		"int main(int argc, char **)\n"
		"{ for (int i = argc; i < 4; i++) round(i); return 0; }\n";

	(void)state;
	expect_behaves_as_new(CPP " -O2", source);
	expect_behaves_as_new(CPP " -O2 -fno-pie -no-pie -Wl,--emit-relocs",
	                      source);
	expect_behaves_as_new("clang " CPP " -w -O2", source);
}

/* mold makes `table` a local symbol of the other file. */
static void a_variable_of_another_file_behind_a_table(void **state)
{
	static const char other[] =
		"extern int table[8];\n"
		"static int before[8] = {1, 2, 3};\n"
		"#ifndef NEW\n"
		"int gone[8] = {7};\n"
		"#endif\n"
		"__attribute__((noinline)) static int\n"
		"sum(const int *a, const int *b)\n"
		"{ int all = 0;\n"
		"  for (int i = 0; i < 8; i++) all += a[i] + b[i] * 10;\n"
		"  return all; }\n"
		"int changed(int n)\n"
		"{ before[n]++; return sum(before, table) * V(1, 2); }\n";
	static const char source[] =
		"#include <stdio.h>\n"
		"int table[8] = {50, 60, 70};\n"
		"int changed(int n);\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; table[argc]++;\n"
		"  return printf(\"%d\\n\", changed(argc)) < 0; }\n";

	(void)state;
	need_program("mold");
	write_source("other.c", other);
	expect_behaves_as_new("-O0 -fuse-ld=mold -fno-toplevel-reorder other.c",
	                      source);
	expect_behaves_as_new("-O0 -fno-toplevel-reorder other.c", source);
}

/* Their heads are inside them, and tables that may be counted from behind. */
static void new_static_containers(void **state)
{
	static const char source[] =
		"#include <cstdio>\n"
		"#include <map>\n"
		"#include <set>\n"
		"#include <string>\n"
		"#include <unordered_map>\n"
		"static long counts[26];\n"
		"static std::map<std::string, int> known = {{\"a\", 1}};\n"
		"__attribute__((noinline)) static std::string add(int n)\n"
		"{\n"
		"#ifdef NEW\n"
		"  static std::map<int, std::string> names =\n"
		"    {{1, \"one\"}, {2, \"two\"}, {3, \"three\"}};\n"
		"  static std::set<int> seen;\n"
		"  static std::unordered_map<int, int> times;\n"
		"  static char text[48];\n"
		"  names[n] += \"!\"; seen.insert(n); times[n % 3]++;\n"
		"  snprintf(text + 8, sizeof(text) - 8, \"%zu\", "
		"seen.size());\n"
		"  std::string all = text + 8;\n"
		"  for (auto &item : names) all += item.second;\n"
		"  for (int i : seen) all += std::to_string(i * times[i % "
		"3]);\n"
		"  return all;\n"
		"#endif\n"
		"  return std::to_string(n); }\n"
		"__attribute__((noinline)) static long count(char c)\n"
		"{ counts[c - 'a'] += known.size() + V(0, 1);\n"
		"  return counts[c - 'a']; }\n"
		"int main(int argc, char **)\n"
		"{ for (int i = 0; i < 6; i++)\n"
		"    printf(\"%s %ld\\n\", add(i % 4 + argc).c_str(),\n"
		"           count('a' + i % 3));\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("clang " CPP " -O1", source);
	expect_behaves_as_new("clang " CPP " -O2", source);
	expect_behaves_as_new("clang " CPP " -Os", source);
}

/* clang numbers lambdas in a file, and has the number in the names of both. */
static void a_class_of_a_lambda_that_has_another_number(void **state)
{
	static const char source[] =
		"#include <cstdio>\n"
		"struct Job { virtual int run(int) = 0; virtual ~Job() {} };\n"
		"template <class F> struct Made : Job\n"
		"{ F f; Made(F f) : f(f) {}\n"
		"  int run(int n) override { return f(n); } };\n"
		"template <class F> static Job *make(F f)\n"
		"{ return new Made<F>(f); }\n"
		"static Job *volatile first;\n"
		"__attribute__((noinline)) static int begin(int n)\n"
		"{ first = V(nullptr, make([](int i) { return i * 3; }));\n"
		"  return first ? first->run(n) : n * 1234567 / 7; }\n"
		"__attribute__((noinline)) static int work(int n)\n"
		"{ Job *volatile job = make([n](int i) { return i + n; });\n"
		"  int all = job->run(n) * V(1, 100);\n"
		"  delete job; return all; }\n"
		"int main(int argc, char **)\n"
		"{ printf(\"%d %d\\n\", begin(argc), work(argc)); return 0; "
		"}\n";

	(void)state;
	expect_behaves_as_new("clang " CPP " -O1", source);
	expect_behaves_as_new("clang " CPP " -O2", source);
	SCOPED_JSON *report = diff(0, "");
	assert_int_equal(json_array_size(json_object_get(report, "types")), 0);
}

static void names_in_refusals_are_as_in_the_source(void **state)
{
	static const char source[] =
		"#include <cstdio>\n"
		"namespace shop { static V(int, long) price[4] = {1, 2}; }\n"
		"__attribute__((noinline)) static int sum(int n)\n"
		"{ return shop::price[n] * 1234567 + shop::price[n + 1]; }\n"
		"int main(int argc, char **)\n"
		"{ shop::price[argc]++; printf(\"%d\\n\", sum(argc)); }\n";

	(void)state;
	build_pair(CPP " -O1", source);
	SCOPED_RUN text =
		run(HFX_BUNDLE_PROGRAM " diff old/prog new/prog -o fix.hfx "
	                               "--html report.html 2>&1");
	assert_int_equal(text.status, 1);
	assert_non_null(strstr(text.out,
	                       "refused: sum(int) (main.c:3): refers "
	                       "to variable shop::price, whose size"));
	assert_null(strstr(text.out, "_Z"));
	SCOPED_RUN page = run("grep -E 'class=.(refusal|warning)' -A3 "
	                      "report.html");
	assert_non_null(strstr(page.out, "shop::price"));
	assert_null(strstr(page.out, "_Z"));
}

/* A coroutine that waits has its frame on the heap, and goes on in new code. */
static void a_coroutine_whose_frame_changed_is_refused(void **state)
{
	static const char source[] =
		"#include <coroutine>\n#include <cstdio>\n#include <cstdlib>\n"
		"struct G { struct promise_type { int v = 0;\n"
		"  G get_return_object() { return {std::coroutine_handle<\n"
		"    promise_type>::from_promise(*this)}; }\n"
		"  std::suspend_always initial_suspend() { return {}; }\n"
		"  std::suspend_always final_suspend() noexcept\n"
		"  { return {}; }\n"
		"  std::suspend_always yield_value(int n)\n"
		"  { v = n; return {}; }\n"
		"  void return_void() {}\n"
		"  void unhandled_exception() {} };\n"
		"  std::coroutine_handle<promise_type> h; };\n"
		"struct L { int n; ~L() { printf(\"%d\\n\", n); } };\n"
		"__attribute__((noinline)) static G count(int a)\n"
		"{ V(L one{a}, L other{rand()}; L one{a});\n"
		"  for (int i = 0;; i++) co_yield one.n + i; }\n"
		"int main(int n, char **)\n"
		"{ for (G g = count(n); g.h.promise().v < 3;) g.h.resume(); "
		"}\n";

	(void)state;
	expect_refused_type(CPP " -std=c++20 -O0", source, ".Frame");
	expect_refused_type(CPP " -std=c++20 -O2", source, ".Frame");
	expect_refused_type("clang " CPP " -std=c++20 -O0", source,
	                    "__coro_frame_ty");
	expect_refused_type("clang " CPP " -std=c++20 -O2", source,
	                    "__coro_frame_ty");
}

/* The code is the same: the exception table alone says which type it is. */
static void a_handler_of_another_exception(void **state)
{
	static const char source[] =
		"#include <cstdio>\n"
		"#define APART __attribute__((noinline))\n"
		"struct E1 { int v; }; struct E2 { int v; };\n"
		"APART static int fail(int n)\n"
		"{ if (n % 2) throw E1{n}; throw E2{n}; }\n"
		"APART static int middle(int n)\n"
		"{ try { return fail(n); } catch (V(E1, E2) &) { return 5; } "
		"}\n"
		"APART static void round(int n)\n"
		"{ try { printf(\"%d\\n\", middle(n)); }\n"
		"  catch (...) { printf(\"out\\n\"); } }\n"
		"int main(int argc, char **)\n"
		"{ for (int i = argc; i < 5; i++) round(i); return 0; }\n";

	(void)state;
	expect_behaves_as_new("clang " CPP " -O2", source);
	expect_behaves_as_new(
		"clang " CPP " -O2 -fno-pie -no-pie -Wl,--emit-relocs", source);
	expect_behaves_as_new(CPP " -O2", source);
	expect_behaves_as_new(CPP " -O2 -fno-pie -no-pie -Wl,--emit-relocs",
	                      source);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(objects_that_point_to_the_end_of_their_vtable),
		SANDBOX_TEST(a_variable_of_another_file_behind_a_table),
		SANDBOX_TEST(new_static_containers),
		SANDBOX_TEST(a_class_of_a_lambda_that_has_another_number),
		SANDBOX_TEST(names_in_refusals_are_as_in_the_source),
		SANDBOX_TEST(a_handler_of_another_exception),
		SANDBOX_TEST(a_coroutine_whose_frame_changed_is_refused),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("cpp", tests, NULL, NULL);
}
