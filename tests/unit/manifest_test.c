/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manifest.h"
#include "manifest_text.h"
#include "sample_manifest.h"

static struct manifest *round_trip(const struct manifest *manifest)
{
	struct manifest *read;
	struct buffer text;

	assert_null(manifest_format(manifest, &text));
	assert_null(manifest_parse(text.data, text.size, &read));
	buffer_deinit(&text);
	return read;
}

static void check_function(const struct manifest_function *a,
                           const struct manifest_function *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->linkage_name, b->linkage_name);
	assert_string_equal(a->unit, b->unit);
	assert_string_equal(a->signature, b->signature);
	assert_true(digest_equal(&a->signature_digest, &b->signature_digest));
	assert_string_equal(a->source, b->source);
	assert_string_equal(a->reason, b->reason);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->whole, b->whole);
	assert_int_equal(a->old_addr, b->old_addr);
	assert_int_equal(a->old_size, b->old_size);
	assert_true(digest_equal(&a->old_digest, &b->old_digest));
	assert_int_equal(a->old_entry, b->old_entry);
	assert_int_equal(a->new_addr, b->new_addr);
	assert_int_equal(a->new_size, b->new_size);
	assert_int_equal(a->new_entry, b->new_entry);
}

static void check_module(const struct manifest_module *a,
                         const struct manifest_module *b)
{
	assert_string_equal(a->name, b->name);
	assert_memory_equal(&a->old_build_id, &b->old_build_id,
	                    sizeof(a->old_build_id));
	assert_memory_equal(&a->new_build_id, &b->new_build_id,
	                    sizeof(a->new_build_id));
	assert_string_equal(a->image_member, b->image_member);
	assert_int_equal(a->image_size, b->image_size);
	assert_true(digest_equal(&a->image_digest, &b->image_digest));
	assert_int_equal(a->num_functions, b->num_functions);
	for (size_t i = 0; i < a->num_functions; i++)
		check_function(&a->functions[i], &b->functions[i]);
	assert_int_equal(a->num_old_code, b->num_old_code);
	assert_int_equal(a->old_code[0].function, b->old_code[0].function);
	assert_int_equal(a->old_code[0].old_addr, b->old_code[0].old_addr);
	assert_int_equal(a->old_code[0].old_size, b->old_code[0].old_size);
	assert_int_equal(a->needs_safe_point, b->needs_safe_point);
	assert_int_equal(a->num_calls, b->num_calls);
	for (size_t i = 0; i < a->num_calls; i++) {
		assert_int_equal(a->calls[i].function, b->calls[i].function);
		assert_int_equal(a->calls[i].old_addr, b->calls[i].old_addr);
	}
	assert_int_equal(a->num_imports, b->num_imports);
	assert_string_equal(a->imports[0].name, b->imports[0].name);
	assert_string_equal(a->imports[0].version, b->imports[0].version);
	assert_string_equal(a->imports[0].library, b->imports[0].library);
	assert_int_equal(a->num_objects, b->num_objects);
	assert_string_equal(a->objects[0].name, b->objects[0].name);
	assert_string_equal(a->objects[0].unit, b->objects[0].unit);
	assert_int_equal(a->objects[0].new_addr, b->objects[0].new_addr);
	assert_int_equal(a->objects[0].new_size, b->objects[0].new_size);
	assert_int_equal(a->shadow_table_addr, b->shadow_table_addr);
	assert_memory_equal(a->hook_addrs, b->hook_addrs,
	                    sizeof(a->hook_addrs));
	assert_int_equal(a->hook_starter_addr, b->hook_starter_addr);
	assert_int_equal(a->unwinder.old_addr, b->unwinder.old_addr);
	assert_int_equal(a->unwinder.old_size, b->unwinder.old_size);
	assert_true(
		digest_equal(&a->unwinder.old_digest, &b->unwinder.old_digest));
	assert_int_equal(a->num_warnings, b->num_warnings);
	assert_string_equal(a->warnings[0], b->warnings[0]);
	assert_int_equal(a->num_accepted_types, b->num_accepted_types);
	assert_string_equal(a->accepted_types[0], b->accepted_types[0]);
	assert_int_equal(a->num_accepted_data, b->num_accepted_data);
}

