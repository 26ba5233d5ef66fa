/* SPDX-License-Identifier: MIT */
/* Types, signatures and data that live: refused, accepted, or no reason. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"
#include "type_source.h"

static void expect_accepted(const char *options, const char *name)
{
	SCOPED_JSON *report = diff(0, options);
	expect_warning(report, name);
	expect_status(0,
	              HFX_BUNDLE_PROGRAM " show fix.hfx | grep -A3 accepted "
	                                 "| grep -F '%s'",
	              name);
}

static void expect_fine(const char *flags, const char *source)
{
	build_pair(flags, source);
	SCOPED_JSON *report = diff(0, "");
	assert_int_equal(json_array_size(json_object_get(report, "refusals")),
	                 0);
}

/* ---- Layout ------------------------------------------------------------- */

static void a_structure_on_the_heap_is_refused(void **state)
{
	(void)state;
	build_pair("-O2", HEAP_ITEM);
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "struct item", "size 8 -> 24");
	expect_refusal(report, "struct item", "member \"b\" added at offset 8");
	expect_refusal(report, "struct item", "used by use, work");
	expect_refusal(report, "struct item", "heap");
	const char *source = json_string_value(json_object_get(
		json_array_get(json_object_get(report, "refusals"), 0),
		"source"));
	assert_string_equal(source, "main.c:5");
}

static void an_accepted_structure_is_in_the_bundle(void **state)
{
	(void)state;
	build_pair("-O2", HEAP_ITEM);
	expect_accepted("--accept-type item", "struct item");
	expect_accepted("--accept-type 'struct item'", "struct item");
	expect_accepted("--accept-type 'it*'", "struct item");
	expect_diff(1, "--accept-type items");
}

static void a_pointer_in_a_structure_without_a_name_is_told(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "struct item { int a; V(, int b;) int c; };\n"
	                    "typedef struct { struct item *item; } holder;\n"
	                    "holder *volatile held;\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ return held ? held->item->c + n : 0; }\n" MAIN,
	               "struct item", "\"item\" of a structure without a name");
}

static void a_structure_in_a_variable_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "struct item { V(int a; int c;, int c; int a;) };\n"
	                    "struct item item = {1, 1};\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ item.c += n; return item.c; }\n" MAIN,
	               "struct item", "variable item");
}

static void a_structure_on_the_own_stack_is_fine(void **state)
{
	(void)state;
	build_pair("-O2", HEAD "struct item { int a; V(, long b;) int c; };\n"
	                       "NOINLINE int use(struct item *i)\n"
	                       "{ return i->c + i->a; }\n"
	                       "NOINLINE int work(int n)\n"
	                       "{ struct item i = {.a = n, .c = n + 1};\n"
	                       "  return use(&i); }\n" MAIN);
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "struct item");
	expect_warning(report, "stack frames of the patch's functions");
}

static void a_structure_that_others_get_is_refused(void **state)
{
	(void)state;
	build_pair("-O2",
	           HEAD "struct item { int a; V(, long b;) int c; };\n"
	                "NOINLINE int first(struct item *i) { return i->a; }\n"
	                "NOINLINE int use(struct item *i)\n"
	                "{ return i->c + first(i); }\n"
	                "NOINLINE int work(int n)\n"
	                "{ struct item i = {.a = n, .c = n + 1};\n"
	                "  return use(&i); }\n" MAIN);
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "struct item", "first()");
}

static void a_structure_that_only_casts_reach_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "struct item { int a; V(, long b;) int c; };\n"
	                    "NOINLINE int use(void *p)\n"
	                    "{ return ((struct item *)p)->c; }\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ static void *p; if (!p) p = calloc(9, 9);\n"
	                    "  return use(p) + n; }\n" MAIN,
	               "struct item", "use() may get it by a pointer to void");
	expect_refused("-O2",
	               HEAD "struct item { int a; V(, long b;) int c; };\n"
	                    "NOINLINE int use(unsigned long p)\n"
	                    "{ return ((struct item *)p)->c; }\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ static unsigned long p;\n"
	                    "  if (!p) p = (unsigned long)calloc(9, 9);\n"
	                    "  return use(p) + n; }\n" MAIN,
	               "struct item", "casts");
}

