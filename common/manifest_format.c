/* SPDX-License-Identifier: MIT */
#include "manifest.h"

struct hfx_error *manifest_format(const struct manifest *manifest,
                                  struct buffer *ret)
{
	(void)manifest, (void)ret;
	return hfx_error_create(HFX_ERROR_UNSUPPORTED, "not there yet");
}
