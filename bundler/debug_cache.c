/* SPDX-License-Identifier: MIT */
#include "debug_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cleanup.h"

/** Where the client keeps its files (debuginfod-client-config(7)). */
static const struct {
	const char *variable;
	const char *folder;
} places[] = {
	{"DEBUGINFOD_CACHE_PATH", ""},
	{"XDG_CACHE_HOME", "/debuginfod_client"},
	{"HOME", "/.cache/debuginfod_client"},
	{"HOME", "/.debuginfod_client_cache"},
};

static void to_hex(const struct build_id *id, char *ret)
{
	*ret = '\0';
	for (size_t i = 0; i < id->size; i++)
		sprintf(ret + 2 * i, "%02x", id->bytes[i]);
}

/* The client leaves an empty file where the servers had none. */
static bool is_filled(const char *path)
{
	struct stat status;

	return !stat(path, &status) && S_ISREG(status.st_mode) &&
	       status.st_size > 0;
}

struct hfx_error *debug_cache_find(const struct build_id *id, char **ret)
{
	char hex[2 * sizeof(id->bytes) + 1];

	*ret = NULL;
	to_hex(id, hex);
	for (size_t i = 0; id->size && i < sizeof(places) / sizeof(*places);
	     i++) {
		const char *base = getenv(places[i].variable);
		HFX_CLEANUP(hfx_free) char *path = NULL;

		if (!base || *base != '/')
			continue;
		if (asprintf(&path, "%s%s/%s/debuginfo", base, places[i].folder,
		             hex) < 0) {
			path = NULL;
			return hfx_error_no_memory();
		}
		if (!is_filled(path))
			continue;
		*ret = HFX_TAKE(path);
		return NULL;
	}
	return NULL;
}
