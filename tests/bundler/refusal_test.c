/* SPDX-License-Identifier: MIT */
/* What cannot be patched is refused, with every reason, and nothing written. */
#include <stdio.h>
#include <string.h>

#include "sandbox.h"

#define HEAD                                                                   \
	"#include <stdio.h>\n#include <stdlib.h>\n"                            \
	"#define NOINLINE __attribute__((noinline, noclone))\n"

/* A function of assembly, directly behind the one before. */
#define ASM_FUNCTION(name, code)                                               \
	"__asm__(\".pushsection .text.x,\\\"ax\\\",@progbits\\n\"\n"           \
	"  \".globl " name "\\n.type " name ",@function\\n" name               \
	":\\n\"\n" code "  \".size " name ",.-" name "\\n.popsection\\n\");\n"

static void an_entry_without_room(void **state)
{
	(void)state;
	expect_refused(
		"-O2",
		HEAD ASM_FUNCTION("tiny", "\"mov $\" V(\"1\", \"2\") "
	                                  "\",%al\\nret\\n\"\n")
			ASM_FUNCTION(
				"next",
				"\"xor %eax,%eax\\nret\\n\"\n") "int "
								"tiny(void); "
								"int "
								"next(void);\n"
								"int "
								"main(void) { "
								"return tiny() "
								"+ "
								"next(); }\n",
		"tiny", "too short");
}

static void a_branch_back_to_the_entry(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD ASM_FUNCTION(
			       "loop",
			       "\"dec %edi\\njg loop\\n\"\n"
			       "\"lea \" V(\"1\", \"2\") "
			       "\"(%rdi),%eax\\nret\\n\"\n") "int loop(int "
	                                                     "n);\n"
	                                                     "int main(int "
	                                                     "argc, char "
	                                                     "**argv)\n"
	                                                     "{ (void)argv; "
	                                                     "return "
	                                                     "loop(argc); }\n",
	               "loop", "a branch leads back into its first bytes");
}

static void a_branch_past_the_epilogue_to_the_entry(void **state)
{
	(void)state;
	build_pair("-O2",
	           HEAD ASM_FUNCTION(
			   "loop",
			   "\"sub $1,%edi\\njg 1f\\n\"\n"
			   "\"lea \" V(\"1\", \"2\") \"(%rdi),%eax\\n"
			   "ret\\n1: test $1,%dil\\nje 2f\\n"
			   "push %rbx\\nmov %edi,%ebx\\n"
			   "mov %ebx,%edi\\npop %rbx\\n"
			   "2: jmp loop\\n\"\n") "int loop(int n);\nint "
	                                         "main(int argc, char **argv)\n"
	                                         "{ (void)argv; return "
	                                         "loop(argc); }\n");
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "loop", "a branch leads back");
}

static void an_alias_of_which_one_changed(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "NOINLINE int one(int n)\n"
	                    "{ puts(\"one\"); return n + V(1, 2); }\n"
	                    "#ifdef NEW\n"
	                    "NOINLINE int two(int n)\n"
	                    "{ puts(\"one\"); return n + 1; }\n"
	                    "#else\n"
	                    "int two(int n) __attribute__((alias(\"one\")));\n"
	                    "#endif\n"
	                    "int main(int argc, char **argv)\n"
	                    "{ (void)argv; return one(argc) + two(argc); }\n",
	               "one", "shared with another function");
}

static const char folded[] =
	HEAD "NOINLINE int one(int n) { puts(\"same\"); return n * V(7, 9); }\n"
	     "NOINLINE int two(int n) { puts(\"same\"); return n * 7; }\n"
	     "int main(int argc, char **argv)\n"
	     "{ (void)argv; return one(argc) + two(argc); }\n";

static void identical_code_that_gold_folded(void **state)
{
	(void)state;
	need_program("ld.gold");
	expect_refused("-O2 -ffunction-sections -fuse-ld=gold -Wl,--icf=all",
	               folded, "one", "shared with another function");
}

