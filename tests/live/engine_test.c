/* SPDX-License-Identifier: MIT */
/*
 * Bundles with hand-written code, applied to a running program: by itself with
 * libhfx, at its start by preloading libhfx, and from this process.
 */
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "engine_process.h"
#include "sign.h"

/** New f: jumps through slot 0, which is bound to an import. */
static struct test_bundle import_bundle(const char *name, const char *symbol,
                                        const char *version)
{
	struct test_bundle bundle = {
		.name = name,
		.program = HOST,
		.imports = {{symbol, version, "libc.so.6", false}},
		.num_imports = 1,
		.relocations = {{NEW_DATA_ADDR, R_X86_64_GLOB_DAT, 0, 0}},
		.num_relocations = 1,
	};
	/* lea text(%rip), %rdi; jmp *slot(%rip); text: "hello" */
	uint8_t code[19] = {0x48, 0x8d, 0x3d, 6, 0, 0, 0, 0xff, 0x25};
	uint32_t distance = NEW_DATA_ADDR - (NEW_CODE_ADDR + 13);

	memcpy(code + 9, &distance, sizeof(distance));
	memcpy(code + 13, "hello", 6);
	test_bundle_code(&bundle, "victim_f", code, sizeof(code));
	return bundle;
}

/* ---- Tests ------------------------------------------------------------- */

static void patches_stack_and_come_off(int num_threads)
{
	struct victim victim = start(HOST, num_threads, NULL, NULL);
	const char *v1 = make_bundle(HOST, "v1", 2, 20);
	const char *v2 = make_bundle(HOST, "v2", 3, 0);

	assert_results(&victim, 1, 10);
	assert_string_equal(ask(&victim, "apply %s", v1), "ok");
	assert_results(&victim, 2, 20);
	assert_string_equal(ask(&victim, "apply %s", v2), "ok");
	assert_results(&victim, 3, 20);
	assert_string_equal(ask(&victim, "list"), "applied 2: v1 v2");
	assert_refused(ask(&victim, "revert v1"), HFX_ERROR_ORDER,
	               "revert v2 first");
	assert_results(&victim, 3, 20);
	assert_string_equal(ask(&victim, "revert v2"), "ok");
	assert_results(&victim, 2, 20);
	assert_string_equal(ask(&victim, "revert v1"), "ok");
	assert_results(&victim, 1, 10);
	assert_string_equal(ask(&victim, "list"), "applied 0:");
	assert_string_equal(ask(&victim, "children"), "sigchld=0 children=0");
	count_mappings(&victim);
	end(&victim);
}

static void patches_stack_in_a_process_with_one_thread(void **state)
{
	(void)state;
	patches_stack_and_come_off(0);
}

static void patches_stack_in_a_process_with_many_threads(void **state)
{
	(void)state;
	patches_stack_and_come_off(8);
}

static void code_of_an_earlier_patch_reaches_the_later_one(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	struct test_bundle v1 = {.name = "caller", .program = HOST};
	/* New g calls new f of the same image: sub $8, %rsp; call f;
	 * add $8, %rsp; ret */
	uint8_t code[14] = {0x48, 0x83, 0xec, 8,    0xe8, 0, 0,
	                    0,    0,    0x48, 0x83, 0xc4, 8, 0xc3};
	int32_t distance = -(int32_t)FUNCTION_ROOM - 9;

	(void)state;
	test_bundle_return(&v1, "victim_f", 2);
	memcpy(code + 5, &distance, sizeof(distance));
	test_bundle_code(&v1, "victim_g", code, sizeof(code));
	assert_string_equal(ask(&victim, "apply %s", write_bundle(&v1)), "ok");
	assert_results(&victim, 2, 2);
	assert_string_equal(
		ask(&victim, "apply %s", make_bundle(HOST, "v2", 3, 0)), "ok");
	assert_results(&victim, 3, 3);
	assert_string_equal(ask(&victim, "revert v2"), "ok");
	assert_results(&victim, 2, 2);
	end(&victim);
}

