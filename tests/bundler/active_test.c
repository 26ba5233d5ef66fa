/* SPDX-License-Identifier: MIT */
/* Which functions are said to be active at any time. */
#include <stdio.h>
#include <string.h>

#include "sandbox.h"

#define HEAD                                                                   \
	"#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n"      \
	"#include <unistd.h>\n"                                                \
	"#define NOINLINE __attribute__((noinline, noclone))\n"                \
	"volatile int sink;\n"

/* A server: main() starts a thread, a loop has no end, a function ends
 * all, after a loop that ends. */
static const char server[] = HEAD
	"NOINLINE void step(int n) { sink += n V(, + 1); puts(\"step\"); }\n"
	"NOINLINE void serve(int n)\n"
	"{ for (;;) { step(n V(, * 3)); n = sink; usleep(1000); } }\n"
	"NOINLINE void *worker(void *arg)\n"
	"{ while (sink < 1000) { step(2 V(, + sink)); }\n"
	"  return arg; }\n"
	"NOINLINE void die(int n)\n"
	"{ for (int i = 0; i < n; i++) sink += i;\n"
	"  printf(\"%d\\n\", n V(, - 1)); exit(n V(, + 7)); }\n"
	"NOINLINE int count(int n)\n"
	"{ int s = 0; for (int i = 0; i < n; i++) s += sink V(, * i);\n"
	"  return s; }\n"
	"int main(int argc, char **argv)\n"
	"{ pthread_t thread; (void)argv;\n"
	"  pthread_create(&thread, NULL, worker, &thread);\n"
	"  if (argc > 5) die(argc);\n"
	"  printf(\"%d\\n\", count(argc) V(, + 2));\n"
	"  serve(argc); return 0; }\n";

/* How many warnings are of functions that are active. */
static size_t count_active(const json_t *report)
{
	size_t i, found = 0;
	json_t *warning;

	json_array_foreach(json_object_get(report, "warnings"), i, warning)
		found +=
		strstr(json_string_value(warning), "--allow-active") != NULL;
	return found;
}

static void expect_active(const char *flags)
{
	build_pair(flags, server);
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "serve (main.c:");
	expect_warning(report, ") has a loop and never returns");
	expect_warning(report, "worker (main.c:");
	expect_warning(report, ") is what threads start with");
	expect_warning(report, "main (main.c:");
	expect_warning(report, ") runs as long as the program does");
	/* Not step(), die() and count(), which changed as well. */
	assert_int_equal(count_active(report), 3);
}

static void functions_that_do_not_end_are_named(void **state)
{
	(void)state;
	expect_active("-O2 -pthread");
	expect_active("-O2 -pthread -fno-plt");
	expect_active("-O0 -pthread");
	expect_active("-O2 -pthread -fcf-protection=full");
	expect_active("-O2 -pthread -no-pie -fno-pie -Wl,--emit-relocs");
}

static void clang_is_understood_too(void **state)
{
	(void)state;
	need_program("clang");
	expect_active("clang -O2 -pthread");
}

static void a_static_program_starts_threads_as_well(void **state)
{
	(void)state;
	expect_active("-O2 -pthread -fPIE -static-pie");
}

static void a_function_named_main_in_a_library_is_none(void **state)
{
	(void)state;
	build_pair("-O2 -shared -fPIC",
	           "#include <stdio.h>\n"
	           "int main(int n) { puts(\"main\"); return n V(, + 1); }\n");
	SCOPED_JSON *report = diff(0, "");
	assert_int_equal(count_active(report), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(functions_that_do_not_end_are_named),
		SANDBOX_TEST(clang_is_understood_too),
		SANDBOX_TEST(a_static_program_starts_threads_as_well),
		SANDBOX_TEST(a_function_named_main_in_a_library_is_none),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