static void identical_code_that_lld_folded(void **state)
{
	(void)state;
	need_program("ld.lld");
	expect_refused("-O2 -ffunction-sections -fuse-ld=lld -Wl,--build-id "
	               "-Wl,--icf=all",
	               folded, "one", "shared with another function");
}

static const char moved_tls[] =
	HEAD "V(, __thread int fresh = 1;)\n"
	     "__thread int mine = 2; __thread long ours[4];\n"
	     "NOINLINE int work(int n)\n"
	     "{ puts(\"work\"); mine += n * V(1, 2); V(, fresh++;)\n"
	     "  return ours[n & 3]++ + mine; }\n"
	     "int main(int argc, char **argv)\n"
	     "{ (void)argv; return work(argc); }\n";

static void thread_local_variables_that_moved(void **state)
{
	(void)state;
	expect_refused("-O2", moved_tls, "work", "fresh is new");
}

static void thread_local_variables_of_a_library_that_moved(void **state)
{
	(void)state;
	expect_refused("-O2 -fPIC -shared", moved_tls, "work", "fresh");
}

static void a_new_constructor(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD
	               "static int ready;\n"
	               "#ifdef NEW\n"
	               "__attribute__((constructor)) static void start(void)\n"
	               "{ puts(\"start\"); ready = 1; }\n"
	               "#endif\n"
	               "NOINLINE int work(int n)\n"
	               "{ puts(\"work\"); return n + V(1, 2) + ready; }\n"
	               "int main(int argc, char **argv)\n"
	               "{ (void)argv; ready |= argc; return work(argc); }\n",
	               "start", "a new constructor");
}

static void a_variable_whose_size_changed(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD
	               "char name[V(16, 32)];\n"
	               "NOINLINE int work(int n)\n"
	               "{ return snprintf(name, sizeof(name), \"%d\", n); }\n"
	               "int main(int argc, char **argv)\n"
	               "{ (void)argv; return work(argc); }\n",
	               "work", "whose size changed from 16 to 32 bytes");
}

static void code_that_cannot_be_decoded(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "NOINLINE int work(int n)\n"
	                    "{ puts(\"work\"); if (n == V(5, 6))\n"
	                    "  __asm__(\".byte 0x0f, 0x04, 0x06, 0x06\");\n"
	                    "  return n; }\n"
	                    "int main(int argc, char **argv)\n"
	                    "{ (void)argv; return work(argc); }\n",
	               "work", "cannot be decoded");
}

static void the_resolver_of_an_ifunc_symbol(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD
	               "static int a(int n) { return n + 1; }\n"
	               "static int b(int n) { return n + 2; }\n"
	               "static void *choose(void) { return V(a, b); }\n"
	               "static void *other(void) { return V(b, a); }\n"
	               "int step(int n) __attribute__((ifunc(\"choose\")));\n"
	               "int back(int n) __attribute__((ifunc(\"other\")));\n"
	               "int main(int argc, char **argv)\n"
	               "{ (void)argv; return step(argc) + back(argc); }\n",
	               "step", "resolver of an IFUNC symbol");
}

/* As clang's counters for coverage, whose names it does not keep. */
static void writing_to_data_without_a_name(void **state)
{
	static const char *const stores[] = {
		"addq $1,", "movups %xmm0,",      "movdqa %xmm0,",
		"fstpl",    "lock cmpxchg %rcx,", "vmovdqu %ymm0,",
		"sete",     "movb $1,",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(stores) / sizeof(*stores); i++) {
		char source[1024];

		snprintf(source, sizeof(source),
		         HEAD "__asm__(\".data\\n.balign 32\\n\"\n"
		              "        \".Lcounts: .zero 32\\n.text\\n\");\n"
		              "NOINLINE int work(int n)\n"
		              "{ puts(V(\"a\", \"b\"));\n"
		              "  if (n > 99)\n"
		              "    __asm__ volatile(\"%s .Lcounts(%%rip)\");\n"
		              "  return n; }\n"
		              "int main(int argc, char **argv)\n"
		              "{ (void)argv; return work(argc); }\n",
		         stores[i]);
		print_message("%s\n", stores[i]);
		expect_refused("-O2", source, "work",
		               "writes to data without a symbol");
	}
}