static void new_code_refers_to_the_old_module(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	struct test_bundle bundle = {
		.name = "refers",
		.program = HOST,
		.num_relocations = 2,
	};
	/* sub $8, %rsp; call g; add data(%rip), %eax; add $8, %rsp; ret */
	const uint8_t code[] = {0x48, 0x83, 0xec, 8,    0xe8, 0,   0,
	                        0,    0,    0x03, 0x05, 0,    0,   0,
	                        0,    0x48, 0x83, 0xc4, 8,    0xc3};

	(void)state;
	test_bundle_code(&bundle, "victim_f", code, sizeof(code));
	bundle.relocations[0] = (struct image_relocation){
		NEW_CODE_ADDR + 5, R_X86_64_PC32, IMAGE_SYMBOL_MODULE,
		(int64_t)test_bundle_symbol(&bundle, "victim_g") - 4};
	bundle.relocations[1] = (struct image_relocation){
		NEW_CODE_ADDR + 11, R_X86_64_PC32, IMAGE_SYMBOL_MODULE,
		(int64_t)test_bundle_symbol(&bundle, "victim_data") - 4};
	assert_string_equal(ask(&victim, "apply %s", write_bundle(&bundle)),
	                    "ok");
	assert_results(&victim, 17, 10);
	end(&victim);
}

static void the_same_bundle_twice_is_refused(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	const char *v1 = make_bundle(HOST, "v1", 2, 0);

	(void)state;
	assert_string_equal(ask(&victim, "apply %s", v1), "ok");
	assert_refused(ask(&victim, "apply %s", v1), HFX_ERROR_ALREADY_APPLIED,
	               "v1 is already applied");
	assert_results(&victim, 2, 10);
	assert_string_equal(ask(&victim, "revert v1"), "ok");
	assert_refused(ask(&victim, "revert v1"), HFX_ERROR_NOT_APPLIED, "");
	end(&victim);
}

static void applying_again_and_again_takes_no_more_memory(void **state)
{
	struct victim victim = start(HOST, 2, NULL, NULL);
	const char *v1 = make_bundle(HOST, "v1", 2, 20);
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_string_equal(ask(&victim, "apply %s", v1), "ok");
		assert_results(&victim, 2, 20);
		if (!i)
			count = count_mappings(&victim);
		assert_string_equal(ask(&victim, "revert v1"), "ok");
		assert_results(&victim, 1, 10);
	}
	assert_int_equal(count_mappings(&victim), count);
	end(&victim);
}

static void all_patches_come_off_at_once(void **state)
{
	struct victim victim = start(HOST, 4, NULL, NULL);

	(void)state;
	ask(&victim, "apply %s", make_bundle(HOST, "v1", 2, 20));
	ask(&victim, "apply %s", make_bundle(HOST, "v2", 3, 30));
	ask(&victim, "apply %s", make_bundle(HOST, "v3", 4, 0));
	assert_results(&victim, 4, 30);
	assert_string_equal(ask(&victim, "revert-all"), "ok");
	assert_results(&victim, 1, 10);
	assert_string_equal(ask(&victim, "list"), "applied 0:");
	assert_string_equal(ask(&victim, "revert-all"), "ok");
	end(&victim);
}

static void a_refused_bundle_leaves_no_trace(void **state)
{
	struct victim victim = start(HOST, 3, NULL, NULL);
	struct test_bundle build = {
		.name = "build", .program = HOST, .wrong_build_id = true};
	struct test_bundle digest = {
		.name = "digest", .program = HOST, .wrong_digest = true};
	struct test_bundle import =
		import_bundle("import", "no_such_function", "");
	struct test_bundle version =
		import_bundle("version", "strlen", "GLIBC_9.9");
	size_t count;

	(void)state;
	test_bundle_return(&build, "victim_f", 2);
	test_bundle_return(&digest, "victim_f", 2);
	/* The first one also makes malloc() get what it needs. */
	assert_refused(ask(&victim, "apply %s", write_bundle(&digest)),
	               HFX_ERROR_CODE_MISMATCH, "victim_f");
	count = count_mappings(&victim);
	assert_refused(ask(&victim, "apply %s", write_bundle(&build)),
	               HFX_ERROR_BUILD_MISMATCH, "build-id");
	assert_refused(ask(&victim, "apply %s", write_bundle(&import)),
	               HFX_ERROR_UNRESOLVED, "no_such_function");
	assert_refused(ask(&victim, "apply %s", write_bundle(&version)),
	               HFX_ERROR_UNRESOLVED, "strlen@GLIBC_9.9 of libc.so.6");
	assert_refused(ask(&victim, "apply %s/none.hfx", folder), HFX_ERROR_OS,
	               "none.hfx");
	assert_string_equal(
		ask(&victim, "try %s", make_bundle(HOST, "dry", 2, 0)), "ok");
	assert_results(&victim, 1, 10);
	assert_string_equal(ask(&victim, "list"), "applied 0:");
	assert_int_equal(count_mappings(&victim), count);
	end(&victim);
}