static void what_is_formatted_is_parsed_to_the_same(void **state)
{
	struct manifest *manifest = sample_manifest(), *read;

	(void)state;
	read = round_trip(manifest);
	assert_string_equal(manifest->name, read->name);
	assert_string_equal(manifest->version, read->version);
	assert_string_equal(manifest->description, read->description);
	assert_string_equal(manifest->generator, read->generator);
	assert_int_equal(manifest->created, read->created);
	assert_int_equal(read->num_modules, 1);
	check_module(&manifest->modules[0], &read->modules[0]);
	manifest_destroy(read);
	manifest_destroy(manifest);
}

static void the_same_manifest_gives_the_same_text(void **state)
{
	struct manifest *manifest = sample_manifest();
	struct manifest *read = round_trip(manifest);
	struct buffer a, b;

	(void)state;
	assert_null(manifest_format(manifest, &a));
	assert_null(manifest_format(read, &b));
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);
	buffer_deinit(&a);
	buffer_deinit(&b);
	manifest_destroy(read);
	manifest_destroy(manifest);
}

static void absent_strings_are_written_as_empty_ones(void **state)
{
	struct manifest *manifest = sample_manifest(), *read;

	(void)state;
	sample_set(&manifest->version, "");
	free(manifest->description);
	manifest->description = NULL;
	read = round_trip(manifest);
	assert_string_equal(read->description, "");
	manifest_destroy(read);
	manifest_destroy(manifest);
}

/* Formatting fails, with a message that holds @p text, and gives nothing. */
static void check_not_formatted(struct manifest *manifest, const char *message)
{
	struct buffer text = {0};
	struct hfx_error *err = manifest_format(manifest, &text);

	assert_non_null(err);
	assert_null(text.data);
	if (!strstr(hfx_error_message(err), message))
		fail_msg("\"%s\" is not in \"%s\"", message,
		         hfx_error_message(err));
	hfx_error_destroy(err);
	manifest_destroy(manifest);
}

static void what_json_cannot_hold_is_not_written(void **state)
{
	struct manifest *manifest = sample_manifest();

	(void)state;
	sample_set(&manifest->modules[0].functions[1].source, "a\xff");
	check_not_formatted(manifest, "\"source\" of is_separator");
	manifest = sample_manifest();
	manifest->modules[0].functions[0].new_addr = UINT64_C(1) << 63;
	check_not_formatted(manifest, "\"address\" of process_request");
	manifest = sample_manifest();
	manifest->modules[0].old_build_id.size = BUILD_ID_MAX + 1;
	check_not_formatted(manifest, "\"old_build_id\" of server");
}

static void what_the_reader_refuses_is_not_written(void **state)
{
	struct manifest *manifest = sample_manifest();

	(void)state;
	sample_set(&manifest->name, "two words");
	check_not_formatted(manifest, "name does not match");
	manifest = sample_manifest();
	manifest->modules[0].functions[0].old_size = 8;
	check_not_formatted(manifest, "modules[0].functions[0].old: 8 bytes "
	                              "are too short for a jump at 4");
	manifest = sample_manifest();
	sample_set(&manifest->modules[0].functions[2].signature, "int f(void)");
	check_not_formatted(manifest, "signature_sha256");
}

static void names_of_patches_are_plain(void **state)
{
	char name[130];

	(void)state;
	assert_true(manifest_name_is_valid("a"));
	assert_true(manifest_name_is_valid("CVE-2023-46853_v1.2+deb"));
	assert_false(manifest_name_is_valid(""));
	assert_false(manifest_name_is_valid("a b"));
	assert_false(manifest_name_is_valid("a/b"));
	assert_false(manifest_name_is_valid("\xc3\xa9"));
	memset(name, 'a', sizeof(name));
	name[128] = '\0';
	assert_true(manifest_name_is_valid(name));
	name[128] = 'a';
	name[129] = '\0';
	assert_false(manifest_name_is_valid(name));
}

static void smallest_manifests_are_accepted(void **state)
{
	(void)state;
	accepted(ROOT_WITH(MODULE_WITH("", "", "", "")));
	accepted(WITH_FUNCTION(NEW_FUNCTION));
	accepted(WITH_FUNCTION("{" FUNCTION_HEAD
	                       "\"kind\":\"changed\"," OLD_CODE "," NEW_CODE
	                       "}"));
	accepted(WITH_FUNCTION(
		"{" FUNCTION_HEAD
		"\"kind\":\"part\",\"new\":{\"address\":1,\"size\":3}}"));
}

