/* SPDX-License-Identifier: MIT */
/*
 * What hfx_patch.h gives to patches: shadow variables and hooks. A program
 * (VERSION 0) and fixed versions of it; it obeys the commands that it is
 * started with.
 */
#include <stdio.h>
#include <string.h>

#include "sandbox.h"

static const char program[] =
	"#include <hfx.h>\n"
	"#if VERSION\n"
	"#include <hfx_patch.h>\n"
	"#endif\n"
	"#include <pthread.h>\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n"
	"#include <sys/prctl.h>\n"
	"#include <unistd.h>\n"
	"#define NOINLINE __attribute__((noinline, noclone))\n"
	"#define ID UINT64_C(77)\n"
	"char thing[2];\n"
	"int number;\n"
	"#include \"fix.h\"\n"
	"static void *allocate_for_ever(void *arg)\n"
	"{ for (;; free(malloc(50 + (size_t)arg)))\n"
	"    if (arg) usleep(1); }\n"
	"static void allocate(void)\n"
	"{ pthread_t thread; for (size_t i = 0; i < 4; i++)\n"
	"    pthread_create(&thread, 0, allocate_for_ever, (void *)(i % 2)); "
	"}\n"
	"static void wait_for_ever(void)\n"
	"{ static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;\n"
	"  static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;\n"
	"  puts(\"ready\"); fflush(stdout); pthread_mutex_lock(&mutex);\n"
	"  for (;;) pthread_cond_wait(&cond, &mutex); }\n"
	"static void answer(struct hfx_error *e)\n"
	"{ if (e) printf(\"[%s] \", hfx_error_message(e));\n"
	"  hfx_error_destroy(e); }\n"
	"static void apply(const char *version, unsigned flags, int ms)\n"
	"{ struct hfx_apply_opts o = {.sz = sizeof(o), .flags = flags,\n"
	"    .timeout_ms = ms, .max_pause_us = 1000000};\n"
	"  char path[64]; snprintf(path, 64, \"v%s.hfx\", version);\n"
	"  answer(hfx_apply_bundle(path, &o, NULL)); }\n"
	/* A long body, so that it holds a jump. */
	"NOINLINE static void serve(int i)\n"
	"{ if (i < 0) { apply(\"1\", 0, 200);\n"
	"    __asm__ volatile(\"\" : : : \"memory\"); return; }\n"
	"  printf(\"v%d:%d \", VERSION, VERSION ? count(i) : -1); }\n"
	"static void revert(void)\n"
	"{ struct hfx_revert_opts o = {.sz = sizeof(o),\n"
	"    .timeout_ms = 60000, .max_pause_us = 1000000};\n"
	"  struct hfx_patch_list *list; size_t n;\n"
	"  answer(hfx_patch_list_create(&list));\n"
	"  n = hfx_patch_list_count(list);\n"
	"  answer(hfx_revert(&hfx_patch_list_get(list, n - 1)->id, &o));\n"
	"  hfx_patch_list_destroy(list); }\n"
	"static void outside(const char *format, const char *version)\n"
	"{ char line[4096], all[4600];\n"
	"  snprintf(line, sizeof(line), format, getpid(), version);\n"
	"  snprintf(all, sizeof(all), \"%s 2>&1 >/dev/null\", line);\n"
	"  fflush(stdout);\n"
	"  FILE *pipe = popen(all, \"r\");\n"
	"  while (fgets(line, sizeof(line), pipe)) {\n"
	"    line[strcspn(line, \"\\n\")] = 0; printf(\"[%s] \", line); }\n"
	"  pclose(pipe); }\n"
	"int main(int argc, char **argv)\n"
	"{ (void)argc; __asm__ volatile(\"\" : : \"r\"(thing), "
	"\"r\"(&number));\n"
	"  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);\n"
	"  while (*++argv) switch (**argv) {\n"
	"    case 's': serve(atoi(*argv + 1)); break;\n"
	"    case 'a': apply(*argv + 1, 0, 60000); break;\n"
	"    case 'd': apply(*argv + 1, HFX_APPLY_DRY_RUN, 60000); break;\n"
	"    case 'x': apply(*argv + 1, HFX_APPLY_REPLACE_ALL,\n"
	"                    60000); break;\n"
	"    case 'r': revert(); break;\n"
	"    case 'f': serve(-1); break;\n"
	"    case 'm': allocate(); break;\n"
	"    case 'w': wait_for_ever(); break;\n"
	"    case 'c': for (puts(\"ready\"), fflush(stdout);;) number++;\n"
	"    case '+': number = atoi(*argv + 1); break;\n"
	"    case 'A': outside(HFX \" apply --timeout 60000 %d v%s.hfx\",\n"
	"                      *argv + 1); break;\n"
	"    case 'X': outside(HFX \" apply --replaces all --timeout 60000\"\n"
	"                      \" %d v%s.hfx\", *argv + 1); break;\n"
	"    case 'R': outside(HFX \" revert --timeout 60000 %d v%s\",\n"
	"                      *argv + 1); break;\n"
	"    case 'n': printf(\"n=%d \", number); break; }\n"
	"  puts(\"\"); return 0; }\n";

