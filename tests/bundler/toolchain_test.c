/* SPDX-License-Identifier: MIT */
/*
 * One program, built by many compilers and linkers with many options: the old
 * build with the bundle behaves as the new one.
 */
#include <stdio.h>
#include <string.h>

#include "sandbox.h"

/* Strings, tables, a switch, pointers to functions, a variable, an import. */
static const char source[] =
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n"
	"#define NOINLINE __attribute__((noinline))\n"
	"static int table[4] = {1, 2, 3, 4};\n"
	"static const char *const names[] = {\"a\", \"b\", V(\"c\", \"d\")};\n"
	"static const double weights[] = {0.5, 1.5, V(2.5, 3.5)};\n"
	"const char *current = \"start\";\n"
	"int counter;\n"
	"NOINLINE static int by_value(const void *a, const void *b)\n"
	"{ return V(*(const int *)a - *(const int *)b,\n"
	"           *(const int *)b - *(const int *)a); }\n"
	"NOINLINE int pick(int n)\n"
	"{ switch (n) {\n"
	"  case 0: return puts(\"zero\"); case 1: return puts(\"one\");\n"
	"  case 2: return puts(\"two\"); case 3: return puts(V(\"three\", "
	"\"drei\"));\n"
	"  case 4: return printf(\"%d\\n\", n); case 5: return "
	"puts(\"five\");\n"
	"  case 6: counter++; return puts(\"six\"); }\n"
	"  return 0; }\n"
	"NOINLINE const char *word(unsigned n)\n"
	"{ switch (n) { case 0: return \"nil\"; case 1: return \"un\";\n"
	"  case 2: return V(\"deux\", \"dos\"); case 3: return \"trois\";\n"
	"  case 4: return \"quatre\"; case 5: return \"cinq\"; }\n"
	"  return \"beaucoup\"; }\n"
	"NOINLINE int work(int n)\n"
	"{ int values[] = {3, 1, 2};\n"
	"  counter += table[n & 3]; current = names[n % 3]; pick(n);\n"
	"  qsort(values, 3, sizeof(*values), by_value);\n"
	"  fprintf(stdout, \"%d %s %d %s %.2f %zu\\n\", counter, current,\n"
	"          values[0], word(n), weights[n % 3] * n,\n"
	"          strlen(current) + V(0, strspn(current, \"abcd\")));\n"
	"  return counter; }\n"
	"NOINLINE int total(void)\n"
	"{ int sum = 0;\n"
	"  for (int *p = table; p != table + 4; p++) sum += *p V(, * 2);\n"
	"  return sum; }\n"
	"int (*pointer)(int) = work;\n"
	"int main(void)\n"
	"{ for (int i = 0; i < 8; i++) pointer(i);\n"
	"  printf(\"%d %d\\n\", pointer == work, total()); return 0; }\n";

static void check_all(const char *const *flags, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		print_message("%s\n", flags[i]);
		expect_behaves_as_new(flags[i], source);
	}
}

#define CHECK_ALL(...)                                                         \
	do {                                                                   \
		static const char *const flags[] = {__VA_ARGS__};              \
		check_all(flags, sizeof(flags) / sizeof(*flags));              \
	} while (0)

static void gcc_at_each_level(void **state)
{
	(void)state;
	CHECK_ALL("-O0", "-O1", "-O2", "-O3", "-Os");
}

static void clang_at_each_level(void **state)
{
	(void)state;
	need_program("clang");
	CHECK_ALL("clang -O0", "clang -O1", "clang -O2", "clang -O3",
	          "clang -Os");
}

static void each_linker(void **state)
{
	(void)state;
	need_program("ld.gold");
	need_program("ld.lld");
	need_program("mold");
	CHECK_ALL("-O2 -fuse-ld=bfd", "-O2 -fuse-ld=gold", "-O2 -fuse-ld=lld",
	          "-O2 -fuse-ld=mold", "clang -O2 -fuse-ld=lld",
	          "clang -O2 -fuse-ld=mold");
}

static void link_time_optimisation(void **state)
{
	(void)state;
	need_program("ld.lld");
	CHECK_ALL("-O2 -flto", "clang -O2 -flto -fuse-ld=lld");
}

static void options_that_change_code(void **state)
{
	(void)state;
	CHECK_ALL("-O2 -fcf-protection=full", "-O2 -fstack-protector-strong",
	          "-O2 -fno-plt", "-O2 -Wl,-z,now", "-O2 -Wl,-z,lazy",
	          "-O2 -ffunction-sections -fdata-sections -Wl,--gc-sections",
	          "-O2 -fpatchable-function-entry=16", "-O2 -pg",
	          "-O2 -fno-omit-frame-pointer", "-O2 -fPIC",
	          "-O2 -Wl,-z,noseparate-code");
}

static void packed_relocations(void **state)
{
	(void)state;
	CHECK_ALL("-O2 -Wl,-z,pack-relative-relocs");
}

