/* SPDX-License-Identifier: MIT */
/*
 * The process chooses what its /tmp is, and the caller may have more rights
 * than it. So every step is one name below an open folder, links are not
 * followed, and only text is appended, to a file that is neither a link's
 * target nor a stranger's.
 */
#include "perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "proc_status.h"

/** Largest map that is read and added to, in bytes. */
#define MAX_MAP_SIZE (256u << 20)

#define MAX_STATUS_SIZE 65536u

/* ---- The file ---------------------------------------------------------- */

/** Pid of the process in its own namespace: the last number of NStgid. */
static struct hfx_error *inner_pid(pid_t pid, long *ret)
{
	HFX_CLEANUP(buffer_deinit) struct buffer status = {0};
	HFX_CLEANUP(hfx_free) char *text = NULL;
	char path[64];
	char *line, *end;

	*ret = pid;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	HFX_TRY(file_read(path, MAX_STATUS_SIZE, &status));
	text = strndup((const char *)status.data, status.size);
	if (!text)
		return hfx_error_no_memory();
	line = strstr(text, "\nNStgid:");
	if (!line)
		return NULL;
	line += strlen("\nNStgid:");
	for (;;) {
		long number;

		line += strspn(line, " \t");
		number = strtol(line, &end, 10);
		if (end == line)
			return NULL;
		*ret = number;
		line = end;
	}
}

/** The process's own /tmp. */
static struct hfx_error *open_folder(pid_t pid, int *ret)
{
	HFX_CLEANUP(hfx_close) int root = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/root", (int)pid,
	         (int)proc_memory_thread(pid));
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return hfx_error_os(errno, "cannot open %s", path);
	*ret = openat(root, "tmp",
	              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret < 0)
		return hfx_error_os(errno,
		                    "cannot open the folder /tmp of process %d",
		                    (int)pid);
	return NULL;
}

static struct hfx_error *check_owner(pid_t pid, const char *path, int fd)
{
	struct stat map, process;
	char proc[64];

	snprintf(proc, sizeof(proc), "/proc/%d", (int)pid);
	if (fstat(fd, &map) || stat(proc, &process))
		return hfx_error_os(errno, "cannot look at %s", path);
	if (!S_ISREG(map.st_mode) || map.st_nlink != 1 ||
	    (map.st_uid != 0 && map.st_uid != geteuid() &&
	     map.st_uid != process.st_uid))
		return hfx_error_create(
			HFX_ERROR_PERMISSION,
			"%s of process %d is no plain file of its user, of "
			"root or of the caller; remove it first",
			path, (int)pid);
	return NULL;
}

/** Make the map, or open the one that is there. */
static struct hfx_error *open_map(pid_t pid, const char *path, int *ret)
{
	HFX_CLEANUP(hfx_close) int folder = -1;
	HFX_CLEANUP(hfx_close) int fd = -1;
	const char *name = strrchr(path, '/') + 1;
	const int flags =
		O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

	HFX_TRY(open_folder(pid, &folder));
	fd = openat(folder, name, flags | O_CREAT | O_EXCL, 0644);
	if (fd < 0 && errno == EEXIST)
		fd = openat(folder, name, flags);
	if (fd < 0)
		return hfx_error_os(errno, "cannot write %s of process %d",
		                    path, (int)pid);
	HFX_TRY(check_owner(pid, path, fd));
	*ret = fd;
	fd = -1;
	return NULL;
}

/* ---- The text ---------------------------------------------------------- */

struct text {
	/** What the map holds already. */
	char *present;
	FILE *added;
	size_t num_added;
};

static struct hfx_error *add_line(struct text *text, uint64_t live_addr,
                                  uint64_t size, const char *name)
{
	HFX_CLEANUP(hfx_free) char *line = NULL;

	if (asprintf(&line, "%" PRIx64 " %" PRIx64 " %s\n", live_addr, size,
	             name) < 0) {
		line = NULL;
		return hfx_error_no_memory();
	}
	/* A name from the process must not make lines of its own. */
	for (char *end = line; *end; end++)
		if (*end == '\n' && end[1])
			*end = '?';
	if (strstr(text->present, line))
		return NULL;
	text->num_added++;
	return fputs(line, text->added) < 0 ? hfx_error_no_memory() : NULL;
}

static struct hfx_error *add_patch(const struct engine_patch *patch,
                                   struct text *text)
{
	for (size_t i = 0; i < patch->num_functions; i++)
		HFX_TRY(add_line(text, patch->functions[i].new_live_addr,
		                 patch->functions[i].new_size,
		                 patch->function_names[i]));
	for (size_t i = 0; i < patch->num_code; i++)
		HFX_TRY(add_line(text, patch->code[i].live_addr,
		                 patch->code[i].size, patch->code_names[i]));
	return NULL;
}

static struct hfx_error *add_patches(const struct engine_patches *patches,
                                     struct text *text)
{
	struct hfx_error *err = NULL;

	for (size_t i = 0; !err && i < patches->num_patches; i++)
		if (patches->patches[i].state != RECORD_PREPARED)
			err = add_patch(&patches->patches[i], text);
	if (fclose(text->added) && !err)
		err = hfx_error_no_memory();
	return err;
}

static struct hfx_error *append(int fd, const char *path, const char *data,
                                size_t size)
{
	while (size) {
		ssize_t put = write(fd, data, size);

		if (put < 0)
			return hfx_error_os(errno, "cannot write %s", path);
		data += put;
		size -= (size_t)put;
	}
	return NULL;
}

struct hfx_error *perf_map_write(pid_t process,
                                 const struct engine_patches *patches,
                                 char path_ret[static PERF_MAP_PATH_SIZE],
                                 size_t *count_ret)
{
	HFX_CLEANUP(buffer_deinit) struct buffer present = {0};
	HFX_CLEANUP(hfx_free) char *present_text = NULL;
	HFX_CLEANUP(hfx_free) char *added = NULL;
	HFX_CLEANUP(hfx_close) int fd = -1;
	struct text text = {0};
	size_t size = 0;
	long pid;

	HFX_TRY(inner_pid(process, &pid));
	snprintf(path_ret, PERF_MAP_PATH_SIZE, "/tmp/perf-%ld.map", pid);
	HFX_TRY(open_map(process, path_ret, &fd));
	HFX_TRY(file_read_fd(fd, MAX_MAP_SIZE, &present));
	present_text = strndup((const char *)present.data, present.size);
	text.present = present_text;
	text.added = present_text ? open_memstream(&added, &size) : NULL;
	if (!text.added)
		return hfx_error_no_memory();
	HFX_TRY(add_patches(patches, &text));
	*count_ret = text.num_added;
	return append(fd, path_ret, added, size);
}
