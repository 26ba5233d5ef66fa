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
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "array.h"
#include "cleanup.h"
#include "error.h"
#include "file.h"
#include "hfx.h"
#include "persist.h"
#include "target.h"

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
	const char *wish = secure_getenv("HFX_REDIRECT_CALLS");
	const struct hfx_apply_opts opts = {
		.sz = sizeof(opts),
		.flags = wish && !strcmp(wish, "1") ? HFX_APPLY_REDIRECT_CALLS
	                                            : 0,
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

/** The build-id in one of the module's own notes (gABI, "Note Section"). */
static bool find_build_id(const uint8_t *notes, size_t size, size_t align,
                          struct build_id *ret)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)notes;
		size_t data_off =
			(sizeof(*note) + note->n_namesz + align - 1) & -align;
		size_t end = (data_off + note->n_descsz + align - 1) & -align;

		if (data_off + note->n_descsz > size)
			return false;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    !memcmp(note + 1, "GNU", 4) && note->n_descsz &&
		    note->n_descsz <= BUILD_ID_MAX) {
			memcpy(ret->bytes, notes + data_off, note->n_descsz);
			ret->size = note->n_descsz;
			return true;
		}
		if (end >= size)
			return false;
		notes += end;
		size -= end;
	}
	return false;
}

static int look_at_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct found *found = arg;
	struct build_id build_id = {0};
	char *path = NULL;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum && !build_id.size; i++) {
		const Elf64_Phdr *header = &info->dlpi_phdr[i];

		if (header->p_type == PT_NOTE)
			find_build_id((const uint8_t *)(info->dlpi_addr +
			                                header->p_vaddr),
			              header->p_memsz,
			              header->p_align == 8 ? 8 : 4, &build_id);
	}
	if (build_id.size)
		path = persist_build_folder(found->folder, &build_id);
	if (path && !access(path, F_OK) && HFX_ARRAY_PUSH(found, paths, path))
		return 0;
	free(path);
	return 0;
}

/** From what was read, so that it cannot be another file by then. */
static struct hfx_error *apply_bytes(const struct buffer *bytes, bool redirects)
{
	const struct hfx_apply_opts opts = {
		.sz = sizeof(opts),
		.flags = redirects ? HFX_APPLY_REDIRECT_CALLS : 0,
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
	return hfx_apply_bundle_fd(fd, &opts, NULL);
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

static void apply_persisted(void)
{
	HFX_CLEANUP(found_deinit) struct found found = {0};
	const char *wish = secure_getenv("HFX_PERSIST");

	found.folder = persist_folder();
	/* Almost always there is no such folder, and nothing else is done. */
	if (!found.folder || (wish && !strcmp(wish, "0")) ||
	    access(found.folder, F_OK))
		return;
	dl_iterate_phdr(look_at_module, &found);
	for (size_t i = 0; i < found.num_paths; i++)
		apply_persisted_in(found.paths[i]);
}

__attribute__((__constructor__)) static void apply_bundles(void)
{
	/* Nothing for programs that run with more rights than their user. */
	const char *list = secure_getenv("HFX_BUNDLES");
	int saved_errno = errno;

	target_self_set_starting(true);
	hfx_set_log(print_warning, NULL, HFX_LOG_WARNING);
	apply_persisted();
	if (list)
		apply_named(list);
	hfx_set_log(NULL, NULL, HFX_LOG_ERROR);
	target_self_set_starting(false);
	errno = saved_errno;
}
