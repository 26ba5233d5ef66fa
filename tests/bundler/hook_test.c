/* SPDX-License-Identifier: MIT */
/*
 * Hooks (hfx_patch.h) in what else they may stand in than a C program, and
 * hooks that go wrong. patch_test.c has the rest.
 */
#include <stdio.h>
#include <string.h>

#include "sandbox.h"

/** Obeys the commands that it is started with; the library is patched. */
static const char program[] =
	"#include <hfx.h>\n"
	"#include <pthread.h>\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n"
	"#include <sys/prctl.h>\n"
	"#include <unistd.h>\n"
	"int answer(int);\n"
	"static void outside(const char *format)\n"
	"{ char line[4096], all[4600];\n"
	"  snprintf(line, sizeof(line), format, getpid());\n"
	"  snprintf(all, sizeof(all), \"%s 2>&1 >/dev/null\", line);\n"
	"  fflush(stdout);\n"
	"  FILE *pipe = popen(all, \"r\");\n"
	"  while (fgets(line, sizeof(line), pipe)) {\n"
	"    line[strcspn(line, \"\\n\")] = 0; printf(\"[%s] \", line); }\n"
	"  pclose(pipe); }\n"
	"static void told(struct hfx_error *e)\n"
	"{ if (e) printf(\"[%s] \", hfx_error_message(e));\n"
	"  hfx_error_destroy(e); }\n"
	"static void apply(void)\n"
	"{ struct hfx_apply_opts o = {.sz = sizeof(o), .timeout_ms = 60000,\n"
	"    .max_pause_us = 1000000, .helper_path = TRACER};\n"
	"  told(hfx_apply_bundle(\"fix.hfx\", &o, NULL)); }\n"
	"static void revert(void)\n"
	"{ struct hfx_revert_opts o = {.sz = sizeof(o), .timeout_ms = 60000,\n"
	"    .max_pause_us = 1000000, .helper_path = TRACER};\n"
	"  told(hfx_revert_all(&o)); }\n"
	"static void *call(void *arg)\n"
	"{ (void)arg; for (;;) { free(malloc((size_t)answer(50)));\n"
	"    usleep(1); } }\n"
	"int main(int argc, char **argv)\n"
	"{ pthread_t thread; (void)argc;\n"
	"  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);\n"
	"  while (*++argv) switch (**argv) {\n"
	"    case 's': printf(\"%d \", answer(1)); break;\n"
	"    case 't': for (int i = 0; i < 4; i++)\n"
	"        pthread_create(&thread, NULL, call, NULL); break;\n"
	"    case 'a': apply(); break;\n"
	"    case 'r': revert(); break;\n"
	"    case 'A': outside(HFX \" apply --timeout 60000 %d fix.hfx\");\n"
	"              break;\n"
	"    case 'R': outside(HFX \" revert --timeout 60000 %d fix\");\n"
	"              break; }\n"
	"  puts(\"\"); return 0; }\n";

/** Hooks that note themselves, in C and in C++. */
static const char library[] =
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#ifdef __cplusplus\n"
	"#include <string>\n"
	"extern \"C\"\n"
	"#endif\n"
	"int answer(int);\n"
	"int number;\n"
	"int answer(int n)\n"
	"{ __asm__ volatile(\"\" : : \"r\"(&number));\n"
	"#ifdef __cplusplus\n"
	"  try { if (n < 0) throw std::string(\"negative\"); }\n"
	"  catch (const std::string &text) { puts(text.c_str()); }\n"
	"#endif\n"
	"  if (n < 0) abort();\n"
	"  return V(n + 1, n + 100 + number); }\n"
	"#ifdef NEW\n"
	"#include <hfx_patch.h>\n"
	"static void note(const char *what)\n"
	"{\n"
	"#ifdef __cplusplus\n"
	"  try { throw std::string(what) + \"++\"; }\n"
	"  catch (const std::string &text)\n"
	"  { printf(\"<%s> \", text.c_str()); }\n"
	"#else\n"
	"  printf(\"<%s> \", what);\n"
	"#endif\n"
	"  fflush(stdout); }\n"
	"HFX_PRE_APPLY() { note(\"pre-apply\"); return NULL; }\n"
	"HFX_POST_APPLY() { note(\"post-apply\"); number = 7; }\n"
	"HFX_PRE_REVERT() { note(\"pre-revert\"); }\n"
	"HFX_POST_REVERT() { note(\"post-revert\"); number = 0; }\n"
	"#endif\n";