static void unknown_members_are_named_with_their_place(void **state)
{
	(void)state;
	refused("{" ROOT_HEAD ",\"modules\":[],\"foo\":1}",
	        "foo: unknown member");
	refused(WITH_FUNCTION(NEW_FUNCTION ",{\"foo\":1}"),
	        "modules[0].functions[1].foo: unknown member");
	refused(WITH_FUNCTION("{" FUNCTION_HEAD
	                      "\"kind\":\"new\",\"new\":{\"size\":1,\"x\":2}}"),
	        "modules[0].functions[0].new.x: unknown member");
	refused(WITH_FUNCTION("{\"a\\nb\\u001b\":1}"),
	        "modules[0].functions[0].a?b?: unknown member");
}

static void missing_members_are_named_with_their_place(void **state)
{
	(void)state;
	refused("{}", "format: missing");
	refused("{" ROOT_HEAD "}", "modules: missing");
	refused(WITH_FUNCTION("{}"), "modules[0].functions[0].name: missing");
	refused(WITH_FUNCTION("{" FUNCTION_HEAD "\"kind\":\"new\"}"),
	        "modules[0].functions[0].new: missing");
	refused(ROOT_WITH(MODULE_WITH("", "{\"name\":\"a\"}", "", "")),
	        "modules[0].imports[0].version: missing");
}

static void other_types_are_refused(void **state)
{
	(void)state;
	refused("[]", "not an object");
	refused("1", "manifest.json: ");
	refused("{\"format\":\"1\"}", "format: not an integer");
	refused("{\"format\":1.0}", "format: not an integer");
	refused("{\"format\":true}", "format: not an integer");
	refused("{\"format\":-1}", "format: negative");
	refused("{\"format\":0}", "format");
	refused("{" ROOT_HEAD ",\"modules\":{}}", "modules: not an array");
	refused(ROOT_WITH("1"), "modules[0]: not an object");
	refused(ROOT_WITH(MODULE_WITH("", "", "", "1")),
	        "modules[0].warnings[0]: not a string");
	refused(ROOT_WITH(MODULE_WITH("", "", "", "null")),
	        "modules[0].warnings[0]: not a string");
}

#define ACCEPTED(value)                                                        \
	ROOT_WITH("{" MODULE_HEAD ",\"functions\":[],\"imports\":[],"          \
	          "\"objects\":[],\"warnings\":[],\"accepted\":" value "}")

static void what_is_accepted_is_checked(void **state)
{
	(void)state;
	refused(ACCEPTED("[]"), "accepted: not an object");
	refused(ACCEPTED("{\"types\":[]}"), "accepted.data: missing");
	refused(ACCEPTED("{\"types\":[],\"data\":[]}"), "accepted: empty");
	refused(ACCEPTED("{\"types\":[1],\"data\":[]}"),
	        "accepted.types[0]: not a string");
	refused(ACCEPTED("{\"types\":[],\"data\":[\"\"]}"),
	        "accepted.data[0]: empty");
	refused(ACCEPTED("{\"types\":[\"a\"],\"data\":[],\"x\":1}"),
	        "accepted.x: unknown member");
}

#define WITH_OLD_CODE(value)                                                   \
	ROOT_WITH("{" MODULE_HEAD ",\"functions\":[" NEW_FUNCTION              \
	          "],\"imports\":[],\"objects\":[],\"warnings\":[],"           \
	          "\"old_code\":" value "}")

static void old_code_is_of_a_function_that_is_there(void **state)
{
	(void)state;
	accepted(WITH_OLD_CODE("[{\"function\":0,\"address\":1,\"size\":2}]"));
	refused(WITH_OLD_CODE("[]"), "old_code: empty");
	refused(WITH_OLD_CODE("[{\"function\":1,\"address\":1,\"size\":2}]"),
	        "old_code[0]: function is no function of the module");
	refused(WITH_OLD_CODE("[{\"function\":0,\"address\":1}]"),
	        "size: missing");
}

