/* SPDX-License-Identifier: MIT */
/*
 * Direct calls that are redirected with the functions that they lead to: by the
 * program itself and from outside, one patch over another, taken back, and left
 * alone where they are not what the bundle says.
 */
#include <fcntl.h>
#include <unistd.h>

#include "engine_process.h"

#define CALL_SIZE 5

/** Bundle that says where victim_sum() calls what it replaces. */
static const char *make_calls(const char *program, const char *name, int f,
                              int g)
{
	struct test_bundle bundle = {
		.name = name, .program = program, .caller = "victim_sum"};

	test_bundle_return(&bundle, "victim_f", f);
	if (g)
		test_bundle_return(&bundle, "victim_g", g);
	return write_bundle(&bundle);
}

static struct engine_options redirecting(void)
{
	struct engine_options options = patience;

	options.redirect_calls = true;
	return options;
}

/* ---- Where a call leads to --------------------------------------------- */

static int open_memory(const struct victim *victim, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)victim->pid);
	fd = open(path, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/** Load bias of a program whose patches have been applied once. */
static uint64_t bias_of(const struct engine_patches *patches)
{
	assert_true(patches->num_patches > 0);
	return patches->patches[0].module_bias;
}

static uint64_t read_call(const struct victim *victim, uint64_t live_addr)
{
	int fd = open_memory(victim, O_RDONLY);
	uint8_t bytes[CALL_SIZE];
	int32_t distance;

	assert_int_equal(pread(fd, bytes, sizeof(bytes), (off_t)live_addr),
	                 sizeof(bytes));
	close(fd);
	assert_int_equal(bytes[0], 0xe8);
	memcpy(&distance, bytes + 1, sizeof(distance));
	return live_addr + CALL_SIZE + (uint64_t)(int64_t)distance;
}

/** Where the newest applied patch called @p name has its @p callee. */
static uint64_t place_in(const struct engine_patches *patches, const char *name,
                         const char *callee)
{
	for (size_t i = patches->num_patches; i-- > 0;) {
		const struct engine_patch *patch = &patches->patches[i];

		if (strcmp(patch->name, name) != 0 ||
		    patch->state != RECORD_APPLIED)
			continue;
		for (size_t k = 0; k < patch->num_functions; k++)
			if (!strcmp(patch->function_names[k], callee))
				return patch->functions[k].new_live_addr;
	}
	fail_msg("%s of %s is not applied", callee, name);
	return 0;
}

/**
 * The call of @p callee in victim_sum() leads into patch @p name, or to OLD's
 * function if that is `NULL`.
 */
static void assert_leads_to(const struct victim *victim, const char *program,
                            const char *callee, const char *name)
{
	const struct test_bundle old = {.program = program};
	struct target *target = open_target(victim);
	struct engine_patches patches;
	uint64_t bias, call;

	assert_null(engine_list(target, &patches));
	bias = bias_of(&patches);
	call = bias + test_bundle_call(&old, "victim_sum", callee);
	assert_int_equal(read_call(victim, call),
	                 name ? place_in(&patches, name, callee)
	                      : bias + test_bundle_symbol(&old, callee));
	engine_patches_deinit(&patches);
	target_destroy(target);
}

/* ---- By the program itself --------------------------------------------- */

static void calls_are_redirected_and_come_back(int num_threads)
{
	struct victim victim = start(HOST, num_threads, NULL, NULL);
	const char *v1 = make_calls(HOST, "v1", 2, 20);

	assert_string_equal(ask(&victim, "redirect %s", v1), "ok");
	assert_results(&victim, 2, 20);
	assert_leads_to(&victim, HOST, "victim_f", "v1");
	assert_leads_to(&victim, HOST, "victim_g", "v1");
	assert_string_equal(ask(&victim, "revert v1"), "ok");
	assert_results(&victim, 1, 10);
	assert_leads_to(&victim, HOST, "victim_f", NULL);
	assert_leads_to(&victim, HOST, "victim_g", NULL);
	end(&victim);
}

static void calls_are_redirected_by_a_program_with_one_thread(void **state)
{
	(void)state;
	calls_are_redirected_and_come_back(0);
}

static void calls_are_redirected_by_a_program_with_threads(void **state)
{
	(void)state;
	calls_are_redirected_and_come_back(8);
}

static void calls_stay_unless_they_are_to_be_redirected(void **state)
{
	struct victim victim = start(HOST, 2, NULL, NULL);
	const char *v1 = make_calls(HOST, "v1", 2, 20);

	(void)state;
	assert_string_equal(ask(&victim, "apply %s", v1), "ok");
	assert_results(&victim, 2, 20);
	assert_leads_to(&victim, HOST, "victim_f", NULL);
	/* Again, with more to write down than last time. */
	assert_string_equal(ask(&victim, "revert v1"), "ok");
	assert_string_equal(ask(&victim, "redirect %s", v1), "ok");
	assert_results(&victim, 2, 20);
	assert_leads_to(&victim, HOST, "victim_f", "v1");
	end(&victim);
}

static void calls_follow_the_newest_patch(void **state)
{
	struct victim victim = start(HOST, 4, NULL, NULL);

	(void)state;
	ask(&victim, "redirect %s", make_calls(HOST, "v1", 2, 20));
	assert_string_equal(
		ask(&victim, "redirect %s", make_calls(HOST, "v2", 3, 0)),
		"ok");
	assert_results(&victim, 3, 20);
	assert_leads_to(&victim, HOST, "victim_f", "v2");
	assert_leads_to(&victim, HOST, "victim_g", "v1");
	assert_refused(ask(&victim, "revert v1"), HFX_ERROR_ORDER,
	               "revert v2 first");
	assert_string_equal(ask(&victim, "revert v2"), "ok");
	assert_results(&victim, 2, 20);
	assert_leads_to(&victim, HOST, "victim_f", "v1");
	assert_string_equal(ask(&victim, "revert v1"), "ok");
	assert_results(&victim, 1, 10);
	assert_leads_to(&victim, HOST, "victim_f", NULL);
	end(&victim);
}

/** One with and one without, in both orders. */
static void calls_reach_a_later_patch_that_does_not_redirect_them(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	const char *v1 = make_calls(HOST, "v1", 2, 20);
	const char *v2 = make_calls(HOST, "v2", 3, 0);

	(void)state;
	ask(&victim, "redirect %s", v1);
	assert_string_equal(ask(&victim, "apply %s", v2), "ok");
	assert_leads_to(&victim, HOST, "victim_f", "v1");
	assert_results(&victim, 3, 20);
	assert_string_equal(ask(&victim, "revert-all"), "ok");
	assert_leads_to(&victim, HOST, "victim_f", NULL);
	assert_results(&victim, 1, 10);
	ask(&victim, "apply %s", v1);
	assert_string_equal(ask(&victim, "redirect %s", v2), "ok");
	assert_leads_to(&victim, HOST, "victim_f", "v2");
	assert_results(&victim, 3, 20);
	assert_string_equal(ask(&victim, "revert v2"), "ok");
	assert_leads_to(&victim, HOST, "victim_f", NULL);
	assert_results(&victim, 2, 20);
	end(&victim);
}

static void a_function_with_redirected_calls_is_patched_itself(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	struct test_bundle sum = {.name = "sum", .program = HOST};

	(void)state;
	test_bundle_return(&sum, "victim_sum", 77);
	ask(&victim, "redirect %s", make_calls(HOST, "v1", 2, 20));
	assert_string_equal(ask(&victim, "apply %s", write_bundle(&sum)), "ok");
	assert_string_equal(ask(&victim, "call"), "f=2 g=20 sum=77 data=7");
	/* Neither stands on the other. */
	assert_string_equal(ask(&victim, "revert v1"), "ok");
	assert_string_equal(ask(&victim, "call"), "f=1 g=10 sum=77 data=7");
	assert_leads_to(&victim, HOST, "victim_f", NULL);
	assert_string_equal(ask(&victim, "revert sum"), "ok");
	assert_results(&victim, 1, 10);
	end(&victim);
}

/* ---- From outside ------------------------------------------------------ */

static void calls_are_redirected_from_outside(const char *program)
{
	struct victim victim = start(program, 6, NULL, NULL);
	const struct engine_options options = redirecting();
	const char *v1 = make_calls(program, "v1", 2, 20);

	assert_results(&victim, 1, 10);
	assert_int_equal(apply_outside_with(&victim, v1, &options), 0);
	assert_results(&victim, 2, 20);
	assert_leads_to(&victim, program, "victim_f", "v1");
	assert_leads_to(&victim, program, "victim_g", "v1");
	assert_int_equal(revert_all_outside(&victim), 0);
	assert_results(&victim, 1, 10);
	assert_leads_to(&victim, program, "victim_f", NULL);
	assert_leads_to(&victim, program, "victim_g", NULL);
	end(&victim);
}

static void calls_are_redirected_in_a_program_that_knows_nothing(void **state)
{
	(void)state;
	calls_are_redirected_from_outside(PLAIN);
}

static void calls_are_redirected_in_a_program_of_fixed_place(void **state)
{
	(void)state;
	calls_are_redirected_from_outside(FIXED);
}

static void calls_go_to_what_takes_the_place_of_a_patch(void **state)
{
	struct victim victim = start(PLAIN, 2, NULL, NULL);
	struct engine_options options = redirecting();

	(void)state;
	assert_results(&victim, 1, 10);
	options.replaces_all = true;
	assert_int_equal(apply_outside_with(&victim,
	                                    make_calls(PLAIN, "v1", 2, 20),
	                                    &options),
	                 0);
	assert_int_equal(apply_outside_with(&victim,
	                                    make_calls(PLAIN, "v2", 3, 0),
	                                    &options),
	                 0);
	assert_results(&victim, 3, 10);
	assert_leads_to(&victim, PLAIN, "victim_f", "v2");
	assert_leads_to(&victim, PLAIN, "victim_g", NULL);
	options.redirect_calls = false;
	assert_int_equal(apply_outside_with(&victim,
	                                    make_calls(PLAIN, "v3", 4, 40),
	                                    &options),
	                 0);
	assert_results(&victim, 4, 40);
	assert_leads_to(&victim, PLAIN, "victim_f", NULL);
	assert_int_equal(revert_all_outside(&victim), 0);
	assert_results(&victim, 1, 10);
	end(&victim);
}

/* ---- Left alone -------------------------------------------------------- */

/**
 * Apply a bundle whose call is no call that hfx takes: the function is
 * replaced, the calls of it stay.
 */
static void stays_where_it_leads(const char *program, struct test_bundle bundle)
{
	struct victim victim = start(program, 2, NULL, NULL);
	const struct engine_options options = redirecting();
	uint64_t call;

	bundle.program = program;
	call = test_bundle_call(&bundle, bundle.caller, "victim_f");
	test_bundle_return(&bundle, "victim_f", 2);
	assert_results(&victim, 1, 10);
	assert_int_equal(
		apply_outside_with(&victim, write_bundle(&bundle), &options),
		0);
	assert_results(&victim, 2, 10);
	assert_leads_to(&victim, program, "victim_f", NULL);
	if (!bundle.call_shift)
		assert_int_equal(read_call(&victim, call),
		                 test_bundle_symbol(&bundle, "victim_f"));
	assert_int_equal(revert_all_outside(&victim), 0);
	assert_results(&victim, 1, 10);
	end(&victim);
}

static void a_place_that_is_no_call_is_left_alone(void **state)
{
	(void)state;
	stays_where_it_leads(PLAIN, (struct test_bundle){
					    .name = "shifted",
					    .caller = "victim_sum",
					    .call_shift = 1,
				    });
}

static void a_place_outside_of_the_code_is_left_alone(void **state)
{
	(void)state;
	stays_where_it_leads(PLAIN, (struct test_bundle){
					    .name = "far",
					    .caller = "victim_sum",
					    .call_shift = UINT64_C(1) << 40,
				    });
}

/** Only what lies in one page is written in one go. */
static void a_call_across_two_pages_is_left_alone(void **state)
{
	const struct test_bundle bundle = {
		.name = "across",
		.program = FIXED,
		.caller = "victim_across",
	};

	(void)state;
	assert_int_equal(
		test_bundle_call(&bundle, "victim_across", "victim_f") % 4096,
		4093);
	stays_where_it_leads(FIXED, bundle);
}

/** As another tool does that redirects calls. */
static void write_call(const struct victim *victim, uint64_t live_addr,
                       uint64_t to)
{
	int32_t distance = (int32_t)(to - live_addr - CALL_SIZE);
	int fd = open_memory(victim, O_RDWR);

	assert_int_equal(
		pwrite(fd, &distance, sizeof(distance), (off_t)live_addr + 1),
		sizeof(distance));
	close(fd);
}

static void a_call_that_something_else_has_changed_is_left_alone(void **state)
{
	struct victim victim = start(FIXED, 2, NULL, NULL);
	const struct engine_options options = redirecting();
	const struct test_bundle old = {.program = FIXED};
	uint64_t call = test_bundle_call(&old, "victim_sum", "victim_f");
	uint64_t other = test_bundle_symbol(&old, "victim_g");

	(void)state;
	assert_results(&victim, 1, 10);
	write_call(&victim, call, other);
	assert_string_equal(ask(&victim, "call"), "f=1 g=10 sum=1010 data=7");
	assert_int_equal(apply_outside_with(&victim,
	                                    make_calls(FIXED, "v1", 2, 20),
	                                    &options),
	                 0);
	assert_int_equal(read_call(&victim, call), other);
	assert_leads_to(&victim, FIXED, "victim_g", "v1");
	assert_string_equal(ask(&victim, "call"), "f=2 g=20 sum=2020 data=7");
	assert_int_equal(revert_all_outside(&victim), 0);
	assert_int_equal(read_call(&victim, call), other);
	assert_string_equal(ask(&victim, "call"), "f=1 g=10 sum=1010 data=7");
	end(&victim);
}

static void a_redirected_call_that_was_changed_since_keeps_all(void **state)
{
	struct victim victim = start(FIXED, 2, NULL, NULL);
	const struct engine_options options = redirecting();
	const struct test_bundle old = {.program = FIXED};
	uint64_t call = test_bundle_call(&old, "victim_sum", "victim_f");

	(void)state;
	assert_int_equal(apply_outside_with(&victim,
	                                    make_calls(FIXED, "v1", 2, 20),
	                                    &options),
	                 0);
	write_call(&victim, call, test_bundle_symbol(&old, "victim_g"));
	assert_int_equal(revert_all_outside(&victim), HFX_ERROR_CODE_MISMATCH);
	assert_string_equal(ask(&victim, "call"), "f=2 g=20 sum=2020 data=7");
	end(&victim);
}

/* ---- Killed ------------------------------------------------------------ */

static void settle(const struct victim *victim)
{
	struct target *target = open_target(victim);
	struct engine_options look = patience;

	look.dry_run = true;
	assert_null(engine_revert_all(target, &look, NULL));
	target_destroy(target);
}

static void a_killed_apply_leaves_no_call_redirected(void **state)
{
	const struct engine_options options = redirecting();
	const char *v1 = make_calls(PLAIN, "v1", 2, 20);
	bool is_killed = true;
	size_t i = 0;

	(void)state;
	/* The states, two functions, two calls. */
	for (; is_killed; i++) {
		struct victim victim = start(PLAIN, 0, NULL, NULL);

		assert_results(&victim, 1, 10);
		is_killed = be_killed(&victim, v1, &options, i);
		settle(&victim);
		assert_results(&victim, is_killed ? 1 : 2, is_killed ? 10 : 20);
		assert_int_equal(
			apply_outside(&victim, make_bundle(PLAIN, "v2", 3, 0)),
			0);
		assert_leads_to(&victim, PLAIN, "victim_f",
		                is_killed ? NULL : "v1");
		assert_leads_to(&victim, PLAIN, "victim_g",
		                is_killed ? NULL : "v1");
		assert_int_equal(revert_all_outside(&victim), 0);
		assert_results(&victim, 1, 10);
		end(&victim);
	}
	assert_int_equal(i, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			calls_are_redirected_by_a_program_with_one_thread),
		cmocka_unit_test(
			calls_are_redirected_by_a_program_with_threads),
		cmocka_unit_test(calls_stay_unless_they_are_to_be_redirected),
		cmocka_unit_test(calls_follow_the_newest_patch),
		cmocka_unit_test(
			calls_reach_a_later_patch_that_does_not_redirect_them),
		cmocka_unit_test(
			a_function_with_redirected_calls_is_patched_itself),
		cmocka_unit_test(
			calls_are_redirected_in_a_program_that_knows_nothing),
		cmocka_unit_test(
			calls_are_redirected_in_a_program_of_fixed_place),
		cmocka_unit_test(calls_go_to_what_takes_the_place_of_a_patch),
		cmocka_unit_test(a_place_that_is_no_call_is_left_alone),
		cmocka_unit_test(a_place_outside_of_the_code_is_left_alone),
		cmocka_unit_test(a_call_across_two_pages_is_left_alone),
		cmocka_unit_test(
			a_call_that_something_else_has_changed_is_left_alone),
		cmocka_unit_test(
			a_redirected_call_that_was_changed_since_keeps_all),
		cmocka_unit_test(a_killed_apply_leaves_no_call_redirected),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