/** Build `prog`, old/libwork.so, new/libwork.so and the bundle. */
static void build_library(const char *compiler, const char *flags)
{
	write_file("prog.c", program);
	write_source("work.c", library);
	for (int is_new = 0; is_new < 2; is_new++)
		expect_status(0,
		              "cd %s && %s -g -O2 -fPIC -shared -I%s work.c "
		              "-o libwork.so %s",
		              is_new ? "new" : "old", compiler, HFX_INCLUDE_DIR,
		              flags);
	expect_status(0,
	              "gcc -g -O2 -I%s -I%s '-DHFX=\"%s\"' "
	              "'-DTRACER=\"%s-tracer\"' prog.c -o prog "
	              "old/libwork.so %s -Wl,-rpath,%s",
	              HFX_INCLUDE_DIR, HFX_ERROR_INCLUDE_DIR, HFX_PROGRAM,
	              HFX_PROGRAM, HFX_LIBRARY, HFX_LIBRARY_DIR);
	expect_status(0, HFX_BUNDLE_PROGRAM
	              " diff old/libwork.so new/libwork.so -o fix.hfx");
}

static void expect_output(const char *commands, const char *wanted)
{
	SCOPED_RUN live = run("exec ./prog %s", commands);

	assert_string_equal(live.err, "");
	assert_string_equal(live.out, wanted);
	assert_int_equal(live.status, 0);
}

static void hooks_of_a_shared_library(void **state)
{
	(void)state;
	build_library("gcc", "");
	expect_output("s a s r s", "2 <pre-apply> <post-apply> 108 "
	                           "<pre-revert> <post-revert> 2 \n");
	expect_output("s A s R s", "2 <pre-apply> <post-apply> 108 "
	                           "<pre-revert> <post-revert> 2 \n");
}

static void hooks_in_cpp_throw_and_catch(void **state)
{
	(void)state;
	need_program("g++");
	build_library("g++ -x c++", "");
	expect_output("s a s r s", "2 <pre-apply++> <post-apply++> 108 "
	                           "<pre-revert++> <post-revert++> 2 \n");
	expect_output("s A s R s", "2 <pre-apply++> <post-apply++> 108 "
	                           "<pre-revert++> <post-revert++> 2 \n");
}

static void hooks_in_a_process_with_threads(void **state)
{
	(void)state;
	build_library("gcc", "");
	expect_output("t s a s r s", "2 <pre-apply> <post-apply> 108 "
	                             "<pre-revert> <post-revert> 2 \n");
	expect_output("t s A s R a s", "2 <pre-apply> <post-apply> 108 "
	                               "<pre-revert> <post-revert> "
	                               "<pre-apply> <post-apply> 108 \n");
}

static void hooks_of_a_preloaded_bundle(void **state)
{
	(void)state;
	build_library("gcc", "");
	SCOPED_RUN live = run("LD_PRELOAD=%s HFX_BUNDLES=fix.hfx exec ./prog s",
	                      HFX_LIBRARY);
	assert_string_equal(live.err, "");
	assert_string_equal(live.out, "<pre-apply> <post-apply> 108 \n");
}

/* ---- Hooks that go wrong ------------------------------------------------- */

