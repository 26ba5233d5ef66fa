/* SPDX-License-Identifier: MIT */
/* Limits of what is parsed as a manifest, and texts that are cut. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manifest_text.h"
#include "sample_manifest.h"

/* @p count times @p item, separated by commas, between head and tail. */
static char *repeat(const char *head, const char *item, size_t count,
                    const char *tail)
{
	size_t item_size = strlen(item), off = strlen(head);
	char *text = malloc(off + count * (item_size + 1) + strlen(tail) + 1);

	memcpy(text, head, off);
	for (size_t i = 0; i < count; i++) {
		if (i)
			text[off++] = ',';
		memcpy(text + off, item, item_size);
		off += item_size;
	}
	strcpy(text + off, tail);
	return text;
}

static void refuse_repeated(const char *head, const char *item, size_t count,
                            const char *tail, const char *message)
{
	char *text = repeat(head, item, count, tail);

	refused(text, message);
	free(text);
}

static void counts_above_their_limits_are_refused(void **state)
{
	(void)state;
	refuse_repeated("{" ROOT_HEAD ",\"modules\":[", "1",
	                MANIFEST_MAX_MODULES + 1, "]}",
	                "modules: more than 16 elements");
	refuse_repeated("{" ROOT_HEAD ",\"modules\":[{" MODULE_HEAD
	                ",\"functions\":[",
	                "1", MANIFEST_MAX_FUNCTIONS + 1, "]}]}",
	                "functions: more than 1000000 elements");
	refuse_repeated("{" ROOT_HEAD ",\"modules\":[{" MODULE_HEAD
	                ",\"functions\":[],\"imports\":[",
	                "1", MANIFEST_MAX_IMPORTS + 1, "]}]}",
	                "imports: more than 100000 elements");
	refuse_repeated("{" ROOT_HEAD ",\"modules\":[{" MODULE_HEAD
	                ",\"functions\":[],\"imports\":[],\"objects\":[",
	                "1", MANIFEST_MAX_OBJECTS + 1, "]}]}",
	                "objects: more than 1000000 elements");
	refuse_repeated("[", "1", MANIFEST_MAX_VALUES + 1, "]",
	                "more than 4194304 values");
}

static char *with_description(size_t length)
{
	char *item = malloc(length + 1), *text;

	memset(item, 'd', length);
	item[length] = '\0';
	text = repeat("{\"format\":1,\"generator\":\"\",\"name\":\"n\","
	              "\"version\":\"\",\"created\":0,\"description\":\"",
	              item, 1,
	              "\",\"modules\":[" MODULE_WITH("", "", "", "") "]}");
	free(item);
	return text;
}

static void strings_above_their_limit_are_refused(void **state)
{
	char *text = with_description(MANIFEST_MAX_STRING);

	(void)state;
	accepted(text);
	free(text);
	text = with_description(MANIFEST_MAX_STRING + 1);
	refused(text, "description: longer than 65536 bytes");
	free(text);
}

static void nesting_above_its_limit_is_refused(void **state)
{
	char text[64];

	(void)state;
	memset(text, '[', 17);
	text[17] = '\0';
	refused(text, "nested deeper than 16");
	text[16] = '\0';
	refused(text, "line 1");
	/* Brackets in strings are no nesting. */
	refused("{\"\\\"[[[[[[[[[[[[[[[[[[[[\":1}", "format: missing");
}

static void a_text_above_its_limit_is_refused(void **state)
{
	size_t size = MANIFEST_MAX_SIZE + 1;
	char *text = malloc(size + 1);

	(void)state;
	memset(text, ' ', size);
	text[size] = '\0';
	refused(text, "larger than 67108864 bytes");
	free(text);
}

static void text_cut_anywhere_is_refused(void **state)
{
	static const char text[] = WITH_FUNCTION(NEW_FUNCTION);

	(void)state;
	for (size_t size = 0; size + 1 < sizeof(text); size++) {
		struct manifest *manifest = NULL;
		char *cut = malloc(size ? size : 1);
		struct hfx_error *err;

		memcpy(cut, text, size);
		err = manifest_parse(cut, size, &manifest);
		assert_int_equal(hfx_error_code(err), HFX_ERROR_BAD_BUNDLE);
		assert_null(manifest);
		hfx_error_destroy(err);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_above_their_limits_are_refused),
		cmocka_unit_test(strings_above_their_limit_are_refused),
		cmocka_unit_test(nesting_above_its_limit_is_refused),
		cmocka_unit_test(a_text_above_its_limit_is_refused),
		cmocka_unit_test(text_cut_anywhere_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