static void programs_for_a_fixed_address(void **state)
{
	(void)state;
	need_program("clang");
	need_program("ld.lld");
#define FIXED "-fno-pie -no-pie -Wl,--emit-relocs "
	CHECK_ALL(FIXED "-O0", FIXED "-O2", FIXED "-O2 -fuse-ld=gold",
	          FIXED "-O2 -fuse-ld=lld", "clang " FIXED "-O0",
	          "clang " FIXED "-O2", "clang " FIXED "-O2 -fuse-ld=lld");
}

/* There the exception tables hold addresses. */
static void exceptions_of_programs_for_a_fixed_address(void **state)
{
	static const char text[] =
		"#include <cstdio>\n#include <stdexcept>\n"
		"struct Own { int n; };\n"
		"#ifdef NEW\nstruct Added { int n; };\n#endif\n"
		"__attribute__((noinline)) static void fail(int n)\n"
		"{ if (n == 1) throw Own{n};\n"
		"#ifdef NEW\n  if (n == 2) throw Added{n};\n#endif\n"
		"  throw std::out_of_range(\"range\"); }\n"
		"__attribute__((noinline)) static int work(int n)\n"
		"{ try { fail(n); }\n"
		"  catch (const Own &own) { return own.n * V(10, 20); }\n"
		"#ifdef NEW\n"
		"  catch (const Added &added) { return added.n * 30; }\n"
		"#endif\n"
		"  catch (const std::exception &e) { puts(e.what()); }\n"
		"  return 0; }\n"
		"int main()\n"
		"{ for (int i = 1; i < 4; i++) printf(\"%d\\n\", work(i)); }\n";

	(void)state;
	expect_behaves_as_new(FIXED "-O2 -x c++ -Wl,--no-as-needed -lstdc++",
	                      text);
}

/* Kept relocations name the variable, and the code has its slot. */
static void kept_relocations_of_loads_from_slots(void **state)
{
	static const char text[] =
		"#include <stdio.h>\n"
		"#ifdef NEW\nint more[100] = {1};\n#endif\n"
		"int seen[4] = {1, 2, 3, 4};\n"
		"__attribute__((noinline)) static void work(int n)\n"
		"{ seen[n & 3] += n; printf(\"%d\\n\", seen[n & 3] * V(1, "
		"2));\n"
		"#ifdef NEW\n  more[n]++;\n#endif\n"
		"}\n"
		"int main(void)\n"
		"{ for (int i = 1; i < 4; i++) work(i); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2 -fPIC -Wl,--emit-relocs -Wl,--no-relax",
	                      text);
}

static void fixed_address_without_relocations_is_refused(void **state)
{
	(void)state;
	build_pair("-O2 -fno-pie -no-pie", source);
	SCOPED_RUN result =
		run(HFX_BUNDLE_PROGRAM " diff old/prog new/prog -o fix.hfx");
	assert_int_equal(result.status, 2);
	assert_non_null(strstr(result.err, "--emit-relocs"));
}

/* A static program can only be patched from outside. */
static void static_programs(void **state)
{
	static const char *const flags[] = {
		"-O2 -static-pie -fPIE",
		"-O2 -static -fno-pie -no-pie -Wl,--emit-relocs",
		"-O2 -static -fno-pie -no-pie -Wl,--emit-relocs -fuse-ld=gold",
		"-O2 -static-pie -fPIE -fuse-ld=lld",
		"-O2 -static-pie -fPIE -fuse-ld=mold",
	};
	static const char text[] =
		"#include <stdio.h>\n"
		"#include <string.h>\n"
		"static _Thread_local int calls;\n"
		"__attribute__((noinline)) static void work(const char *text)\n"
		"{ printf(\"%d %s\\n\", ++calls,\n"
		"         V(text, strchr(text, 'w'))); fflush(stdout); }\n"
		"int main(void)\n"
		"{ while (getchar() != EOF) work(\"old new\"); return 0; }\n";

	(void)state;
	need_program("ld.gold");
	need_program("ld.lld");
	need_program("mold");
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		print_message("%s\n", flags[i]);
		build_pair(flags[i], text);
		expect_diff(0, "");
		SCOPED_RUN result = run(
			"rm -f out; mkfifo in%zu; old/prog < in%zu > out & "
			"pid=$!; "
			"exec 3> in%zu; printf x >&3; "
			"while [ ! -s out ]; do sleep 0.01; done; " HFX_PROGRAM
			" apply -q $pid fix.hfx; printf x >&3; "
			"exec 3>&-; wait $pid; cat out",
			i, i, i);
		assert_string_equal(result.err, "");
		assert_string_equal(result.out, "1 old new\n2 w\n");
	}
}

/* Its arrays of constructors end where the changed table begins. */
/*
 * mold leaves names of link-time optimized files in sections that are not
 * loaded. Their values look like addresses of constants: here in a jump table.
 */
