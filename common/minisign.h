/* SPDX-License-Identifier: MIT */
/**
 * @file minisign.h
 *
 * Public keys and signatures in the formats of minisign: Ed25519 (RFC 8032)
 * over the BLAKE2b-512 digest of the data. Secret keys are the bundler's.
 *
 * A public key is two lines, a signature four:
 *
 *     untrusted comment: TEXT
 *     BASE64("Ed", key id, public key)
 *
 *     untrusted comment: TEXT
 *     BASE64("ED", key id, signature of the digest)
 *     trusted comment: TEXT
 *     BASE64(signature of the signature before and the TEXT)
 */
#ifndef HFX_COMMON_MINISIGN_H
#define HFX_COMMON_MINISIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define MINISIGN_ID_SIZE        8
#define MINISIGN_KEY_SIZE       32
#define MINISIGN_SIGNATURE_SIZE 64
#define MINISIGN_PREHASH_SIZE   64
#define MINISIGN_MAX_COMMENT    1024
#define MINISIGN_UNTRUSTED      "untrusted comment: "
#define MINISIGN_TRUSTED        "trusted comment: "
#define MINISIGN_KEY_ALGORITHM  "Ed"
#define MINISIGN_PREHASHED      "ED"
#define MINISIGN_ALGORITHM_SIZE 2
/** Characters of a public key in base64: 42 bytes. */
#define MINISIGN_KEY_TEXT_SIZE 56
/** Largest file of a key or signature that is read, in bytes. */
#define MINISIGN_MAX_FILE 4096

struct minisign_key {
	uint8_t id[MINISIGN_ID_SIZE];
	uint8_t key[MINISIGN_KEY_SIZE];
};

struct minisign_signature {
	uint8_t key_id[MINISIGN_ID_SIZE];
	uint8_t signature[MINISIGN_SIGNATURE_SIZE];
	/** Over `signature` and the trusted comment. */
	uint8_t global_signature[MINISIGN_SIGNATURE_SIZE];
	/** Without control characters but tabs. */
	char trusted_comment[MINISIGN_MAX_COMMENT + 1];
};

/** Text of a key id, as minisign prints it, and its NUL. */
struct minisign_id_text {
	char text[2 * MINISIGN_ID_SIZE + 1];
};

/**
 * Read the file of a public key.
 *
 * Errors: #HFX_ERROR_UNTRUSTED, as of all functions here.
 *
 * @param[out] comment_ret The untrusted comment; may be `NULL`.
 */
HFX_MUST_CHECK struct hfx_error *
minisign_key_parse(const void *data, size_t size, struct minisign_key *ret,
                   char comment_ret[MINISIGN_MAX_COMMENT + 1]);

/** Read a public key from its base64 alone: `RW...`. */
HFX_MUST_CHECK struct hfx_error *minisign_key_decode(const char *text,
                                                     struct minisign_key *ret);

/** Read the file of a signature. What it is worth is another question. */
HFX_MUST_CHECK struct hfx_error *
minisign_signature_parse(const void *data, size_t size,
                         struct minisign_signature *ret);

/**
 * Whether @p signature, trusted comment included, was made by @p key over these
 * bytes.
 */
bool minisign_verify(const struct minisign_key *key,
                     const struct minisign_signature *signature,
                     const void *data, size_t size);

/** BLAKE2b-512 of the data: what is signed. */
void minisign_prehash(const void *data, size_t size,
                      uint8_t ret[MINISIGN_PREHASH_SIZE]);

/** When it was signed, by the trusted comment. @return False without that. */
bool minisign_timestamp(const struct minisign_signature *signature,
                        uint64_t *ret);

struct minisign_id_text
minisign_id_text(const uint8_t id[static MINISIGN_ID_SIZE]);

#endif /* HFX_COMMON_MINISIGN_H */
