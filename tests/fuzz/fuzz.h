/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz.h
 *
 * For the targets of libFuzzer in this folder: each hands bytes that could be
 * anything to one reader. An error is a good answer; a crash, a finding of a
 * sanitizer, a hang or a failed check is not.
 */
#ifndef HFX_TESTS_FUZZ_FUZZ_H
#define HFX_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "error.h"

/** What libFuzzer calls; 0 for each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                  \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,       \
			        __LINE__, #condition);                         \
			abort();                                               \
		}                                                              \
	} while (0)

/** Check what is promised of each error, free it; true without one. */
static inline bool fuzz_succeeds(struct hfx_error *err)
{
	if (!err)
		return true;
	FUZZ_CHECK(hfx_error_code(err) != HFX_ERROR_NONE);
	FUZZ_CHECK(*hfx_error_message(err));
	hfx_error_destroy(err);
	return false;
}

#endif /* HFX_TESTS_FUZZ_FUZZ_H */
