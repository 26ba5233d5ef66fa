/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bundle.h"
#include "cleanup.h"
#include "secret_key.h"

#define KDF_SCRYPT     "Sc"
#define KDF_NONE       "\0\0"
#define CHECK_BLAKE2B  "B2"
#define KEY_COMMENT    MINISIGN_UNTRUSTED "minisign encrypted secret key\n"
#define PUBLIC_COMMENT MINISIGN_UNTRUSTED "minisign public key "

/** What a password encrypts. */
struct secret {
	uint8_t id[MINISIGN_ID_SIZE];
	uint8_t key[2 * MINISIGN_KEY_SIZE];
	/** BLAKE2b-256 of the algorithm, the id and the key. */
	uint8_t check[32];
};

struct packed_secret_key {
	char algorithm[MINISIGN_ALGORITHM_SIZE];
	char kdf[2];
	char check_algorithm[2];
	uint8_t salt[crypto_pwhash_scryptsalsa208sha256_SALTBYTES];
	/** Little-endian. */
	uint8_t ops[8];
	uint8_t memory[8];
	struct secret secret;
};
_Static_assert(sizeof(struct packed_secret_key) == 158, "no padding");

struct packed_public_key {
	char algorithm[MINISIGN_ALGORITHM_SIZE];
	uint8_t id[MINISIGN_ID_SIZE];
	uint8_t key[MINISIGN_KEY_SIZE];
};

struct packed_signature {
	char algorithm[MINISIGN_ALGORITHM_SIZE];
	uint8_t id[MINISIGN_ID_SIZE];
	uint8_t signature[MINISIGN_SIGNATURE_SIZE];
};

#define BASE64_SIZE(size)                                                      \
	sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_ORIGINAL)

const struct password_cost password_cost_default = {
	.ops = crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE,
	.memory = crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE,
};

#define bad_key(...) hfx_error_create(HFX_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

static void wipe_buffer(struct buffer *buffer)
{
	if (buffer->data)
		sodium_memzero(buffer->data, buffer->size);
	buffer_deinit(buffer);
}

static void wipe_packed(struct packed_secret_key *packed)
{
	sodium_memzero(packed, sizeof(*packed));
}

void secret_key_deinit(struct secret_key *key)
{
	sodium_memzero(key, sizeof(*key));
}

static struct hfx_error *start_sodium(void)
{
	if (sodium_init() < 0)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "libsodium cannot be used: there is no "
		                        "source of random numbers");
	return NULL;
}

struct hfx_error *secret_key_generate(struct secret_key *ret)
{
	uint8_t public_key[MINISIGN_KEY_SIZE];

	HFX_TRY(start_sodium());
	randombytes_buf(ret->id, sizeof(ret->id));
	crypto_sign_ed25519_keypair(public_key, ret->key);
	return NULL;
}

/* ---- Passwords --------------------------------------------------------- */

static uint64_t load_le64(const uint8_t bytes[8])
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | bytes[i];
	return value;
}

static void store_le64(uint64_t value, uint8_t bytes[8])
{
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

/** Encrypt or decrypt. @return False when memory is short. */
static bool apply_password(const char *password,
                           const struct password_cost *cost,
                           const uint8_t *salt, struct secret *secret)
{
	uint8_t stream[sizeof(*secret)];
	uint8_t *bytes = (uint8_t *)secret;
	bool done = !crypto_pwhash_scryptsalsa208sha256(
		stream, sizeof(stream), password, strlen(password), salt,
		cost->ops, cost->memory);

	for (size_t i = 0; done && i < sizeof(stream); i++)
		bytes[i] ^= stream[i];
	sodium_memzero(stream, sizeof(stream));
	return done;
}

static void make_check(const struct packed_secret_key *packed,
                       uint8_t ret[sizeof(packed->secret.check)])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, sizeof(packed->secret.check));
	crypto_generichash_update(&state, (const uint8_t *)packed->algorithm,
	                          sizeof(packed->algorithm));
	crypto_generichash_update(&state, packed->secret.id,
	                          sizeof(packed->secret.id));
	crypto_generichash_update(&state, packed->secret.key,
	                          sizeof(packed->secret.key));
	crypto_generichash_final(&state, ret, sizeof(packed->secret.check));
}

static struct hfx_error *decrypt(const struct password_source *source,
                                 struct packed_secret_key *packed)
{
	struct password_cost cost = {load_le64(packed->ops),
	                             load_le64(packed->memory)};
	uint8_t check[sizeof(packed->secret.check)];
	char password[PASSWORD_MAX + 1];
	struct hfx_error *err;
	bool done = false;

