/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "progress.h"

#define MS UINT64_C(1000000)

static uint64_t fake_now_ns;

static uint64_t fake_now(void)
{
	return fake_now_ns;
}

/** A progress on a "terminal" that is memory, with a clock that stands. */
struct terminal {
	struct progress progress;
	char *text;
	size_t size;
};

static int enter(void **state)
{
	struct terminal *terminal = calloc(1, sizeof(*terminal));

	assert_non_null(terminal);
	fake_now_ns = 50 * MS;
	progress_init(&terminal->progress, true);
	terminal->progress.is_enabled = true;
	terminal->progress.out =
		open_memstream(&terminal->text, &terminal->size);
	assert_non_null(terminal->progress.out);
	terminal->progress.now_ns = fake_now;
	terminal->progress.start_ns = fake_now_ns;
	*state = terminal;
	return 0;
}

static int leave(void **state)
{
	struct terminal *terminal = *state;

	fclose(terminal->progress.out);
	free(terminal->text);
	free(terminal);
	return 0;
}

static void assert_shown(struct terminal *terminal, const char *expected)
{
	assert_int_equal(fflush(terminal->progress.out), 0);
	assert_string_equal(terminal->text, expected);
}

static void short_work_shows_nothing(void **state)
{
	struct terminal *terminal = *state;

	progress_step(&terminal->progress, "comparing", 1, 10);
	fake_now_ns += 999 * MS;
	progress_step(&terminal->progress, "comparing", 9, 10);
	progress_finish(&terminal->progress);
	assert_shown(terminal, "");
}

static void long_work_shows_its_line_ten_times_a_second(void **state)
{
	struct terminal *terminal = *state;

	fake_now_ns += 1000 * MS;
	progress_step(&terminal->progress, "comparing", 1, 8);
	fake_now_ns += 99 * MS;
	progress_step(&terminal->progress, "comparing", 2, 8);
	assert_shown(terminal, "\rcomparing: 1 of 8 (12 %)");
	fake_now_ns += 1 * MS;
	progress_step(&terminal->progress, "comparing", 3, 8);
	assert_shown(terminal, "\rcomparing: 1 of 8 (12 %)"
	                       "\rcomparing: 3 of 8 (38 %)");
}

static void shorter_line_covers_the_longer_one(void **state)
{
	struct terminal *terminal = *state;

	fake_now_ns += 1000 * MS;
	progress_step(&terminal->progress, "scanning", 10, 0);
	fake_now_ns += 100 * MS;
	progress_step(&terminal->progress, "scan", 2, 0);
	progress_finish(&terminal->progress);
	assert_shown(terminal, "\rscanning: 10\rscan: 2     "
	                       "\r            \r");
}

static void line_is_cleared_once(void **state)
{
	struct terminal *terminal = *state;

	fake_now_ns += 1000 * MS;
	progress_step(&terminal->progress, "a", 1, 0);
	progress_finish(&terminal->progress);
	progress_finish(&terminal->progress);
	assert_shown(terminal, "\ra: 1\r    \r");
}

static void disabled_progress_shows_nothing(void **state)
{
	struct terminal *terminal = *state;

	terminal->progress.is_enabled = false;
	fake_now_ns += 5000 * MS;
	progress_step(&terminal->progress, "comparing", 1, 10);
	progress_finish(&terminal->progress);
	assert_shown(terminal, "");
}

#define WITH_TERMINAL(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TERMINAL(short_work_shows_nothing),
		WITH_TERMINAL(long_work_shows_its_line_ten_times_a_second),
		WITH_TERMINAL(shorter_line_covers_the_longer_one),
		WITH_TERMINAL(line_is_cleared_once),
		WITH_TERMINAL(disabled_progress_shows_nothing),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
