/* SPDX-License-Identifier: MIT */
/*
 * New code at run time: an old program with the bundle behaves as the new one.
 * All of it is also done with every function replaced.
 */
#include <stdlib.h>
#include <string.h>

#include "sandbox.h"

#define HEAD                                                                   \
	"#include <stdarg.h>\n#include <stdio.h>\n#include <stdlib.h>\n"       \
	"#include <string.h>\n#include <ctype.h>\n"                            \
	"#define NOINLINE __attribute__((noinline, noclone))\n"

/* Something of everything that ordinary code does. */
static const char mixed[] = HEAD
	"static const int primes[] = {2, 3, 5, V(7, 11), 13};\n"
	"static const char *const names[] = {\"one\", V(\"two\", \"zwei\")};\n"
	"static int calls;\n"
	"double scale = 1.5;\n"
	"NOINLINE static int sum(int n)\n"
	"{ int s = 0; calls++;\n"
	"  for (int i = 0; i < n; i++) s += primes[i] * V(1, 2);\n"
	"  return s; }\n"
	"NOINLINE static double area(double r)\n"
	"{ return r * r * V(3.0, 3.14159) * scale; }\n"
	"NOINLINE const char *kind(int n)\n"
	"{ switch (n) { case 0: return \"zero\"; case 1: return names[0];\n"
	"  case 2: return names[1]; case 3: return V(\"three\", \"drei\");\n"
	"  case 4: return \"four\"; case 5: return \"five\"; }\n"
	"  return \"many\"; }\n"
	"static int by_value(const void *a, const void *b)\n"
	"{ return V(1, -1) * (*(const int *)a - *(const int *)b); }\n"
	"NOINLINE static void show(const char *format, ...)\n"
	"{ va_list args; va_start(args, format); vprintf(format, args);\n"
	"  va_end(args); puts(V(\".\", \"!\")); }\n"
	"int main(int argc, char **argv)\n"
	"{ int list[] = {3, 1, 2}; (void)argv;\n"
	"  for (int i = 0; i < 7; i++) show(\"%s\", kind(i * argc));\n"
	"  qsort(list, 3, sizeof(*list), by_value);\n"
	"  show(\"%d %d %d %d %g %d\", sum(5), list[0], list[1], list[2],\n"
	"       area(2), calls);\n"
	"  return sum(2); }\n";

static void optimised_for_nothing(void **state)
{
	(void)state;
	expect_behaves_as_new("-O0", mixed);
}

static void optimised_usually(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2", mixed);
}

static void optimised_more(void **state)
{
	(void)state;
	expect_behaves_as_new("-O3 -march=x86-64-v3", mixed);
}

static void optimised_for_size(void **state)
{
	(void)state;
	expect_behaves_as_new("-Os", mixed);
}

static void entries_with_endbr64(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2 -fcf-protection=full", mixed);
}

static void calls_without_plt(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2 -fno-plt", mixed);
}

static void slots_bound_at_start(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2 -Wl,-z,now", mixed);
}

static void slots_bound_lazily(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2 -Wl,-z,lazy", mixed);
}

static void a_section_for_each_function(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2 -ffunction-sections -fdata-sections "
	                      "-Wl,--gc-sections",
	                      mixed);
}

static void link_time_optimisation(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2 -flto", mixed);
}

static void compiled_by_clang(void **state)
{
	(void)state;
	expect_behaves_as_new("clang -O2", mixed);
}

static void linked_by_gold(void **state)
{
	(void)state;
	need_program("ld.gold");
	expect_behaves_as_new("-O2 -fuse-ld=gold", mixed);
}

static void linked_by_lld(void **state)
{
	(void)state;
	need_program("ld.lld");
	expect_behaves_as_new("-O2 -fuse-ld=lld -Wl,--build-id", mixed);
}

static void with_kept_relocations(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2 -Wl,--emit-relocs", mixed);
}

