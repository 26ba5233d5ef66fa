/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"

#define FIRST_READ_SIZE (64u << 10)
#define TEMPORARY_TRIES 100

void buffer_deinit(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){0};
}

/* As read() at @p off, whether or not @p fd can be sought. */
static ssize_t read_at(int fd, bool can_seek, void *data, size_t size,
                       size_t off)
{
	ssize_t got;

	do
		got = can_seek ? pread(fd, data, size, (off_t)off)
		               : read(fd, data, size);
	while (got < 0 && errno == EINTR);
	return got;
}

/* Bytes to begin with: one more than the file says that it has. */
static size_t first_size(int fd, size_t max_size)
{
	struct stat status;
	size_t size = FIRST_READ_SIZE;

	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    status.st_size > 0)
		size = (size_t)status.st_size + 1;
	return size > max_size ? max_size + 1 : size;
}

static struct hfx_error *grow(struct buffer *buffer, size_t max_size)
{
	size_t size =
		buffer->size > max_size / 2 ? max_size + 1 : buffer->size * 2;
	uint8_t *data = realloc(buffer->data, size);

	if (!data)
		return hfx_error_no_memory();
	*buffer = (struct buffer){data, size};
	return NULL;
}

struct hfx_error *file_read_fd(int fd, size_t max_size, struct buffer *ret)
{
	HFX_CLEANUP(buffer_deinit) struct buffer buffer = {0};
	bool can_seek = lseek(fd, 0, SEEK_CUR) >= 0;
	size_t used = 0;

	if (max_size == SIZE_MAX)
		max_size--;
	buffer.size = first_size(fd, max_size);
	buffer.data = malloc(buffer.size);
	if (!buffer.data)
		return hfx_error_no_memory();
	for (;;) {
		ssize_t got = read_at(fd, can_seek, buffer.data + used,
		                      buffer.size - used, used);

		if (got < 0)
			return hfx_error_os(errno, "cannot read");
		if (got == 0)
			break;
		used += (size_t)got;
		if (used > max_size)
			return hfx_error_os(EFBIG, "larger than %zu bytes",
			                    max_size);
		if (used == buffer.size)
			HFX_TRY(grow(&buffer, max_size));
	}
	*ret = (struct buffer){HFX_TAKE(buffer.data), used};
	return NULL;
}

struct hfx_error *file_read(const char *path, size_t max_size,
                            struct buffer *ret)
{
	HFX_CLEANUP(hfx_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return hfx_error_os(errno, "cannot open %s", path);
	return hfx_error_wrap(file_read_fd(fd, max_size, ret), "%s", path);
}

static struct hfx_error *write_all(int fd, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	while (size) {
		ssize_t done = write(fd, bytes, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return hfx_error_os(errno, "cannot write");
		bytes += done;
		size -= (size_t)done;
	}
	return NULL;
}

/* A name beside @p path, another one each time; NULL without memory. */
static char *temporary_name(const char *path, unsigned int i)
{
	unsigned int number = 0;
	char *name;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
		number = (unsigned int)getpid() + i;
	return asprintf(&name, "%s.%08x.tmp", path, number) < 0 ? NULL : name;
}

/*
 * Create a file beside @p path. Not mkstemp(): a new file is to have the
 * permissions that the umask gives.
 */
static struct hfx_error *create_temporary(const char *path, char **name_ret,
                                          int *fd_ret)
{
	for (unsigned int i = 0; i < TEMPORARY_TRIES; i++) {
		HFX_CLEANUP(hfx_free) char *name = temporary_name(path, i);
		int fd;

		if (!name)
			return hfx_error_no_memory();
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd >= 0) {
			*fd_ret = fd;
			*name_ret = HFX_TAKE(name);
			return NULL;
		}
		if (errno != EEXIST)
			return hfx_error_os(errno, "cannot create");
	}
	return hfx_error_os(EEXIST, "cannot create a temporary file");
}

/* Write, sync and close; @p status is of the file to replace, or NULL. */
static struct hfx_error *fill_temporary(int fd, const struct stat *status,
                                        const void *data, size_t size)
{
	HFX_TRY(write_all(fd, data, size));
	if (status && fchmod(fd, status->st_mode & 07777) < 0)
		return hfx_error_os(errno, "cannot set permissions");
	if (fsync(fd) < 0)
		return hfx_error_os(errno, "cannot write");
	return NULL;
}

/*
 * A file without a name, in the folder of @p path: should we be killed, it
 * goes. -1 where the file system has none.
 */
static int create_nameless(const char *path)
{
	HFX_CLEANUP(hfx_free) char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!folder)
		return -1;
	if (slash)
		slash[slash == folder] = '\0';
	return open(slash ? folder : ".", O_WRONLY | O_TMPFILE | O_CLOEXEC,
	            0666);
}

