/* SPDX-License-Identifier: MIT */
/*
 * Bundles at start-up, for programs that get libhfx by LD_PRELOAD and for those
 * that link it: first those that `hfx persist` has installed for what the
 * process has loaded, then HFX_BUNDLES=a.hfx:b.hfx.
 *
 * The variable reaches every program that such a program starts, so a bundle
 * for another build is passed over in silence. Whatever else fails, the program
 * runs on as it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"
#include "array.h"
#include "cleanup.h"
#include "error.h"
#include "file.h"
#include "hfx.h"
#include "load_notice.h"
#include "loaded.h"
#include "persist.h"
#include "target.h"
#include "waiting.h"

static void print_warning(void *arg, enum hfx_log_level level,
                          const char *message)
{
	(void)arg;
	(void)level;
	dprintf(STDERR_FILENO, "hfx: warning: %s\n", message);
}

/** Tell of @p err, taken, but not of errors of this code. */
static void print_error(struct hfx_error *err, enum hfx_error_code but)
{
	if (err && hfx_error_code(err) != but)
		dprintf(STDERR_FILENO, "hfx: %s\n", hfx_error_message(err));
	hfx_error_destroy(err);
}

/* ---- HFX_BUNDLES ------------------------------------------------------- */

static void apply_named(const char *list)
{
	const char *redirects = secure_getenv("HFX_REDIRECT_CALLS");
	const char *waits = secure_getenv("HFX_WAIT");
	const struct hfx_apply_opts opts = {
		.sz = sizeof(opts),
		.flags = (redirects && !strcmp(redirects, "1")
	                          ? HFX_APPLY_REDIRECT_CALLS
	                          : 0) |
	                 (waits && !strcmp(waits, "0") ? 0 : HFX_APPLY_WAIT),
	};
	HFX_CLEANUP(hfx_free) char *copy = strdup(list);
	char *rest = copy;
	char *path;

	while ((path = strsep(&rest, ":")))
		if (*path)
			print_error(hfx_apply_bundle(path, &opts, NULL),
			            HFX_ERROR_BUILD_MISMATCH);
}

/* ---- hfx persist ------------------------------------------------------- */

/** Folders of the builds that the process has loaded, where there are any. */
struct found {
	const char *folder;
	/** Position of the first module that counts. */
	size_t first;
	char **paths;
	size_t num_paths;
	size_t cap_paths;
};

static void found_deinit(struct found *found)
{
	for (size_t i = 0; i < found->num_paths; i++)
		free(found->paths[i]);
	free(found->paths);
}

static bool look_at_module(const struct loaded_module *module, void *arg)
{
	struct found *found = arg;
	char *path = NULL;

	if (module->build_id.size && module->index >= found->first)
		path = persist_build_folder(found->folder, &module->build_id);
	if (path && !access(path, F_OK) && HFX_ARRAY_PUSH(found, paths, path))
		return false;
	free(path);
	return false;
}

/**
 * The program may be in the middle of a change, in another thread that may wait
 * for the one that loads: so not for ever.
 */
static struct hfx_error *apply_when_idle(int fd,
                                         const struct hfx_apply_opts *opts)
{
	for (int i = 0; i < API_LOADING_TRIES; i++) {
		struct hfx_error *err = hfx_apply_bundle_fd(fd, opts, NULL);

		if (hfx_error_code(err) != HFX_ERROR_BUSY)
			return err;
		hfx_error_destroy(err);
		api_loading_pause();
	}
	return hfx_apply_bundle_fd(fd, opts, NULL);
}

/** From what was read, so that it cannot be another file by then. */
static struct hfx_error *apply_bytes(const struct buffer *bytes, bool redirects)
{
	const struct hfx_apply_opts opts = {
		.sz = sizeof(opts),
		.flags = HFX_APPLY_WAIT |
	                 (redirects ? HFX_APPLY_REDIRECT_CALLS : 0),
	};
	HFX_CLEANUP(hfx_close) int fd = memfd_create("hfx", MFD_CLOEXEC);
	size_t done = 0;

	if (fd < 0)
		return hfx_error_os(errno, "cannot make a file in memory");
	while (done < bytes->size) {
		ssize_t put = write(fd, bytes->data + done, bytes->size - done);

		if (put < 0)
			return hfx_error_os(errno,
			                    "cannot write a file in memory");
		done += (size_t)put;
	}
	return apply_when_idle(fd, &opts);
}

static struct hfx_error *apply_persisted_one(const char *folder,
                                             const char *name)
{
	HFX_CLEANUP(buffer_deinit) struct buffer bytes = {0};

	HFX_TRY(persist_read(folder, name, &bytes));
	return hfx_error_wrap(apply_bytes(&bytes, persist_redirects(name)),
	                      "%s/%s", folder, name);
}

static void apply_persisted_in(const char *folder)
{
	HFX_CLEANUP(persist_names_deinit) struct persist_names names = {0};

	print_error(persist_bundles(folder, &names), HFX_ERROR_NONE);
	for (size_t i = 0; i < names.num_names; i++)
		print_error(apply_persisted_one(folder, names.names[i]),
		            HFX_ERROR_ALREADY_APPLIED);
}

/** Almost always there is no such folder, and nothing else is done. */
static bool may_persist(void)
{
	const char *wish = secure_getenv("HFX_PERSIST");
	const char *folder = persist_folder();

	return folder && (!wish || strcmp(wish, "0") != 0) &&
	       !access(folder, F_OK);
}

/** Those of the modules at position @p first and behind. */
static void apply_persisted(size_t first)
{
	HFX_CLEANUP(found_deinit) struct found found = {0};

	found.folder = persist_folder();
	if (!found.folder)
		return;
	found.first = first;
	loaded_find(look_at_module, &found);
	for (size_t i = 0; i < found.num_paths; i++)
		apply_persisted_in(found.paths[i]);
}

/** What has been loaded by now, inside the dlopen() that loads it. */
static void apply_persisted_later(void)
{
	size_t first = load_notice_first();

	if (first != LOAD_NOTICE_NONE)
		apply_persisted(first);
}

static void apply_persisted_first(void)
{
	if (!may_persist())
		return;
	apply_persisted(0);
	print_error(waiting_watch(apply_persisted_later), HFX_ERROR_NONE);
}

__attribute__((__constructor__)) static void apply_bundles(void)
{
	/* Nothing for programs that run with more rights than their user. */
	const char *list = secure_getenv("HFX_BUNDLES");
	int saved_errno = errno;

	target_self_set_starting(true);
	hfx_set_log(print_warning, NULL, HFX_LOG_WARNING);
	waiting_set_telling(true);
	apply_persisted_first();
	if (list)
		apply_named(list);
	hfx_set_log(NULL, NULL, HFX_LOG_ERROR);
	waiting_set_telling(false);
	target_self_set_starting(false);
	errno = saved_errno;
}