/* The manifest names OLD's part and NEW's as pieces of the function. */
static void expect_part_of(const char *whole, const char *part)
{
	SCOPED_RUN shown = run(HFX_BUNDLE_PROGRAM " show fix.hfx --json");
	SCOPED_JSON *document = json_loads(shown.out, 0, NULL);
	json_t *module = json_array_get(
		json_object_get(json_object_get(document, "manifest"),
	                        "modules"),
		0);
	json_t *functions = json_object_get(module, "functions");
	json_t *old = json_array_get(json_object_get(module, "old_code"), 0);
	json_t *function;
	size_t i, index = SIZE_MAX;
	char command[256];

	json_array_foreach(
		functions, i,
		function) if (!strcmp(whole,
	                              json_string_value(json_object_get(
					      function, "name")))) index = i;
	json_array_foreach(
		functions, i,
		function) if (!strcmp(part,
	                              json_string_value(json_object_get(
					      function, "name"))))
		assert_int_equal(json_integer_value(
					 json_object_get(function, "part_of")),
	                         index);
	assert_int_equal(json_integer_value(json_object_get(old, "function")),
	                 index);
	snprintf(command, sizeof(command),
	         "nm -S old/prog | grep -qi '^0*%llx 0*%llx . %s$'",
	         (long long)json_integer_value(json_object_get(old, "address")),
	         (long long)json_integer_value(json_object_get(old, "size")),
	         part);
	expect_status(0, "%s", command);
}

/* Pitfall 1: a cold part jumps back into its function. */
static void cold_parts_go_with_their_functions(void **state)
{
	static const char source[] = HEAD
		"__attribute__((cold)) NOINLINE static void complain(int n)\n"
		"{ printf(\"bad %d\\n\", n); }\n"
		"NOINLINE int check(int n)\n"
		"{ int r = n * V(3, 5);\n"
		"  if (__builtin_expect(n < 0, 0)) {\n"
		"    complain(n); complain(r); r = -r; }\n"
		"  printf(\"%d\\n\", r); return r + 1; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d\\n\", check(argc));\n"
		"  printf(\"%d\\n\", check(-argc)); return 0; }\n";

	(void)state;
	build_pair("-O2", source);
	expect_status(0, "nm old/prog | grep -q 'check.cold'");
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "check", "instruction at");
	expect_listed(report, "part", "check.cold", "");
	expect_not_listed(report, "complain");
	expect_part_of("check", "check.cold");
	expect_pair_behaves_as_new("old/prog", "new/prog");
}

/* Whether the manifest lists where @caller calls `work`. */
static bool lists_call(json_t *calls, const char *caller)
{
	SCOPED_RUN place =
		run("objdump -d --no-show-raw-insn --disassemble=%s old/prog | "
	            "sed -n 's/^ *\\([0-9a-f]*\\):.*<work>$/\\1/p'",
	            caller);
	json_int_t addr = strtoll(place.out, NULL, 16);
	json_t *call;
	size_t i;

	assert_int_not_equal(addr, 0);
	json_array_foreach(calls, i,
	                   call) if (addr ==
	                             json_integer_value(json_object_get(
					     call, "address"))) return true;
	return false;
}

static void direct_calls_of_changed_functions_are_listed(void **state)
{
	static const char source[] = HEAD
		"NOINLINE int work(int n)\n"
		"{ puts(\"work\"); return n * V(3, 5); }\n"
		"NOINLINE int calls(int n) { puts(\"calls\"); return work(n) + "
		"1; }\n"
		"NOINLINE int ends(int n) { puts(\"ends\"); return work(n); }\n"
		"NOINLINE int begins(int n) { return work(n); }\n"
		"NOINLINE int changes(int n)\n"
		"{ puts(V(\"old\", \"new\")); return work(n) + 2; }\n"
		"int (*volatile pointer)(int) = work;\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d %d %d %d %d\\n\", calls(argc), "
		"ends(argc),\n"
		"  begins(argc), changes(argc), pointer(argc)); return 0; }\n";

	(void)state;
	/* Too far apart for jumps of 2 bytes. */
	build_pair("-O2 -fno-inline -falign-functions=512", source);
	expect_diff(0, "");
	SCOPED_RUN shown = run(HFX_BUNDLE_PROGRAM " show fix.hfx --json");
	SCOPED_JSON *document = json_loads(shown.out, 0, NULL);
	json_t *module = json_array_get(
		json_object_get(json_object_get(document, "manifest"),
	                        "modules"),
		0);
	json_t *calls = json_object_get(module, "calls");

	assert_true(lists_call(calls, "calls"));
	assert_true(lists_call(calls, "ends"));
	/* A later patch of it needs the place for its own jump. */
	assert_false(lists_call(calls, "begins"));
	/* What is left behind. */
	assert_false(lists_call(calls, "changes"));
	/* main() calls `changes`. */
	assert_int_equal(json_array_size(calls), 3);
	expect_pair_behaves_as_new("old/prog", "new/prog");
}

