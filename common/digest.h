/* SPDX-License-Identifier: MIT */
/**
 * @file digest.h
 *
 * SHA-256 digests, and bytes as hexadecimal text.
 */
#ifndef HFX_COMMON_DIGEST_H
#define HFX_COMMON_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

/** SHA-256 (FIPS 180-4) of @p size bytes at @p data. */
struct digest digest_of(const void *data, size_t size);

bool digest_equal(const struct digest *a, const struct digest *b);

/** Lower-case hexadecimal of @p size bytes: 2 * @p size characters and NUL. */
void hex_encode(const uint8_t *bytes, size_t size, char *text_ret);

/** A digest as hexadecimal text. */
struct digest_text {
	char text[2 * DIGEST_SIZE + 1];
};

struct digest_text digest_text(const struct digest *digest);

/**
 * Read exactly @p size bytes from hexadecimal text.
 *
 * @return False if @p text is not 2 * @p size hexadecimal digits.
 */
bool hex_decode(const char *text, size_t size, uint8_t *bytes_ret);

#endif /* HFX_COMMON_DIGEST_H */