static void a_type_of_another_unit_is_no_reason(void **state)
{
	(void)state;
	write_source("other.c", "struct item { int a; V(, long b;) int c; };\n"
	                        "int other(struct item *i)\n"
	                        "{ return i->a; }\n");
	expect_fine("-O2 other.c",
	            HEAD "int other(void *);\n"
	                 "NOINLINE int work(int n)\n"
	                 "{ return n V(+, *) 2 + other(&n); }\n" MAIN);
}

static void a_member_of_another_type_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "struct item { int a; V(long, double) c; } item;\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ item.c += n; return item.c; }\n" MAIN,
	               "struct item", "type long int -> double");
}

static void the_same_under_another_name_is_fine(void **state)
{
	(void)state;
	expect_fine("-O2", HEAD "typedef V(int, signed int) number;\n"
	                        "struct item { V(number a; char *name;,\n"
	                        "  unsigned a; const char *name;) } item;\n"
	                        "NOINLINE int work(V(char *, const char *) s)\n"
	                        "{ item.a++; return !s + item.a V(+, -) 2; }\n"
	                        "int main(int argc, char **argv)\n"
	                        "{ (void)argc; return work(argv[0]) & 1; }\n");
}

static void a_bit_field_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD
	               "struct item { unsigned a : V(3, 4), b : 5; };\n"
	               "struct item item;\n"
	               "NOINLINE int work(int n)\n"
	               "{ item.b += n; item.a ^= 1; return item.b; }\n" MAIN,
	               "struct item", "width in bits 3 -> 4");
}

static void a_union_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "union item { int a; V(, long b[2];) } *item;\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ if (!item) item = calloc(1, sizeof(*item));\n"
	                    "  return item->a += n; }\n" MAIN,
	               "union item", "size 4 -> 16");
}

/* ---- Enumerations ------------------------------------------------------- */

#define ENUM(values)                                                           \
	HEAD "#define COMMA ,\nenum state { " values                           \
	     " };\nenum state state;\n"                                        \
	     "NOINLINE int work(int n)\n"                                      \
	     "{ if (n > 1) state = BUSY; return state == DONE V(+, -) n; }\n"  \
	     "int main(int argc, char **argv)\n"                               \
	     "{ (void)argv; return work(argc) & 1; }\n"

static void a_changed_value_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2", ENUM("IDLE, V(BUSY = 1, BUSY = 2), DONE = 5"),
	               "enum state", "value BUSY 1 -> 2");
	expect_accepted("--accept-type state", "enum state");
}

static void a_removed_value_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2", ENUM("IDLE, BUSY, DONE, V(LOST = 3, )"),
	               "enum state", "value LOST (3) removed");
}

static void an_added_value_is_fine(void **state)
{
	(void)state;
	expect_fine("-O2", ENUM("IDLE, BUSY, DONE V(, COMMA LOST)"));
	expect_fine("-O2",
	            ENUM("IDLE, BUSY, DONE, V(, LOST COMMA) NUM_STATES"));
}

/* ---- Signatures --------------------------------------------------------- */

#define CALLED                                                                 \
	HEAD "#ifdef NEW\nNOINLINE int called(int n, int m)\n"                 \
	     "{ return n + m; }\n#define CALL(n) called(n, 5)\n"               \
	     "#else\nNOINLINE int called(int n) { return n; }\n"               \
	     "#define CALL(n) called(n)\n#endif\n"

static void a_signature_whose_callers_are_in_the_patch_is_fine(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2", CALLED
	                      "NOINLINE int work(int n)\n"
	                      "{ return printf(\"%d\\n\", CALL(n)); }\n" MAIN);
}

static void a_caller_that_is_left_out_is_named(void **state)
{
	(void)state;
	build_pair("-O2", CALLED "NOINLINE int work(int n)\n"
	                         "{ return CALL(n); }\n" MAIN);
	SCOPED_JSON *report = diff(1, "--skip work");
	expect_refusal(report, "called", "not in the patch: work");
	expect_refusal(report, "called", "int called(int n, int m)");
	SCOPED_JSON *other = diff(1, "--skip called");
	expect_refusal(other, "work", "it calls called, which is left out");
}

static void an_address_that_is_taken_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               CALLED
	               "void *volatile table[] = {(void *)called};\n"
	               "NOINLINE int work(int n) { return CALL(n); }\n" MAIN,
	               "called", "its address is taken");
}

