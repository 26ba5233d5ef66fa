/* SPDX-License-Identifier: MIT */
/**
 * @file secret_key.h
 *
 * Secret keys in minisign's format, and signatures made with them.
 *
 * A file is two lines: a comment, and in base64 the key, which is encrypted
 * with the output of scrypt (RFC 7914) of a password unless there is none.
 */
#ifndef HFX_BUNDLER_SECRET_KEY_H
#define HFX_BUNDLER_SECRET_KEY_H

#include <stdint.h>

#include "error.h"
#include "file.h"
#include "minisign.h"

/** Longest password, as in minisign. */
#define PASSWORD_MAX 1024

struct secret_key {
	uint8_t id[MINISIGN_ID_SIZE];
	/** Seed and public key (RFC 8032). */
	uint8_t key[2 * MINISIGN_KEY_SIZE];
};

/** What deriving a key from a password costs: see crypto_pwhash(3). */
struct password_cost {
	uint64_t ops;
	uint64_t memory;
};

/** What minisign takes: about a second, and 1 GiB. */
extern const struct password_cost password_cost_default;

/** Where a password comes from when one is needed. */
struct password_source {
	/** Fill in a NUL-terminated password. */
	struct hfx_error *(*get)(void *arg, char password[PASSWORD_MAX + 1]);
	void *arg;
};

/** Make a key pair. */
HFX_MUST_CHECK struct hfx_error *secret_key_generate(struct secret_key *ret);

/** Overwrite it: guard and destructor. */
void secret_key_deinit(struct secret_key *key);

/**
 * Read the file of a secret key.
 *
 * @param[out] ret Key, for secret_key_deinit().
 */
HFX_MUST_CHECK struct hfx_error *
secret_key_read(const char *path, const struct password_source *source,
                struct secret_key *ret);

/**
 * The text of a secret key's file.
 *
 * @param[in] password `NULL` for none: the key is then not encrypted.
 * @param[in] cost Where memory is short, less is taken.
 * @param[out] ret String, for free().
 */
HFX_MUST_CHECK struct hfx_error *
secret_key_format(const struct secret_key *key, const char *password,
                  const struct password_cost *cost, char **ret);

/**
 * The text of its public key's file.
 *
 * @param[in] expires Day for its comment (`YYYY-MM-DD`), or `NULL`.
 * @param[out] ret String, for free().
 */
HFX_MUST_CHECK struct hfx_error *
secret_key_format_public(const struct secret_key *key, const char *expires,
                         char **ret);

/**
 * Sign the text of a manifest.
 *
 * @param[in] timestamp Seconds since the epoch, for the trusted comment.
 * @param[out] ret The text of a minisign signature.
 */
HFX_MUST_CHECK struct hfx_error *secret_key_sign(const struct secret_key *key,
                                                 const struct buffer *manifest,
                                                 uint64_t timestamp,
                                                 struct buffer *ret);

#endif /* HFX_BUNDLER_SECRET_KEY_H */
