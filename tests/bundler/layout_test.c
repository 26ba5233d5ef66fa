/* SPDX-License-Identifier: MIT */
/*
 * Layouts that only a careful reader finds: types without a name, of other
 * units, on the stacks of calls that are under way, behind slots and tables.
 */
#include <string.h>

#include "sandbox.h"

#define HEAD                                                                   \
	"#include <stdio.h>\n#include <stdlib.h>\n"                            \
	"#define NOINLINE __attribute__((noinline, noclone, noipa))\n"         \
	"#define COMMA ,\n"
#define MAIN                                                                   \
	"int main(int argc, char **argv)\n"                                    \
	"{ (void)argv; return work(argc) & 1; }\n"
#define SWAPPED "V(int a; int b;, int b; int a;)"

static void expect_fine(const char *flags, const char *source)
{
	build_pair(flags, source);
	SCOPED_JSON *report = diff(0, "");
	assert_int_equal(json_array_size(json_object_get(report, "refusals")),
	                 0);
}

/* ---- Structures without a name ------------------------------------------ */

static void a_nameless_structure_in_a_variable_is_compared(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD
	               "static struct { " SWAPPED " } state;\n"
	               "NOINLINE int work(int n)\n"
	               "{ state.a += n; return state.a * 2 + state.b; }\n" MAIN,
	               "state", "member \"b\" at offset 4 -> 0");
	expect_refused("-O2",
	               HEAD
	               "static struct { " SWAPPED " } state[4];\n"
	               "NOINLINE int work(int n)\n"
	               "{ state[n & 3].a += n; return state[1].b; }\n" MAIN,
	               "state", "member \"b\" at offset 4 -> 0");
	expect_refused("clang -O2",
	               HEAD "struct { " SWAPPED " } *state;\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ if (!state) state = calloc(1, 8);\n"
	                    "  state->a += n; return state->b; }\n" MAIN,
	               "state", "member \"b\" at offset 4 -> 0");
}

static void a_pointer_to_a_nameless_structure_is_compared(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "struct s { struct { " SWAPPED " } *p; } s;\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ if (!s.p) s.p = calloc(1, 8); s.p->a += n;\n"
	                    "  return s.p->a * 2 + s.p->b; }\n" MAIN,
	               "struct s", "member \"b\" at offset 4 -> 0");
	expect_refused("-O2",
	               HEAD "typedef struct { " SWAPPED " } *handle;\n"
	                    "NOINLINE int use(void *p)\n"
	                    "{ handle h = p; return h->a * 2 + h->b; }\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ static void *p; if (!p) p = calloc(1, 8);\n"
	                    "  return use(p) + n; }\n" MAIN,
	               "handle", "member \"b\" at offset 4 -> 0");
}

static void
a_structure_of_another_name_and_the_same_content_is_fine(void **state)
{
	(void)state;
	expect_fine("-O2",
	            HEAD "typedef struct { int a, b; } V(foo_t, bar_t);\n"
	                 "V(foo_t, bar_t) all, *one;\n"
	                 "NOINLINE int work(int n)\n"
	                 "{ one = &all; one->a += n;\n"
	                 "  return all.a * V(2, 3) + all.b; }\n" MAIN);
	expect_fine("-O2",
	            HEAD "#define S struct V(foo, bar)\n"
	                 "S { int a, b; S *next; } all, *one;\n"
	                 "NOINLINE int work(int n)\n"
	                 "{ one = &all; one->a += n;\n"
	                 "  return all.a * V(2, 3) + !all.next; }\n" MAIN);
}

static void a_structure_of_another_name_and_content_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD
	               "#define S struct V(foo, bar)\n"
	               "S { " SWAPPED " S *next; } all;\n"
	               "NOINLINE int work(int n)\n"
	               "{ all.a += n; return all.b * 3 + !all.next; }\n" MAIN,
	               "all", "member \"b\" at offset 4 -> 0");
}