/** Build v0, what runs, and two bundles for it, v1.hfx and v2.hfx. */
static void build_versions(const char *flags, const char *fix)
{
	write_file("prog.c", program);
	write_file("fix.h", fix);
	for (int version = 0; version <= 2; version++)
		expect_status(
			0,
			"mkdir v%d && gcc -g -O2 %s -I%s -I%s -DVERSION=%d "
			"'-DHFX=\"%s\"' prog.c -o v%d/prog %s -Wl,-rpath,%s",
			version, flags, HFX_INCLUDE_DIR, HFX_ERROR_INCLUDE_DIR,
			version, HFX_PROGRAM, version, HFX_LIBRARY,
			HFX_LIBRARY_DIR);
	for (int version = 1; version <= 2; version++)
		expect_status(0,
		              HFX_BUNDLE_PROGRAM
		              " diff v0/prog v%d/prog -o v%d.hfx",
		              version, version);
}

/** Start v0 with @p commands. */
static void expect_output(const char *commands, const char *wanted)
{
	SCOPED_RUN live = run("exec v0/prog %s", commands);

	assert_string_equal(live.err, "");
	assert_string_equal(live.out, wanted);
	assert_int_equal(live.status, 0);
}

/* ---- Shadow variables ---------------------------------------------------- */

static const char counting[] =
	"#if VERSION\n"
	"NOINLINE static int count(int i)\n"
	"{ int *n = (int *)hfx_shadow_get_or_attach(&thing[i], ID,\n"
	"                                           sizeof(int), NULL);\n"
	"  return *n += VERSION == 1 ? 1 : 100; }\n"
	"#else\n"
	"#define count(i) 0\n"
	"#endif\n";

static void patches_share_what_they_attach(void **state)
{
	(void)state;
	build_versions("", counting);
	/* Over the first one, back to it, in its place, and again. */
	expect_output("s0 a1 s0 s1 a2 s0 r s0 x2 s0 r s0 s1 a1 s0 s1",
	              "v0:-1 v1:1 v1:1 v2:101 v1:102 v2:202 v0:-1 v0:-1 "
	              "v1:203 v1:2 \n");
}

static void patches_from_outside_share_what_they_attach(void **state)
{
	(void)state;
	build_versions("", counting);
	expect_output("s0 A1 s0 A2 s0 R2 s0 X2 s0 R2 s0 A1 s0",
	              "v0:-1 v1:1 v2:101 v1:102 v2:202 v0:-1 v1:203 \n");
	expect_output("A1 s0 a2 s0 r s0", "v1:1 v2:101 v1:102 \n");
}

