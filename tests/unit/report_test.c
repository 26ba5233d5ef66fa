/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "array.h"
#include "report.h"

static char *copy(const char *text)
{
	char *result = strdup(text);

	assert_non_null(result);
	return result;
}

static void add_function(struct report *report, enum report_kind kind,
                         const char *name, const char *source,
                         const char *reason)
{
	struct report_function function = {
		.kind = kind,
		.name = copy(name),
		.linkage_name = copy(name),
		.unit = copy("src/proxy.c"),
		.source = copy(source),
		.reason = copy(reason),
		.signature = copy("int f(void)"),
		.old_addr = kind == REPORT_NEW ? 0 : 0x1000,
		.old_size = kind == REPORT_NEW ? 0 : 362,
		.new_addr = kind == REPORT_REMOVED ? 0 : 0x2000,
		.new_size = kind == REPORT_REMOVED ? 0 : 389,
	};

	assert_true(HFX_ARRAY_PUSH(report, functions, function));
}

static void add_refusal(struct report *report, const char *source,
                        const char *remedy)
{
	struct report_refusal refusal = {
		.subject = copy("tiny"),
		.source = copy(source),
		.reason = copy("its entry cannot hold a jump"),
		.remedy = copy(remedy),
	};

	assert_true(HFX_ARRAY_PUSH(report, refusals, refusal));
}

static void add_skip(struct report *report)
{
	struct report_skip skip = {
		.name = copy("helper"),
		.source = copy("help.c:3"),
		.reason = copy("matches --skip"),
	};

	assert_true(HFX_ARRAY_PUSH(report, skips, skip));
}

static int enter(void **state)
{
	struct reports *reports = calloc(1, sizeof(*reports));
	struct report *report = calloc(1, sizeof(*report));

	assert_non_null(reports);
	assert_non_null(report);
	reports->items = report;
	reports->num_items = 1;
	report->old_input.path = copy("old/server");
	report->old_input.build_id.size = 2;
	memcpy(report->old_input.build_id.bytes, "\xab\xcd", 2);
	report->new_input.path = copy("new/server");
	add_function(report, REPORT_CHANGED, "process_request",
	             "proxy_request.c:123", "size 362 -> 389");
	add_function(report, REPORT_NEW, "check_spaces", "proxy_request.c:98",
	             "called by process_request");
	add_function(report, REPORT_REMOVED, "gone", "", "");
	add_refusal(report, "a.c:3", "Build it larger");
	add_refusal(report, "", "");
	add_skip(report);
	assert_true(HFX_ARRAY_PUSH(report, warnings, copy("struct s grows")));
	report->totals = (struct report_totals){
		.functions = 1534,
		.instructions = 5000,
		.same = 1509,
		.changed = 23,
		.added = 1,
		.removed = 1,
		.skipped = 1,
	};
	reports->bundle_path = copy("fix.hfx");
	reports->bundle_size = 1234;
	*state = reports;
	return 0;
}

static int leave(void **state)
{
	reports_deinit(*state);
	free(*state);
	return 0;
}

/** The report of the only module. */
static struct report *only(struct reports *reports)
{
	return &reports->items[0];
}