static void imports_are_bound_by_name_and_version(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	struct test_bundle ifunc =
		import_bundle("ifunc", "strlen", "GLIBC_2.2.5");
	struct test_bundle plain = import_bundle("plain", "getpid", "");

	(void)state;
	assert_string_equal(ask(&victim, "apply %s", write_bundle(&ifunc)),
	                    "ok");
	assert_results(&victim, 5, 10);
	assert_string_equal(ask(&victim, "apply %s", write_bundle(&plain)),
	                    "ok");
	assert_results(&victim, (int)victim.pid, 10);
	end(&victim);
}

static void without_room_nearby_nothing_happens(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);

	(void)state;
	assert_string_equal(ask(&victim, "fill"), "filled 1");
	assert_refused(ask(&victim, "apply %s", make_bundle(HOST, "v1", 2, 0)),
	               HFX_ERROR_NO_ADDRESS_SPACE,
	               "if the program maps so much there itself, start it");
	assert_results(&victim, 1, 10);
	end(&victim);
}

static void a_patch_that_cannot_be_stacked_on_is_named(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	struct test_bundle below = {
		.name = "below", .program = HOST, .no_new_entry = true};
	struct test_bundle other = {
		.name = "other", .program = HOST, .signature = "long f(int)"};

	(void)state;
	test_bundle_return(&below, "victim_f", 2);
	test_bundle_return(&other, "victim_f", 3);
	assert_string_equal(ask(&victim, "apply %s", write_bundle(&below)),
	                    "ok");
	assert_refused(ask(&victim, "apply %s", write_bundle(&other)),
	               HFX_ERROR_ORDER, "revert below first");
	assert_string_equal(ask(&victim, "revert below"), "ok");
	assert_string_equal(
		ask(&victim, "apply %s", make_bundle(HOST, "v1", 2, 20)), "ok");
	assert_refused(ask(&victim, "apply %s", write_bundle(&other)),
	               HFX_ERROR_ORDER, "another signature");
	assert_results(&victim, 2, 20);
	end(&victim);
}

/* ---- Preloaded --------------------------------------------------------- */

static void preloaded_bundles_are_applied_before_main(void **state)
{
	char bundles[2 * PATH_MAX + 2];
	struct victim victim;

	(void)state;
	snprintf(bundles, sizeof(bundles), "%s:%s",
	         make_bundle(PLAIN, "v1", 2, 20),
	         make_bundle(PLAIN, "v2", 3, 0));
	victim = start(PLAIN, 4, bundles, NULL);
	assert_results(&victim, 3, 20);
	end(&victim);
}

static void what_cannot_be_preloaded_is_said_in_one_line(void **state)
{
	struct test_bundle digest = {
		.name = "digest", .program = PLAIN, .wrong_digest = true};
	char bundles[2 * PATH_MAX + 2], errors[PATH_MAX];
	struct buffer text;
	struct victim victim;
	const char *path;

	(void)state;
	test_bundle_return(&digest, "victim_f", 2);
	path = write_bundle(&digest);
	/* One for another build is passed over in silence. */
	snprintf(bundles, sizeof(bundles), "%s:%s", path,
	         make_bundle(HOST, "elsewhere", 2, 0));
	snprintf(errors, sizeof(errors), "%s/stderr", folder);
	victim = start(PLAIN, 0, bundles, errors);
	assert_results(&victim, 1, 10);
	end(&victim);
	assert_null(file_read(errors, 4096, &text));
	assert_int_equal(strncmp((char *)text.data, "hfx: ", 5), 0);
	assert_non_null(memmem(text.data, text.size, path, strlen(path)));
	assert_ptr_equal(memchr(text.data, '\n', text.size),
	                 text.data + text.size - 1);
	buffer_deinit(&text);
}