static void shadow_variables_at_every_optimization(void **state)
{
	static const char *const flags[] = {"-O0", "-flto", "-fno-plt",
	                                    "-Wl,--gc-sections "
	                                    "-ffunction-sections"};

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		expect_status(0, "rm -rf v0 v1 v2");
		build_versions(flags[i], counting);
		expect_output("s0 a1 s0 a2 s0 r s0 x2 s0",
		              "v0:-1 v1:1 v2:101 v1:102 v2:202 \n");
	}
}

/** A program that was built from the fixed source needs no hfx for them. */
static void a_program_has_shadow_variables_of_its_own(void **state)
{
	(void)state;
	build_versions("", counting);
	SCOPED_RUN live = run("exec v1/prog s0 s0 s1");
	assert_string_equal(live.out, "v1:1 v1:2 v1:1 \n");
}

/** OLD has the table already: nothing is told of another one. */
static void a_patch_uses_the_table_of_the_program(void **state)
{
	(void)state;
	build_versions("", counting);
	expect_status(0, HFX_BUNDLE_PROGRAM " diff v1/prog v2/prog -o v2.hfx");
	SCOPED_RUN live = run("exec v1/prog s0 a2 s0 r s0");
	assert_string_equal(live.out, "v1:1 v2:101 v1:102 \n");
}

static void the_manifest_says_where_the_table_is(void **state)
{
	(void)state;
	build_versions("", counting);
	SCOPED_RUN shown = run(HFX_BUNDLE_PROGRAM " show v1.hfx --json");
	assert_non_null(strstr(shown.out, "\"shadow_table\""));
	expect_status(0,
	              "printf 'int main(void) { return V; }' >plain.c; "
	              "gcc -DV=1 -g plain.c -o v0/plain && "
	              "gcc -DV=2 -g plain.c -o v1/plain && " HFX_BUNDLE_PROGRAM
	              " diff v0/plain v1/plain -o plain.hfx");
	SCOPED_RUN plain = run(HFX_BUNDLE_PROGRAM " show plain.hfx --json");
	assert_null(strstr(plain.out, "\"shadow_table\""));
}

/* ---- Hooks --------------------------------------------------------------- */

/** Each hook notes itself; `number` is set from outside. */
static const char hooked[] =
	"#include <pthread.h>\n"
	"NOINLINE static int count(int i) { return i + number; }\n"
	"#if VERSION\n"
	"static void note(const char *what)\n"
	"{ void *memory = malloc(100000); /* Which takes a lock. */\n"
	"  printf(\"<%s%d> \", what, VERSION); free(memory);\n"
	"  fflush(stdout); }\n"
	"HFX_PRE_APPLY()\n"
	"{ note(\"pre-apply\");\n"
	"  return number == 13 ? \"thirteen is\\nno number\" : NULL; }\n"
	"HFX_POST_APPLY() { note(\"post-apply\"); number += VERSION; }\n"
	"HFX_PRE_REVERT() { note(\"pre-revert\"); }\n"
	"HFX_POST_REVERT() { note(\"post-revert\"); number -= VERSION; }\n"
	"#endif\n";

static void hooks_are_called_around_apply_and_revert(void **state)
{
	(void)state;
	build_versions("", hooked);
	expect_output("s5 a1 s5 r s5 n",
	              "v0:-1 <pre-apply1> <post-apply1> v1:6 <pre-revert1> "
	              "<post-revert1> v0:-1 n=0 \n");
	/* Again, from the memory of its earlier life. */
	expect_output("a1 r a1 s5",
	              "<pre-apply1> <post-apply1> <pre-revert1> "
	              "<post-revert1> <pre-apply1> <post-apply1> v1:6 \n");
	expect_output("a1 a2 s5 r s5",
	              "<pre-apply1> <post-apply1> <pre-apply2> <post-apply2> "
	              "v2:8 <pre-revert2> <post-revert2> v1:6 \n");
}