static void structures_of_one_name_in_two_blocks_are_told_apart(void **state)
{
	(void)state;
	build_pair("-O2",
	           HEAD "NOINLINE int work(int n)\n{ int r = 0;\n"
	                "  { struct s { int x; }; static struct s v;\n"
	                "    v.x += n; r += v.x; }\n"
	                "  { struct s { " SWAPPED " }; static struct s v;\n"
	                "    v.a += n; r += v.a * 2 + v.b; }\n"
	                "  return r; }\n" MAIN);
	expect_diff(1, "");
}

/* ---- Other units -------------------------------------------------------- */

#define ITEM                                                                   \
	"#include <stdlib.h>\nstruct item { " SWAPPED " };\n"                  \
	"__attribute__((noinline, noipa_)) struct item *make(void)\n"          \
	"{ return calloc(1, 8); }\n"                                           \
	"int get_b(struct item *i) { return i->b; }\n"

static void what_is_inlined_from_another_unit_brings_its_types(void **state)
{
	static const char user[] = "struct item; struct item *make(void);\n"
				   "int get_b(struct item *);\n"
				   "__attribute__((noinline)) int work(int n)\n"
				   "{ static void *p; if (!p) p = make();\n"
				   "  return get_b(p) + n; }\n" MAIN;

	(void)state;
	write_source("item.c", ITEM);
	expect_refused("-O2 -w -Dnoipa_=noipa -flto item.c", user,
	               "struct item", "member \"b\" at offset 4 -> 0");
	expect_refused(
		"clang -O2 -w -Dnoipa_=noinline -flto -fuse-ld=lld item.c",
		user, "struct item", "member \"b\" at offset 4 -> 0");
}

static void a_class_that_clang_describes_elsewhere_is_compared(void **state)
{
	static const char player[] =
		"#line 1 \"player.h\"\n"
		"struct Player { Player(); virtual ~Player();\n"
		"  int V(a, b); int V(b, a); };\n#line 1\n";
	char source[512];

	(void)state;
	snprintf(source, sizeof(source),
	         "%sPlayer::Player() {} Player::~Player() {}\n", player);
	write_source("player.c", source);
	snprintf(source, sizeof(source),
	         "%s__attribute__((noinline)) int work(Player *p)\n"
	         "{ p->a++; return p->a * 2 + p->b; }\n"
	         "int main() { static Player *p; if (!p) p = new Player;\n"
	         "  return work(p) & 1; }\n",
	         player);
	expect_refused("clang -O2 -x c++ player.c -lstdc++", source, "Player",
	               "offset");
}

static void classes_of_one_name_in_two_namespaces_are_told_apart(void **state)
{
	(void)state;
	expect_refused("-O2 -x c++ -lstdc++",
	               "#include <stdlib.h>\n"
	               "namespace A { struct Item { int a, b; }; }\n"
	               "namespace B { struct Item { int b, a; }; }\n"
	               "struct H { V(A, B)::Item *i; } h;\n"
	               "__attribute__((noinline)) int work(int n)\n"
	               "{ if (!h.i) h.i = (V(A, B)::Item *)calloc(1, 8);\n"
	               "  h.i->a += n; return h.i->a * 2 + h.i->b; }\n"
	               "int main(int c, char **) { return work(c) & 1; }\n",
	               "H", "A::Item * -> B::Item *");
}

/* ---- Enumerations ------------------------------------------------------- */

static void a_nameless_enumeration_is_compared(void **state)
{
	static const char *const ways[] = {"-O2", "clang -O2 -gdwarf-4"};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		expect_refused(
			ways[i],
			HEAD
			"enum { IDLE, V(, MORE COMMA) BUSY, DONE, LOST };\n"
			"int state;\n"
			"NOINLINE int work(int n)\n"
			"{ if (n > 1) state = BUSY; if (n > 5) state = LOST;\n"
			"  return state == DONE V(+, -) n + IDLE; }\n" MAIN,
			"enum {IDLE, ...}", "value BUSY 1 -> 2");
	expect_diff(0, "--accept-type 'enum {IDLE*'");
	expect_diff(0, "--accept-type '{IDLE, ...}'");
}

