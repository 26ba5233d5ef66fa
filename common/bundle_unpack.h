/* SPDX-License-Identifier: MIT */
/**
 * @file bundle_unpack.h
 *
 * The compressed frame of a bundle, unpacked into memory from its start, as far
 * as the reader has come to trust it.
 */
#ifndef HFX_COMMON_BUNDLE_UNPACK_H
#define HFX_COMMON_BUNDLE_UNPACK_H

#include <stddef.h>

#include "error.h"
#include "file.h"

struct archive;

struct unpacking {
	struct archive *archive;
	/** The whole archive; only the first `num_ready` bytes are there yet.
	 */
	struct buffer tar;
	size_t num_ready;
};

/** The error that libarchive had with untrusted data. */
HFX_MUST_CHECK struct hfx_error *archive_read_error(struct archive *archive);

/** Guard for an archive that is read. */
void archive_read_cleanup(struct archive **archive);

/**
 * Check the frame around the data, and its limits, without unpacking any.
 *
 * @param[in] data Borrowed until unpack_deinit().
 */
HFX_MUST_CHECK struct hfx_error *unpack_begin(const void *data, size_t size,
                                              struct unpacking *ret);

/** Have at least the first @p size bytes of the archive ready. */
HFX_MUST_CHECK struct hfx_error *unpack_upto(struct unpacking *unpacking,
                                             size_t size);

/** Have all of it ready, and see its checksum. */
HFX_MUST_CHECK struct hfx_error *unpack_rest(struct unpacking *unpacking);

/** Guard and destructor. */
void unpack_deinit(struct unpacking *unpacking);

#endif /* HFX_COMMON_BUNDLE_UNPACK_H */