static void an_exported_function_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2 -fPIC -shared",
	               CALLED "int work(int n) { return CALL(n); }\n", "called",
	               "it is exported");
}

static void a_function_that_gets_varargs_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "#ifdef NEW\n#define REST , ...\n#else\n"
	                    "#define REST\n#endif\n"
	                    "NOINLINE int called(int n REST)\n"
	                    "{ return n V(+, -) 2; }\n"
	                    "void *volatile table[] = {(void *)called};\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ return called(n); }\n" MAIN,
	               "called", "...");
}

static void a_caller_with_the_same_code_is_fine(void **state)
{
	(void)state;
	expect_fine("-O2", HEAD "NOINLINE V(void, int) called(int n)\n"
	                        "{ printf(\"%d\\n\", n); V(, return n + 1;) }\n"
	                        "NOINLINE int work(int n)\n"
	                        "{ called(n); return n; }\n" MAIN);
}

static void a_clone_that_left_out_code_calls_is_refused(void **state)
{
	(void)state;
	build_pair("-O2",
	           "#include <stdio.h>\n"
	           "struct s { int a, b; };\n"
	           "static __attribute__((noinline)) int called(struct s *s)\n"
	           "{ return printf(\"%d\\n\", s->V(a, b) * V(3, 5)); }\n"
	           "__attribute__((noinline)) int work(struct s *s)\n"
	           "{ return called(s) + V(1, 2); }\n"
	           "int main(int argc, char **argv)\n"
	           "{ struct s s = {argc, !argv}; return work(&s) & 1; }\n");
	expect_status(0, "nm old/prog | grep isra && nm new/prog | grep isra");
	expect_diff(0, "");
	SCOPED_JSON *report = diff(1, "--skip work");
	expect_refusal(report, "called.isra.0", "work");
}

/* Calls under way come from old code: OLD's entry must stay as it is. */
static void
a_signature_that_only_new_code_uses_keeps_the_old_entry(void **state)
{
	(void)state;
	expect_behaves_as_new(
		"-O2", HEAD
		"#ifdef NEW\n"
		"NOINLINE static int called(int n, int more)\n"
		"{ return printf(\"%d\\n\", n * more); }\n"
		"#else\n"
		"NOINLINE static int called(int n)\n"
		"{ return printf(\"%d\\n\", n); }\n"
		"#endif\n"
		"NOINLINE int work(int n)\n"
		"{ return V(called(n), called(n, n + 1)) + V(1, 2); }\n" MAIN);
	expect_diff(0, "");
	SCOPED_RUN shown = run(HFX_BUNDLE_PROGRAM " show fix.hfx");
	assert_non_null(strstr(shown.out, "new      int called(int n, "));
	assert_non_null(strstr(shown.out, "changed  int work(int n)"));
}

/* ---- Data --------------------------------------------------------------- */

static void an_initial_value_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "int limit = V(10, 20);\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ return n * V(2, 3) + limit++; }\n" MAIN,
	               "limit", "(10 -> 20)");
	expect_accepted("--accept-data 'lim*'", "limit");
}

static void a_value_that_moves_to_bss_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "int limit = V(10, 0);\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ return n * V(2, 3) + limit++; }\n" MAIN,
	               "limit", "(10 -> 0)");
	expect_refused("-O2",
	               HEAD "int limit = V(0, 10);\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ return n * V(2, 3) + limit++; }\n" MAIN,
	               "limit", "(0 -> 10)");
}

static void a_pointer_to_another_text_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "const char *name = V(\"one\", \"two\");\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ puts(name); name = \"\"; return n; }\n" MAIN,
	               "name", "points to");
}

static void a_value_that_only_moved_is_fine(void **state)
{
	(void)state;
	expect_fine("-O2",
	            HEAD "V(, int added = 3;) int limit = 10; int zero;\n"
	                 "char *name = \"name\"; int *place = &limit;\n"
	                 "NOINLINE int work(int n)\n"
	                 "{ puts(name); return n * V(2, added++) + limit++ +\n"
	                 "  zero++ + *place; }\n" MAIN);
}

static void a_variable_of_another_type_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "V(int, float) level;\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ level += n; return level; }\n" MAIN,
	               "level", "from \"int\" to \"float\"");
	expect_accepted("--accept-data level", "level");
}

