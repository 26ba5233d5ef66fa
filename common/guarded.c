/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "guarded.h"

#define untrusted(...) hfx_error_create(HFX_ERROR_UNTRUSTED, __VA_ARGS__)

/** Refuse what others can change; @p is_last for the end of the path. */
static struct hfx_error *check_owner(const struct stat *status,
                                     const char *path, bool is_last)
{
	bool is_sticky = S_ISDIR(status->st_mode) && status->st_mode & S_ISVTX;

	if (status->st_uid && status->st_uid != geteuid())
		return untrusted("%s belongs to user %u; it must be root's or "
		                 "the calling user's",
		                 path, status->st_uid);
	if (status->st_mode & (S_IWGRP | S_IWOTH) && (is_last || !is_sticky))
		return untrusted("%s can be written by others (mode %04o); "
		                 "use `chmod go-w`",
		                 path, status->st_mode & 07777);
	return NULL;
}

/**
 * Look at an entry before it is opened, since that alone has effects on pipes
 * and devices. Whoever could put another one in its place by then could not
 * have made this one.
 */
static struct hfx_error *check_entry(int folder_fd, const char *name,
                                     const char *path, int flags)
{
	struct stat status;

	if (fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW))
		return hfx_error_os(errno, "cannot look at %s", path);
	if (flags & O_DIRECTORY)
		return NULL;
	if (!S_ISREG(status.st_mode))
		return untrusted("%s is no regular file", path);
	return check_owner(&status, path, true);
}

static struct hfx_error *open_entry(int folder_fd, const char *path,
                                    bool is_last, int flags, int *fd_ret)
{
	const char *name = strrchr(path, '/') + 1;
	HFX_CLEANUP(hfx_close) int fd = -1;
	struct stat status;

	HFX_TRY(check_entry(folder_fd, *name ? name : "/", path, flags));
	fd = openat(folder_fd, *name ? name : "/",
	            flags | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return hfx_error_os(errno, "cannot open %s", path);
	if (fstat(fd, &status))
		return hfx_error_os(errno, "cannot look at %s", path);
	HFX_TRY(check_owner(&status, path, is_last));
	*fd_ret = fd;
	fd = -1;
	return NULL;
}

/**
 * Open the next part of @p path, from its start to @p end, below @p folder_fd.
 */
static struct hfx_error *step(int folder_fd, char *path, char *end, int flags,
                              int *fd_ret)
{
	char saved = *end;
	struct hfx_error *err;

	*end = '\0';
	err = open_entry(folder_fd, path, !saved, flags, fd_ret);
	*end = saved;
	return err;
}

/** Walk from the root to the end of @p path, which has no links any more. */
static struct hfx_error *walk(char *path, int flags, int *fd_ret)
{
	HFX_CLEANUP(hfx_close) int folder_fd = open("/", O_PATH | O_CLOEXEC);
	struct stat status;
	char *end = path;

	if (folder_fd < 0 || fstat(folder_fd, &status))
		return hfx_error_os(errno, "cannot open /");
	HFX_TRY(check_owner(&status, "/", false));
	for (;;) {
		int fd = -1;

		end = strchrnul(end + 1, '/');
		HFX_TRY(step(folder_fd, path, end,
		             *end ? O_PATH | O_DIRECTORY : flags, &fd));
		if (!*end) {
			*fd_ret = fd;
			return NULL;
		}
		close(folder_fd);
		folder_fd = fd;
	}
}

static struct hfx_error *guarded_open(const char *path, int flags, int *fd_ret)
{
	HFX_CLEANUP(hfx_free) char *real_path = realpath(path, NULL);

	if (!real_path)
		return hfx_error_os(errno, "cannot open %s", path);
	return walk(real_path, flags, fd_ret);
}

struct hfx_error *guarded_read(const char *path, size_t max_size,
                               struct buffer *ret)
{
	HFX_CLEANUP(hfx_close) int fd = -1;

	HFX_TRY(guarded_open(path, O_RDONLY, &fd));
	return hfx_error_wrap(file_read_fd(fd, max_size, ret), "%s", path);
}

struct hfx_error *guarded_open_exact(const char *path, int *fd_ret)
{
	HFX_CLEANUP(hfx_free) char *copy = NULL;

	if (path[0] != '/' || strstr(path, "//") || !path[1])
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "%s is no absolute path of a file",
		                        path);
	copy = strdup(path);
	if (!copy)
		return hfx_error_no_memory();
	return walk(copy, O_RDONLY, fd_ret);
}

struct hfx_error *guarded_open_folder(const char *path, int *fd_ret)
{
	return guarded_open(path, O_RDONLY | O_DIRECTORY, fd_ret);
}