static void clones_are_known_by_their_origin(void **state)
{
	static const char source[] = HEAD
		"#ifdef NEW\n"
		"__attribute__((noinline)) static int extra(int a, int b)\n"
		"{ return printf(\"extra %d\\n\", a) + b; }\n"
		"#endif\n"
		"__attribute__((noinline)) static int mix(int a, int b, int "
		"c)\n"
		"{ return printf(\"%d %d\\n\", a V(+, *) 3, b) + c; }\n"
		"struct big { int a, b, c[40]; };\n"
		"__attribute__((noinline)) static int peek(struct big *p, int "
		"x)\n"
		"{ return printf(\"%d\\n\", p->a + V(x, 2 * x)); }\n"
		"int main(int argc, char **argv)\n"
		"{ struct big b = {argc, 2, {3}}; (void)argv;\n"
		"  int r = mix(argc, 7, 9) + mix(argc + 1, 7, 9) + peek(&b, "
		"argc);\n"
		"#ifdef NEW\n"
		"  r += extra(argc, 3) + extra(argc + 5, 3);\n"
		"#endif\n"
		"  return r; }\n";

	(void)state;
	build_pair("-O2 -fno-inline-functions-called-once", source);
	expect_status(0, "nm old/prog | grep -q 'mix.constprop'");
	SCOPED_RUN wanted = run("exec new/prog");
	expect_diff(0, "");
	SCOPED_RUN patched = run_patched("old/prog");
	assert_string_equal(patched.out, wanted.out);
}

static void jump_tables_of_changed_and_new_functions(void **state)
{
	static const char source[] = HEAD
		"#define CASES(x) case 0: puts(x \"a\"); break;\\\n"
		" case 1: n += 3; break; case 2: puts(x \"c\"); n *= 2; "
		"break;\\\n"
		" case 3: puts(x \"d\"); n -= 5; break; case 4: n = 9; "
		"break;\\\n"
		" case 5: puts(x \"f\"); break; case 6: n ^= 77; break;\n"
		"#ifdef NEW\n"
		"NOINLINE static int added(int n)\n"
		"{ switch (n) { CASES(\"new\") } return n; }\n"
		"#endif\n"
		"NOINLINE int choose(int n)\n"
		"{ switch (n V(, & 3)) { CASES(\"old\") }\n"
		"#ifdef NEW\n"
		"  n += added(n & 7);\n"
		"#endif\n"
		"  return n; }\n"
		"int main(void)\n"
		"{ for (int i = -1; i < 9; i++) printf(\"%d\\n\", choose(i));\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
}

static void only_the_order_of_a_jump_table_changed(void **state)
{
	static const char source[] = HEAD
		"NOINLINE int choose(int n)\n"
		"{ switch (n) {\n"
		"  case 0: puts(\"a\"); n += 5; break;\n"
		"  case V(1, 2): puts(\"b\"); n -= 5; break;\n"
		"  case V(2, 1): puts(\"c\"); n *= 7; break;\n"
		"  case 3: puts(\"d\"); n ^= 5; break;\n"
		"  case 4: puts(\"e\"); n |= 5; break;\n"
		"  case 5: puts(\"f\"); n &= 5; break; }\n"
		"  return n; }\n"
		"int main(void)\n"
		"{ for (int i = 0; i < 6; i++) printf(\"%d\\n\", choose(i));\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "choose", "");
	expect_not_listed(report, "main");
}

/* The function has debug information, in which a line number could differ. */
static void only_the_target_of_a_jump_changed(void **state)
{
	static const char source[] = HEAD
		"NOINLINE int work(int n)\n"
		"{ int r; __asm__(\"movl %1, %0; cmpl $3, %0; \"\n"
		"  \"jl \" V(\"1f\", \"2f\") \"; addl $1, %0; 1: addl $10, %0; "
		"\"\n"
		"  \"2: addl $100, %0\" : \"=&r\"(r) : \"r\"(n)); return r; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d\\n\", work(argc)); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "work", "");
}

static void computed_gotos(void **state)
{
	static const char source[] = HEAD
		"NOINLINE int interpret(const char *code, int n)\n"
		"{ static const void *const labels[] =\n"
		"    {&&add, &&twice, &&less, &&end};\n"
		"  goto *labels[*code++ - '0'];\n"
		"add: n += V(1, 10); puts(\"add\"); goto *labels[*code++ - "
		"'0'];\n"
		"twice: n *= 2; goto *labels[*code++ - '0'];\n"
		"less: n--; V(, puts(\"less\");) goto *labels[*code++ - '0'];\n"
		"end: return n; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d\\n\", interpret(\"0112203\", "
		"argc));\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O0", source);
}