static void hooks_are_called_from_outside(void **state)
{
	(void)state;
	build_versions("", hooked);
	expect_output("s5 A1 s5 R1 s5 n",
	              "v0:-1 <pre-apply1> <post-apply1> v1:6 <pre-revert1> "
	              "<post-revert1> v0:-1 n=0 \n");
	/* What one has applied the other one reverts. */
	expect_output("A1 r a1 R1 A1 s5",
	              "<pre-apply1> <post-apply1> <pre-revert1> "
	              "<post-revert1> <pre-apply1> <post-apply1> "
	              "<pre-revert1> <post-revert1> <pre-apply1> "
	              "<post-apply1> v1:6 \n");
}

static void a_veto_leaves_all_as_it_was(void **state)
{
	(void)state;
	build_versions("", hooked);
	expect_output("+13 a1 s5 +0 a1 s5",
	              "<pre-apply1> [v1.hfx: v1 does not want to be applied "
	              "now: thirteen is no number] v0:-1 <pre-apply1> "
	              "<post-apply1> v1:6 \n");
	expect_output("+13 A1 s5 +0 A1 s5 +13 A2 +1 s5",
	              "<pre-apply1> [hfx: v1 does not want to be applied now: "
	              "thirteen is no number] v0:-1 <pre-apply1> "
	              "<post-apply1> v1:6 <pre-apply2> [hfx: v2 does not want "
	              "to be applied now: thirteen is no number] v1:6 \n");
}

static void a_dry_run_calls_no_hook(void **state)
{
	(void)state;
	build_versions("", hooked);
	expect_output("d1 s5", "v0:-1 \n");
}

/** What is taken over must not be taken away. */
static void a_patch_that_is_replaced_is_not_told(void **state)
{
	(void)state;
	build_versions("", hooked);
	expect_output("a1 x2 s5 r",
	              "<pre-apply1> <post-apply1> <pre-apply2> <post-apply2> "
	              "v2:8 <pre-revert2> <post-revert2> \n");
	expect_output("A1 X2 s5",
	              "<pre-apply1> <post-apply1> <pre-apply2> <post-apply2> "
	              "v2:8 \n");
}

/** The thread that is borrowed holds no lock that the hook needs. */
static void hooks_from_outside_allocate_like_any_thread(void **state)
{
	(void)state;
	build_versions("", hooked);
	SCOPED_RUN live = run("exec v0/prog m A1 R1 A1 R1 A1 R1 A1 R1 A1 n");
	assert_null(strchr(live.out, '['));
	assert_non_null(strstr(live.out, "n=1 "));
	assert_int_equal(live.status, 0);
}

/** Apply v1 from outside to a program that does @p command for ever. */
static struct run apply_to(const char *command)
{
	return run("v0/prog %s >out & pid=$!; "
	           "while ! [ -s out ]; do sleep 0.05; done; " HFX_PROGRAM
	           " apply --timeout 60000 $pid v1.hfx 2>&1; "
	           "status=$?; kill -0 $pid && cat out; kill -9 $pid; "
	           "exit $status",
	           command);
}

static void a_program_that_waits_for_a_condition_runs_hooks(void **state)
{
	(void)state;
	build_versions("", hooked);
	SCOPED_RUN applied = apply_to("w");
	assert_int_equal(applied.status, 0);
	assert_non_null(strstr(applied.out, "<pre-apply1> <post-apply1>"));
}

static void a_program_that_never_waits_is_left_alone(void **state)
{
	(void)state;
	build_versions("", hooked);
	SCOPED_RUN applied = apply_to("c");
	assert_int_equal(applied.status, 1);
	assert_non_null(strstr(applied.out, "call the pre_apply hook of v1: "
	                                    "no thread of process"));
	assert_non_null(strstr(applied.out, "ready\n"));
	assert_null(strstr(applied.out, "<pre-apply1>"));
}

