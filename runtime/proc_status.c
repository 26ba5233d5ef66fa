/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "proc_status.h"

/** The value of a line `key:\t...` of @p text, or `NULL`. */
static const char *find_value(const char *text, const char *key)
{
	size_t size = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, size) && line[size] == ':')
			return line + size + 1 + strspn(line + size + 1, " \t");
	}
	return NULL;
}

static uint64_t find_number(const char *text, const char *key, int base)
{
	const char *value = find_value(text, key);

	return value ? strtoull(value, NULL, base) : 0;
}

static void find_ids(const char *text, const char *key, unsigned int ids[3])
{
	const char *value = find_value(text, key);

	for (int i = 0; value && i < 3; i++) {
		char *end;

		ids[i] = (unsigned int)strtoul(value, &end, 10);
		value = end;
	}
}

static void parse(const char *text, struct proc_status *ret)
{
	const char *name = find_value(text, "Name");
	const char *state = find_value(text, "State");

	*ret = (struct proc_status){
		.state = state ? *state : '?',
		.tgid = (pid_t)find_number(text, "Tgid", 10),
		.tracer_pid = (pid_t)find_number(text, "TracerPid", 10),
		.permitted_caps = find_number(text, "CapPrm", 16),
		.effective_caps = find_number(text, "CapEff", 16),
		.ignored_signals = find_number(text, "SigIgn", 16),
		.seccomp = (unsigned int)find_number(text, "Seccomp", 10),
		.has_memory = find_value(text, "VmSize") != NULL,
	};
	if (name)
		snprintf(ret->name, sizeof(ret->name), "%.*s",
		         (int)strcspn(name, "\n"), name);
	find_ids(text, "Uid", ret->uids);
	find_ids(text, "Gid", ret->gids);
}

int proc_status_read(pid_t pid, pid_t tid, struct proc_status *ret)
{
	HFX_CLEANUP(hfx_close) int fd = -1;
	char text[8192];
	char path[64];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* The kernel makes the whole text for one read. */
	size = read(fd, text, sizeof(text) - 1);
	if (size < 0)
		return -errno;
	text[size] = '\0';
	parse(text, ret);
	return 0;
}

static bool has_memory(pid_t pid, pid_t tid)
{
	struct proc_status status;

	return !proc_status_read(pid, tid, &status) && status.has_memory;
}

pid_t proc_memory_thread(pid_t pid)
{
	struct dirent *entry;
	pid_t found = pid;
	char path[32];
	DIR *tasks;

	if (has_memory(pid, pid))
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && found == pid && (entry = readdir(tasks))) {
		pid_t tid = atoi(entry->d_name);

		if (tid > 0 && tid != pid && has_memory(pid, tid))
			found = tid;
	}
	if (tasks)
		closedir(tasks);
	return found;
}

bool proc_has_memory(pid_t pid)
{
	return has_memory(pid, proc_memory_thread(pid));
}

/** Place of `startstack` among the numbers behind the name. */
#define START_STACK 26

uint64_t proc_start_stack(pid_t pid)
{
	HFX_CLEANUP(hfx_close) int fd = -1;
	char text[2048];
	char path[64];
	char *word;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (size <= 0)
		return 0;
	text[size] = '\0';
	/* The name may hold anything, parentheses too. */
	word = strrchr(text, ')');
	for (int i = 0; word && i < START_STACK; i++)
		word = strchr(word + 1, ' ');
	return word ? strtoull(word, NULL, 10) : 0;
}
