/* SPDX-License-Identifier: MIT */
#include "debug_build.h"

static const char *const ways[] = {
	"gcc -x c -gdwarf-4",
	"gcc -x c -gdwarf-5 -O2",
	"gcc -x c -gdwarf-4 -fdebug-types-section",
	"gcc -x c -gdwarf-5 -fdebug-types-section",
	"gcc -x c -gdwarf-5 -O2 -flto",
	"clang -x c -gdwarf-4",
	"clang -x c -gdwarf-5 -O2",
};

#define NUM_WAYS (sizeof(ways) / sizeof(*ways))

/** `f` takes a pointer to what @p types declares as `T`. */
static void create(const char *way, const char *types, struct build *build)
{
	char source[1024];

	snprintf(source, sizeof(source),
	         "%s\nT all;\nT *f(T *p) { return p; }\n", types);
	build_create(way, "a.c", source, build);
}

/** What changed between two declarations, as "NAME OLD NEW MEMBER;". */
static void compare(const char *way, const char *symbol, const char *old_types,
                    const char *new_types, char *ret, size_t ret_size)
{
	struct debug_type_changes changes = {0};
	struct build old_build = {0};
	struct build new_build = {0};
	struct debug_function_pair pairs[2] = {0};
	size_t size = 0;

	create(way, old_types, &old_build);
	create(way, new_types, &new_build);
	/* Twice the same unit, and still each type once. */
	pairs[0].old_addr = build_addr(&old_build, symbol);
	pairs[0].new_addr = build_addr(&new_build, symbol);
	pairs[1] = pairs[0];
	assert_null(debug_info_compare_types(old_build.debug, new_build.debug,
	                                     pairs, 2, &changes));
	ret[0] = '\0';
	for (size_t i = 0; i < changes.num_items; i++) {
		const struct debug_type_change *change = &changes.items[i];

		size += snprintf(ret + size, ret_size - size, "%s %u %u %s;",
		                 change->name, (unsigned)change->old_size,
		                 (unsigned)change->new_size, change->member);
		assert_memory_equal(change->source, "a.c:", 4);
	}
	debug_type_changes_deinit(&changes);
	build_destroy(&old_build);
	build_destroy(&new_build);
}

static void assert_changes(const char *old_types, const char *new_types,
                           const char *expected)
{
	char text[512];

	for (size_t i = 0; i < NUM_WAYS; i++) {
		if (!build_has_turn() ||
		    (ways[i][0] == 'c' && !build_can_run("clang")))
			continue;
		print_message("%s\n", ways[i]);
		compare(ways[i], "f", old_types, new_types, text, sizeof(text));
		assert_string_equal(text, expected);
	}
}

static void equal_types_are_not_reported(void **state)
{
	(void)state;
	assert_changes("typedef struct s { int a; union { int b; char c; }; "
	               "struct s *next; unsigned f : 3; } T;",
	               "typedef struct s { int a; union { int b; char c; }; "
	               "struct s *next; unsigned f : 3; } T;\nstruct other "
	               "{ int z; } o;",
	               "");
}

static void member_that_moved_is_told_with_its_offsets(void **state)
{
	(void)state;
	assert_changes("typedef struct s { int a; long tokens; } T;",
	               "typedef struct s { int a; char b[8]; long tokens; } T;",
	               "struct s 16 24 member \"b\" added at offset 4;");
	assert_changes("typedef struct s { int a; char b[4]; int tokens; } T;",
	               "typedef struct s { int a; char b[8]; int tokens; } T;",
	               "struct s 12 16 member \"b\" size 4 -> 8;");
	assert_changes("typedef struct s { int a, b; } T;",
	               "typedef struct s { int b, a; } T;",
	               "struct s 8 8 member \"b\" at offset 4 -> 0;");
	assert_changes("typedef struct s { int a, b, c; } T;",
	               "typedef struct s { int a, c; } T;",
	               "struct s 12 8 member \"b\" removed at offset 4;");
}

static void member_added_into_padding_is_reported(void **state)
{
	(void)state;
	assert_changes("typedef struct s { long a; int b; } T;",
	               "typedef struct s { long a; int b; int c; } T;",
	               "struct s 16 16 member \"c\" added at offset 12;");
}

