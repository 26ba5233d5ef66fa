/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "maps.h"

static const char text[] =
	"555555554000-555555556000 r-xp 00001000 08:01 1234   "
	"             /usr/bin/a name (deleted)\n"
	"555555556000-555555557000 r--p 00000000 00:00 0 \n"
	"555555557000-555555558000 rw-s 00000000 00:05 99     /dev/zero\n"
	"555555560000-555555581000 rw-p 00000000 00:00 0      [heap]\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";

static struct maps parse(const char *string)
{
	struct maps maps = {0};
	struct hfx_error *err = maps_parse(string, strlen(string), &maps);

	if (err)
		fail_msg("%s", hfx_error_message(err));
	return maps;
}

static void every_member_of_a_line_is_read(void **state)
{
	struct maps maps = parse(text);
	const struct mapping *first = &maps.mappings[0];

	(void)state;
	assert_int_equal(maps.num_mappings, 5);
	assert_true(first->start_addr == 0x555555554000);
	assert_true(first->end_addr == 0x555555556000);
	assert_int_equal(first->file_off, 0x1000);
	assert_int_equal(first->protection, PROT_READ | PROT_EXEC);
	assert_true(first->is_private);
	assert_int_equal(first->inode, 1234);
	assert_string_equal(first->name, "/usr/bin/a name (deleted)");
	assert_string_equal(maps.mappings[1].name, "");
	assert_false(maps.mappings[2].is_private);
	assert_string_equal(maps.mappings[3].name, "[heap]");
	assert_true(maps.mappings[4].end_addr == 0xffffffffff601000);
	maps_deinit(&maps);
}

static void damaged_text_is_refused(void **state)
{
	static const char *const bad[] = {
		"1000\n",
		"1000-2000\n",
		"2000-1000 r--p 00000000 00:00 0\n",
		"1000-2000 r--p 00000000 0000 0\n",
		"1000-2000 r--p 00000000 00:00 x\n",
		"1000-3000 r--p 0 00:00 0\n2000-4000 r--p 0 00:00 0\n",
		"10000000000000000-20000000000000000 r--p 0 00:00 0\n",
		"1000-2000 r-",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct maps maps;
		struct hfx_error *err =
			maps_parse(bad[i], strlen(bad[i]), &maps);

		assert_int_equal(hfx_error_code(err), HFX_ERROR_UNSUPPORTED);
		hfx_error_destroy(err);
	}
}

static void addresses_are_found_at_their_edges(void **state)
{
	struct maps maps = parse(text);

	(void)state;
	assert_null(maps_find(&maps, 0x555555553fff));
	assert_ptr_equal(maps_find(&maps, 0x555555554000), &maps.mappings[0]);
	assert_ptr_equal(maps_find(&maps, 0x555555555fff), &maps.mappings[0]);
	assert_ptr_equal(maps_find(&maps, 0x555555556000), &maps.mappings[1]);
	assert_null(maps_find(&maps, 0x555555558000));
	assert_null(maps_find(&maps, UINT64_MAX));
	maps_deinit(&maps);
}

static void coverage_needs_every_byte_and_right(void **state)
{
	struct maps maps = parse(text);

	(void)state;
	assert_true(maps_cover(&maps, 0x555555554000, 0x4000, 0));
	assert_false(maps_cover(&maps, 0x555555554000, 0x4001, 0));
	assert_true(maps_cover(&maps, 0x555555554000, 0x4000, PROT_READ));
	assert_true(maps_cover(&maps, 0x555555554000, 0x2000, PROT_EXEC));
	assert_false(maps_cover(&maps, 0x555555554000, 0x2001, PROT_EXEC));
	assert_false(maps_cover(&maps, 0x555555553fff, 2, 0));
	assert_false(maps_cover(&maps, 0x555555557fff, UINT64_MAX, 0));
	maps_deinit(&maps);
}

static void a_process_that_has_ended_is_told(void **state)
{
	struct maps maps;
	struct hfx_error *err;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	err = maps_read(pid, &maps);
	assert_int_equal(hfx_error_code(err), HFX_ERROR_NO_PROCESS);
	hfx_error_destroy(err);
}

static void the_calling_process_can_be_read(void **state)
{
	struct maps maps;

	(void)state;
	assert_null(maps_read(getpid(), &maps));
	assert_true(maps_cover(&maps, (uintptr_t)&maps_read, 1, PROT_EXEC));
	assert_true(maps_cover(&maps, (uintptr_t)&maps, sizeof(maps),
	                       PROT_READ | PROT_WRITE));
	maps_deinit(&maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_of_a_line_is_read),
		cmocka_unit_test(damaged_text_is_refused),
		cmocka_unit_test(addresses_are_found_at_their_edges),
		cmocka_unit_test(coverage_needs_every_byte_and_right),
		cmocka_unit_test(a_process_that_has_ended_is_told),
		cmocka_unit_test(the_calling_process_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
