/* SPDX-License-Identifier: MIT */
/*
 * Bad input: exit status 2, one line that names the file, and no bundle. An
 * existing output file stays as it was.
 */
#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"

#define DIFF HFX_BUNDLE_PROGRAM " diff "

static const char source[] =
	"#include <stdio.h>\n"
	"__attribute__((noinline)) int work(int n)\n"
	"{ puts(V(\"old\", \"new\")); return n * V(3, 5); }\n"
	"int main(int argc, char **argv)\n"
	"{ (void)argv; return work(argc); }\n";

static int enter_with_pair(void **state)
{
	if (sandbox_enter(state))
		return -1;
	build_pair("-O2", source);
	write_file("fix.hfx", "precious");
	return 0;
}

#define PAIR_TEST(function)                                                    \
	cmocka_unit_test_setup_teardown(function, enter_with_pair,             \
	                                sandbox_leave)

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static void expect_untouched_output(void)
{
	expect_status(0, "test \"$(cat fix.hfx)\" = precious");
	/* Nothing half-written stays beside it either. */
	expect_status(0, "test \"$(ls | sort | tr '\\n' ' ')\" = "
	                 "\"$(ls -d damaged fix.hfx new old 2>/dev/null | "
	                 "sort | tr '\\n' ' ')\"");
}

/* The diff fails with one line that has all of `parts`. */
static void expect_bad(const char *arguments, const char *subject,
                       const char *what)
{
	SCOPED_RUN result = run(DIFF "%s -o fix.hfx", arguments);

	if (result.status != 2 || count_lines(result.err) != 1 ||
	    !strstr(result.err, subject) || !strstr(result.err, what))
		fail_msg("diff %s: status %d: %s", arguments, result.status,
		         result.err);
	assert_string_equal(result.out, "");
	expect_untouched_output();
}

static void a_file_that_is_no_elf_file(void **state)
{
	(void)state;
	write_file("damaged", "#!/bin/sh\nexec true\n");
	expect_bad("damaged new/prog", "damaged", "not an ELF file");
	expect_bad("old/prog damaged", "damaged", "not an ELF file");
}

static void an_empty_file(void **state)
{
	(void)state;
	write_file("damaged", "");
	expect_bad("damaged new/prog", "damaged", "");
}

static void a_name_that_looks_like_an_option(void **state)
{
	(void)state;
	expect_bad("old/prog new/prog --name=-x", "\"-x\"",
	           "does not begin with -");
	expect_bad("old/prog new/prog --name=--all", "\"--all\"",
	           "does not begin with -");
}

static void a_folder(void **state)
{
	(void)state;
	expect_bad("old new/prog", "old", "");
}

static void a_missing_file(void **state)
{
	(void)state;
	expect_bad("missing new/prog", "missing", "No such file");
	expect_bad("old/prog missing", "missing", "No such file");
}