static void bundles_are_ignored_with_more_rights_than_the_user(void **state)
{
	const char *bundle = make_bundle(HOST, "v1", 2, 20);
	char program[PATH_MAX], errors[PATH_MAX], output[256];
	struct statvfs file_system;
	struct victim victim;

	(void)state;
	snprintf(program, sizeof(program), "%s/setgid", folder);
	snprintf(errors, sizeof(errors), "%s/stderr", folder);
	assert_int_equal(
		fixture_run(output, sizeof(output), "cp %s %s", HOST, program),
		0);
	victim = start(program, 0, bundle, errors);
	assert_results(&victim, 2, 20);
	end(&victim);
	assert_int_equal(statvfs(folder, &file_system), 0);
	if (getuid() || file_system.f_flag & ST_NOSUID)
		skip();
	assert_int_equal(chown(program, (uid_t)-1, 65534), 0);
	assert_int_equal(chmod(program, 02755), 0);
	victim = start(program, 0, bundle, errors);
	assert_results(&victim, 1, 10);
	end(&victim);
}

static void a_program_asks_for_the_signatures_that_it_trusts(void **state)
{
	struct victim victim = start(HOST, 2, NULL, NULL);
	const char *path = make_bundle(HOST, "signed", 2, 20);
	char *key_text, key_path[PATH_MAX];
	struct secret_key key;
	FILE *file;

	(void)state;
	assert_null(secret_key_generate(&key));
	assert_null(secret_key_format_public(&key, NULL, &key_text));
	snprintf(key_path, sizeof(key_path), "%s.pub", path);
	file = fopen(key_path, "w");
	fputs(key_text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(key_path, 0644), 0);
	free(key_text);
	assert_refused(ask(&victim, "trust /nonexistent"), HFX_ERROR_OS,
	               "/nonexistent");
	assert_string_equal(ask(&victim, "trust %s", key_path), "ok");
	assert_refused(ask(&victim, "apply %s", path), HFX_ERROR_UNTRUSTED,
	               "not signed");
	assert_results(&victim, 1, 10);
	assert_null(sign_bundle(path, &key));
	assert_string_equal(ask(&victim, "apply %s", path), "ok");
	assert_results(&victim, 2, 20);
	/* The keys are read again each time. */
	assert_int_equal(chmod(key_path, 0666), 0);
	assert_string_equal(ask(&victim, "revert-all"), "ok");
	assert_refused(ask(&victim, "apply %s", path), HFX_ERROR_UNTRUSTED,
	               "written by others");
	assert_string_equal(ask(&victim, "trust "), "ok");
	assert_string_equal(ask(&victim, "apply %s", path), "ok");
	end(&victim);
}

/* ---- From outside ------------------------------------------------------ */

static void an_unprepared_process_is_patched_from_outside(void **state)
{
	struct victim victim = start(PLAIN, 8, NULL, NULL);

	(void)state;
	assert_int_equal(
		apply_outside(&victim, make_bundle(PLAIN, "v1", 2, 20)), 0);
	assert_results(&victim, 2, 20);
	assert_int_equal(apply_outside(&victim, make_bundle(PLAIN, "v2", 3, 0)),
	                 0);
	assert_results(&victim, 3, 20);
	count_mappings(&victim);
	assert_int_equal(revert_all_outside(&victim), 0);
	assert_results(&victim, 1, 10);
	end(&victim);
}

static void each_side_reverts_what_the_other_applied(void **state)
{
	struct victim victim = start(HOST, 2, NULL, NULL);
	struct test_bundle ifunc =
		import_bundle("ifunc", "strlen", "GLIBC_2.2.5");
	const char *path = write_bundle(&ifunc);

	(void)state;
	assert_int_equal(apply_outside(&victim, path), 0);
	assert_results(&victim, 5, 10);
	assert_string_equal(ask(&victim, "list"), "applied 1: ifunc");
	assert_refused(ask(&victim, "apply %s", path),
	               HFX_ERROR_ALREADY_APPLIED, "");
	assert_string_equal(ask(&victim, "revert ifunc"), "ok");
	assert_results(&victim, 1, 10);
	assert_string_equal(ask(&victim, "apply %s", path), "ok");
	assert_results(&victim, 5, 10);
	assert_int_equal(revert_all_outside(&victim), 0);
	assert_results(&victim, 1, 10);
	assert_string_equal(ask(&victim, "list"), "applied 0:");
	end(&victim);
}