static void the_last_value_is_one_like_others(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "enum state { IDLE, V(, MORE COMMA) DONE } state;\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ if (n > 1) state = DONE;\n"
	                    "  return state == DONE V(+, -) n; }\n" MAIN,
	               "enum state", "value DONE 1 -> 2");
}

static void a_value_that_counts_the_others_is_told(void **state)
{
	(void)state;
	build_pair("-O2", HEAD
	           "enum state { IDLE, DONE, V(, MORE COMMA) __LAST,\n"
	           "  STATE_MAX = __LAST - 1 } state;\n"
	           "NOINLINE int work(int n)\n"
	           "{ if (n > 1) state = DONE;\n"
	           "  return state == DONE V(+, -) STATE_MAX * n; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "value __LAST 2 -> 3, which by its name counts");
}

static void a_value_that_only_parameters_have_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD
	               "enum k { A, V(, X COMMA) B, C, D };\n"
	               "NOINLINE int work(enum k k)\n"
	               "{ switch (k) { case A: return 3; case B: return 7;\n"
	               "  case C: return 1; case D: return 9;\n"
	               "  default: return 0; } }\n" MAIN,
	               "enum k", "value B 1 -> 2");
}

/* ---- Stacks ------------------------------------------------------------- */

/* loop() never returns: its object has the old layout for good. */
static void old_calls_pass_their_objects_to_old_code(void **state)
{
	(void)state;
	build_pair("-O2", HEAD "struct ctx { V(, long pad;) int a; int b; };\n"
	                       "NOINLINE static int step(struct ctx *c)\n"
	                       "{ c->a++; return c->a + c->b; }\n"
	                       "NOINLINE static void loop(int n)\n"
	                       "{ struct ctx c = {.a = n};\n"
	                       "  for (;;) printf(\"%d\\n\", step(&c)); }\n"
	                       "int main(int argc, char **argv)\n"
	                       "{ (void)argv; loop(argc); }\n");
	expect_diff(0, "");
	SCOPED_RUN shown = run(HFX_BUNDLE_PROGRAM " show fix.hfx");
	assert_non_null(strstr(shown.out, "new      int step(struct ctx *c)"));
	assert_non_null(strstr(shown.out, "changed  void loop(int n)"));
}

static void a_structure_that_callers_outside_pass_is_refused(void **state)
{
#define OUTSIDE HEAD "struct item { int a; V(, long b; long c;) };\n"

	(void)state;
	expect_refused("-O2 -fPIC -shared",
	               OUTSIDE "int work(struct item i)\n"
	                       "{ printf(\"%d\\n\", i.a);\n"
	                       "  return i.a V(, + i.c); }\n",
	               "struct item", "is passed it from outside");
	expect_refused("-O2 -fPIC -shared",
	               OUTSIDE "struct item work(int i)\n"
	                       "{ struct item x = {.a = i V(, COMMA .c = i)};\n"
	                       "  printf(\"%d\\n\", i); return x; }\n",
	               "struct item", "is passed it from outside");
}

static void a_callback_that_gets_it_as_void_is_refused(void **state)
{
	(void)state;
	expect_refused(
		"-O2",
		HEAD "struct ctx { V(, long pad;) int a; int b; };\n"
		     "NOINLINE static int cb(void *p)\n"
		     "{ return ((struct ctx *)p)->a++ +\n"
		     "         ((struct ctx *)p)->b; }\n"
		     "NOINLINE int each(int (*f)(void *), void *p)\n"
		     "{ int r = 0; for (int i = 0; i < 3; i++) r += f(p);\n"
		     "  return r; }\n"
		     "NOINLINE int work(int n)\n"
		     "{ struct ctx c = {.a = n}; return each(cb, &c); }\n" MAIN,
		"struct ctx", "cb() may get it by a pointer to void");
}

/* ---- Variables ---------------------------------------------------------- */

