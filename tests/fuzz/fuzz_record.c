/* SPDX-License-Identifier: MIT */
/* The record of an applied patch, as it comes from a process. */
#include <string.h>

#include "engine.h"
#include "fuzz.h"
#include "record.h"

/**
 * A record says where it is. Taking its word lets what is changed get past that
 * check.
 */
static uint64_t own_address(const uint8_t *data, size_t size)
{
	struct record_header header = {0};

	memcpy(&header, data, size < sizeof(header) ? size : sizeof(header));
	return header.self;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_patch patch = {0};
	struct buffer bytes = {0};

	if (fuzz_succeeds(record_parse(data, size, own_address(data, size),
	                               &patch))) {
		FUZZ_CHECK(fuzz_succeeds(record_format(&patch, &bytes)));
		buffer_deinit(&bytes);
		engine_patch_deinit(&patch);
	}
	return 0;
}
