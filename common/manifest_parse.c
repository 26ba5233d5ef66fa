/* SPDX-License-Identifier: MIT */
#include "manifest.h"

struct hfx_error *manifest_parse(const void *text, size_t size,
                                 struct manifest **ret)
{
	(void)text, (void)size, (void)ret;
	return hfx_error_create(HFX_ERROR_UNSUPPORTED, "not there yet");
}
