/* SPDX-License-Identifier: MIT */
#include <string.h>

#include <sodium/crypto_hash_sha256.h>

#include "digest.h"

_Static_assert(DIGEST_SIZE == crypto_hash_sha256_BYTES, "digests are SHA-256");

struct digest digest_of(const void *data, size_t size)
{
	static const uint8_t nothing[1];
	struct digest digest;

	crypto_hash_sha256(digest.bytes, size ? data : nothing, size);
	return digest;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

void hex_encode(const uint8_t *bytes, size_t size, char *text_ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		text_ret[2 * i] = digits[bytes[i] >> 4];
		text_ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	text_ret[2 * size] = '\0';
}

struct digest_text digest_text(const struct digest *digest)
{
	struct digest_text ret;

	hex_encode(digest->bytes, sizeof(digest->bytes), ret.text);
	return ret;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(const char *text, size_t size, uint8_t *bytes_ret)
{
	size_t length = strlen(text);

	if (length % 2 != 0 || length / 2 != size)
		return false;
	for (size_t i = 0; i < length; i++)
		if (hex_digit(text[i]) < 0)
			return false;
	for (size_t i = 0; i < size; i++)
		bytes_ret[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 |
		                         hex_digit(text[2 * i + 1]));
	return true;
}