#define SAFE_POINT(value)                                                      \
	ROOT_WITH("{" MODULE_HEAD ",\"functions\":[],\"imports\":[],"          \
	          "\"objects\":[],\"warnings\":[],\"needs_safe_point\":" value \
	          "}")

static void a_need_of_a_safe_point_is_said_or_absent(void **state)
{
	(void)state;
	accepted(SAFE_POINT("true"));
	refused(SAFE_POINT("false"), "needs_safe_point: not true");
	refused(SAFE_POINT("1"), "needs_safe_point: not true");
	refused(SAFE_POINT("null"), "needs_safe_point: not true");
}

#define WITH_SHADOW_TABLE(value)                                               \
	ROOT_WITH("{" MODULE_HEAD ",\"functions\":[],\"imports\":[],"          \
	          "\"objects\":[],\"warnings\":[],\"shadow_table\":" value     \
	          "}")

static void a_shadow_table_has_an_address(void **state)
{
	(void)state;
	accepted(WITH_SHADOW_TABLE("4096"));
	refused(WITH_SHADOW_TABLE("0"), "shadow_table is 0");
	refused(WITH_SHADOW_TABLE("\"4096\""), "shadow_table: not");
}

#define WITH_HOOKS(value)                                                      \
	ROOT_WITH("{" MODULE_HEAD ",\"functions\":[],\"imports\":[],"          \
	          "\"objects\":[],\"warnings\":[],\"hooks\":" value "}")

static void hooks_have_addresses_and_a_starter(void **state)
{
	(void)state;
	accepted(WITH_HOOKS("{\"pre_apply\":16,\"starter\":32}"));
	refused(WITH_HOOKS("{\"pre_apply\":16}"), "starter: missing");
	refused(WITH_HOOKS("{\"starter\":32}"), "hooks: has no hook");
	refused(WITH_HOOKS("{\"post_revert\":0,\"starter\":32}"),
	        "post_revert is 0");
	refused(WITH_HOOKS("{\"other\":16,\"starter\":32}"),
	        "hooks.other: unknown member");
}

#define WITH_UNWINDER(address, size)                                           \
	ROOT_WITH("{" MODULE_HEAD ",\"functions\":[],\"imports\":[],"          \
	          "\"objects\":[],\"warnings\":[],\"unwinder\":{"              \
	          "\"address\":" address ",\"size\":" size                     \
	          ",\"sha256\":" EMPTY_SHA256 "}}")

static void an_unwinder_has_code_of_some_size(void **state)
{
	(void)state;
	accepted(WITH_UNWINDER("16", "65536"));
	refused(WITH_UNWINDER("16", "0"), "size is not from 1");
	refused(WITH_UNWINDER("16", "65537"), "size is not from 1");
	refused(WITH_UNWINDER("-1", "1"), "address");
	refused(WITH_UNWINDER("16", "1,\"other\":1"), "unknown member");
}

#define WITH_CALLS(function, value)                                            \
	ROOT_WITH("{" MODULE_HEAD ",\"functions\":[" function                  \
	          "],\"imports\":[],\"objects\":[],\"warnings\":[],"           \
	          "\"calls\":" value "}")
#define CALL(function, address)                                                \
	"{\"function\":" function ",\"address\":" address "}"

static void calls_lead_to_changed_functions_in_ascending_order(void **state)
{
#define CHANGED                                                                \
	"{" FUNCTION_HEAD "\"kind\":\"changed\"," OLD_CODE "," NEW_CODE "}"
	(void)state;
	accepted(WITH_CALLS(CHANGED, "[" CALL("0", "7") "]"));
	accepted(WITH_CALLS(CHANGED,
	                    "[" CALL("0", "7") "," CALL("0", "12") "]"));
	refused(WITH_CALLS(CHANGED, "[]"), "calls: empty");
	refused(WITH_CALLS(CHANGED, "[" CALL("1", "7") "]"),
	        "calls[0]: function is no changed function of the module");
	refused(WITH_CALLS(NEW_FUNCTION, "[" CALL("0", "7") "]"),
	        "calls[0]: function is no changed function of the module");
	refused(WITH_CALLS(CHANGED, "[" CALL("0", "7") "," CALL("0", "7") "]"),
	        "calls[1]: not behind the one before");
	refused(WITH_CALLS(CHANGED, "[{\"function\":0}]"), "address: missing");
	refused(WITH_CALLS(CHANGED, "[" CALL("0", "-1") "]"), "negative");
#undef CHANGED
}

