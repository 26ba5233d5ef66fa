/* SPDX-License-Identifier: MIT */
/* Types tell the same wherever compilers and packagers put them, or are missed.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"
#include "type_source.h"

static void clang_and_type_units_tell_the_same(void **state)
{
	static const char *const ways[] = {
		"-O2 -gdwarf-4",
		"-O2 -gdwarf-5 -fdebug-types-section",
		"-O2 -gdwarf-4 -fdebug-types-section",
		"-O2 -gz",
		"-O0",
		"-O2 -flto",
		"clang -O2 -gdwarf-4",
		"clang -O2 -gdwarf-5",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		print_message("%s\n", ways[i]);
		build_pair(ways[i], HEAP_ITEM);
		SCOPED_JSON *report = diff(1, "");
		expect_refusal(report, "struct item", "size 8 -> 24");
		assert_int_equal(
			json_array_size(json_object_get(report, "warnings")),
			0);
	}
}

static void dwz_files_tell_the_same(void **state)
{
	(void)state;
	need_program("dwz");
	build_pair("-O2", HEAP_ITEM);
	for (size_t i = 0; i < 2; i++) {
		const char *folder = i ? "new" : "old";

		expect_status(0,
		              "cd %s && cp prog copy && "
		              "dwz -m prog.dwz prog copy",
		              folder);
	}
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "struct item", "size 8 -> 24");
}

static void split_debug_information_tells_the_same(void **state)
{
	(void)state;
	build_pair("-O2 -gsplit-dwarf", HEAP_ITEM);
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "struct item", "size 8 -> 24");
}

static void units_without_types_are_told(void **state)
{
	static const char *const ways[] = {"gcc -g1",
	                                   "clang -gline-tables-only"};

	(void)state;
	build_pair("-O2", HEAP_ITEM);
	SCOPED_JSON *whole = diff(1, "");
	assert_int_equal(json_array_size(json_object_get(whole, "warnings")),
	                 0);
	for (size_t i = 0; i < 2; i++) {
		need_program(i ? "clang" : "gcc");
		expect_status(0,
		              "for i in old new; do cd $i && %s -O2 -o prog "
		              "main.c && cd .. || exit; done",
		              ways[i]);
		SCOPED_JSON *report = diff(0, "");
		expect_warning(report, "2 functions (use, ...) has no types");
	}
}

static void one_file_without_debug_information_is_told(void **state)
{
	(void)state;
	write_source("main.c", HEAP_ITEM);
	write_file("other.c", "int other(int n) { return n; }\n");
	expect_status(0, "for i in old new; do cd $i && gcc -O2 -c main.c && "
	                 "gcc -g -O2 -o prog main.o ../other.c && cd .. || "
	                 "exit; done");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "2 functions (use, ...) has no types");
}

static void expect_same_in_a_package(const char *flags, const char *packer)
{
	print_message("%s, %s\n", flags, packer);
	build_pair(flags, HEAP_ITEM);
	SCOPED_JSON *before = diff(1, "");
	for (size_t i = 0; i < 2; i++) {
		const char *folder = i ? "new" : "old";

		expect_status(0, "cd %s && %s -e prog -o prog.dwp && rm *.dwo",
		              folder, packer);
	}
	SCOPED_JSON *after = diff(1, "");
	expect_refusal(after, "struct item", "size 8 -> 24");
	assert_true(json_equal(before, after));
}

static void packages_of_split_debug_information_tell_the_same(void **state)
{
	(void)state;
	need_program("dwp");
	expect_same_in_a_package("-O2 -gdwarf-4 -gsplit-dwarf", "dwp");
	expect_same_in_a_package("clang -O2 -gdwarf-4 -gsplit-dwarf", "dwp");
}

static void packages_of_dwarf_5_tell_the_same(void **state)
{
	(void)state;
	need_program("llvm-dwp");
	expect_same_in_a_package("-O2 -gdwarf-5 -gsplit-dwarf", "llvm-dwp");
	expect_same_in_a_package("clang -O2 -gdwarf-5 -gsplit-dwarf",
	                         "llvm-dwp");
}

static void a_package_that_is_damaged_or_of_another_build_is_told(void **state)
{
	(void)state;
	need_program("dwp");
	build_pair("-O2 -gdwarf-4 -gsplit-dwarf", HEAP_ITEM);
	expect_status(0, "cd old && dwp -e prog -o prog.dwp && rm *.dwo");
	expect_status(0, "cp new/prog new/spare; mv old/prog.dwp package");
	for (size_t i = 0; i < 3; i++) {
		static const char *const packages[] = {
			"head -c 300 package", "echo nothing",
			"(cat package; echo more) | sed s/item/itme/g"};

		expect_status(0, "%s >old/prog.dwp", packages[i]);
		SCOPED_RUN result =
			run(HFX_BUNDLE_PROGRAM " diff old/prog new/prog");
		assert_true(result.status < 3);
	}
	expect_status(0, "cp package new/prog.dwp; rm new/*.dwo");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "the split debug information of 1 units");
}

/* Unpacked or found by other means than those of libdw and libdwfl. */
static void packed_and_cached_debug_information_tells_the_same(void **state)
{
	static const char *const ways[] = {
		"objcopy --compress-debug-sections=zstd prog",
		"objcopy --only-keep-debug --compress-debug-sections=zstd prog "
		"prog.debug && objcopy --strip-debug "
		"--add-gnu-debuglink=prog.debug prog",
		"id=$(readelf -n prog | sed -n 's/.*Build ID: //p') && "
		"mkdir -p ../cache/$id && objcopy --only-keep-debug prog "
		"../cache/$id/debuginfo && strip prog",
	};

	(void)state;
	setenv("DEBUGINFOD_CACHE_PATH", "/nowhere", 1);
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		char cache[300];

		build_pair(i % 2 ? "clang -O2" : "-O2", HEAP_ITEM);
		SCOPED_JSON *before = diff(1, "");
		expect_status(0, "(cd old && %s) && cd new && %s", ways[i],
		              ways[i]);
		assert_non_null(getcwd(cache, sizeof(cache) - 10));
		setenv("DEBUGINFOD_CACHE_PATH", strcat(cache, "/cache"), 1);
		SCOPED_JSON *after = diff(1, "");
		assert_true(json_equal(before, after));
	}
	unsetenv("DEBUGINFOD_CACHE_PATH");
}

static void missing_split_debug_information_is_told(void **state)
{
	(void)state;
	build_pair("-O2 -gsplit-dwarf", HEAP_ITEM);
	expect_status(0, "rm old/*.dwo");
	SCOPED_JSON *report = diff(0, "");
	expect_warning(report, "the split debug information of 1 units");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(clang_and_type_units_tell_the_same),
		SANDBOX_TEST(dwz_files_tell_the_same),
		SANDBOX_TEST(split_debug_information_tells_the_same),
		SANDBOX_TEST(units_without_types_are_told),
		SANDBOX_TEST(one_file_without_debug_information_is_told),
		SANDBOX_TEST(packages_of_split_debug_information_tell_the_same),
		SANDBOX_TEST(packages_of_dwarf_5_tell_the_same),
		SANDBOX_TEST(
			a_package_that_is_damaged_or_of_another_build_is_told),
		SANDBOX_TEST(
			packed_and_cached_debug_information_tells_the_same),
		SANDBOX_TEST(missing_split_debug_information_is_told),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("types", tests, NULL, NULL);
}
