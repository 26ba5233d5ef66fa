/* SPDX-License-Identifier: MIT */
/**
 * @file bundle_write.h
 *
 * Writing a bundle: docs/format.md, "The bundle".
 *
 * `images` is an array of one image for each of the manifest's modules, in
 * their order. The same input gives the same bytes. What is written has been
 * read back by bundle_parse(), so a bundle that breaks a limit is not written
 * and the reader's error says why.
 */
#ifndef HFX_BUNDLER_BUNDLE_WRITE_H
#define HFX_BUNDLER_BUNDLE_WRITE_H

#include "error.h"
#include "file.h"
#include "manifest.h"

/**
 * Fill in what follows from the rest: each module's `image_member`,
 * `image_size` and `image_digest`, and each function's `signature_digest`.
 */
HFX_MUST_CHECK struct hfx_error *bundle_seal(struct manifest *manifest,
                                             const struct buffer *images);

/** The bytes of the bundle of a sealed manifest. */
HFX_MUST_CHECK struct hfx_error *bundle_pack(const struct manifest *manifest,
                                             const struct buffer *images,
                                             struct buffer *ret);

/**
 * As bundle_pack(), with the text of the manifest as it stands, and behind it
 * the text of its signature.
 *
 * @param[in] signature `NULL` for none.
 */
HFX_MUST_CHECK struct hfx_error *
bundle_pack_text(const struct manifest *manifest, const struct buffer *text,
                 const struct buffer *images, const struct buffer *signature,
                 struct buffer *ret);

/** bundle_pack(), then file_replace(); errors name the file. */
HFX_MUST_CHECK struct hfx_error *bundle_write(const char *path,
                                              const struct manifest *manifest,
                                              const struct buffer *images);

#endif /* HFX_BUNDLER_BUNDLE_WRITE_H */
