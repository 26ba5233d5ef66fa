/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "bundle.h"

struct hfx_error *bundle_parse(const void *data, size_t size,
                               struct bundle **ret)
{
	(void)data, (void)size, (void)ret;
	return hfx_error_create(HFX_ERROR_UNSUPPORTED, "not there yet");
}

struct hfx_error *bundle_read(const char *path, struct bundle **ret)
{
	(void)path, (void)ret;
	return hfx_error_create(HFX_ERROR_UNSUPPORTED, "not there yet");
}

struct hfx_error *bundle_read_fd(int fd, struct bundle **ret)
{
	(void)fd, (void)ret;
	return hfx_error_create(HFX_ERROR_UNSUPPORTED, "not there yet");
}

void bundle_destroy(struct bundle *bundle)
{
	free(bundle);
}
