/* SPDX-License-Identifier: MIT */
/*
 * Bundles at start-up: HFX_BUNDLES=a.hfx:b.hfx, for programs that do not call
 * libhfx themselves and get it by LD_PRELOAD.
 *
 * The variable reaches every program that such a program starts, so a bundle
 * for another build is passed over in silence. Whatever else fails, the program
 * runs on as it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "hfx.h"

static void print_warning(void *arg, enum hfx_log_level level,
                          const char *message)
{
	(void)arg;
	(void)level;
	dprintf(STDERR_FILENO, "hfx: warning: %s\n", message);
}

static void apply_one(const char *path)
{
	struct hfx_error *err = hfx_apply_bundle(path, NULL, NULL);

	if (err && hfx_error_code(err) != HFX_ERROR_BUILD_MISMATCH)
		dprintf(STDERR_FILENO, "hfx: %s\n", hfx_error_message(err));
	hfx_error_destroy(err);
}

__attribute__((__constructor__)) static void apply_bundles(void)
{
	/* Nothing for programs that run with more rights than their user. */
	const char *list = secure_getenv("HFX_BUNDLES");
	HFX_CLEANUP(hfx_free) char *copy = NULL;
	int saved_errno = errno;
	char *rest, *path;

	if (!list || !*list)
		return;
	hfx_set_log(print_warning, NULL, HFX_LOG_WARNING);
	copy = strdup(list);
	rest = copy;
	while ((path = strsep(&rest, ":")))
		if (*path)
			apply_one(path);
	hfx_set_log(NULL, NULL, HFX_LOG_ERROR);
	errno = saved_errno;
}