/** Answers each line with the version; `number` and `gate` are for hooks. */
static const char server[] =
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <unistd.h>\n"
	"#ifdef NEW\n"
	"#include <hfx_patch.h>\n"
	"#endif\n"
	"int number = 5;\n"
	"__attribute__((noipa)) int answer(void)\n"
	"{ __asm__ volatile(\".nops 8\"); return CHANGED; }\n"
	"#include \"hooks.h\"\n"
	"int main(void)\n"
	"{ char line[64];\n"
	"  before();\n"
	"  while (fgets(line, sizeof(line), stdin)) {\n"
	"    printf(\"v%d n%d\\n\", answer(), number); fflush(stdout); }\n"
	"  return 0; }\n";

/** @param[in] hooks hooks.h; it defines before(), called in both builds. */
static void build_server(const char *changed, const char *hooks)
{
	write_file("prog.c", server);
	write_file("hooks.h", hooks);
	expect_status(0, "mkdir old new; "
	                 "gcc -g -O2 '-DCHANGED=0' prog.c -o old/prog");
	expect_status(0,
	              "gcc -g -O2 -DNEW '-DCHANGED=%s' -I%s prog.c "
	              "-o new/prog",
	              changed, HFX_INCLUDE_DIR);
	expect_status(0,
	              HFX_BUNDLE_PROGRAM " diff old/prog new/prog -o fix.hfx");
}

/**
 * Run shell commands beside a server: $pid, and `ask` gives its answer.
 * $hfx stands for the program.
 */
static struct run beside_server(const char *commands)
{
	return run("hfx=%s; mkfifo in out; old/prog <in >out & pid=$!\n"
	           "exec 8>in 9<out; rm in out\n"
	           "ask() { echo >&8; read -r line <&9; echo \"$line\"; }\n"
	           "ask; %s\n"
	           "kill -9 $pid 2>/dev/null; true",
	           HFX_PROGRAM, commands);
}

static void a_bundle_of_hooks_alone_is_applied(void **state)
{
	(void)state;
	build_server("0", "#ifdef NEW\n"
	                  "HFX_PRE_APPLY()\n"
	                  "{ return number == 6 ? \"already\" : NULL; }\n"
	                  "HFX_POST_APPLY() { number = 6; }\n"
	                  "HFX_POST_REVERT() { number = 5; }\n"
	                  "#endif\n"
	                  "static void before(void) {}\n");
	SCOPED_RUN live = beside_server("$hfx apply $pid fix.hfx >&2; ask; "
	                                "$hfx list $pid >list; "
	                                "$hfx revert $pid fix >&2; ask");
	assert_string_equal(live.out, "v0 n5\nv0 n6\nv0 n5\n");
	assert_non_null(strstr(live.err, "applied fix (0 functions) to"));
	expect_status(0, "grep -q '^fix .*applied .* 0 *0  prog$' list");
}

static void a_hook_that_crashes_ends_the_process_and_is_named(void **state)
{
	(void)state;
	build_server("1", "#ifdef NEW\n"
	                  "HFX_PRE_APPLY()\n"
	                  "{ *(volatile int *)16 = 1; return NULL; }\n"
	                  "#endif\n"
	                  "static void before(void) {}\n");
	SCOPED_RUN live = beside_server("$hfx apply $pid fix.hfx; echo $?");
	assert_string_equal(live.out, "v0 n5\n1\n");
	/* Perhaps before the thread that started it is back. */
	assert_non_null(strstr(live.err, "call the pre_apply hook of fix: "));
	assert_true(strstr(live.err, " has ended") ||
	            strstr(live.err, " ended during a call"));
}

static void a_hook_that_does_not_return_is_given_up(void **state)
{
	(void)state;
	build_server("1", "#ifdef NEW\n"
	                  "HFX_PRE_APPLY()\n"
	                  "{ while (number == 5) usleep(1000);\n"
	                  "  number = 5; return NULL; }\n"
	                  "HFX_POST_REVERT() { number += 100; }\n"
	                  "#endif\n"
	                  "static void before(void) {}\n");
	SCOPED_RUN live =
		beside_server("$hfx apply $pid fix.hfx; echo $?; ask; "
	                      "$hfx apply $pid fix.hfx; echo $?; ask");
	assert_string_equal(live.out, "v0 n5\n1\nv0 n5\n1\nv0 n5\n");
	assert_non_null(strstr(live.err,
	                       "call the pre_apply hook of fix: it has not "
	                       "returned within 30 seconds, and runs on"));
	assert_non_null(strstr(live.err, "a hook of fix that was called "
	                                 "earlier has not returned yet"));
}