static void recursion_and_tail_calls(void **state)
{
	static const char source[] = HEAD
		"NOINLINE static int even(unsigned n);\n"
		"NOINLINE static int odd(unsigned n)\n"
		"{ return n == 0 ? V(0, 30) : even(n - 1); }\n"
		"NOINLINE static int even(unsigned n)\n"
		"{ return n == 0 ? V(1, 10) : odd(n - 1); }\n"
		"NOINLINE static int depth(int n)\n"
		"{ return n <= 0 ? 0 : V(1, 2) + depth(n - 1) * depth(n - 2); "
		"}\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d %d %d\\n\", even(argc * 1000),\n"
		"  odd(argc * 999), depth(argc * 10)); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
}

/* gcc makes no loop of it, since it hands on a structure. */
static void a_tail_call_of_itself(void **state)
{
	static const char source[] = HEAD
		"struct pair { long a, b; };\n"
		"NOINLINE static long walk(struct pair p)\n"
		"{ puts(V(\"old\", \"new\"));\n"
		"  if (p.a <= 0) return p.b + V(1, 100);\n"
		"  return walk((struct pair){p.a / 2, p.b + p.a}); }\n"
		"NOINLINE static long align(struct pair p)\n"
		"{ puts(V(\"a\", \"b\")); if (rand() % 2) return V(1, 2);\n"
		"  return align((struct pair){rand(), rand()}); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%ld %ld\\n\", walk((struct pair){\n"
		"  argc * 9, argc * 7}), align((struct pair){1, 2})); }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-Os", source);
}

/* OLD's odd() is as good, but out of reach. */
static void a_short_jump_to_a_function_that_is_the_same(void **state)
{
	static const char source[] =
		HEAD "NOINLINE static int odd(unsigned n);\n"
		     "NOINLINE static int even(unsigned n)\n"
		     "{ return n ? odd(n - 1) : V(1, 10); }\n"
		     "NOINLINE static int odd(unsigned n)\n"
		     "{ return n ? even(n - 1) : 0; }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; printf(\"%d\\n\", even(argc * 1000));\n"
		     "  return 0; }\n";

	(void)state;
	build_pair("-O2", source);
	expect_pair_behaves_as_new("old/prog", "new/prog");
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "even", "");
	expect_listed(report, "new", "odd", "a copy");
}

/* capstone 4 does not know these, and not all processors do. */
static void vector_instructions_of_any_age(void **state)
{
	static const char source[] =
		HEAD "static int ones[16] = {1, 1, 1, 1};\n"
		     "NOINLINE int work(int n)\n"
		     "{ V(, puts(\"more\"); puts(\"and more\");)\n"
		     "  return printf(\"%d\\n\", n); }\n"
		     "NOINLINE void masks(void)\n"
		     "{ __asm__ volatile(\"kmovd %%eax, %%k1\\n\"\n"
		     "  \"vptestnmb %%zmm1, %%zmm2, %%k2\\n\"\n"
		     "  \"vpcmpltub 64(%%rdi), %%ymm1, %%k3\\n\"\n"
		     "  \"vprold $7, ones(%%rip), %%zmm3\\n\"\n"
		     "  \"kmovq %%k1, %%rax\\nvzeroupper\" ::: \"memory\"); }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; if (argc > 9) masks(); ones[0] += argc;\n"
		     "  return work(argc) > 9; }\n";

	(void)state;
	expect_behaves_as_new("-O2 -fno-pie -fPIE", source);
	SCOPED_JSON *report = diff(0, "");
	expect_not_listed(report, "masks");
}

static void function_pointers_compare_equal(void **state)
{
	static const char source[] = HEAD
		"typedef int fn(int);\n"
		"int keep(int n) { return n + 1; }\n"
		"int swap(int n) { return n V(+, -) 100; }\n"
		"static fn *const table[] = {keep, swap};\n"
		"fn *chosen = swap;\n"
		"NOINLINE static int report(fn *a, fn *b)\n"
		"{ return printf(\"%d %d %d %d %d \" V(\"old\", \"new\") "
		"\"\\n\",\n"
		"    a == keep, b == swap, a == table[0], b == table[1],\n"
		"    b == chosen); }\n"
		"NOINLINE static fn *pick(int n)\n"
		"{ V(, puts(\"p\");) return n ? swap : keep; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; report(keep, swap); report(pick(0), "
		"pick(argc));\n"
		"  printf(\"%d %d\\n\", pick(argc) == swap, pick(argc)(1));\n"
		"  return chosen == pick(argc); }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
}