static void variables_behind_slots_are_compared(void **state)
{
	(void)state;
	expect_refused("-O2 -fPIC -shared",
	               HEAD "V(int, float) level;\n"
	                    "int work(int n) { level += n; return level; }\n",
	               "level", "from \"int\" to \"float\"");
	expect_refused("-O2 -fPIC -shared",
	               HEAD "int level[V(4, 8)];\n"
	                    "int work(int n)\n"
	                    "{ level[n & V(3, 7)] += n; return level[0]; }\n",
	               "level", "size changed from 16 to 32");
}

static void variables_that_a_new_table_points_to_are_compared(void **state)
{
	(void)state;
	expect_refused(
		"-O2",
		HEAD "V(int, float) low, high;\n"
		     "#ifdef NEW\n"
		     "static float *const both[] = {&low, &high};\n"
		     "NOINLINE float pick(int n) { return *both[n & 1]; }\n"
		     "#else\n"
		     "NOINLINE int pick(int n) { return n & 1 ? high : low; }\n"
		     "#endif\n"
		     "NOINLINE int work(int n) { return pick(n); }\n" MAIN,
		"low", "from \"int\" to \"float\"");
}

static void thread_local_variables_are_compared(void **state)
{
	static const char *const ways[] = {"-O2", "-O2 -gdwarf-4", "clang -O2"};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		print_message("%s\n", ways[i]);
		expect_refused(ways[i],
		               HEAD "__thread V(int, float) level;\n"
		                    "NOINLINE int work(int n)\n"
		                    "{ level += n; return level; }\n" MAIN,
		               "level", "from \"int\" to \"float\"");
		expect_refused(ways[i],
		               HEAD
		               "__thread int level = V(4, 5);\n"
		               "NOINLINE int work(int n)\n"
		               "{ level += n; return level V(+, -) n; }\n" MAIN,
		               "level", "new threads begin with the old one");
	}
	SCOPED_JSON *report = diff(0, "--accept-data level");
	expect_warning(report, "level is accepted");
}

static void an_alignment_that_the_process_has_not_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD
	               "int buf[16] __attribute__((aligned(V(4, 4096))));\n"
	               "NOINLINE int work(int n)\n"
	               "{ for (int i = 0; i < 16; i++) buf[i] += n * V(2, 3);\n"
	               "  return buf[n & 15]; }\n" MAIN,
	               "buf", "aligned to 4096 bytes");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(a_nameless_structure_in_a_variable_is_compared),
		SANDBOX_TEST(a_pointer_to_a_nameless_structure_is_compared),
		SANDBOX_TEST(
			a_structure_of_another_name_and_the_same_content_is_fine),
		SANDBOX_TEST(
			a_structure_of_another_name_and_content_is_refused),
		SANDBOX_TEST(
			structures_of_one_name_in_two_blocks_are_told_apart),
		SANDBOX_TEST(
			what_is_inlined_from_another_unit_brings_its_types),
		SANDBOX_TEST(
			a_class_that_clang_describes_elsewhere_is_compared),
		SANDBOX_TEST(
			classes_of_one_name_in_two_namespaces_are_told_apart),
		SANDBOX_TEST(a_nameless_enumeration_is_compared),
		SANDBOX_TEST(the_last_value_is_one_like_others),
		SANDBOX_TEST(a_value_that_counts_the_others_is_told),
		SANDBOX_TEST(a_value_that_only_parameters_have_is_refused),
		SANDBOX_TEST(old_calls_pass_their_objects_to_old_code),
		SANDBOX_TEST(a_structure_that_callers_outside_pass_is_refused),
		SANDBOX_TEST(a_callback_that_gets_it_as_void_is_refused),
		SANDBOX_TEST(variables_behind_slots_are_compared),
		SANDBOX_TEST(variables_that_a_new_table_points_to_are_compared),
		SANDBOX_TEST(thread_local_variables_are_compared),
		SANDBOX_TEST(an_alignment_that_the_process_has_not_is_refused),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