/** serve() is on the stack, so there is no safe point. */
static void what_a_hook_began_is_ended_when_the_change_fails(void **state)
{
	(void)state;
	build_versions("", hooked);
	SCOPED_RUN apply = run("exec v0/prog f1 s5");
	assert_non_null(strstr(apply.out, "<pre-apply1> <post-revert1> ["));
	assert_null(strstr(apply.out, "<post-apply1>"));
	assert_non_null(strstr(apply.out, "v0:-1 \n"));
}

static void hooks_at_every_optimization(void **state)
{
	static const char *const flags[] = {
		"-O0", "-flto", "-fno-plt",
		"-Wl,--gc-sections -ffunction-sections"};

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		expect_status(0, "rm -rf v0 v1 v2");
		build_versions(flags[i], hooked);
		expect_output("A1 s5 r a2 s5",
		              "<pre-apply1> <post-apply1> v1:6 <pre-revert1> "
		              "<post-revert1> <pre-apply2> <post-apply2> "
		              "v2:7 \n");
	}
}

/** OLD may be a build that was a patch once; its hooks are not called. */
static void hooks_of_a_build_that_has_them_already(void **state)
{
	(void)state;
	build_versions("", hooked);
	expect_status(0, HFX_BUNDLE_PROGRAM " diff v1/prog v2/prog -o v2.hfx");
	SCOPED_RUN live = run("exec v1/prog s5 a2 s5 r s5 A2 s5");
	assert_string_equal(live.out,
	                    "v1:5 <pre-apply2> <post-apply2> v2:7 "
	                    "<pre-revert2> <post-revert2> v1:5 <pre-apply2> "
	                    "<post-apply2> v2:7 \n");
}

static void a_function_named_like_a_hook_is_refused(void **state)
{
	(void)state;
	build_pair("-O2", "#include <stdio.h>\n"
	                  "const char *hfx_pre_apply(void) { return 0; }\n"
	                  "int main(void)\n"
	                  "{ puts(V(\"old\", \"new\")); return 0; }\n");
	SCOPED_RUN made =
		run(HFX_BUNDLE_PROGRAM " diff old/prog new/prog -o fix.hfx");
	assert_int_not_equal(made.status, 0);
	assert_non_null(strstr(made.err, "with the macros of hfx_patch.h"));
}

static void show_names_the_hooks(void **state)
{
	(void)state;
	build_versions("", hooked);
	SCOPED_RUN shown = run(HFX_BUNDLE_PROGRAM " show v1.hfx");
	assert_non_null(strstr(shown.out, "hooks         pre_apply post_apply "
	                                  "pre_revert post_revert\n"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(patches_share_what_they_attach),
		SANDBOX_TEST(patches_from_outside_share_what_they_attach),
		SANDBOX_TEST(shadow_variables_at_every_optimization),
		SANDBOX_TEST(a_program_has_shadow_variables_of_its_own),
		SANDBOX_TEST(a_patch_uses_the_table_of_the_program),
		SANDBOX_TEST(the_manifest_says_where_the_table_is),
		SANDBOX_TEST(hooks_are_called_around_apply_and_revert),
		SANDBOX_TEST(hooks_are_called_from_outside),
		SANDBOX_TEST(a_veto_leaves_all_as_it_was),
		SANDBOX_TEST(a_dry_run_calls_no_hook),
		SANDBOX_TEST(a_patch_that_is_replaced_is_not_told),
		SANDBOX_TEST(what_a_hook_began_is_ended_when_the_change_fails),
		SANDBOX_TEST(hooks_from_outside_allocate_like_any_thread),
		SANDBOX_TEST(a_program_that_waits_for_a_condition_runs_hooks),
		SANDBOX_TEST(a_program_that_never_waits_is_left_alone),
		SANDBOX_TEST(hooks_at_every_optimization),
		SANDBOX_TEST(hooks_of_a_build_that_has_them_already),
		SANDBOX_TEST(a_function_named_like_a_hook_is_refused),
		SANDBOX_TEST(show_names_the_hooks),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("patch", tests, NULL, NULL);
}
