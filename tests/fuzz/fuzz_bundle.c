/* SPDX-License-Identifier: MIT */
/* A bundle as it comes from a file. */
#include "bundle.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bundle *bundle;

	if (fuzz_succeeds(bundle_parse(data, size, &bundle)))
		bundle_destroy(bundle);
	return 0;
}
