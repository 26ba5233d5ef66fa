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

/** Largest `.hfx` file, and largest archive that it unpacks to, in bytes. */
#define BUNDLE_MAX_PACKED   (256u << 20)
#define BUNDLE_MAX_UNPACKED (1024u << 20)
/** The archive may be this many times the file, plus a MiB. */
#define BUNDLE_MAX_RATIO       1000
#define BUNDLE_MANIFEST_MEMBER "manifest.json"

struct bundle {
	struct manifest *manifest;
	/** SHA-256 of the manifest's bytes: the identity of the patch. */
	struct digest id;
	/** The manifest's bytes as they are in the archive. */
	struct buffer manifest_text;
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

/** Read the file at @p path once, then bundle_parse(); errors name the file. */
HFX_MUST_CHECK struct hfx_error *bundle_read(const char *path,
                                             struct bundle **ret);

/** As bundle_read(), from a borrowed descriptor. */
HFX_MUST_CHECK struct hfx_error *bundle_read_fd(int fd, struct bundle **ret);

/** Free a bundle; `NULL` is allowed. */
void bundle_destroy(struct bundle *bundle);

#endif /* HFX_COMMON_BUNDLE_H */
