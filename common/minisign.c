/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium/crypto_generichash.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>

#include "cursor.h"
#include "minisign.h"

_Static_assert(MINISIGN_KEY_SIZE == crypto_sign_ed25519_PUBLICKEYBYTES,
               "keys are Ed25519");
_Static_assert(MINISIGN_SIGNATURE_SIZE == crypto_sign_ed25519_BYTES,
               "so are signatures");

/** A public key as its base64 holds it. */
struct packed_key {
	char algorithm[MINISIGN_ALGORITHM_SIZE];
	uint8_t id[MINISIGN_ID_SIZE];
	uint8_t key[MINISIGN_KEY_SIZE];
};

struct packed_signature {
	char algorithm[MINISIGN_ALGORITHM_SIZE];
	uint8_t key_id[MINISIGN_ID_SIZE];
	uint8_t signature[MINISIGN_SIGNATURE_SIZE];
};

#define untrusted(...) hfx_error_create(HFX_ERROR_UNTRUSTED, __VA_ARGS__)

/** One line of a file, borrowed, without its end. */
struct line {
	const char *text;
	size_t size;
};

/** Take the next line. @return False if there is none. */
static bool take_line(struct cursor *file, struct line *ret)
{
	size_t left = cursor_left(file);
	const char *text = (const char *)file->data + file->off;
	const char *end;

	if (!left)
		return false;
	end = memchr(text, '\n', left);
	*ret = (struct line){text, end ? (size_t)(end - text) : left};
	cursor_bytes(file, ret->size + (end != NULL));
	/* Files that were edited or sent as text may end lines by CR LF. */
	if (ret->size && ret->text[ret->size - 1] == '\r')
		ret->size--;
	return true;
}

