/* SPDX-License-Identifier: MIT */
/**
 * @file bundle.h
 *
 * A bundle read into memory and verified: docs/format.md.
 */
#ifndef HFX_COMMON_BUNDLE_H
#define HFX_COMMON_BUNDLE_H

#include <stddef.h>

#include "digest.h"
#include "error.h"
#include "file.h"
#include "manifest.h"
#include "minisign.h"
#include "trust.h"

/** Largest `.hfx` file, and largest archive that it unpacks to, in bytes. */
#define BUNDLE_MAX_PACKED   (256u << 20)
#define BUNDLE_MAX_UNPACKED (1024u << 20)
/** The archive may be this many times the file, plus a MiB. */
#define BUNDLE_MAX_RATIO        1000
#define BUNDLE_MANIFEST_MEMBER  "manifest.json"
#define BUNDLE_SIGNATURE_MEMBER "manifest.json.minisig"

struct bundle {
	struct manifest *manifest;
	/** SHA-256 of the manifest's bytes: the identity of the patch. */
	struct digest id;
	/** The manifest's bytes as they are in the archive. */
	struct buffer manifest_text;
	/** Signature of the manifest, and the member's bytes, if it has one. */
	struct minisign_signature *signature;
	struct buffer signature_text;
	/**
	 * Who signed it. The name is empty unless a trusted key was asked for:
	 * then the rest is what the signature claims.
	 */
	struct signer signer;
	/** Image of each module, in the order of `manifest->modules`. */
	struct buffer *images;
};

/**
 * Unpack and verify a bundle that is in memory.
 *
 * The first member must be the manifest; each other one must be named by it,
 * with the size and digest that it gives, and none may be missing or twice.
 * Errors: #HFX_ERROR_BAD_BUNDLE, #HFX_ERROR_BUNDLE_VERSION,
 * #HFX_ERROR_BAD_DIGEST.
 *
 * @param[out] ret Bundle, for bundle_destroy().
 */
HFX_MUST_CHECK struct hfx_error *bundle_parse(const void *data, size_t size,
                                              struct bundle **ret);

/**
 * As bundle_parse(), for those that @p trust accepts.
 *
 * Of a bundle that it refuses (#HFX_ERROR_UNTRUSTED, #HFX_ERROR_WITHDRAWN)
 * nothing was parsed but the headers of its first two members and its
 * signature, and nothing behind these was unpacked.
 *
 * @param[in] trust `NULL` accepts everything.
 */
HFX_MUST_CHECK struct hfx_error *bundle_parse_trusted(const void *data,
                                                      size_t size,
                                                      const struct trust *trust,
                                                      struct bundle **ret);

/**
 * Read the file at @p path once, then bundle_parse(); errors name the file. The
 * file may change meanwhile: what is checked is what was read, and is used.
 */
HFX_MUST_CHECK struct hfx_error *bundle_read(const char *path,
                                             struct bundle **ret);

/** As bundle_read(), with bundle_parse_trusted(). */
HFX_MUST_CHECK struct hfx_error *bundle_read_trusted(const char *path,
                                                     const struct trust *trust,
                                                     struct bundle **ret);

/** As bundle_read_trusted(), from a borrowed descriptor. */
HFX_MUST_CHECK struct hfx_error *
bundle_read_fd(int fd, const struct trust *trust, struct bundle **ret);

/** Free a bundle; `NULL` is allowed. */
void bundle_destroy(struct bundle *bundle);

#endif /* HFX_COMMON_BUNDLE_H */
