/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "html_text.h"

#define REPLACED "\xef\xbf\xbd"

static void expect(void (*put)(FILE *out, const char *text), const char *text,
                   const char *wanted)
{
	char *made = NULL;
	size_t size;
	FILE *out = open_memstream(&made, &size);

	assert_non_null(out);
	put(out, text);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(made, wanted);
	free(made);
}

static void markup_becomes_text(void **state)
{
	(void)state;
	expect(html_put_text, "a<b>&\"'c", "a&#60;b&#62;&#38;&#34;&#39;c");
	expect(html_put_json, "</script>&\"\\'\n\t",
	       "\"\\u003c/script\\u003e\\u0026\\u0022\\u005c\\u0027\\u000a"
	       "\\u0009\"");
	expect(html_put_text, NULL, "");
	expect(html_put_json, NULL, "\"\"");
}

static void texts_of_other_languages_stay(void **state)
{
	static const char text[] = "gr\xc3\xb6\xc3\x9f"
				   "e \xe2\x82\xac "
				   "\xf0\x9f\x90\x9b";

	(void)state;
	expect(html_put_text, text, text);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
	(void)state;
	expect(html_put_text,
	       "a\xff"
	       "b",
	       "a" REPLACED "b");
	/* Cut off, too long, a surrogate, beyond the last character. */
	expect(html_put_text, "\xe2\x82", REPLACED REPLACED);
	expect(html_put_text, "\xc0\xbc", REPLACED REPLACED);
	expect(html_put_text, "\xed\xa0\x80", REPLACED REPLACED REPLACED);
	expect(html_put_text, "\xf4\x90\x80\x80",
	       REPLACED REPLACED REPLACED REPLACED);
}

static void control_characters_are_replaced(void **state)
{
	(void)state;
	expect(html_put_text, "\x1b[31m\x7f", REPLACED "[31m" REPLACED);
	expect(html_put_text, "\xc2\x85", REPLACED);
	/* U+202E and U+2066: what follows would be shown in another order. */
	expect(html_put_text,
	       "a\xe2\x80\xae"
	       "b\xe2\x81\xa6",
	       "a" REPLACED "b" REPLACED);
	expect(html_put_text, "a\tb\n", "a\tb\n");
}

static void put_formatted(FILE *out, const char *text)
{
	html_put(out, "<i title=\"%s\">%zu %lu 0x%lx 100%%</i>", text,
	         (size_t)3, (uint64_t)4, (uint64_t)255);
}

static void formats_escape_their_texts(void **state)
{
	(void)state;
	expect(put_formatted, "\"<%s>",
	       "<i title=\"&#34;&#60;%s&#62;\">3 4 0xff 100%</i>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(markup_becomes_text),
		cmocka_unit_test(texts_of_other_languages_stay),
		cmocka_unit_test(bytes_that_are_no_text_are_replaced),
		cmocka_unit_test(control_characters_are_replaced),
		cmocka_unit_test(formats_escape_their_texts),
	};

	return cmocka_run_group_tests_name("html_text", tests, NULL, NULL);
}
