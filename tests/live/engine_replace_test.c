/* SPDX-License-Identifier: MIT */
/*
 * A patch that takes the place of others in one stop, and what is left of that
 * when hfx is killed at each of its writes.
 */
#include "engine_process.h"

/* ---- By the program itself --------------------------------------------- */

static void a_patch_takes_the_place_of_another(int num_threads)
{
	struct victim victim = start(HOST, num_threads, NULL, NULL);
	const char *v1 = make_bundle(HOST, "v1", 2, 20);
	const char *v2 = make_bundle(HOST, "v2", 3, 0);

	assert_string_equal(ask(&victim, "apply %s", v1), "ok");
	assert_string_equal(ask(&victim, "replace v1 %s", v2), "ok");
	assert_results(&victim, 3, 10);
	assert_string_equal(ask(&victim, "list"), "applied 1: v2");
	assert_string_equal(ask(&victim, "replace v2 %s", v1), "ok");
	assert_results(&victim, 2, 20);
	assert_string_equal(ask(&victim, "revert v1"), "ok");
	assert_results(&victim, 1, 10);
	end(&victim);
}

static void a_patch_replaces_another_in_a_process_with_one_thread(void **state)
{
	(void)state;
	a_patch_takes_the_place_of_another(0);
}

static void a_patch_replaces_another_in_a_process_with_threads(void **state)
{
	(void)state;
	a_patch_takes_the_place_of_another(8);
}

static void what_stands_on_a_replaced_patch_is_named(void **state)
{
	struct victim victim = start(HOST, 2, NULL, NULL);
	const char *v3 = make_bundle(HOST, "v3", 4, 40);

	(void)state;
	ask(&victim, "apply %s", make_bundle(HOST, "v1", 2, 20));
	ask(&victim, "apply %s", make_bundle(HOST, "v2", 3, 0));
	assert_refused(ask(&victim, "replace v1 %s", v3), HFX_ERROR_ORDER,
	               "v2 was applied on top of v1");
	assert_results(&victim, 3, 20);
	assert_refused(ask(&victim, "replace v9 %s", v3), HFX_ERROR_NOT_APPLIED,
	               "no patch");
	assert_string_equal(ask(&victim, "list"), "applied 2: v1 v2");
	assert_string_equal(ask(&victim, "replace v2 %s", v3), "ok");
	assert_results(&victim, 4, 40);
	assert_string_equal(ask(&victim, "list"), "applied 2: v1 v3");
	assert_string_equal(ask(&victim, "revert v3"), "ok");
	assert_results(&victim, 2, 20);
	end(&victim);
}

static void all_patches_are_replaced_at_once_also_none(void **state)
{
	struct victim victim = start(HOST, 4, NULL, NULL);
	const char *v3 = make_bundle(HOST, "v3", 4, 0);

	(void)state;
	assert_string_equal(ask(&victim, "replace-all %s", v3), "ok");
	assert_results(&victim, 4, 10);
	assert_refused(ask(&victim, "replace-all %s", v3),
	               HFX_ERROR_ALREADY_APPLIED, "v3 is already applied");
	ask(&victim, "apply %s", make_bundle(HOST, "v4", 5, 50));
	ask(&victim, "apply %s", make_bundle(HOST, "v5", 0, 60));
	assert_string_equal(
		ask(&victim, "replace-all %s", make_bundle(HOST, "v6", 7, 0)),
		"ok");
	assert_results(&victim, 7, 10);
	assert_string_equal(ask(&victim, "list"), "applied 1: v6");
	assert_string_equal(ask(&victim, "revert v6"), "ok");
	assert_results(&victim, 1, 10);
	end(&victim);
}

/** What the stacking rules forbid on top is fine in place of it. */
static void a_patch_that_cannot_be_stacked_on_is_replaced(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	struct test_bundle below = {
		.name = "below", .program = HOST, .no_new_entry = true};

	(void)state;
	test_bundle_return(&below, "victim_f", 2);
	ask(&victim, "apply %s", write_bundle(&below));
	assert_string_equal(
		ask(&victim, "replace below %s", make_bundle(HOST, "v2", 3, 0)),
		"ok");
	assert_results(&victim, 3, 10);
	assert_string_equal(ask(&victim, "revert v2"), "ok");
	assert_results(&victim, 1, 10);
	end(&victim);
}

/* ---- Killed ------------------------------------------------------------ */

static struct digest id_of(const char *path)
{
	struct bundle *bundle;
	struct digest id;

	assert_null(bundle_read(path, &bundle));
	id = bundle->id;
	bundle_destroy(bundle);
	return id;
}

static struct engine_options replacing(const struct digest *id)
{
	struct engine_options options = patience;

	options.replaces = id;
	options.num_replaces = 1;
	return options;
}