	if (cost.ops > password_cost_default.ops ||
	    cost.memory > password_cost_default.memory)
		return bad_key("its password costs more than minisign's most");
	err = source->get(source->arg, password);
	if (!err)
		done = apply_password(password, &cost, packed->salt,
		                      &packed->secret);
	sodium_memzero(password, sizeof(password));
	HFX_TRY(err);
	if (!done)
		return hfx_error_no_memory();
	make_check(packed, check);
	if (sodium_memcmp(check, packed->secret.check, sizeof(check)))
		return bad_key("the password is wrong");
	return NULL;
}

/* ---- Reading ----------------------------------------------------------- */

static bool unpack_text(const struct buffer *file,
                        struct packed_secret_key *packed)
{
	const char *text = (const char *)file->data;
	const char *end = memchr(text, '\n', file->size);
	size_t size, got;

	if (file->size < strlen(MINISIGN_UNTRUSTED) || !end ||
	    memcmp(text, MINISIGN_UNTRUSTED, strlen(MINISIGN_UNTRUSTED)))
		return false;
	end++;
	size = file->size - (size_t)(end - text);
	while (size && (end[size - 1] == '\n' || end[size - 1] == '\r'))
		size--;
	return !sodium_base642bin((uint8_t *)packed, sizeof(*packed), end, size,
	                          NULL, &got, NULL,
	                          sodium_base64_VARIANT_ORIGINAL) &&
	       got == sizeof(*packed);
}

static struct hfx_error *unpack(const struct buffer *file,
                                const struct password_source *source,
                                struct packed_secret_key *packed)
{
	uint8_t public_key[MINISIGN_KEY_SIZE], key[2 * MINISIGN_KEY_SIZE];
	bool is_pair;

	if (!unpack_text(file, packed) ||
	    memcmp(packed->algorithm, MINISIGN_KEY_ALGORITHM,
	           sizeof(packed->algorithm)) ||
	    memcmp(packed->check_algorithm, CHECK_BLAKE2B,
	           sizeof(packed->check_algorithm)))
		return bad_key("not a secret key of minisign");
	if (!memcmp(packed->kdf, KDF_SCRYPT, sizeof(packed->kdf)))
		HFX_TRY(decrypt(source, packed));
	else if (memcmp(packed->kdf, KDF_NONE, sizeof(packed->kdf)))
		return bad_key("encrypted in a way that hfx does not know");
	/* A key that is not encrypted need not have a checksum. */
	crypto_sign_ed25519_seed_keypair(public_key, key, packed->secret.key);
	is_pair = !sodium_memcmp(key, packed->secret.key, sizeof(key));
	sodium_memzero(key, sizeof(key));
	return is_pair ? NULL : bad_key("the secret key is damaged");
}

static struct hfx_error *read_key(const char *path,
                                  const struct password_source *source,
                                  struct secret_key *ret)
{
	HFX_CLEANUP(wipe_buffer) struct buffer file = {0};
	HFX_CLEANUP(wipe_packed) struct packed_secret_key packed = {0};

	HFX_TRY(file_read(path, MINISIGN_MAX_FILE, &file));
	HFX_TRY(hfx_error_wrap(unpack(&file, source, &packed), "%s", path));
	memcpy(ret->id, packed.secret.id, sizeof(ret->id));
	memcpy(ret->key, packed.secret.key, sizeof(ret->key));
	return NULL;
}

struct hfx_error *secret_key_read(const char *path,
                                  const struct password_source *source,
                                  struct secret_key *ret)
{
	HFX_TRY(start_sodium());
	return read_key(path, source, ret);
}

/* ---- Writing ----------------------------------------------------------- */

static struct hfx_error *encrypt(const char *password,
                                 const struct password_cost *cost,
                                 struct packed_secret_key *packed)
{
	struct password_cost taken = *cost;

	memcpy(packed->kdf, KDF_SCRYPT, sizeof(packed->kdf));
	randombytes_buf(packed->salt, sizeof(packed->salt));
	make_check(packed, packed->secret.check);
	while (!apply_password(password, &taken, packed->salt,
	                       &packed->secret)) {
		taken.ops /= 2;
		taken.memory /= 2;
		if (taken.memory <
		    crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_INTERACTIVE)
			return hfx_error_no_memory();
	}
	store_le64(taken.ops, packed->ops);
	store_le64(taken.memory, packed->memory);
	return NULL;
}

