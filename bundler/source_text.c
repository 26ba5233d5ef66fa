/* SPDX-License-Identifier: MIT */
#include "source_text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "array.h"
#include "cleanup.h"
#include "file.h"

#define MAX_FILE_SIZE (8 << 20)

struct source_file {
	char *path;
	/** Empty for a file that has no lines for us. */
	struct buffer text;
	size_t *line_offs;
	size_t num_line_offs;
	size_t cap_line_offs;
};

struct source_texts {
	time_t built;
	struct source_file *files;
	size_t num_files;
	size_t cap_files;
};

struct hfx_error *source_texts_create(time_t built, struct source_texts **ret)
{
	struct source_texts *texts = calloc(1, sizeof(*texts));

	if (!texts)
		return hfx_error_no_memory();
	texts->built = built;
	*ret = texts;
	return NULL;
}

static void source_file_deinit(struct source_file *file)
{
	free(file->path);
	buffer_deinit(&file->text);
	free(file->line_offs);
}

void source_texts_destroy(struct source_texts *texts)
{
	if (!texts)
		return;
	for (size_t i = 0; i < texts->num_files; i++)
		source_file_deinit(&texts->files[i]);
	free(texts->files);
	free(texts);
}

/*
 * The path is what the file that is looked into says, so it may lead anywhere:
 * to devices, to pipes, to what is too large.
 */
static struct hfx_error *load(const struct source_texts *texts,
                              struct source_file *file)
{
	struct stat status;
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode) &&
	    status.st_mtime <= texts->built && status.st_size <= MAX_FILE_SIZE)
		hfx_error_destroy(file_read_fd(fd, MAX_FILE_SIZE, &file->text));
	close(fd);
	for (size_t at = 0; at < file->text.size; at++)
		if ((!at || file->text.data[at - 1] == '\n') &&
		    !HFX_ARRAY_PUSH(file, line_offs, at))
			return hfx_error_no_memory();
	return NULL;
}

/* @p path is taken. */
static struct hfx_error *file_at(struct source_texts *texts, char *path,
                                 const struct source_file **ret)
{
	struct source_file file = {.path = path};

	for (size_t i = 0; i < texts->num_files; i++)
		if (!strcmp(texts->files[i].path, path)) {
			free(path);
			*ret = &texts->files[i];
			return NULL;
		}
	struct hfx_error *err = load(texts, &file);
	if (!err && !HFX_ARRAY_PUSH(texts, files, file))
		err = hfx_error_no_memory();
	if (err)
		source_file_deinit(&file);
	else
		*ret = &texts->files[texts->num_files - 1];
	return err;
}

static struct hfx_error *line_of(const struct source_file *file, size_t number,
                                 char **ret)
{
	if (!number || number > file->num_line_offs)
		return NULL;
	const char *line =
		(const char *)file->text.data + file->line_offs[number - 1];
	size_t left = file->text.size - file->line_offs[number - 1];
	const char *end = memchr(line, '\n', left);

	*ret = strndup(line, end ? (size_t)(end - line) : left);
	return *ret ? NULL : hfx_error_no_memory();
}

struct hfx_error *source_texts_line(struct source_texts *texts,
                                    const char *folder, const char *place,
                                    char **ret)
{
	const char *colon = strrchr(place, ':');
	const struct source_file *file;
	char *path;

	*ret = NULL;
	if (!colon || (*place != '/' && *folder != '/'))
		return NULL;
	int length = (int)(colon - place);
	int done = *place == '/'
	                   ? asprintf(&path, "%.*s", length, place)
	                   : asprintf(&path, "%s/%.*s", folder, length, place);
	if (done < 0)
		return hfx_error_no_memory();
	HFX_TRY(file_at(texts, path, &file));
	return line_of(file, strtoul(colon + 1, NULL, 10), ret);
}
