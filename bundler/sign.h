/* SPDX-License-Identifier: MIT */
/**
 * @file sign.h
 *
 * Bundles with a signature: docs/format.md, "Signatures".
 */
#ifndef HFX_BUNDLER_SIGN_H
#define HFX_BUNDLER_SIGN_H

#include "error.h"
#include "file.h"
#include "manifest.h"
#include "secret_key.h"

/**
 * As bundle_write(), signed. The time of the signature is SOURCE_DATE_EPOCH,
 * or else now.
 *
 * @param[in] key `NULL` for no signature.
 */
HFX_MUST_CHECK struct hfx_error *
bundle_write_signed(const char *path, const struct manifest *manifest,
                    const struct buffer *images, const struct secret_key *key);

/**
 * Sign the bundle at @p path: its manifest stays as it is, and so its identity;
 * a signature that it had is replaced.
 */
HFX_MUST_CHECK struct hfx_error *sign_bundle(const char *path,
                                             const struct secret_key *key);

/**
 * As sign_bundle(), with a signature that minisign made of the manifest. It is
 * not checked, since no key is known here.
 */
HFX_MUST_CHECK struct hfx_error *
sign_bundle_with(const char *path, const struct buffer *signature);

#endif /* HFX_BUNDLER_SIGN_H */