/* Copy old/prog and overwrite `size` bytes at an offset. */
static void damage(long offset, const void *bytes, size_t size)
{
	expect_status(0, "cp old/prog damaged");
	FILE *file = fopen("damaged", "r+");

	assert_non_null(file);
	assert_int_equal(fseek(file, offset, SEEK_SET), 0);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

static void another_architecture(void **state)
{
	(void)state;
	damage(18, "\xb7\x00", 2);
	expect_bad("damaged new/prog", "damaged", "x86-64");
}

static void a_32_bit_file(void **state)
{
	(void)state;
	damage(4, "\x01", 1);
	expect_bad("damaged new/prog", "damaged", "");
}

static void a_big_endian_file(void **state)
{
	(void)state;
	damage(5, "\x02", 1);
	expect_bad("damaged new/prog", "damaged", "");
}

static void an_object_file(void **state)
{
	(void)state;
	expect_status(0, "gcc -c old/main.c -o damaged");
	expect_bad("damaged new/prog", "damaged", "link");
}

static void a_program_at_a_fixed_address(void **state)
{
	(void)state;
	expect_status(0, "gcc -no-pie -O2 -g old/main.c -o damaged");
	expect_bad("damaged new/prog", "damaged", "--emit-relocs");
}

static void a_program_without_symbols(void **state)
{
	(void)state;
	expect_status(0, "strip -o damaged old/prog");
	expect_bad("damaged new/prog", "damaged", "--old-debug");
	expect_bad("old/prog damaged", "damaged", "--new-debug");
}

static void an_old_program_without_build_id(void **state)
{
	(void)state;
	expect_status(0, "gcc -O2 -g old/main.c -o damaged "
	                 "-Wl,--build-id=none");
	expect_bad("damaged new/prog", "damaged", "build-id");
}

static void the_same_file_twice(void **state)
{
	(void)state;
	expect_bad("old/prog old/prog", "old/prog", "same");
	/* A copy may be the same source built twice. */
	expect_status(0, "cp old/prog damaged");
	expect_status(3, DIFF "old/prog damaged -o fix.hfx");
	expect_untouched_output();
}

/* No proof, so no error: an archive may have been unpacked just now. */
static void swapped_builds_are_warned_of(void **state)
{
	(void)state;
	expect_status(0, "touch -d '1 hour ago' old/prog");
	SCOPED_RUN swapped = run(DIFF "new/prog old/prog 2>&1");
	assert_int_equal(swapped.status, 0);
	assert_non_null(strstr(swapped.out, "OLD and NEW swapped?"));
	SCOPED_RUN right = run(DIFF "old/prog new/prog 2>&1");
	assert_int_equal(right.status, 0);
	assert_null(strstr(right.out, "swapped"));
}

static void a_pipe(void **state)
{
	(void)state;
	expect_status(0, "mkfifo damaged");
	expect_bad("damaged new/prog", "damaged", "not a regular file");
	expect_bad("old/prog damaged", "damaged", "not a regular file");
	expect_status(0, DIFF "old/prog new/prog -o good.hfx");
	SCOPED_RUN result = run(HFX_BUNDLE_PROGRAM " verify good.hfx damaged");
	assert_int_equal(result.status, 2);
}

/* What is read must not be replaced by what is written. */
static void an_output_that_is_an_input(void **state)
{
	static const char *const files[] = {"old/prog", "new/prog", "linked",
	                                    "old/debug"};

	(void)state;
	expect_status(0, "ln -s new/prog linked && "
	                 "objcopy --only-keep-debug old/prog old/debug");
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		for (int page = 0; page < 2; page++) {
			SCOPED_RUN result =
				run("sha256sum %s > before; " DIFF
			            "old/prog new/prog --old-debug old/debug "
			            "%s %s; s=$?; sha256sum -c --quiet before "
			            "&& exit $s",
			            files[i], page ? "--html" : "-o", files[i]);

			assert_int_equal(result.status, 2);
			assert_int_equal(count_lines(result.err), 1);
			assert_non_null(strstr(result.err, files[i]));
		}
}

/* The name of the program, not that of the command or how it was called. */
static void messages_begin_with_the_program(void **state)
{
	(void)state;
	SCOPED_RUN diff = run(DIFF "--bogus old/prog new/prog");
	assert_ptr_equal(strstr(diff.err, "hfx-bundle: "), diff.err);
	SCOPED_RUN show = run(HFX_BUNDLE_PROGRAM " show --bogus fix.hfx");
	assert_ptr_equal(strstr(show.err, "hfx-bundle: "), show.err);
}

static void a_missing_argument(void **state)
{
	(void)state;
	SCOPED_RUN result = run(DIFF "old/prog -o fix.hfx");
	assert_int_equal(result.status, 2);
	assert_non_null(strstr(result.err, "Usage:"));
	expect_status(2, DIFF "old/prog new/prog --no-such-option");
	expect_status(2, DIFF "old/prog new/prog third -o fix.hfx");
	expect_status(2, HFX_BUNDLE_PROGRAM);
	expect_status(2, HFX_BUNDLE_PROGRAM " nothing");
	expect_untouched_output();
}

static void a_truncated_file(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(stat("old/prog", &status), 0);
	for (int i = 1; i < 50; i++) {
		expect_status(0, "head -c %ld old/prog > damaged",
		              (long)status.st_size * i / 50);
		expect_bad("damaged new/prog", "damaged", "");
	}
}

/* Numbers that look random and are the same in each run. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void overwrite(const char *path, uint32_t *seed, int count)
{
	FILE *file = fopen(path, "r+");
	struct stat status;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &status), 0);
	while (count--) {
		fseek(file, next_random(seed) % status.st_size, SEEK_SET);
		fputc(next_random(seed), file);
	}
	assert_int_equal(fclose(file), 0);
}

static void debug_information_that_is_damaged(void **state)
{
	static const char *const sections[] = {".debug_info", ".debug_abbrev",
	                                       ".debug_line"};
	uint32_t seed = 815;

	(void)state;
	for (int i = 0; i < 60; i++) {
		const char *name = sections[i % 3];

		expect_status(0, "objcopy --dump-section %s=info old/prog x",
		              name);
		overwrite("info", &seed, 9);
		expect_status(0,
		              "objcopy --update-section %s=info old/prog "
		              "damaged; rm info x",
		              name);
		SCOPED_RUN result = run(DIFF "damaged new/prog");
		/* It may be harmless. */
		assert_in_range(result.status, 0, 3);
		if (result.status == 2)
			assert_int_equal(count_lines(result.err), 1);
	}
}

static void expect_survival(const char *name)
{
	SCOPED_RUN result = run(DIFF "%s > /dev/null", name);

	if (result.status > 3)
		fail_msg("diff %s: status %d: %s", name, result.status,
		         result.err);
}

/* In headers, tables and notes: nothing may crash or hang. */
static void bytes_that_are_damaged(void **state)
{
	uint32_t seed = 4711;
	struct stat status;

	(void)state;
	assert_int_equal(stat("old/prog", &status), 0);
	for (int i = 0; i < 300; i++) {
		/* ELF header; program headers and dynamic section; sections. */
		const long starts[] = {0, 0, status.st_size - 2400};
		const long sizes[] = {64, 3000, 2396};
		uint32_t bytes = next_random(&seed);

		damage(starts[i % 3] + next_random(&seed) % sizes[i % 3],
		       &bytes, 1 + i % 3);
		expect_survival(i & 1 ? "damaged new/prog"
		                      : "old/prog damaged");
	}
}

