/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "file.h"

#define NOBODY 65534

static char folder[64], path[80];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/hfx-file-test-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/file", folder);
	return 0;
}

static int remove_folder(void **state)
{
	char link_path[80];

	(void)state;
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	chmod(folder, 0700);
	unlink(link_path);
	unlink(path);
	/* Fails if a temporary file was left behind. */
	return rmdir(folder);
}

static size_t count_files(void)
{
	DIR *dir = opendir(folder);
	size_t count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void check_content(const char *expected)
{
	struct buffer file;

	assert_null(file_read(path, 1000, &file));
	assert_int_equal(file.size, strlen(expected));
	assert_memory_equal(file.data, expected, file.size);
	buffer_deinit(&file);
}

static void check_failure(struct hfx_error *err, int error_number,
                          const char *text)
{
	assert_int_equal(hfx_error_code(err), HFX_ERROR_OS);
	assert_int_equal(hfx_error_errno(err), error_number);
	assert_non_null(strstr(hfx_error_message(err), text));
	hfx_error_destroy(err);
}

static void a_written_file_is_read_whole(void **state)
{
	static uint8_t bytes[200001];
	struct buffer file;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i >> 7);
	assert_null(file_replace(path, bytes, sizeof(bytes)));
	assert_null(file_read(path, sizeof(bytes), &file));
	assert_int_equal(file.size, sizeof(bytes));
	assert_memory_equal(file.data, bytes, sizeof(bytes));
	buffer_deinit(&file);
	assert_null(file.data);
	check_failure(file_read(path, sizeof(bytes) - 1, &file), EFBIG, path);
	assert_null(file_replace(path, NULL, 0));
	check_content("");
}

static void files_that_report_no_size_are_read_whole(void **state)
{
	struct buffer file;

	(void)state;
	assert_null(file_read("/proc/self/status", 1 << 20, &file));
	assert_true(file.size > 100);
	assert_memory_equal(file.data, "Name:", 5);
	buffer_deinit(&file);
	check_failure(file_read("/proc/self/status", 10, &file), EFBIG,
	              "/proc/self/status");
}

static void pipes_are_read_to_their_end(void **state)
{
	struct buffer file;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "through a pipe", 14), 14);
	close(fds[1]);
	assert_null(file_read_fd(fds[0], 14, &file));
	assert_int_equal(file.size, 14);
	assert_memory_equal(file.data, "through a pipe", 14);
	buffer_deinit(&file);
	close(fds[0]);
}

static void
a_descriptor_is_read_from_its_start_and_left_where_it_was(void **state)
{
	struct buffer file;
	int fd;

	(void)state;
	assert_null(file_replace(path, "abcdef", 6));
	fd = open(path, O_RDONLY);
	assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
	assert_null(file_read_fd(fd, 100, &file));
	assert_int_equal(file.size, 6);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 4);
	buffer_deinit(&file);
	close(fd);
}

static void missing_files_and_folders_are_named(void **state)
{
	struct buffer file;

	(void)state;
	check_failure(file_read(path, 10, &file), ENOENT, path);
	check_failure(file_read(folder, 10, &file), EISDIR, folder);
	check_failure(file_replace(folder, "x", 1), EISDIR, folder);
}

static void an_existing_file_keeps_its_permissions(void **state)
{
	struct stat status;

	(void)state;
	assert_null(file_replace(path, "old", 3));
	assert_int_equal(chmod(path, 0640), 0);
	assert_null(file_replace(path, "new", 3));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
	check_content("new");
	assert_int_equal(count_files(), 1);
}

static void a_new_file_has_the_permissions_of_the_umask(void **state)
{
	mode_t old = umask(027);
	struct stat status;

	(void)state;
	assert_null(file_replace(path, "new", 3));
	umask(old);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
}

static void a_symbolic_link_stays_and_its_file_is_replaced(void **state)
{
	char link_path[80];
	struct stat status;

	(void)state;
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	assert_null(file_replace(path, "old", 3));
	assert_int_equal(symlink("file", link_path), 0);
	assert_null(file_replace(link_path, "new", 3));
	assert_int_equal(lstat(link_path, &status), 0);
	assert_true(S_ISLNK(status.st_mode));
	check_content("new");
}

static void a_device_is_written_and_not_replaced(void **state)
{
	struct stat status;

	(void)state;
	/* Where this test runs as root, a rename would succeed. */
	assert_null(file_replace("/dev/null", "x", 1));
	assert_int_equal(stat("/dev/null", &status), 0);
	assert_true(S_ISCHR(status.st_mode));
}

/* As /dev/stdout is one, where the output is a pipe. */
static void a_link_to_a_pipe_is_written_through(void **state)
{
	char link_path[80], target[40], got[8];
	struct stat status;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fds[1]);
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	assert_int_equal(symlink(target, link_path), 0);
	assert_null(file_replace(link_path, "new", 3));
	assert_int_equal(read(fds[0], got, sizeof(got)), 3);
	assert_memory_equal(got, "new", 3);
	assert_int_equal(lstat(link_path, &status), 0);
	assert_true(S_ISLNK(status.st_mode));
	close(fds[0]);
	close(fds[1]);
}

static void a_link_that_leads_nowhere_stays(void **state)
{
	char link_path[80];
	struct stat status;

	(void)state;
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	assert_int_equal(symlink("none/file", link_path), 0);
	check_failure(file_replace(link_path, "new", 3), ENOENT, "nowhere");
	assert_int_equal(lstat(link_path, &status), 0);
	assert_true(S_ISLNK(status.st_mode));
}

/* In a child: without root's rights, or with too small a file size limit. */
static int replace_restricted(bool as_nobody)
{
	struct rlimit limit = {1000, 1000};
	struct hfx_error *err;
	static char large[5000];
	int error_number;
	pid_t child;
	int status;

	child = fork();
	if (child == 0) {
		if (as_nobody && geteuid() == 0 && setuid(NOBODY) < 0)
			_exit(0);
		if (!as_nobody) {
			signal(SIGXFSZ, SIG_IGN);
			setrlimit(RLIMIT_FSIZE, &limit);
		}
		err = file_replace(path, large, sizeof(large));
		error_number = hfx_error_errno(err);
		hfx_error_destroy(err);
		_exit(error_number);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void an_unwritable_folder_leaves_the_old_file_whole(void **state)
{
	(void)state;
	assert_null(file_replace(path, "old", 3));
	assert_int_equal(chmod(folder, 0555), 0);
	assert_int_equal(replace_restricted(true), EACCES);
	check_content("old");
	assert_int_equal(count_files(), 1);
}

static void a_write_that_fails_midway_leaves_the_old_file_whole(void **state)
{
	(void)state;
	assert_null(file_replace(path, "old", 3));
	assert_int_equal(replace_restricted(false), EFBIG);
	check_content("old");
	assert_int_equal(count_files(), 1);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_written_file_is_read_whole),
		TEST(files_that_report_no_size_are_read_whole),
		TEST(pipes_are_read_to_their_end),
		TEST(a_descriptor_is_read_from_its_start_and_left_where_it_was),
		TEST(missing_files_and_folders_are_named),
		TEST(an_existing_file_keeps_its_permissions),
		TEST(a_new_file_has_the_permissions_of_the_umask),
		TEST(a_symbolic_link_stays_and_its_file_is_replaced),
		TEST(a_device_is_written_and_not_replaced),
		TEST(a_link_to_a_pipe_is_written_through),
		TEST(a_link_that_leads_nowhere_stays),
		TEST(an_unwritable_folder_leaves_the_old_file_whole),
		TEST(a_write_that_fails_midway_leaves_the_old_file_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