/* Give the file a name; one that exists stays: EEXIST. */
static int link_nameless(int fd, const char *path)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* Put the file in the place of @p path, under another name for a moment. */
static bool rename_nameless(int fd, const char *path)
{
	for (unsigned int i = 0; i < TEMPORARY_TRIES; i++) {
		HFX_CLEANUP(hfx_free) char *name = temporary_name(path, i);

		if (!name)
			return false;
		if (link_nameless(fd, name) == 0) {
			if (rename(name, path) == 0)
				return true;
			unlink(name);
			return false;
		}
		if (errno != EEXIST)
			return false;
	}
	return false;
}

/* @param[out] done_ret Set if the file system has files without a name. */
static struct hfx_error *replace_by_nameless(const char *path,
                                             const struct stat *status,
                                             const void *data, size_t size,
                                             bool *done_ret)
{
	HFX_CLEANUP(hfx_close) int fd = create_nameless(path);

	*done_ret = false;
	if (fd < 0)
		return NULL;
	HFX_TRY(fill_temporary(fd, status, data, size));
	*done_ret = (!status && link_nameless(fd, path) == 0) ||
	            rename_nameless(fd, path);
	return NULL;
}

static struct hfx_error *replace(const char *path, const struct stat *status,
                                 const void *data, size_t size)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	HFX_CLEANUP(hfx_close) int fd = -1;
	struct hfx_error *err;
	bool is_done;

	HFX_TRY(replace_by_nameless(path, status, data, size, &is_done));
	if (is_done)
		return NULL;
	HFX_TRY(create_temporary(path, &name, &fd));
	err = fill_temporary(fd, status, data, size);
	if (!err && rename(name, path) < 0)
		err = hfx_error_os(errno, "cannot replace");
	if (err)
		unlink(name);
	return err;
}

/* Devices and pipes cannot be replaced, and must not be. */
static struct hfx_error *write_special(const char *path, const void *data,
                                       size_t size)
{
	HFX_CLEANUP(hfx_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return hfx_error_os(errno, "cannot write");
	return write_all(fd, data, size);
}

static struct hfx_error *create(const char *path, const void *data, size_t size)
{
	struct stat status;

	if (lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
		return hfx_error_os(ENOENT,
		                    "cannot create: a link that leads nowhere");
	return replace(path, NULL, data, size);
}

struct hfx_error *file_replace(const char *path, const void *data, size_t size)
{
	HFX_CLEANUP(hfx_free) char *real_path = NULL;
	struct stat status;
	struct hfx_error *err;

	/*
	 * Through a symbolic link, which stays. Links below /proc/self/fd lead
	 * to pipes and deleted files, too, which have no other path.
	 */
	if (stat(path, &status) < 0)
		err = create(path, data, size);
	else if (S_ISREG(status.st_mode) && (real_path = realpath(path, NULL)))
		err = replace(real_path, &status, data, size);
	else
		err = write_special(path, data, size);
	return hfx_error_wrap(err, "%s", path);
}

bool file_is_same(const char *a, const char *b)
{
	struct stat a_status, b_status;

	return !stat(a, &a_status) && !stat(b, &b_status) &&
	       a_status.st_dev == b_status.st_dev &&
	       a_status.st_ino == b_status.st_ino;
}