/* Place of a section header's `sh_info` in old/prog, by the section's type. */
static long find_section_info(uint32_t type)
{
	FILE *file = fopen("old/prog", "r");
	Elf64_Ehdr header;
	Elf64_Shdr section = {0};
	long off = 0;

	assert_non_null(file);
	assert_int_equal(fread(&header, sizeof(header), 1, file), 1);
	for (int i = 0; i < header.e_shnum && section.sh_type != type; i++) {
		off = (long)header.e_shoff + i * (long)sizeof(section);
		assert_int_equal(fseek(file, off, SEEK_SET), 0);
		assert_int_equal(fread(&section, sizeof(section), 1, file), 1);
	}
	fclose(file);
	assert_int_equal(section.sh_type, type);
	return off + (long)offsetof(Elf64_Shdr, sh_info);
}

/* The last entry leads to itself, so counting alone would take hours. */
static void versions_that_claim_to_be_endless(void **state)
{
	(void)state;
	damage(find_section_info(SHT_GNU_verneed), "\xff\xff\xff\xff", 4);
	expect_status(0, "timeout 60 " DIFF "damaged new/prog");
}

static void an_output_folder_that_cannot_be_written(void **state)
{
	(void)state;
	SCOPED_RUN missing = run(DIFF "old/prog new/prog -o none/fix.hfx");
	assert_int_equal(missing.status, 2);
	assert_non_null(strstr(missing.err, "none/fix.hfx"));
	if (!geteuid())
		return;
	expect_status(0, "mkdir closed && chmod 500 closed");
	SCOPED_RUN closed = run(DIFF "old/prog new/prog -o closed/fix.hfx");
	assert_int_equal(closed.status, 2);
	assert_non_null(strstr(closed.err, "closed/fix.hfx"));
}

static void an_output_that_is_a_folder(void **state)
{
	(void)state;
	SCOPED_RUN result = run(DIFF "old/prog new/prog -o old");
	assert_int_equal(result.status, 2);
	assert_int_equal(count_lines(result.err), 1);
	assert_non_null(strstr(result.err, "old"));
	expect_status(0, "test -x old/prog");
}

static void a_refusal_leaves_the_output(void **state)
{
	(void)state;
	write_source("main.c", "char name[V(4, 8)];\n"
	                       "int main(int argc, char **argv)\n"
	                       "{ (void)argv; name[argc] = V(1, 2);\n"
	                       "  return sizeof(name); }\n");
	expect_status(0, "for b in old new; do (cd $b && "
	                 "gcc -O0 -g main.c -o prog); done");
	expect_status(1, DIFF "old/prog new/prog -o fix.hfx");
	expect_untouched_output();
	expect_status(0, "cp old/main.c new/main.c; cd new && "
	                 "gcc -O0 -g main.c -o prog -Wl,--defsym,unused=4");
	expect_status(3, DIFF "old/prog new/prog -o fix.hfx");
	expect_untouched_output();
}

static void swapped_debug_files(void **state)
{
	(void)state;
	expect_status(0, "for b in old new; do (cd $b && "
	                 "objcopy --only-keep-debug prog prog.debug && "
	                 "strip -o bare prog); done");
	expect_bad("old/bare new/bare --old-debug new/prog.debug "
	           "--new-debug old/prog.debug",
	           "new/prog.debug", "");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(a_file_that_is_no_elf_file),
		PAIR_TEST(an_empty_file),
		PAIR_TEST(a_name_that_looks_like_an_option),
		PAIR_TEST(a_folder),
		PAIR_TEST(a_missing_file),
		PAIR_TEST(another_architecture),
		PAIR_TEST(a_32_bit_file),
		PAIR_TEST(a_big_endian_file),
		PAIR_TEST(an_object_file),
		PAIR_TEST(a_program_at_a_fixed_address),
		PAIR_TEST(a_program_without_symbols),
		PAIR_TEST(an_old_program_without_build_id),
		PAIR_TEST(the_same_file_twice),
		PAIR_TEST(swapped_builds_are_warned_of),
		PAIR_TEST(a_pipe),
		PAIR_TEST(an_output_that_is_an_input),
		PAIR_TEST(messages_begin_with_the_program),
		PAIR_TEST(a_missing_argument),
		PAIR_TEST(a_truncated_file),
		PAIR_TEST(debug_information_that_is_damaged),
		PAIR_TEST(bytes_that_are_damaged),
		PAIR_TEST(versions_that_claim_to_be_endless),
		PAIR_TEST(an_output_folder_that_cannot_be_written),
		PAIR_TEST(an_output_that_is_a_folder),
		PAIR_TEST(a_refusal_leaves_the_output),
		PAIR_TEST(swapped_debug_files),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("bad input", tests, NULL, NULL);
}