/** Take a line `PREFIX TEXT` and copy the text. */
static bool take_comment(struct cursor *file, const char *prefix,
                         char ret[MINISIGN_MAX_COMMENT + 1])
{
	size_t skip = strlen(prefix);
	struct line line;

	if (!take_line(file, &line) || line.size < skip ||
	    line.size - skip > MINISIGN_MAX_COMMENT ||
	    memcmp(line.text, prefix, skip))
		return false;
	for (size_t i = skip; i < line.size; i++) {
		unsigned char c = (unsigned char)line.text[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	memcpy(ret, line.text + skip, line.size - skip);
	ret[line.size - skip] = '\0';
	return true;
}

/** Exactly @p size bytes of base64, and nothing else. */
static bool decode(const char *text, size_t text_size, void *ret, size_t size)
{
	size_t got;

	/* libsodium takes 0xaf for '/'. */
	for (size_t i = 0; i < text_size; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return !sodium_base642bin(ret, size, text, text_size, NULL, &got, NULL,
	                          sodium_base64_VARIANT_ORIGINAL) &&
	       got == size;
}

static bool take_base64(struct cursor *file, void *ret, size_t size)
{
	struct line line;

	return take_line(file, &line) &&
	       decode(line.text, line.size, ret, size);
}

/** Whether nothing but empty lines is left. */
static bool is_at_end(struct cursor *file)
{
	struct line line;

	while (take_line(file, &line))
		if (line.size)
			return false;
	return true;
}

static struct hfx_error *unpack_key(const struct packed_key *packed,
                                    struct minisign_key *ret)
{
	if (memcmp(packed->algorithm, MINISIGN_KEY_ALGORITHM,
	           sizeof(packed->algorithm)))
		return untrusted("not a public key of minisign for Ed25519");
	memcpy(ret->id, packed->id, sizeof(ret->id));
	memcpy(ret->key, packed->key, sizeof(ret->key));
	return NULL;
}

struct hfx_error *minisign_key_parse(const void *data, size_t size,
                                     struct minisign_key *ret,
                                     char comment_ret[MINISIGN_MAX_COMMENT + 1])
{
	struct cursor file = cursor_init(data, size);
	char comment[MINISIGN_MAX_COMMENT + 1];
	struct packed_key packed;

	if (!take_comment(&file, MINISIGN_UNTRUSTED,
	                  comment_ret ? comment_ret : comment) ||
	    !take_base64(&file, &packed, sizeof(packed)) || !is_at_end(&file))
		return untrusted("not a public key of minisign");
	return unpack_key(&packed, ret);
}

struct hfx_error *minisign_key_decode(const char *text,
                                      struct minisign_key *ret)
{
	struct packed_key packed;

	if (!decode(text, strlen(text), &packed, sizeof(packed)))
		return untrusted("not a public key of minisign");
	return unpack_key(&packed, ret);
}

struct hfx_error *minisign_signature_parse(const void *data, size_t size,
                                           struct minisign_signature *ret)
{
	struct cursor file = cursor_init(data, size);
	char comment[MINISIGN_MAX_COMMENT + 1];
	struct minisign_signature signature;
	struct packed_signature packed;

	if (!take_comment(&file, MINISIGN_UNTRUSTED, comment) ||
	    !take_base64(&file, &packed, sizeof(packed)) ||
	    !take_comment(&file, MINISIGN_TRUSTED, signature.trusted_comment) ||
	    !take_base64(&file, signature.global_signature,
	                 sizeof(signature.global_signature)) ||
	    !is_at_end(&file))
		return untrusted("the signature is malformed: it is none of "
		                 "minisign");
	if (!memcmp(packed.algorithm, MINISIGN_KEY_ALGORITHM,
	            sizeof(packed.algorithm)))
		return untrusted("the signature is of minisign's old kind; "
		                 "sign without -l");
	if (memcmp(packed.algorithm, MINISIGN_PREHASHED,
	           sizeof(packed.algorithm)))
		return untrusted("the signature is of a kind that this hfx "
		                 "does not know");
	memcpy(signature.key_id, packed.key_id, sizeof(signature.key_id));
	memcpy(signature.signature, packed.signature,
	       sizeof(signature.signature));
	*ret = signature;
	return NULL;
}

void minisign_prehash(const void *data, size_t size,
                      uint8_t ret[MINISIGN_PREHASH_SIZE])
{
	static const uint8_t nothing[1];

	crypto_generichash(ret, MINISIGN_PREHASH_SIZE, size ? data : nothing,
	                   size, NULL, 0);
}

bool minisign_verify(const struct minisign_key *key,
                     const struct minisign_signature *signature,
                     const void *data, size_t size)
{
	uint8_t prehash[MINISIGN_PREHASH_SIZE];
	uint8_t signed_comment[MINISIGN_SIGNATURE_SIZE + MINISIGN_MAX_COMMENT];
	size_t comment_size = strlen(signature->trusted_comment);

	minisign_prehash(data, size, prehash);
	memcpy(signed_comment, signature->signature, MINISIGN_SIGNATURE_SIZE);
	memcpy(signed_comment + MINISIGN_SIGNATURE_SIZE,
	       signature->trusted_comment, comment_size);
	return !crypto_sign_ed25519_verify_detached(signature->signature,
	                                            prehash, sizeof(prehash),
	                                            key->key) &&
	       !crypto_sign_ed25519_verify_detached(
		       signature->global_signature, signed_comment,
		       MINISIGN_SIGNATURE_SIZE + comment_size, key->key);
}

bool minisign_timestamp(const struct minisign_signature *signature,
                        uint64_t *ret)
{
	static const char key[] = "timestamp:";
	const char *text = signature->trusted_comment;
	char *end;

	if (strncmp(text, key, strlen(key)))
		return false;
	text += strlen(key);
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return !errno && (!*end || *end == '\t');
}

struct minisign_id_text
minisign_id_text(const uint8_t id[static MINISIGN_ID_SIZE])
{
	static const char digits[] = "0123456789ABCDEF";
	struct minisign_id_text ret = {{0}};

	/* A little-endian number, printed as one. */
	for (size_t i = 0; i < MINISIGN_ID_SIZE; i++) {
		uint8_t byte = id[MINISIGN_ID_SIZE - 1 - i];

		ret.text[2 * i] = digits[byte >> 4];
		ret.text[2 * i + 1] = digits[byte & 15];
	}
	return ret;
}