static char *printed(const struct reports *reports, enum report_detail detail,
                     bool use_color)
{
	struct report_style style = {.detail = detail, .use_color = use_color};
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	report_print(out, reports, &style);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_printed(const struct reports *reports,
                           enum report_detail detail, const char *expected)
{
	char *text = printed(reports, detail, false);

	assert_string_equal(text, expected);
	free(text);
}

static void text_has_a_line_for_each_function(void **state)
{
	assert_printed(
		*state, REPORT_NORMAL,
		"changed  process_request  proxy_request.c:123  "
		"size 362 -> 389\n"
		"new      check_spaces     proxy_request.c:98   "
		"called by process_request\n"
		"removed  gone\n"
		"refused: tiny (a.c:3): its entry cannot hold a jump. "
		"Build it larger.\n"
		"refused: tiny: its entry cannot hold a jump.\n"
		"warning: struct s grows\n"
		"1534 functions: 1509 the same, 23 changed, 1 new, 1 removed, "
		"1 skipped\n"
		"wrote fix.hfx, 1234 bytes\n");
}

static void quiet_text_has_refusals_and_totals(void **state)
{
	assert_printed(*state, REPORT_QUIET,
	               "refused: tiny (a.c:3): its entry cannot hold a jump. "
	               "Build it larger.\n"
	               "refused: tiny: its entry cannot hold a jump.\n"
	               "1534 functions: 1509 the same, 23 changed, 1 new, "
	               "1 removed, 1 skipped\n");
}

static void verbose_text_has_files_places_and_skips(void **state)
{
	char *text = printed(*state, REPORT_VERBOSE, false);

	assert_int_equal(strncmp(text,
	                         "old: old/server, build-id abcd\n"
	                         "new: new/server, build-id none\n"
	                         "changed  ",
	                         strlen("old: old/server, build-id abcd\n"
	                                "new: new/server, build-id none\n"
	                                "changed  ")),
	                 0);
	assert_non_null(strstr(text, "size 362 -> 389\n"
	                             "         int f(void)\n"
	                             "         old 0x1000+362  new 0x2000+389"
	                             "  src/proxy.c\n"));
	assert_non_null(strstr(text, "         new 0x2000+389  src/proxy.c\n"));
	assert_non_null(strstr(text, "skipped  helper           help.c:3 "
	                             "            matches --skip\n"));
	assert_non_null(strstr(text, "; 5000 instructions\n"));
	free(text);
}

static void colour_is_around_the_first_word_only(void **state)
{
	char *text = printed(*state, REPORT_NORMAL, true);

	assert_non_null(
		strstr(text, "\033[33mchanged\033[0m  process_request  "));
	assert_non_null(strstr(text, "\033[31mrefused:\033[0m tiny"));
	free(text);
	text = printed(*state, REPORT_VERBOSE, false);
	assert_null(strchr(text, '\033'));
	free(text);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	struct report *report = only(*state);
	char *text;

	free(report->functions[0].name);
	report->functions[0].name = copy("a\033[2Jb\nc");
	text = printed(*state, REPORT_VERBOSE, false);
	assert_non_null(strstr(text, "a?[2Jb?c"));
	assert_null(strchr(text, '\033'));
	free(text);
}

static void long_names_do_not_widen_the_others(void **state)
{
	struct report *report = only(*state);
	char name[201];
	char *text;

	memset(name, 'n', 200);
	name[200] = '\0';
	add_function(report, REPORT_PART, name, "a.c:1", "cold");
	text = printed(*state, REPORT_NORMAL, false);
	assert_non_null(strstr(text, "nn  a.c:1                cold\n"));
	/* 40 columns and two blanks. */
	assert_non_null(strstr(text, "changed  process_request"
	                             "                         "
	                             "  proxy_request.c:123  size"));
	free(text);
}

static json_t *parsed(const struct reports *reports)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_error_t error;
	json_t *root;

	assert_non_null(out);
	assert_null(report_print_json(out, reports));
	assert_int_equal(fclose(out), 0);
	assert_int_equal(text[size - 1], '\n');
	root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s", error.text);
	free(text);
	return root;
}

static void json_says_what_the_text_says(void **state)
{
	json_t *root = parsed(*state), *function, *refusal;
	json_int_t format, functions, same, address, size;
	const char *generator, *path, *id, *kind, *reason;
	int res;

	res = json_unpack(root, "{s:I, s:s, s:{s:s, s:s}, s:{s:I, s:I}}",
	                  "report", &format, "generator", &generator, "old",
	                  "path", &path, "build_id", &id, "totals", "functions",
	                  &functions, "same", &same);
	assert_int_equal(res, 0);
	assert_int_equal(format, 1);
	assert_string_equal(generator, "hfx-bundle " HFX_VERSION);
	assert_string_equal(path, "old/server");
	assert_string_equal(id, "abcd");
	assert_int_equal(functions, 1534);
	assert_int_equal(same, 1509);

	assert_int_equal(json_array_size(json_object_get(root, "functions")),
	                 3);
	function = json_array_get(json_object_get(root, "functions"), 0);
	res = json_unpack(function, "{s:s, s:s, s:{s:I, s:I}}", "kind", &kind,
	                  "reason", &reason, "new", "address", &address, "size",
	                  &size);
	assert_int_equal(res, 0);
	assert_string_equal(kind, "changed");
	assert_string_equal(reason, "size 362 -> 389");
	assert_int_equal(address, 0x2000);
	assert_int_equal(size, 389);

	refusal = json_array_get(json_object_get(root, "refusals"), 0);
	assert_int_equal(json_unpack(refusal, "{s:s}", "remedy", &reason), 0);
	assert_string_equal(reason, "Build it larger");
	assert_int_equal(json_array_size(json_object_get(root, "warnings")), 1);
	assert_int_equal(json_array_size(json_object_get(root, "skipped")), 1);
	json_decref(root);
}

