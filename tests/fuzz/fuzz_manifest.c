/* SPDX-License-Identifier: MIT */
/* A manifest: what can be read can be written, and reads as the same. */
#include <string.h>

#include "fuzz.h"
#include "manifest.h"

static void check_round_trip(const struct manifest *manifest)
{
	struct buffer first = {0}, second = {0};
	struct manifest *again;

	FUZZ_CHECK(fuzz_succeeds(manifest_format(manifest, &first)));
	FUZZ_CHECK(
		fuzz_succeeds(manifest_parse(first.data, first.size, &again)));
	FUZZ_CHECK(fuzz_succeeds(manifest_format(again, &second)));
	FUZZ_CHECK(first.size == second.size &&
	           !memcmp(first.data, second.data, first.size));
	manifest_destroy(again);
	buffer_deinit(&first);
	buffer_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest *manifest;

	if (fuzz_succeeds(manifest_parse(data, size, &manifest))) {
		check_round_trip(manifest);
		manifest_destroy(manifest);
	}
	return 0;
}