/** New f returns the TLS index of its module. */
static const char *make_tls_bundle(const char *program)
{
	struct test_bundle bundle = {
		.name = "tls",
		.program = program,
		.relocations = {{NEW_DATA_ADDR, R_X86_64_DTPMOD64,
	                         IMAGE_SYMBOL_MODULE, 0}},
		.num_relocations = 1,
	};
	/* mov slot(%rip), %eax; ret */
	uint8_t code[7] = {0x8b, 0x05, 0, 0, 0, 0, 0xc3};
	uint32_t distance = NEW_DATA_ADDR - (NEW_CODE_ADDR + 6);

	memcpy(code + 2, &distance, sizeof(distance));
	test_bundle_code(&bundle, "victim_f", code, sizeof(code));
	return write_bundle(&bundle);
}

static void patches_fit(const char *program, const char *module)
{
	struct victim victim = start(program, 2, NULL, NULL);
	int tls_index = atoi(ask(&victim, "tls"));

	assert_true(tls_index > 0);
	assert_int_equal(
		apply_outside(&victim, make_bundle(module, "v1", 2, 20)), 0);
	assert_results(&victim, 2, 20);
	assert_int_equal(apply_outside(&victim, make_tls_bundle(module)), 0);
	assert_results(&victim, tls_index, 20);
	assert_int_equal(revert_all_outside(&victim), 0);
	assert_results(&victim, 1, 10);
	end(&victim);
}

static void a_shared_library_is_patched_like_a_program(void **state)
{
	(void)state;
	patches_fit(LIBRARY_USER, LIBRARY);
	patches_fit(PLAIN, PLAIN);
}

static void a_program_at_a_fixed_address_is_patched_too(void **state)
{
	(void)state;
	patches_fit(FIXED, FIXED);
}

static void a_file_that_was_replaced_on_disk_does_not_matter(void **state)
{
	char copy[PATH_MAX];
	struct victim victim;
	const char *v1;

	(void)state;
	snprintf(copy, sizeof(copy), "%s/program", folder);
	assert_int_equal(fixture_run(NULL, 0, "cp %s %s", PLAIN, copy), 0);
	v1 = make_bundle(copy, "v1", 2, 0);
	assert_int_equal(fixture_run(NULL, 0, "strip %s", copy), 0);
	victim = start(copy, 0, NULL, NULL);
	assert_results(&victim, 1, 10);
	assert_int_equal(unlink(copy), 0);
	assert_int_equal(apply_outside(&victim, v1), 0);
	assert_results(&victim, 2, 10);
	end(&victim);
}

/* ---- What a killed hfx leaves ------------------------------------------ */

/** The only patch's record, with its state set to @p state. */
static struct engine_patches leave_at(struct target *target,
                                      enum record_state state)
{
	struct engine_patches patches;
	uint32_t word = state;

	assert_null(engine_list(target, &patches));
	assert_int_equal(patches.num_patches, 1);
	assert_null(target->ops->write(
		target,
		patches.patches[0].record_addr +
			offsetof(struct record_header, state),
		&word, sizeof(word)));
	return patches;
}

static void a_half_made_change_is_undone_by_the_next_call(void **state)
{
	struct victim victim = start(HOST, 2, NULL, NULL);
	const char *v2 = make_bundle(HOST, "v2", 3, 0);
	struct target *target = open_target(&victim);
	struct engine_patches patches;

	(void)state;
	ask(&victim, "apply %s", make_bundle(HOST, "v1", 2, 20));
	patches = leave_at(target, RECORD_COMMITTING);
	assert_int_equal(patches.patches[0].num_sites, 2);
	assert_null(target->ops->write(target,
	                               patches.patches[0].sites[1].live_addr,
	                               patches.patches[0].sites[1].before, 5));
	engine_patches_deinit(&patches);
	target_destroy(target);
	assert_string_equal(ask(&victim, "list"), "applied 0:");
	assert_string_equal(ask(&victim, "apply %s", v2), "ok");
	assert_results(&victim, 3, 10);
	assert_string_equal(ask(&victim, "revert v2"), "ok");
	assert_results(&victim, 1, 10);
	end(&victim);
}

