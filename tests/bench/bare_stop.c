/* SPDX-License-Identifier: MIT */
/*
 * The least that stopping a process takes: trace every thread, interrupt all,
 * wait for each and read its registers, let go. Nothing else is done meanwhile,
 * and threads that start are not looked for. It runs ahead of ordinary threads,
 * where that is allowed, as hfx does.
 *
 *	bench_bare_stop PID
 */
#include <dirent.h>
#include <err.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define MAX_THREADS 4096

static size_t list_threads(const char *pid, pid_t *tids)
{
	const struct dirent *entry;
	char path[64];
	size_t count = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	folder = opendir(path);
	if (!folder)
		err(1, "%s", path);
	while (count < MAX_THREADS && (entry = readdir(folder)))
		if (atoi(entry->d_name) > 0)
			tids[count++] = atoi(entry->d_name);
	closedir(folder);
	return count;
}

int main(int argc, char **argv)
{
	static pid_t tids[MAX_THREADS];
	const struct sched_param param = {.sched_priority = 1};
	struct user_regs_struct registers;
	size_t count;

	if (argc != 2)
		errx(2, "usage: bench_bare_stop PID");
	count = list_threads(argv[1], tids);
	(void)sched_setscheduler(0, SCHED_FIFO, &param);
	for (size_t i = 0; i < count; i++)
		if (ptrace(PTRACE_SEIZE, tids[i], NULL, NULL))
			err(1, "trace thread %d", tids[i]);
	for (size_t i = 0; i < count; i++)
		if (ptrace(PTRACE_INTERRUPT, tids[i], NULL, NULL))
			err(1, "interrupt thread %d", tids[i]);
	for (size_t i = 0; i < count; i++)
		if (waitpid(tids[i], NULL, __WALL) != tids[i] ||
		    ptrace(PTRACE_GETREGS, tids[i], NULL, &registers))
			err(1, "wait for thread %d", tids[i]);
	for (size_t i = 0; i < count; i++)
		if (ptrace(PTRACE_DETACH, tids[i], NULL, NULL))
			err(1, "let go thread %d", tids[i]);
	return 0;
}