static void split_stacks(void **state)
{
	(void)state;
	expect_refused("-O2 -fsplit-stack -fuse-ld=gold",
	               "#include <stdio.h>\n"
	               "__attribute__((noinline)) int work(int n)\n"
	               "{ char text[200]; sprintf(text, \"%d\", n * V(2, 3));\n"
	               "  return puts(text); }\n"
	               "int main(int argc, char **argv)\n"
	               "{ (void)argv; return work(argc) < 0; }\n",
	               "work", "-fsplit-stack");
}

/* clang takes an array apart when its elements are used one by one. */
static void a_variable_that_the_compiler_split(void **state)
{
	(void)state;
	expect_refused("clang -O2 -Wno-unknown-attributes",
	               HEAD "static long last[3] = {1, 2, 3};\n"
	                    "NOINLINE long work(int n)\n"
	                    "{ long s = n * V(1, 3);\n"
	                    "  for (int i = 0; i < 3; i++) s += last[i]++;\n"
	                    "  return s; }\n"
	                    "int main(int argc, char **argv)\n"
	                    "{ (void)argv; return work(argc) + last[2]; }\n",
	               "work", "refers to variable last.");
}

static void a_copied_variable_that_is_new(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "NOINLINE int work(int n) { puts(\"work\");\n"
	                    "  V(, fputs(\"new\", stdout);) return n; }\n"
	                    "int main(int argc, char **argv)\n"
	                    "{ (void)argv; return work(argc); }\n",
	               "work", "copy relocation");
}

static void every_reason_is_listed(void **state)
{
	(void)state;
	build_pair("-O2",
	           HEAD "char name[V(16, 32)]; int wide[V(2, 3)];\n"
	                "NOINLINE int work(int n)\n"
	                "{ return snprintf(name, sizeof(name), \"%d\", n); }\n"
	                "NOINLINE int more(int n)\n"
	                "{ return wide[n V(& 1, % 3)]++; }\n"
	                "int main(int argc, char **argv)\n"
	                "{ (void)argv; return work(argc) + more(argc); }\n");
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "work", "variable name");
	expect_refusal(report, "more", "variable wide");
	SCOPED_RUN text =
		run(HFX_BUNDLE_PROGRAM " diff old/prog new/prog -o fix.hfx");
	assert_int_equal(text.status, 1);
	assert_non_null(strstr(text.out, "variable name"));
	assert_non_null(strstr(text.out, "variable wide"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(an_entry_without_room),
		SANDBOX_TEST(a_branch_back_to_the_entry),
		SANDBOX_TEST(a_branch_past_the_epilogue_to_the_entry),
		SANDBOX_TEST(an_alias_of_which_one_changed),
		SANDBOX_TEST(identical_code_that_gold_folded),
		SANDBOX_TEST(identical_code_that_lld_folded),
		SANDBOX_TEST(thread_local_variables_that_moved),
		SANDBOX_TEST(thread_local_variables_of_a_library_that_moved),
		SANDBOX_TEST(a_new_constructor),
		SANDBOX_TEST(a_variable_whose_size_changed),
		SANDBOX_TEST(code_that_cannot_be_decoded),
		SANDBOX_TEST(the_resolver_of_an_ifunc_symbol),
		SANDBOX_TEST(writing_to_data_without_a_name),
		SANDBOX_TEST(split_stacks),
		SANDBOX_TEST(a_variable_that_the_compiler_split),
		SANDBOX_TEST(a_copied_variable_that_is_new),
		SANDBOX_TEST(every_reason_is_listed),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("refusal", tests, NULL, NULL);
}