struct hfx_error *secret_key_format(const struct secret_key *key,
                                    const char *password,
                                    const struct password_cost *cost,
                                    char **ret)
{
	HFX_CLEANUP(wipe_packed)
	struct packed_secret_key packed = {.kdf = KDF_NONE};
	char text[BASE64_SIZE(sizeof(packed))];
	int rc;

	HFX_TRY(start_sodium());
	memcpy(packed.algorithm, MINISIGN_KEY_ALGORITHM,
	       sizeof(packed.algorithm));
	memcpy(packed.check_algorithm, CHECK_BLAKE2B,
	       sizeof(packed.check_algorithm));
	memcpy(packed.secret.id, key->id, sizeof(key->id));
	memcpy(packed.secret.key, key->key, sizeof(key->key));
	if (password)
		HFX_TRY(encrypt(password, cost, &packed));
	sodium_bin2base64(text, sizeof(text), (const uint8_t *)&packed,
	                  sizeof(packed), sodium_base64_VARIANT_ORIGINAL);
	rc = asprintf(ret, KEY_COMMENT "%s\n", text);
	sodium_memzero(text, sizeof(text));
	return rc < 0 ? hfx_error_no_memory() : NULL;
}

struct hfx_error *secret_key_format_public(const struct secret_key *key,
                                           const char *expires, char **ret)
{
	struct packed_public_key packed;
	char text[BASE64_SIZE(sizeof(packed))];

	memcpy(packed.algorithm, MINISIGN_KEY_ALGORITHM,
	       sizeof(packed.algorithm));
	memcpy(packed.id, key->id, sizeof(packed.id));
	memcpy(packed.key, key->key + MINISIGN_KEY_SIZE, sizeof(packed.key));
	sodium_bin2base64(text, sizeof(text), (const uint8_t *)&packed,
	                  sizeof(packed), sodium_base64_VARIANT_ORIGINAL);
	if (asprintf(ret, PUBLIC_COMMENT "%s%s%s\n%s\n",
	             minisign_id_text(key->id).text,
	             expires ? ", expires: " : "", expires ? expires : "",
	             text) < 0)
		return hfx_error_no_memory();
	return NULL;
}

/* ---- Signing ----------------------------------------------------------- */

static void sign_comment(const struct secret_key *key, const uint8_t *signature,
                         const char *comment,
                         char ret[BASE64_SIZE(MINISIGN_SIGNATURE_SIZE)])
{
	uint8_t text[MINISIGN_SIGNATURE_SIZE + MINISIGN_MAX_COMMENT];
	uint8_t global[MINISIGN_SIGNATURE_SIZE];

	memcpy(text, signature, MINISIGN_SIGNATURE_SIZE);
	memcpy(text + MINISIGN_SIGNATURE_SIZE, comment, strlen(comment));
	crypto_sign_ed25519_detached(global, NULL, text,
	                             MINISIGN_SIGNATURE_SIZE + strlen(comment),
	                             key->key);
	sodium_bin2base64(ret, BASE64_SIZE(sizeof(global)), global,
	                  sizeof(global), sodium_base64_VARIANT_ORIGINAL);
}

struct hfx_error *secret_key_sign(const struct secret_key *key,
                                  const struct buffer *manifest,
                                  uint64_t timestamp, struct buffer *ret)
{
	struct packed_signature packed;
	char text[BASE64_SIZE(sizeof(packed))];
	char global[BASE64_SIZE(MINISIGN_SIGNATURE_SIZE)];
	uint8_t prehash[MINISIGN_PREHASH_SIZE];
	char comment[MINISIGN_MAX_COMMENT];
	char *file;
	int size;

	minisign_prehash(manifest->data, manifest->size, prehash);
	memcpy(packed.algorithm, MINISIGN_PREHASHED, sizeof(packed.algorithm));
	memcpy(packed.id, key->id, sizeof(packed.id));
	crypto_sign_ed25519_detached(packed.signature, NULL, prehash,
	                             sizeof(prehash), key->key);
	sodium_bin2base64(text, sizeof(text), (const uint8_t *)&packed,
	                  sizeof(packed), sodium_base64_VARIANT_ORIGINAL);
	snprintf(comment, sizeof(comment), "timestamp:%" PRIu64 "\tfile:%s\t%s",
	         timestamp, BUNDLE_MANIFEST_MEMBER, "hashed");
	sign_comment(key, packed.signature, comment, global);
	size = asprintf(&file,
	                MINISIGN_UNTRUSTED
	                "signature from hfx-bundle\n%s\n" MINISIGN_TRUSTED
	                "%s\n%s\n",
	                text, comment, global);
	if (size < 0)
		return hfx_error_no_memory();
	*ret = (struct buffer){(uint8_t *)file, (size_t)size};
	return NULL;
}
