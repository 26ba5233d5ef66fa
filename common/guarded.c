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
static struct hfx_error *check_owner(int fd, const char *path, bool is_last)
{
	struct stat status;
	bool is_sticky;

	if (fstat(fd, &status))
		return hfx_error_os(errno, "cannot look at %s", path);
	if (status.st_uid && status.st_uid != geteuid())
		return untrusted("%s belongs to user %u; it must be root's or "
		                 "the calling user's",
		                 path, status.st_uid);
	is_sticky = S_ISDIR(status.st_mode) && status.st_mode & S_ISVTX;
	if (status.st_mode & (S_IWGRP | S_IWOTH) && (is_last || !is_sticky))
		return untrusted("%s can be written by others (mode %04o); "
		                 "use `chmod go-w`",
		                 path, status.st_mode & 07777);
	return NULL;
}

/**
 * Open the next part of @p path, from its start to @p end, below @p folder_fd.
 */
static struct hfx_error *step(int folder_fd, char *path, char *end, int flags,
                              int *fd_ret)
{
	char saved = *end;
	char *slash;
	struct hfx_error *err = NULL;
	int fd;

	*end = '\0';
	slash = strrchr(path, '/');
	fd = openat(folder_fd, slash[1] ? slash + 1 : "/",
	            flags | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		err = hfx_error_os(errno, "cannot open %s", path);
	else
		err = check_owner(fd, path, !saved);
	*end = saved;
	if (err) {
		hfx_close(&fd);
		return err;
	}
	*fd_ret = fd;
	return NULL;
}

/** Walk from the root to the end of @p path, which has no links any more. */
static struct hfx_error *walk(char *path, int flags, int *fd_ret)
{
	HFX_CLEANUP(hfx_close) int folder_fd = open("/", O_PATH | O_CLOEXEC);
	char *end = path;

	if (folder_fd < 0)
		return hfx_error_os(errno, "cannot open /");
	HFX_TRY(check_owner(folder_fd, "/", false));
	for (;;) {
		int fd;

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
	struct stat status;

	/* Without waiting for the other end of a pipe. */
	HFX_TRY(guarded_open(path, O_RDONLY | O_NONBLOCK, &fd));
	if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		return untrusted("%s is no regular file", path);
	return hfx_error_wrap(file_read_fd(fd, max_size, ret), "%s", path);
}

struct hfx_error *guarded_open_folder(const char *path, int *fd_ret)
{
	return guarded_open(path, O_RDONLY | O_DIRECTORY, fd_ret);
}