static void json_has_the_places_that_a_function_has(void **state)
{
	json_t *root = parsed(*state);
	json_t *functions = json_object_get(root, "functions");
	json_t *added = json_array_get(functions, 1);
	json_t *removed = json_array_get(functions, 2);

	assert_null(json_object_get(added, "old"));
	assert_non_null(json_object_get(added, "new"));
	assert_non_null(json_object_get(removed, "old"));
	assert_null(json_object_get(removed, "new"));
	json_decref(root);
}

static void json_takes_any_bytes_and_missing_texts(void **state)
{
	struct reports *reports = *state;
	struct report *report = only(reports);
	json_t *root;

	free(report->warnings[0]);
	report->warnings[0] = copy("bad \xff byte \"quoted\"");
	free(report->functions[0].unit);
	report->functions[0].unit = NULL;
	free(reports->bundle_path);
	reports->bundle_path = NULL;
	root = parsed(reports);
	assert_string_equal(json_string_value(json_array_get(
				    json_object_get(root, "warnings"), 0)),
	                    "bad ? byte \"quoted\"");
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(root, "functions"), 0),
			"unit")),
		"");
	assert_true(json_is_null(json_object_get(root, "bundle")));
	json_decref(root);
}

static void full_disk_is_an_error(void **state)
{
	FILE *out = fopen("/dev/full", "w");
	struct hfx_error *err;

	assert_non_null(out);
	err = report_print_json(out, *state);
	assert_non_null(err);
	assert_int_equal(hfx_error_code(err), HFX_ERROR_OS);
	hfx_error_destroy(err);
	fclose(out);
}

static void empty_report_prints_totals(void **state)
{
	struct report report = {0};
	struct reports reports = {.items = &report, .num_items = 1};
	json_t *root;

	(void)state;
	assert_printed(&reports, REPORT_NORMAL,
	               "0 functions: 0 the same, 0 changed, 0 new, "
	               "0 removed\n");
	root = parsed(&reports);
	assert_true(json_is_array(json_object_get(root, "functions")));
	json_decref(root);
}

/** A second module, which has nothing to patch. */
static void add_module(struct reports *reports)
{
	struct report *items =
		realloc(reports->items, 2 * sizeof(*reports->items));

	assert_non_null(items);
	items[1] = (struct report){.outcome = DIFF_NOTHING};
	items[1].old_input.path = copy("old/libx.so");
	items[1].new_input.path = copy("new/libx.so");
	reports->items = items;
	reports->num_items = 2;
	reports->by_module = true;
}

static void modules_are_told_apart(void **state)
{
	char *text;

	add_module(*state);
	text = printed(*state, REPORT_QUIET, false);
	assert_non_null(strstr(text, "server: old/server -> new/server\n"));
	assert_non_null(strstr(text, "libx.so: old/libx.so -> new/libx.so\n"));
	assert_non_null(
		strstr(text, "libx.so has nothing to patch and is left out\n"));
	free(text);
}

static void json_has_a_list_of_modules_where_they_were_given(void **state)
{
	json_t *root, *modules, *last;

	add_module(*state);
	root = parsed(*state);
	modules = json_object_get(root, "modules");
	last = json_array_get(modules, 1);
	assert_int_equal(json_array_size(modules), 2);
	assert_null(json_object_get(root, "functions"));
	assert_string_equal(json_string_value(json_object_get(last, "name")),
	                    "libx.so");
	assert_string_equal(json_string_value(json_object_get(last, "outcome")),
	                    "nothing");
	json_decref(root);
}

#define WITH_REPORT(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REPORT(text_has_a_line_for_each_function),
		WITH_REPORT(quiet_text_has_refusals_and_totals),
		WITH_REPORT(verbose_text_has_files_places_and_skips),
		WITH_REPORT(colour_is_around_the_first_word_only),
		WITH_REPORT(control_characters_do_not_reach_the_terminal),
		WITH_REPORT(long_names_do_not_widen_the_others),
		WITH_REPORT(modules_are_told_apart),
		WITH_REPORT(json_has_a_list_of_modules_where_they_were_given),
		WITH_REPORT(json_says_what_the_text_says),
		WITH_REPORT(json_has_the_places_that_a_function_has),
		WITH_REPORT(json_takes_any_bytes_and_missing_texts),
		WITH_REPORT(full_disk_is_an_error),
		cmocka_unit_test(empty_report_prints_totals),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
