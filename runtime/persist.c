/* SPDX-License-Identifier: MIT */
#include "persist.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "array.h"
#include "bundle.h"
#include "cleanup.h"
#include "digest.h"
#include "guarded.h"

void persist_names_deinit(struct persist_names *names)
{
	for (size_t i = 0; i < names->num_names; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct persist_names){0};
}

const char *persist_folder(void)
{
	const char *folder = secure_getenv("HFX_PERSIST_DIR");

	if (getauxval(AT_SECURE))
		return NULL;
	return folder && *folder ? folder : HFX_PERSIST_FOLDER;
}

char *persist_build_folder(const char *folder, const struct build_id *build_id)
{
	char hex[2 * BUILD_ID_MAX + 1];
	char *path;

	hex_encode(build_id->bytes, build_id->size, hex);
	return asprintf(&path, "%s/%s", folder, hex) < 0 ? NULL : path;
}

static bool is_build(const char *name)
{
	uint8_t bytes[BUILD_ID_MAX];
	size_t size = strlen(name);

	return size && size % 2 == 0 && size / 2 <= sizeof(bytes) &&
	       hex_decode(name, size / 2, bytes);
}

/** A number of at least four digits, `-`, a patch's name and `.hfx`. */
static bool is_bundle(const char *name)
{
	size_t digits = strspn(name, "0123456789");
	size_t size = strlen(name);

	return digits >= 4 && name[digits] == '-' && size > digits + 5 &&
	       !strcmp(name + size - 4, ".hfx");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_folder(DIR **folder)
{
	if (*folder)
		closedir(*folder);
}

static struct hfx_error *add_name(struct persist_names *names, const char *path,
                                  const char *name, size_t max)
{
	char *copy;

	if (names->num_names >= max)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "%s has more than %zu entries", path,
		                        max);
	copy = strdup(name);
	if (copy && HFX_ARRAY_PUSH(names, names, copy))
		return NULL;
	free(copy);
	return hfx_error_no_memory();
}

static struct hfx_error *list(const char *path, bool (*is_wanted)(const char *),
                              size_t max, struct persist_names *ret)
{
	HFX_CLEANUP(persist_names_deinit) struct persist_names names = {0};
	HFX_CLEANUP(close_folder) DIR *dir = NULL;
	struct dirent *entry;
	struct hfx_error *err;
	int fd;

	err = guarded_open_folder(path, &fd);
	if (hfx_error_errno(err) == ENOENT) {
		hfx_error_destroy(err);
		*ret = names;
		return NULL;
	}
	HFX_TRY(err);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return hfx_error_os(errno, "cannot list %s", path);
	}
	while ((entry = readdir(dir)))
		if (is_wanted(entry->d_name))
			HFX_TRY(add_name(&names, path, entry->d_name, max));
	hfx_array_sort(names.names, names.num_names, sizeof(*names.names),
	               by_name);
	*ret = names;
	names = (struct persist_names){0};
	return NULL;
}

struct hfx_error *persist_builds(const char *folder, struct persist_names *ret)
{
	return list(folder, is_build, PERSIST_MAX_BUILDS, ret);
}

struct hfx_error *persist_bundles(const char *build_folder,
                                  struct persist_names *ret)
{
	return list(build_folder, is_bundle, PERSIST_MAX_BUNDLES, ret);
}

bool persist_redirects(const char *name)
{
	size_t size = strlen(name), suffix_size = strlen(PERSIST_REDIRECTS);

	return size > suffix_size &&
	       !strcmp(name + size - suffix_size, PERSIST_REDIRECTS);
}

struct hfx_error *persist_read(const char *build_folder, const char *name,
                               struct buffer *ret)
{
	HFX_CLEANUP(hfx_free) char *path = NULL;

	if (asprintf(&path, "%s/%s", build_folder, name) < 0) {
		path = NULL;
		return hfx_error_no_memory();
	}
	return guarded_read(path, BUNDLE_MAX_PACKED, ret);
}