static void a_part_is_of_a_function_that_is_there(void **state)
{
#define PART(of)                                                               \
	"{" FUNCTION_HEAD "\"kind\":\"part\",\"part_of\":" of "," NEW_CODE "}"
	(void)state;
	accepted(WITH_FUNCTION(NEW_FUNCTION "," PART("0")));
	refused(WITH_FUNCTION(NEW_FUNCTION "," PART("1")),
	        "functions[1]: part_of is no function of the module");
	refused(WITH_FUNCTION(NEW_FUNCTION "," PART("2")),
	        "functions[1]: part_of is no function of the module");
	refused(WITH_FUNCTION("{" FUNCTION_HEAD
	                      "\"kind\":\"new\",\"part_of\":0," NEW_CODE "}"),
	        "only a part has \"part_of\"");
#undef PART
}

static void a_manifest_without_modules_is_refused(void **state)
{
	(void)state;
	refused(ROOT_WITH(""), "modules: empty");
}

static void text_that_is_not_json_is_refused_with_its_line(void **state)
{
	(void)state;
	refused("", "line");
	refused("{\n\"a\":", "line 2");
	refused(ROOT_WITH(MODULE_WITH("", "", "", "")) "x", "line 1");
	refused("{\"format\":1,\"format\":1}", "duplicate");
	refused(ROOT_WITH(MODULE_WITH("", "", "", "\"\xff\"")), "line 1");
	refused(ROOT_WITH(MODULE_WITH("", "", "", "\"a\\u0000b\"")), "line 1");
}

static void newer_formats_ask_for_an_update(void **state)
{
	(void)state;
	check_parse("{\"format\":2,\"new_member\":1}", HFX_ERROR_BUNDLE_VERSION,
	            "update hfx");
}

static void control_characters_are_refused(void **state)
{
	(void)state;
	refused(ROOT_WITH(MODULE_WITH("", "", "", "\"\\u001b[2J\"")),
	        "modules[0].warnings[0]: holds a control character");
	refused(ROOT_WITH(MODULE_WITH("", "", "", "\"a\\nb\"")),
	        "control character");
}

static void old_code_is_for_changed_functions_only(void **state)
{
	(void)state;
	refused(WITH_FUNCTION("{" FUNCTION_HEAD "\"kind\":\"changed\"," NEW_CODE
	                      "}"),
	        "old: missing");
	refused(WITH_FUNCTION("{" FUNCTION_HEAD "\"kind\":\"new\"," OLD_CODE
	                      "," NEW_CODE "}"),
	        "only a changed function");
	refused(WITH_FUNCTION("{" FUNCTION_HEAD "\"kind\":\"part\"," OLD_CODE
	                      "," NEW_CODE "}"),
	        "only a changed function");
	refused(WITH_FUNCTION("{" FUNCTION_HEAD "\"kind\":\"other\"," NEW_CODE
	                      "}"),
	        "kind: not one of");
}

static void entries_are_0_or_4_and_hold_a_jump(void **state)
{
	static const struct {
		const char *code;
		const char *message;
	} cases[] = {
		{"\"size\":5,\"entry\":0", NULL},
		{"\"size\":9,\"entry\":4", NULL},
		{"\"size\":0", NULL},
		{"\"size\":4,\"entry\":0", "too short"},
		{"\"size\":8,\"entry\":4", "too short"},
		{"\"size\":9,\"entry\":1", "neither 0 nor 4"},
		{"\"size\":9,\"entry\":5", "5 is more than 4"},
		{"\"size\":9,\"entry\":null", "not an integer"},
		{"\"size\":-1", "negative"},
		{"\"size\":9223372036854775808", "line 1"},
	};
	char text[2000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(text, sizeof(text),
		         WITH_FUNCTION("{" FUNCTION_HEAD
		                       "\"kind\":\"new\",\"new\":{"
		                       "\"address\":1,%s}}"),
		         cases[i].code);
		if (cases[i].message)
			refused(text, cases[i].message);
		else
			accepted(text);
	}
}

