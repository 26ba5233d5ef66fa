/* SPDX-License-Identifier: MIT */
/**
 * @file trust.h
 *
 * Who may say what is applied: trusted public keys, and bundles that were
 * withdrawn (docs/format.md, "Signatures").
 */
#ifndef HFX_COMMON_TRUST_H
#define HFX_COMMON_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "error.h"
#include "minisign.h"

/** Keys that are trusted on this host, if the folder is there. */
#define TRUST_FOLDER "/etc/hfx/trusted.d"
/** Bundles that were withdrawn, if the file is there. */
#define TRUST_WITHDRAWN "/etc/hfx/withdrawn"
/** Name of such a file in a folder of keys. */
#define TRUST_WITHDRAWN_NAME "withdrawn"

#define TRUST_MAX_KEYS           1000
#define TRUST_MAX_WITHDRAWN      100000
#define TRUST_MAX_WITHDRAWN_SIZE (32u << 20)
#define TRUST_MAX_NAME           255

struct trust;

/** Who has signed a bundle. */
struct signer {
	/** Name of the key's file without `.pub`; empty when nobody asked. */
	char name[TRUST_MAX_NAME + 1];
	struct minisign_id_text key_id;
	/** Seconds since the epoch, by the trusted comment; 0 if it is silent.
	 */
	uint64_t timestamp;
};

/** Places to read from; `NULL` stands for the usual one. */
struct trust_sources {
	/**
	 * Folder of keys (`*.pub`), file of a key, or a key in base64. Given
	 * ones must be there.
	 */
	const char *keys;
	const char *folder;
	const char *withdrawn;
};

/**
 * Read keys and the list of withdrawn bundles.
 *
 * Without @p keys the keys are those of #TRUST_FOLDER, and where that is not
 * there every bundle is accepted, signed or not. Files or folders that others
 * can write are an error, as is everything that cannot be understood: then
 * nothing can be said of any bundle.
 *
 * @param[in] keys As `trust_sources::keys`, or `NULL`.
 * @param[out] ret Trust, for trust_destroy().
 */
HFX_MUST_CHECK struct hfx_error *trust_load(const char *keys,
                                            struct trust **ret);

/** As trust_load(), from other places. */
HFX_MUST_CHECK struct hfx_error *
trust_load_from(const struct trust_sources *sources, struct trust **ret);

/** Whether a bundle without a signature is refused. */
bool trust_wants_signature(const struct trust *trust);

/**
 * Decide on a bundle by the bytes of its manifest and its signature.
 *
 * A key ends at the beginning of the day that its comment gives
 * (`expires: YYYY-MM-DD`, UTC). Then, by this host's clock, nothing that it
 * signed is accepted any more; and before that nothing whose signature says
 * that it was made later.
 *
 * Errors: #HFX_ERROR_UNTRUSTED, #HFX_ERROR_WITHDRAWN.
 *
 * @param[in] trust `NULL` accepts everything.
 * @param[in] signature `NULL` when there is none.
 * @param[out] ret Who signed it.
 */
HFX_MUST_CHECK struct hfx_error *
trust_check(const struct trust *trust, const struct digest *id,
            const void *manifest, size_t manifest_size,
            const struct minisign_signature *signature, struct signer *ret);

/** Free it; `NULL` is allowed. */
void trust_destroy(struct trust *trust);

/** Guard. */
void trust_cleanup(struct trust **trust);

#endif /* HFX_COMMON_TRUST_H */
