/* SPDX-License-Identifier: MIT */
#include "demangle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, const char *wanted)
{
	char *found = demangle_names(text);

	assert_string_equal(found, wanted);
	free(found);
}

static void names_in_a_text_are_written_as_in_the_source(void **state)
{
	(void)state;
	check("_Z4workiPKc", "work(int, char const*)");
	check("refers to _ZZ4workiE5count+0x8 or to _ZN4Game4turnE-0x28, and "
	      "these moved apart",
	      "refers to work(int)::count+0x8 or to Game::turn-0x28, and these "
	      "moved apart");
	check("(_ZTV4Game)", "(vtable for Game)");
	check("_ZGVZ4workiE5count", "guard variable for work(int)::count");
}

static void what_follows_a_name_stays(void **state)
{
	(void)state;
	check("_Z4worki.cold", "work(int).cold");
	check("it inlines _Z4worki.", "it inlines work(int).");
	check("_ZSt4cout@GLIBCXX_3.4", "std::cout@GLIBCXX_3.4");
}

/* As DWARF says it, and as --skip matches it. */
static void tags_of_the_abi_are_left_out(void **state)
{
	(void)state;
	check("_Z4nameB5cxx11i", "name(int)");
	check("_ZZ4nameB5cxx11iE4textB5cxx11", "name(int)::text");
}

static void what_is_no_name_stays(void **state)
{
	(void)state;
	check("", "");
	check("work", "work");
	check("_Z", "_Z");
	check("_Zurich and MY_Z3fooi and a._Z3fooi",
	      "_Zurich and MY_Z3fooi and a._Z3fooi");
}

static void a_name_without_end_stays(void **state)
{
	char name[5000];

	(void)state;
	memset(name, 'P', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memcpy(name, "_Z1f", 4);
	name[sizeof(name) - 2] = 'i';
	check(name, name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_in_a_text_are_written_as_in_the_source),
		cmocka_unit_test(what_follows_a_name_stays),
		cmocka_unit_test(tags_of_the_abi_are_left_out),
		cmocka_unit_test(what_is_no_name_stays),
		cmocka_unit_test(a_name_without_end_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