static void a_constant_that_becomes_a_variable_is_refused(void **state)
{
	(void)state;
	build_pair("-O0", HEAD "V(const,) int limit = 10;\n"
	                       "NOINLINE int work(int n)\n"
	                       "{ V(, limit += n;) return n + limit; }\n" MAIN);
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "limit", "constant in the old build");
}

static void a_constant_that_is_still_read_is_told(void **state)
{
	(void)state;
	build_pair("-O0", HEAD "const int table[] = {1, V(2, 3)};\n"
	                       "const int *volatile chosen = table;\n"
	                       "NOINLINE int work(int n)\n"
	                       "{ return table[n] + *chosen; }\n" MAIN);
	SCOPED_JSON *report = diff(0, "--accept-data chosen");
	expect_warning(report, "the old one is still read by a pointer in "
	                       "chosen");
}

static void a_removed_function_that_is_called_is_told(void **state)
{
	(void)state;
	build_pair("-O2",
	           HEAD "V(NOINLINE int gone(int n) { return n - 7; },)\n"
	                "NOINLINE int other(int n)\n"
	                "{ return V(gone(n), n * 5); }\n"
	                "NOINLINE int work(int n)\n"
	                "{ return n V(+, -) other(n); }\n" MAIN);
	SCOPED_JSON *report = diff(0, "--skip other");
	expect_warning(report, "gone");
	expect_warning(report, "still calls it: other");
	SCOPED_JSON *whole = diff(0, "");
	assert_int_equal(json_array_size(json_object_get(whole, "warnings")),
	                 0);
}

static void a_library_that_is_not_loaded_is_refused(void **state)
{
	(void)state;
	write_source(
		"main.c",
		"double floor(double);\n"
		"__attribute__((noinline)) int work(int n)\n"
		"{ volatile double d = n; return V(d, floor(d)); }\n" MAIN);
	expect_status(0, "for i in old new; do cd $i && gcc -g -O0 "
	                 "-fno-builtin -o prog main.c -Wl,--as-needed -lm && "
	                 "cd .. || exit; done");
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "floor", "libm.so.6");
}

static void a_new_destructor_is_refused(void **state)
{
	(void)state;
	expect_refused("-O2",
	               HEAD "V(, __attribute__((destructor)))\n"
	                    "void finish(void) { V(, puts(\"end\");) }\n"
	                    "V(, __attribute__((destructor)) void more(void)\n"
	                    "{ puts(\"more\"); })\n"
	                    "NOINLINE int work(int n)\n"
	                    "{ return n V(+, -) 2; }\n" MAIN,
	               "more", "a new destructor");
}

static void a_changed_destructor_is_fine(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2", HEAD
	                      "__attribute__((destructor)) void finish(void)\n"
	                      "{ puts(V(\"one\", \"two\")); }\n"
	                      "NOINLINE int work(int n) { return n; }\n" MAIN);
}

static void without_debug_information_it_is_told(void **state)
{
	(void)state;
	build_pair("-O2", HEAP_ITEM);
	expect_status(0, "strip --strip-debug old/prog new/prog");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "types are not checked");
}

/* ---- C++ ---------------------------------------------------------------- */

#define PLUS "-O2 -x c++ -Wl,--no-as-needed -lstdc++"
#define PLUS_HEAD                                                              \
	"#include <stdio.h>\n#define NOINLINE __attribute__((noipa))\n"        \
	"namespace Game {\n"

static void a_class_is_refused(void **state)
{
	(void)state;
	expect_refused(PLUS,
	               PLUS_HEAD
	               "struct Base { int x; V(, int y;) };\n"
	               "class Player : public Base { public: int hp;\n"
	               "  NOINLINE int hit(int n) { return hp -= n; } };\n"
	               "Player *player; }\n"
	               "int main() { Game::player = new Game::Player();\n"
	               "  return Game::player->hit(3) & 1; }\n",
	               "Game::Player", "base class \"Base\" size 4 -> 8");
	expect_accepted("--accept-type 'Game::*'", "Game::Player");
}

static void functions_are_named_as_in_the_source(void **state)
{
	(void)state;
	build_pair(PLUS, PLUS_HEAD
	           "struct Item { int x; V(, int y;) };\n"
	           "__attribute__((noinline, noclone))\n"
	           "int use(Item *item, int n) { if (n < 0) throw n;\n"
	           "  return item->x V(+, -) n; }\n"
	           "Item *item; }\n"
	           "int main() { Game::item = new Game::Item();\n"
	           "  return Game::use(Game::item, 3) & 1; }\n");
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "Game::Item",
	               "used by main(), Game::use(Game::Item *, int)");
	expect_listed(report, "part", "_ZN4Game3useEPNS_4ItemEi.cold",
	              "a part of Game::use(Game::Item *, int)");
}