/** A killed hfx leaves a hook that runs; the next one waits for it. */
static void a_hook_whose_hfx_was_killed_is_waited_for(void **state)
{
	(void)state;
	build_server("1", "#ifdef NEW\n"
	                  "static void note(const char *what)\n"
	                  "{ FILE *f = fopen(\"notes\", \"a\");\n"
	                  "  fprintf(f, \"%s \", what); fclose(f); }\n"
	                  "HFX_PRE_APPLY()\n"
	                  "{ note(\"pre-apply\"); usleep(1500000);\n"
	                  "  note(\"returns\"); return NULL; }\n"
	                  "HFX_POST_APPLY() { note(\"post-apply\"); }\n"
	                  "HFX_POST_REVERT() { note(\"post-revert\"); }\n"
	                  "#endif\n"
	                  "static void before(void) {}\n");
	SCOPED_RUN live = beside_server(
		"$hfx apply $pid fix.hfx & apply=$!\n"
		"while ! [ -s notes ]; do sleep 0.01; done\n"
		"kill -9 $apply; wait $apply; ask; cat notes; echo\n"
		"$hfx apply $pid fix.hfx >&2; ask; cat notes");
	assert_string_equal(live.out,
	                    "v0 n5\nv0 n5\npre-apply \nv1 n5\n"
	                    "pre-apply returns post-revert pre-apply returns "
	                    "post-apply ");
}

/** What starts the hook's thread allocates, and that lock is held. */
static void a_hook_that_cannot_be_started_leaves_all_as_it_was(void **state)
{
	(void)state;
	build_server(
		"1",
		"#include <pthread.h>\n"
		"void *__libc_calloc(size_t, size_t);\n"
		"static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;\n"
		"void *calloc(size_t n, size_t size)\n"
		"{ pthread_mutex_lock(&lock);\n"
		"  void *memory = __libc_calloc(n, size);\n"
		"  pthread_mutex_unlock(&lock); return memory; }\n"
		"static void before(void)\n"
		"{ char line[64]; calloc(1, 1); pthread_mutex_lock(&lock);\n"
		"  for (int i = 0; i < 2; i++) { read(0, line, 1);\n"
		"    puts(\"locked\"); fflush(stdout); }\n"
		"  pthread_mutex_unlock(&lock); }\n"
		"#ifdef NEW\n"
		"HFX_PRE_APPLY() { number = 6; return NULL; }\n"
		"HFX_POST_REVERT() { number = 7; }\n"
		"#endif\n");
	SCOPED_RUN live =
		beside_server("$hfx apply $pid fix.hfx; echo $?; ask; "
	                      "ask; $hfx apply $pid fix.hfx >&2; ask");
	assert_string_equal(live.out, "locked\n1\nlocked\nv0 n5\nv1 n6\n");
	assert_non_null(strstr(live.err, "call the pre_apply hook of fix: "));
	assert_non_null(strstr(live.err, " did not return from a call in "
	                                 "time, and was put back"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(hooks_of_a_shared_library),
		SANDBOX_TEST(hooks_in_cpp_throw_and_catch),
		SANDBOX_TEST(hooks_in_a_process_with_threads),
		SANDBOX_TEST(hooks_of_a_preloaded_bundle),
		SANDBOX_TEST(a_bundle_of_hooks_alone_is_applied),
		SANDBOX_TEST(a_hook_that_crashes_ends_the_process_and_is_named),
		SANDBOX_TEST(a_hook_that_does_not_return_is_given_up),
		SANDBOX_TEST(a_hook_whose_hfx_was_killed_is_waited_for),
		SANDBOX_TEST(
			a_hook_that_cannot_be_started_leaves_all_as_it_was),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