static void bit_field_is_reported_though_the_size_stays(void **state)
{
	(void)state;
	assert_changes("typedef struct s { int z; unsigned a:3, b:5; } T;",
	               "typedef struct s { int z; unsigned a:4, b:5; } T;",
	               "struct s 8 8 member \"a\" width in bits 3 -> 4;");
	assert_changes("typedef struct s { unsigned a:3, :2, b:5; } T;",
	               "typedef struct s { unsigned a:3, :4, b:5; } T;",
	               "struct s 4 4 member \"b\" at bit 5 -> 7;");
}

static void unnamed_structure_goes_by_its_typedef(void **state)
{
	(void)state;
	assert_changes("typedef struct { int a; } T;",
	               "typedef struct { int a, b; } T;",
	               "T 4 8 member \"b\" added at offset 4;");
}

static void unnamed_member_belongs_to_the_structure_around(void **state)
{
	(void)state;
	assert_changes("typedef struct s { int z; union { struct { char a, b; "
	               "}; int i; }; } T;",
	               "typedef struct s { int z; union { struct { char b, a; "
	               "}; int i; }; } T;",
	               "struct s 8 8 member \"b\" at offset 5 -> 4;");
}

static void structures_inside_are_reported_too(void **state)
{
	(void)state;
	assert_changes("typedef struct out { struct in { int a; } i; } T;",
	               "typedef struct out { struct in { int a, b; } i; } T;",
	               "struct in 4 8 member \"b\" added at offset 4;"
	               "struct out 4 8 member \"i\" size 4 -> 8;");
}

static void bit_offsets_of_dwarf_4_and_5_agree(void **state)
{
	static const char types[] =
		"typedef struct s { char c; unsigned a:3, b:17; long l:40; } "
		"T;";
	struct debug_type_changes changes = {0};
	struct build old_build = {0};
	struct build new_build = {0};
	struct debug_function_pair pair = {0};

	(void)state;
	create("gcc -gdwarf-3 -gstrict-dwarf", types, &old_build);
	create("gcc -gdwarf-5", types, &new_build);
	pair.old_addr = build_addr(&old_build, "f");
	pair.new_addr = build_addr(&new_build, "f");
	assert_null(debug_info_compare_types(old_build.debug, new_build.debug,
	                                     &pair, 1, &changes));
	assert_int_equal(changes.num_items, 0);
	debug_type_changes_deinit(&changes);
	build_destroy(&old_build);
	build_destroy(&new_build);
}

static void class_is_named_with_its_namespace(void **state)
{
	static const char *const cxx_ways[] = {
		"g++ -x c++ -gdwarf-5 -O2",
		"g++ -x c++ -gdwarf-4 -fdebug-types-section",
		"clang++ -x c++ -gdwarf-5",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cxx_ways) / sizeof(*cxx_ways); i++) {
		if (cxx_ways[i][0] == 'c' && !build_can_run("clang++"))
			continue;
		print_message("%s\n", cxx_ways[i]);
		compare(cxx_ways[i], "_Z1fPN1N1CE",
		        "namespace N { struct Base { int x; }; class C : "
		        "public Base { static int s; int a; "
		        "void m(); }; } typedef N::C T;",
		        "namespace N { struct Base { int x; }; class C : "
		        "public Base { static int s, t; int a; int b; "
		        "void m(); }; } typedef N::C T;",
		        text, sizeof(text));
		assert_string_equal(
			text, "N::C 8 12 member \"b\" added at offset 8;");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_types_are_not_reported),
		cmocka_unit_test(member_that_moved_is_told_with_its_offsets),
		cmocka_unit_test(member_added_into_padding_is_reported),
		cmocka_unit_test(bit_field_is_reported_though_the_size_stays),
		cmocka_unit_test(unnamed_structure_goes_by_its_typedef),
		cmocka_unit_test(
			unnamed_member_belongs_to_the_structure_around),
		cmocka_unit_test(structures_inside_are_reported_too),
		cmocka_unit_test(bit_offsets_of_dwarf_4_and_5_agree),
		cmocka_unit_test(class_is_named_with_its_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