static void an_hfx_tracer_that_fails_changes_nothing(void **state)
{
	struct victim victim = start(HOST, 2, NULL, NULL);
	const char *v1 = make_bundle(HOST, "v1", 2, 20);
	size_t count;

	(void)state;
	ask(&victim, "helper /bin/false");
	assert_refused(ask(&victim, "apply %s", v1), HFX_ERROR_STOP,
	               "hfx-tracer ended without a result");
	count = count_mappings(&victim);
	ask(&victim, "helper /nonexistent");
	assert_refused(ask(&victim, "apply %s", v1), HFX_ERROR_OS,
	               "cannot start /nonexistent");
	/* It dies half-way each time, also when the first half is undone. */
	ask(&victim, "helper " HALF_TRACER);
	assert_refused(ask(&victim, "apply %s", v1), HFX_ERROR_STOP,
	               "hfx-tracer ended without a result");
	assert_int_equal(count_mappings(&victim), count);
	assert_results(&victim, 1, 10);
	assert_string_equal(ask(&victim, "list"), "applied 0:");
	ask(&victim, "helper ");
	assert_string_equal(ask(&victim, "apply %s", v1), "ok");
	assert_results(&victim, 2, 20);
	assert_string_equal(ask(&victim, "children"), "sigchld=0 children=0");
	end(&victim);
}

static void memory_that_was_only_prepared_is_given_back(void **state)
{
	struct victim victim = start(HOST, 0, NULL, NULL);
	const char *v1 = make_bundle(HOST, "v1", 2, 0);
	struct target *target = open_target(&victim);
	struct engine_patches patches;
	size_t count;

	(void)state;
	assert_string_equal(ask(&victim, "apply %s", v1), "ok");
	count = count_mappings(&victim);
	assert_string_equal(ask(&victim, "revert v1"), "ok");
	patches = leave_at(target, RECORD_PREPARED);
	engine_patches_deinit(&patches);
	target_destroy(target);
	assert_string_equal(
		ask(&victim, "apply %s", make_bundle(HOST, "v2", 3, 0)), "ok");
	assert_int_equal(count_mappings(&victim), count);
	assert_results(&victim, 3, 10);
	end(&victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patches_stack_in_a_process_with_one_thread),
		cmocka_unit_test(patches_stack_in_a_process_with_many_threads),
		cmocka_unit_test(
			code_of_an_earlier_patch_reaches_the_later_one),
		cmocka_unit_test(new_code_refers_to_the_old_module),
		cmocka_unit_test(the_same_bundle_twice_is_refused),
		cmocka_unit_test(applying_again_and_again_takes_no_more_memory),
		cmocka_unit_test(all_patches_come_off_at_once),
		cmocka_unit_test(a_refused_bundle_leaves_no_trace),
		cmocka_unit_test(imports_are_bound_by_name_and_version),
		cmocka_unit_test(without_room_nearby_nothing_happens),
		cmocka_unit_test(a_patch_that_cannot_be_stacked_on_is_named),
		cmocka_unit_test(preloaded_bundles_are_applied_before_main),
		cmocka_unit_test(what_cannot_be_preloaded_is_said_in_one_line),
		cmocka_unit_test(
			bundles_are_ignored_with_more_rights_than_the_user),
		cmocka_unit_test(
			a_program_asks_for_the_signatures_that_it_trusts),
		cmocka_unit_test(an_unprepared_process_is_patched_from_outside),
		cmocka_unit_test(each_side_reverts_what_the_other_applied),
		cmocka_unit_test(a_shared_library_is_patched_like_a_program),
		cmocka_unit_test(a_program_at_a_fixed_address_is_patched_too),
		cmocka_unit_test(
			a_file_that_was_replaced_on_disk_does_not_matter),
		cmocka_unit_test(a_half_made_change_is_undone_by_the_next_call),
		cmocka_unit_test(an_hfx_tracer_that_fails_changes_nothing),
		cmocka_unit_test(memory_that_was_only_prepared_is_given_back),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