static void build_ids_and_digests_have_their_length_in_lower_case(void **state)
{
	static const char *const bad[] = {"", "a", "aB", "zz", "abc"};
	char text[2000], id[2 * BUILD_ID_MAX + 3];
	const char *format = "{" ROOT_HEAD ",\"modules\":[{\"name\":\"m\","
			     "\"old_build_id\":\"%s\"}]}";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(text, sizeof(text), format, bad[i]);
		refused(text, "old_build_id: not a build-id");
	}
	memset(id, 'a', sizeof(id));
	id[sizeof(id) - 1] = '\0';
	snprintf(text, sizeof(text), format, id);
	refused(text, "old_build_id: not a build-id");
	id[sizeof(id) - 3] = '\0';
	snprintf(text, sizeof(text), format, id);
	refused(text, "new_build_id: missing");
	refused(WITH_FUNCTION(
			"{" FUNCTION_HEAD
			"\"kind\":\"changed\",\"old\":{\"address\":1,"
			"\"size\":9,\"sha256\":\"e3b0\",\"entry\":0}," NEW_CODE
			"}"),
	        "functions[0].old.sha256: not a digest");
}

static void a_signature_with_another_digest_is_refused(void **state)
{
	(void)state;
	check_parse(
		WITH_FUNCTION(
			"{\"name\":\"f\",\"linkage_name\":\"f\","
			"\"unit\":\"\",\"kind\":\"new\",\"signature\":\"x\","
			"\"signature_sha256\":" EMPTY_SHA256 "}"),
		HFX_ERROR_BAD_DIGEST, "modules[0].functions[0]");
}

static void images_have_the_name_of_their_place(void **state)
{
	(void)state;
	refused(ROOT_WITH(MODULE_WITH("", "", "", "") "," MODULE_WITH("", "",
	                                                              "", "")),
	        "modules[1].image: member is not modules/1.so");
}

static void half_built_manifests_can_be_destroyed(void **state)
{
	struct manifest *manifest = calloc(1, sizeof(*manifest));

	(void)state;
	manifest->modules = calloc(1, sizeof(*manifest->modules));
	manifest->num_modules = 1;
	manifest->modules[0].functions =
		calloc(2, sizeof(*manifest->modules[0].functions));
	manifest->modules[0].num_functions = 2;
	manifest->modules[0].functions[0].name = strdup("f");
	manifest_destroy(manifest);
	manifest_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_formatted_is_parsed_to_the_same),
		cmocka_unit_test(the_same_manifest_gives_the_same_text),
		cmocka_unit_test(absent_strings_are_written_as_empty_ones),
		cmocka_unit_test(what_json_cannot_hold_is_not_written),
		cmocka_unit_test(what_the_reader_refuses_is_not_written),
		cmocka_unit_test(names_of_patches_are_plain),
		cmocka_unit_test(smallest_manifests_are_accepted),
		cmocka_unit_test(unknown_members_are_named_with_their_place),
		cmocka_unit_test(missing_members_are_named_with_their_place),
		cmocka_unit_test(other_types_are_refused),
		cmocka_unit_test(what_is_accepted_is_checked),
		cmocka_unit_test(a_need_of_a_safe_point_is_said_or_absent),
		cmocka_unit_test(old_code_is_of_a_function_that_is_there),
		cmocka_unit_test(a_shadow_table_has_an_address),
		cmocka_unit_test(hooks_have_addresses_and_a_starter),
		cmocka_unit_test(an_unwinder_has_code_of_some_size),
		cmocka_unit_test(
			calls_lead_to_changed_functions_in_ascending_order),
		cmocka_unit_test(a_part_is_of_a_function_that_is_there),
		cmocka_unit_test(a_manifest_without_modules_is_refused),
		cmocka_unit_test(
			text_that_is_not_json_is_refused_with_its_line),
		cmocka_unit_test(newer_formats_ask_for_an_update),
		cmocka_unit_test(control_characters_are_refused),
		cmocka_unit_test(old_code_is_for_changed_functions_only),
		cmocka_unit_test(entries_are_0_or_4_and_hold_a_jump),
		cmocka_unit_test(
			build_ids_and_digests_have_their_length_in_lower_case),
		cmocka_unit_test(a_signature_with_another_digest_is_refused),
		cmocka_unit_test(images_have_the_name_of_their_place),
		cmocka_unit_test(half_built_manifests_can_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