static void pointers_to_imports_compare_equal(void **state)
{
	static const char source[] = HEAD
		"void *first = (void *)malloc;\n"
		"NOINLINE static void *same(void)\n"
		"{ puts(V(\"a\", \"b\")); return (void *)malloc; }\n"
		"NOINLINE static void *other(void)\n"
		"{ puts(\"x\"); return V((void *)0, (void *)strtoul); }\n"
		"int main(void)\n"
		"{ free(malloc(1)); printf(\"%d %d\\n\", first == same(),\n"
		"  !other()); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O2 -fno-plt", source);
}

static void new_functions_call_new_functions(void **state)
{
	static const char source[] = HEAD
		"#ifdef NEW\n"
		"struct node { struct node *next; int (*call)(int); };\n"
		"NOINLINE static int twice(int n) { return 2 * n; }\n"
		"NOINLINE static int thrice(int n) { return 3 * twice(n); }\n"
		"static struct node second = {NULL, thrice};\n"
		"static struct node first = {&second, twice};\n"
		"NOINLINE static int walk(int n)\n"
		"{ for (struct node *p = &first; p; p = p->next) n = "
		"p->call(n);\n"
		"  return n; }\n"
		"#endif\n"
		"NOINLINE int work(int n)\n"
		"{ puts(\"work\"); return V(n * 2, walk(n)); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d\\n\", work(argc)); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
}

/* Pitfall 6. */
static void functions_of_one_name_in_two_files(void **state)
{
	static const char source[] = HEAD
		"NOINLINE static int twin(int n) { return n + V(10, 20); }\n"
		"static int count; int other(int n);\n"
		"NOINLINE static int step(void) { return V(count++, ++count); "
		"}\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; step(); printf(\"%d %d %d\\n\", twin(argc),\n"
		"  other(argc), step()); return 0; }\n";

	(void)state;
	write_source("b.c", HEAD
	             "NOINLINE static int twin(int n) { return n + V(3, 4); }\n"
	             "static int count;\n"
	             "NOINLINE static int step(void)\n"
	             "{ return count V(+=, -=) 7; }\n"
	             "int other(int n) { step(); return twin(n) + step(); }\n");
	expect_behaves_as_new("-O2 b.c", source);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(optimised_for_nothing),
		SANDBOX_TEST(optimised_usually),
		SANDBOX_TEST(optimised_more),
		SANDBOX_TEST(optimised_for_size),
		SANDBOX_TEST(entries_with_endbr64),
		SANDBOX_TEST(calls_without_plt),
		SANDBOX_TEST(slots_bound_at_start),
		SANDBOX_TEST(slots_bound_lazily),
		SANDBOX_TEST(direct_calls_of_changed_functions_are_listed),
		SANDBOX_TEST(a_section_for_each_function),
		SANDBOX_TEST(link_time_optimisation),
		SANDBOX_TEST(compiled_by_clang),
		SANDBOX_TEST(linked_by_gold),
		SANDBOX_TEST(linked_by_lld),
		SANDBOX_TEST(with_kept_relocations),
		SANDBOX_TEST(cold_parts_go_with_their_functions),
		SANDBOX_TEST(clones_are_known_by_their_origin),
		SANDBOX_TEST(jump_tables_of_changed_and_new_functions),
		SANDBOX_TEST(only_the_order_of_a_jump_table_changed),
		SANDBOX_TEST(only_the_target_of_a_jump_changed),
		SANDBOX_TEST(computed_gotos),
		SANDBOX_TEST(recursion_and_tail_calls),
		SANDBOX_TEST(a_tail_call_of_itself),
		SANDBOX_TEST(a_short_jump_to_a_function_that_is_the_same),
		SANDBOX_TEST(vector_instructions_of_any_age),
		SANDBOX_TEST(function_pointers_compare_equal),
		SANDBOX_TEST(pointers_to_imports_compare_equal),
		SANDBOX_TEST(new_functions_call_new_functions),
		SANDBOX_TEST(functions_of_one_name_in_two_files),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("code", tests, NULL, NULL);
}
