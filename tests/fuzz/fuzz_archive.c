/* SPDX-License-Identifier: MIT */
/*
 * The archive inside a bundle. The checksum of the compressed data would keep
 * what is changed away from all that is behind it, so it is compressed here.
 */
#include <zstd.h>

#include "bundle.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = ZSTD_compressBound(size), packed_size;
	ZSTD_CCtx *context = ZSTD_createCCtx();
	uint8_t *packed = malloc(room);
	struct bundle *bundle;

	FUZZ_CHECK(context && packed);
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	packed_size = ZSTD_compress2(context, packed, room, data, size);
	FUZZ_CHECK(!ZSTD_isError(packed_size));
	if (fuzz_succeeds(bundle_parse(packed, packed_size, &bundle)))
		bundle_destroy(bundle);
	free(packed);
	ZSTD_freeCCtx(context);
	return 0;
}
