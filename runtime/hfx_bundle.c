/* SPDX-License-Identifier: MIT */
#include "bundle.h"
#include "cleanup.h"
#include "hfx_cli.h"
#include "trust.h"

struct hfx_error *cli_read_bundle(const char *path, const char *trusted_keys,
                                  struct bundle **ret)
{
	HFX_CLEANUP(trust_cleanup) struct trust *trust = NULL;

	HFX_TRY(trust_load(trusted_keys, &trust));
	return bundle_read_trusted(path, trust, ret);
}

int cli_bundle_exit_code(const struct hfx_error *err)
{
	enum hfx_error_code code = hfx_error_code(err);

	/* A bundle that was understood and refused is no wrong argument. */
	return code == HFX_ERROR_UNTRUSTED || code == HFX_ERROR_WITHDRAWN
	               ? HFX_EXIT_FAILED
	               : HFX_EXIT_USAGE;
}
