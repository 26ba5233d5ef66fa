/* SPDX-License-Identifier: MIT */
/**
 * @file manifest_show.h
 *
 * What `hfx-bundle show` and `hfx-bundle verify` do.
 */
#ifndef HFX_BUNDLER_MANIFEST_SHOW_H
#define HFX_BUNDLER_MANIFEST_SHOW_H

#include <stdio.h>

#include "bundle.h"
#include "digest.h"
#include "error.h"
#include "manifest.h"

/** Print a bundle for people. Whether @p out took it is for the caller. */
void manifest_show(FILE *out, const struct bundle *bundle);

/**
 * Print who has signed a bundle: a line without its end. Unless the signer has
 * a name, nobody has checked that.
 */
void manifest_show_signer(FILE *out, const struct bundle *bundle);

/**
 * Print a JSON object with three members: `id`, the identity of the patch,
 * `signature`, and `manifest`, the manifest as it is in the bundle.
 */
HFX_MUST_CHECK struct hfx_error *
manifest_show_json(FILE *out, const struct bundle *bundle);

/**
 * Check that a patch of @p module fits the ELF file at @p elf_path: build-id,
 * and the bytes of each function that is changed, in an executable segment.
 *
 * Errors: #HFX_ERROR_BAD_ELF, #HFX_ERROR_BUILD_MISMATCH (names both ids),
 * #HFX_ERROR_CODE_MISMATCH (names the function), #HFX_ERROR_OS.
 */
HFX_MUST_CHECK struct hfx_error *
manifest_verify_file(const struct manifest_module *module,
                     const char *elf_path);

#endif /* HFX_BUNDLER_MANIFEST_SHOW_H */
