/* SPDX-License-Identifier: MIT */
/**
 * @file proc_status.h
 *
 * What /proc/PID/task/TID/status says (proc_pid_status(5)).
 */
#ifndef HFX_RUNTIME_PROC_STATUS_H
#define HFX_RUNTIME_PROC_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_status {
	/** Name of the thread, as it stands there: may hold any character. */
	char name[64];
	/** 'R', 'S', 'D', 'T', 't', 'Z' or 'X'. */
	char state;
	pid_t tgid;
	/** Thread that traces this one, or 0. */
	pid_t tracer_pid;
	/** Real, effective and saved. */
	uid_t uids[3];
	gid_t gids[3];
	uint64_t permitted_caps;
	uint64_t effective_caps;
	/** Bit N - 1 stands for signal N. */
	uint64_t ignored_signals;
	/** 0 off, 1 strict, 2 filter. */
	unsigned int seccomp;
	/** Whether it has memory: kernel threads and zombies have none. */
	bool has_memory;
};

/**
 * Read the status of thread @p tid of process @p pid.
 *
 * @return 0, or -errno; -ESRCH when there is no such thread.
 */
int proc_status_read(pid_t pid, pid_t tid, struct proc_status *ret);

/**
 * A thread of the process @p pid by which its memory is reached: the main one,
 * or when that has ended another, since then /proc/PID leads to no memory.
 * @p pid if there is none.
 */
pid_t proc_memory_thread(pid_t pid);

/**
 * Whether some thread has memory: the process has not ended. While it starts
 * another program there is a moment in which its memory cannot be opened, or is
 * that of the old one and empty: then try again, so many times.
 */
bool proc_has_memory(pid_t pid);

#define PROC_MEMORY_TRIES 16

/**
 * Where the stack of the process @p pid began when its program did
 * (proc_pid_stat(5), startstack); 0 if that is not told.
 */
uint64_t proc_start_stack(pid_t pid);

#endif /* HFX_RUNTIME_PROC_STATUS_H */