#define VIRTUAL(more, over)                                                    \
	PLUS_HEAD "struct Base { int x; virtual int hit(int n);\n" more        \
		  "  virtual ~Base() {} };\n"                                  \
		  "int Base::hit(int n) { return x + n V(+, -) 1; }\n"         \
		  "struct Child : Base { " over " };\n"                        \
		  "Base *object = new Child; }\n"                              \
		  "int main() { return Game::object->hit(3) & 1; }\n"

static void a_virtual_function_that_is_added_is_refused(void **state)
{
	(void)state;
	expect_refused(PLUS,
	               VIRTUAL("V(, virtual int heal() { return 2; })", ""),
	               "Game::Base", "virtual function \"heal\" added at slot");
	expect_refused(PLUS, VIRTUAL("", "V(, int hit(int n) { return n; })"),
	               "Game::Child", "virtual function \"hit\" added at slot");
}

static void a_virtual_function_that_changed_is_fine(void **state)
{
	(void)state;
	expect_fine(PLUS, VIRTUAL("", ""));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(a_structure_on_the_heap_is_refused),
		SANDBOX_TEST(an_accepted_structure_is_in_the_bundle),
		SANDBOX_TEST(a_pointer_in_a_structure_without_a_name_is_told),
		SANDBOX_TEST(a_structure_in_a_variable_is_refused),
		SANDBOX_TEST(a_structure_on_the_own_stack_is_fine),
		SANDBOX_TEST(a_structure_that_others_get_is_refused),
		SANDBOX_TEST(a_structure_that_only_casts_reach_is_refused),
		SANDBOX_TEST(a_type_of_another_unit_is_no_reason),
		SANDBOX_TEST(a_member_of_another_type_is_refused),
		SANDBOX_TEST(the_same_under_another_name_is_fine),
		SANDBOX_TEST(a_bit_field_is_refused),
		SANDBOX_TEST(a_union_is_refused),
		SANDBOX_TEST(a_changed_value_is_refused),
		SANDBOX_TEST(a_removed_value_is_refused),
		SANDBOX_TEST(an_added_value_is_fine),
		SANDBOX_TEST(
			a_signature_whose_callers_are_in_the_patch_is_fine),
		SANDBOX_TEST(a_caller_that_is_left_out_is_named),
		SANDBOX_TEST(an_address_that_is_taken_is_refused),
		SANDBOX_TEST(an_exported_function_is_refused),
		SANDBOX_TEST(a_function_that_gets_varargs_is_refused),
		SANDBOX_TEST(a_caller_with_the_same_code_is_fine),
		SANDBOX_TEST(a_clone_that_left_out_code_calls_is_refused),
		SANDBOX_TEST(
			a_signature_that_only_new_code_uses_keeps_the_old_entry),
		SANDBOX_TEST(an_initial_value_is_refused),
		SANDBOX_TEST(a_value_that_moves_to_bss_is_refused),
		SANDBOX_TEST(a_pointer_to_another_text_is_refused),
		SANDBOX_TEST(a_value_that_only_moved_is_fine),
		SANDBOX_TEST(a_variable_of_another_type_is_refused),
		SANDBOX_TEST(a_constant_that_becomes_a_variable_is_refused),
		SANDBOX_TEST(a_constant_that_is_still_read_is_told),
		SANDBOX_TEST(a_removed_function_that_is_called_is_told),
		SANDBOX_TEST(a_library_that_is_not_loaded_is_refused),
		SANDBOX_TEST(a_new_destructor_is_refused),
		SANDBOX_TEST(a_changed_destructor_is_fine),
		SANDBOX_TEST(without_debug_information_it_is_told),
		SANDBOX_TEST(a_class_is_refused),
		SANDBOX_TEST(a_virtual_function_that_is_added_is_refused),
		SANDBOX_TEST(a_virtual_function_that_changed_is_fine),
		SANDBOX_TEST(functions_are_named_as_in_the_source),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("types", tests, NULL, NULL);
}