static void symbols_of_sections_that_are_not_loaded(void **state)
{
	(void)state;
	build_pair(
		"-O2",
		"#include <stdio.h>\n#include <stdlib.h>\n"
		"#ifndef NEW\n"
		"__asm__(\".pushsection .nowhere,\\\"\\\",@progbits\\n\"\n"
		"        \".zero 0x2000\\n.altmacro\\n.macro put n\\n\"\n"
		"        \"l\\\\n: .long 0\\n.endm\\n.set n,0\\n\"\n"
		"        \".rept 512\\nput %n\\n.set n,n+1\\n.endr\\n\"\n"
		"        \".noaltmacro\\n.popsection\\n\");\n"
		"#endif\n"
		"__attribute__((noinline)) int same(int n)\n"
		"{ switch (n) {\n"
		"  case 0: return puts(\"zero\"); case 1: return 5;\n"
		"  case 2: return puts(\"two\"); case 3: return n * 7;\n"
		"  case 4: return printf(\"%d\", n); case 5: return 1;\n"
		"  case 6: return getchar(); case 7: return rand(); }\n"
		"  return 0; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; puts(V(\"a\", \"b\")); return same(argc); }\n");
	SCOPED_JSON *report = diff(0, "");
	expect_listed(report, "changed", "main", "instead of");
	expect_not_listed(report, "same");
}

/*
 * One address, two functions that changed alike; whose debug information comes
 * first is not the same in the two builds.
 */
#define FOLDED(parameter)                                                      \
	"#include <stdio.h>\n"                                                 \
	"#define NOINLINE __attribute__((noinline, noclone))\n"                \
	"#define TWO NOINLINE int two(long *p)\\\n"                            \
	"{ puts(\"two\"); return !p + V(1, 2); }\n"                            \
	"struct s { int a; };\n"                                               \
	"V(TWO, )\n"                                                           \
	"NOINLINE int one(" parameter ")\n"                                    \
	"{ puts(\"two\"); return !p + V(1, 2); }\n"                            \
	"V(, TWO)\n"                                                           \
	"int (*volatile first)(void *) = (int (*)(void *))one;\n"              \
	"int (*volatile second)(long *) = two;\n"                              \
	"int main(void)\n"                                                     \
	"{ return printf(\"%d %d\\n\", first(0), second(0)) < 0; }\n"

#define FOLD                                                                   \
	"-O2 -ffunction-sections -fuse-ld=lld -Wl,--build-id "                 \
	"-Wl,--icf=all -Wno-cast-function-type"

static void folded_functions_of_several_signatures(void **state)
{
	(void)state;
	need_program("ld.lld");
	expect_behaves_as_new(FOLD, FOLDED("struct s *p"));
}

static void folded_functions_of_which_one_changed_its_signature(void **state)
{
	(void)state;
	need_program("ld.lld");
	expect_refused(FOLD, FOLDED("V(struct s *, long) p"), "one",
	               "from \"int one(struct s *p)\" to "
	               "\"int one(long int p)\"");
}

static void startup_code_of_static_programs_is_the_same(void **state)
{
	static const char text[] =
		"#include <stdio.h>\n"
		"static const char *const words[] = {\"a\", V(\"b\", "
		"\"bb\")};\n"
		"__attribute__((noinline)) static void changed(int n)\n"
		"{ puts(words[n]); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; changed(argc); return 0; }\n";
	static const char *const flags[] = {
		"-O1 -static-pie -fPIE",
		"-O1 -static-pie -fPIE -fuse-ld=lld",
		"-O1 -static-pie -fPIE -fuse-ld=mold",
	};

	(void)state;
	need_program("ld.lld");
	need_program("mold");
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		build_pair(flags[i], text);
		SCOPED_JSON *report = diff(0, "");
		expect_listed(report, "changed", "changed", "words");
		expect_not_listed(report, "__libc_start_main");
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(gcc_at_each_level),
		SANDBOX_TEST(clang_at_each_level),
		SANDBOX_TEST(each_linker),
		SANDBOX_TEST(link_time_optimisation),
		SANDBOX_TEST(options_that_change_code),
		SANDBOX_TEST(packed_relocations),
		SANDBOX_TEST(programs_for_a_fixed_address),
		SANDBOX_TEST(exceptions_of_programs_for_a_fixed_address),
		SANDBOX_TEST(kept_relocations_of_loads_from_slots),
		SANDBOX_TEST(static_programs),
		SANDBOX_TEST(startup_code_of_static_programs_is_the_same),
		SANDBOX_TEST(symbols_of_sections_that_are_not_loaded),
		SANDBOX_TEST(folded_functions_of_several_signatures),
		SANDBOX_TEST(
			folded_functions_of_which_one_changed_its_signature),
		SANDBOX_TEST(fixed_address_without_relocations_is_refused),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