/** The names of what is applied, in order, as the next hfx finds it. */
static void assert_applied(const struct victim *victim, const char *expected)
{
	struct target *target = open_target(victim);
	struct engine_options look = patience;
	struct engine_patches patches;
	char names[256] = "";

	/* Anything that changes settles first; this finds nothing to do. */
	look.dry_run = true;
	assert_null(engine_revert_all(target, &look, NULL));
	assert_null(engine_list(target, &patches));
	for (size_t i = 0; i < patches.num_patches; i++) {
		enum record_state state = patches.patches[i].state;

		assert_true(state == RECORD_APPLIED ||
		            state == RECORD_REVERTED);
		if (state != RECORD_APPLIED)
			continue;
		strcat(names, patches.patches[i].name);
		strcat(names, " ");
	}
	assert_string_equal(names, expected);
	engine_patches_deinit(&patches);
	target_destroy(target);
}

/** Whatever was left, what comes next works. */
static void assert_in_order(struct victim *victim, const char *next)
{
	assert_int_equal(revert_all_outside(victim), 0);
	assert_results(victim, 1, 10);
	assert_int_equal(apply_outside(victim, next), 0);
	assert_results(victim, 8, 80);
	assert_int_equal(revert_all_outside(victim), 0);
	assert_results(victim, 1, 10);
}

static void a_killed_replacement_leaves_the_old_patch_or_the_new(void **state)
{
	const char *v1 = make_bundle(PLAIN, "v1", 2, 20);
	const char *v2 = make_bundle(PLAIN, "v2", 3, 0);
	const char *v3 = make_bundle(PLAIN, "v3", 4, 0);
	const char *next = make_bundle(PLAIN, "next", 8, 80);
	const struct digest replaced = id_of(v2);
	const struct engine_options options = replacing(&replaced);
	size_t i = 0;
	bool is_killed = true;

	(void)state;
	/* States of both, f in OLD and in v1, states of both. */
	for (; is_killed; i++) {
		struct victim victim = start(PLAIN, 0, NULL, NULL);
		bool is_new = i >= 5;

		assert_results(&victim, 1, 10);
		assert_int_equal(apply_outside(&victim, v1), 0);
		assert_int_equal(apply_outside(&victim, v2), 0);
		is_killed = be_killed(&victim, v3, &options, i);
		assert_applied(&victim, is_new ? "v1 v3 " : "v1 v2 ");
		assert_results(&victim, is_new ? 4 : 3, 20);
		assert_in_order(&victim, next);
		end(&victim);
	}
	assert_int_equal(i, 7);
}

static void a_killed_replacement_puts_back_what_only_the_old_had(void **state)
{
	const char *v1 = make_bundle(PLAIN, "v1", 2, 20);
	const char *v2 = make_bundle(PLAIN, "v2", 3, 0);
	const char *next = make_bundle(PLAIN, "next", 8, 80);
	const struct digest replaced = id_of(v1);
	const struct engine_options options = replacing(&replaced);
	size_t i = 0;
	bool is_killed = true;

	(void)state;
	for (; is_killed; i++) {
		struct victim victim = start(PLAIN, 0, NULL, NULL);
		bool is_new = i >= 5;

		assert_results(&victim, 1, 10);
		assert_int_equal(apply_outside(&victim, v1), 0);
		is_killed = be_killed(&victim, v2, &options, i);
		assert_applied(&victim, is_new ? "v2 " : "v1 ");
		assert_results(&victim, is_new ? 3 : 2, is_new ? 10 : 20);
		assert_in_order(&victim, next);
		end(&victim);
	}
	assert_int_equal(i, 7);
}

static void a_killed_revert_is_finished(void **state)
{
	const char *v1 = make_bundle(PLAIN, "v1", 2, 20);
	const char *next = make_bundle(PLAIN, "next", 8, 80);
	const struct digest id = id_of(v1);
	const struct engine_options options = replacing(&id);
	bool is_killed = true;

	(void)state;
	for (size_t i = 0; is_killed; i++) {
		struct victim victim = start(PLAIN, 0, NULL, NULL);

		assert_results(&victim, 1, 10);
		assert_int_equal(apply_outside(&victim, v1), 0);
		is_killed = be_killed(&victim, NULL, &options, i);
		assert_applied(&victim, i ? "" : "v1 ");
		assert_results(&victim, i ? 1 : 2, i ? 10 : 20);
		assert_in_order(&victim, next);
		end(&victim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_patch_replaces_another_in_a_process_with_one_thread),
		cmocka_unit_test(
			a_patch_replaces_another_in_a_process_with_threads),
		cmocka_unit_test(what_stands_on_a_replaced_patch_is_named),
		cmocka_unit_test(all_patches_are_replaced_at_once_also_none),
		cmocka_unit_test(a_patch_that_cannot_be_stacked_on_is_replaced),
		cmocka_unit_test(
			a_killed_replacement_leaves_the_old_patch_or_the_new),
		cmocka_unit_test(
			a_killed_replacement_puts_back_what_only_the_old_had),
		cmocka_unit_test(a_killed_revert_is_finished),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
