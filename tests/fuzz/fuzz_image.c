/* SPDX-License-Identifier: MIT */
/* A patch image: read, and relocated to where it would be loaded. */
#include "fuzz.h"
#include "image_load.h"

#define MODULE_BIAS UINT64_C(0x555555554000)

static void relocate(struct image_load *image)
{
	uint64_t *imports = calloc(image->num_imports + 1, sizeof(*imports));
	struct image_load_values values = {
		.image_bias = MODULE_BIAS + (UINT64_C(1) << 30),
		.module_bias = MODULE_BIAS,
		.tls_index = 1,
		.imports = imports,
	};

	FUZZ_CHECK(imports);
	(void)fuzz_succeeds(image_load_relocate(image, &values));
	free(imports);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_load image = {0};

	if (fuzz_succeeds(image_load_parse(data, size, &image)))
		relocate(&image);
	image_load_deinit(&image);
	return 0;
}
