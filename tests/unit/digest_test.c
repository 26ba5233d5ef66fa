/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "digest.h"

static void check_digest(const char *input, size_t size, const char *expected)
{
	struct digest digest = digest_of(input, size);
	char text[2 * DIGEST_SIZE + 1];

	hex_encode(digest.bytes, DIGEST_SIZE, text);
	assert_string_equal(text, expected);
}

/* The examples of FIPS 180-4. */
static void digests_are_sha256(void **state)
{
	(void)state;
	check_digest(NULL, 0,
	             "e3b0c44298fc1c149afbf4c8996fb924"
	             "27ae41e4649b934ca495991b7852b855");
	check_digest("abc", 3,
	             "ba7816bf8f01cfea414140de5dae2223"
	             "b00361a396177a9cb410ff61f20015ad");
}

static void digests_are_equal_by_all_their_bytes(void **state)
{
	struct digest a = digest_of("a", 1), b = a;

	(void)state;
	assert_true(digest_equal(&a, &b));
	b.bytes[DIGEST_SIZE - 1] ^= 1;
	assert_false(digest_equal(&a, &b));
}

static void hexadecimal_text_is_lower_case_and_read_in_both(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x9f, 0xa0, 0xff};
	uint8_t read[4];
	char text[9];

	(void)state;
	hex_encode(bytes, 4, text);
	assert_string_equal(text, "009fa0ff");
	assert_true(hex_decode("009FA0fF", 4, read));
	assert_memory_equal(read, bytes, 4);
	hex_encode(bytes, 0, text);
	assert_string_equal(text, "");
	assert_true(hex_decode("", 0, read));
}

static void other_text_or_length_is_refused_and_nothing_written(void **state)
{
	static const char *const bad[] = {"",
	                                  "0",
	                                  "000",
	                                  "00000",
	                                  "000g",
	                                  "g000",
	                                  " 000",
	                                  "0x00",
	                                  "00-1",
	                                  "00\xff"
	                                  "0",
	                                  "00000000"};
	uint8_t read[2] = {0x5a, 0x5a};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (hex_decode(bad[i], 2, read))
			fail_msg("accepted \"%s\"", bad[i]);
	assert_int_equal(read[0], 0x5a);
	assert_int_equal(read[1], 0x5a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_sha256),
		cmocka_unit_test(digests_are_equal_by_all_their_bytes),
		cmocka_unit_test(
			hexadecimal_text_is_lower_case_and_read_in_both),
		cmocka_unit_test(
			other_text_or_length_is_refused_and_nothing_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
