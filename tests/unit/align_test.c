/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "align.h"

struct texts {
	const char *old_text;
	const char *new_text;
};

static bool is_same(const void *context, size_t o, size_t n)
{
	const struct texts *texts = context;

	return texts->old_text[o] == texts->new_text[n];
}

static void align_texts(const struct texts *texts, struct alignment *ret)
{
	struct align_input input = {
		.num_old = strlen(texts->old_text),
		.num_new = strlen(texts->new_text),
		.is_same = is_same,
		.context = texts,
	};

	*ret = (struct alignment){0};
	assert_null(align(&input, ret));
}

/* Runs as a text: "=2-1+1". */
static void expect_runs(const char *old_text, const char *new_text,
                        const char *wanted)
{
	struct texts texts = {old_text, new_text};
	struct alignment alignment;
	char text[256] = "";
	size_t length = 0;

	align_texts(&texts, &alignment);
	for (size_t i = 0; i < alignment.num_items; i++)
		length += snprintf(text + length, sizeof(text) - length,
		                   "%c%zu", alignment.items[i].kind,
		                   alignment.items[i].count);
	assert_string_equal(text, wanted);
	alignment_deinit(&alignment);
}

static void sequences_side_by_side(void **state)
{
	(void)state;
	expect_runs("", "", "");
	expect_runs("abc", "abc", "=3");
	expect_runs("", "abc", "+3");
	expect_runs("abc", "", "-3");
	expect_runs("abc", "xyz", "-3+3");
	expect_runs("abcd", "abxd", "=2-1+1=1");
	expect_runs("abcd", "abd", "=2-1=1");
	expect_runs("aaaa", "aaa", "=3-1");
	expect_runs("abcdefgh", "bcdXefh", "-1=3+1=2-1=1");
}

/* Length of the longest common subsequence, by the table of all prefixes. */
static size_t common_length(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	size_t *table = calloc((n + 1) * (m + 1), sizeof(*table));

	assert_non_null(table);
	for (size_t i = 1; i <= n; i++)
		for (size_t k = 1; k <= m; k++) {
			size_t up = table[(i - 1) * (m + 1) + k];
			size_t left = table[i * (m + 1) + k - 1];
			size_t both = table[(i - 1) * (m + 1) + k - 1] + 1;

			table[i * (m + 1) + k] = up > left ? up : left;
			if (a[i - 1] == b[k - 1])
				table[i * (m + 1) + k] = both;
		}
	size_t length = table[n * (m + 1) + m];
	free(table);
	return length;
}

/* The runs cover both texts, pair what is the same, and pair all that can be.
 */
static void expect_best(const struct texts *texts)
{
	struct alignment alignment;
	size_t o = 0, n = 0, common = 0;

	align_texts(texts, &alignment);
	for (size_t i = 0; i < alignment.num_items; i++) {
		const struct align_run *run = &alignment.items[i];

		for (size_t k = 0; run->kind == '=' && k < run->count; k++)
			assert_true(is_same(texts, o + k, n + k));
		common += run->kind == '=' ? run->count : 0;
		o += run->kind == '+' ? 0 : run->count;
		n += run->kind == '-' ? 0 : run->count;
	}
	assert_int_equal(o, strlen(texts->old_text));
	assert_int_equal(n, strlen(texts->new_text));
	assert_int_equal(common,
	                 common_length(texts->old_text, texts->new_text));
	alignment_deinit(&alignment);
}

static void as_much_as_possible_is_paired(void **state)
{
	uint32_t random = 7;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		char a[40] = "", b[40] = "";

		for (size_t i = 0; i < sizeof(a) - 1; i++) {
			random = random * 1664525 + 1013904223;
			a[i] = "abc"[(random >> 24) % 3];
			b[i] = "abc"[(random >> 16) % 3];
		}
		a[random % sizeof(a)] = '\0';
		b[(random >> 8) % sizeof(b)] = '\0';
		expect_best(&(struct texts){a, b});
	}
}

static char *repeated(char letter, size_t count)
{
	char *text = malloc(count + 2);

	assert_non_null(text);
	memset(text, letter, count);
	text[count] = 'z';
	text[count + 1] = '\0';
	return text;
}

static void too_many_differences_are_one(void **state)
{
	char *a = repeated('a', 30000), *b = repeated('b', 20000);

	(void)state;
	expect_runs(a, b, "-30000+20000=1");
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequences_side_by_side),
		cmocka_unit_test(as_much_as_possible_is_paired),
		cmocka_unit_test(too_many_differences_are_one),
	};

	return cmocka_run_group_tests_name("align", tests, NULL, NULL);
}
