/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "permission.h"
#include "proc_status.h"

#define YAMA_PATH "/proc/sys/kernel/yama/ptrace_scope"

/** The setting of the Yama security module; 0 where there is none. */
static int yama_scope(void)
{
	HFX_CLEANUP(hfx_close) int fd = open(YAMA_PATH, O_RDONLY | O_CLOEXEC);
	char text[16] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	return atoi(text);
}

static bool may_trace_all(const struct proc_status *self)
{
	return self->effective_caps >> CAP_SYS_PTRACE & 1;
}

/** ptrace(2), "Ptrace access mode checking": all ids of the target count. */
static bool same_user(const struct proc_status *self,
                      const struct proc_status *target)
{
	for (int i = 0; i < 3; i++)
		if (target->uids[i] != self->uids[0] ||
		    target->gids[i] != self->gids[0])
			return false;
	return true;
}

/** A process that is not dumpable has its /proc files owned by root. */
static bool is_dumpable(pid_t pid, const struct proc_status *target)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	return stat(path, &st) || st.st_uid == target->uids[1];
}

static struct hfx_error *yama_error(pid_t pid, int scope)
{
	if (scope >= 3)
		return hfx_error_create(
			HFX_ERROR_PERMISSION,
			"tracing process %d is forbidden: ptrace is off until "
			"the next boot (kernel.yama.ptrace_scope=%d)",
			pid, scope);
	if (scope == 2)
		return hfx_error_create(
			HFX_ERROR_PERMISSION,
			"tracing process %d is forbidden: "
			"kernel.yama.ptrace_scope=2 allows it with "
			"CAP_SYS_PTRACE only; run as root",
			pid);
	return hfx_error_create(
		HFX_ERROR_PERMISSION,
		"tracing process %d is forbidden: kernel.yama.ptrace_scope=1 "
		"allows it to parents of the process only; run as root, or "
		"set it to 0 with `sysctl kernel.yama.ptrace_scope=0`",
		pid);
}

static struct hfx_error *user_error(pid_t pid, const struct proc_status *self,
                                    const struct proc_status *target)
{
	return hfx_error_create(
		HFX_ERROR_PERMISSION,
		"tracing process %d is forbidden: it runs as user %u, group "
		"%u (effective %u, %u), the caller as user %u, group %u "
		"without CAP_SYS_PTRACE; run as root or as that user",
		pid, target->uids[0], target->gids[0], target->uids[1],
		target->gids[1], self->uids[0], self->gids[0]);
}

static struct hfx_error *tracer_error(pid_t pid, pid_t tid,
                                      const struct proc_status *target)
{
	struct proc_status tracer = {.tgid = target->tracer_pid, .name = "?"};

	if (!target->tracer_pid)
		return NULL;
	/* By the thread that traces to the process, which can be ended. */
	(void)proc_status_read(tracer.tgid, tracer.tgid, &tracer);
	(void)proc_status_read(tracer.tgid, tracer.tgid, &tracer);
	return hfx_error_create(HFX_ERROR_BUSY,
	                        "thread %d of process %d is traced by process "
	                        "%d (%s); end that first",
	                        tid, pid, tracer.tgid, tracer.name);
}

/** What of the target itself forbids it to everybody, or `NULL`. */
static struct hfx_error *target_error(pid_t pid,
                                      const struct proc_status *target)
{
	if (target->state == 'Z' || target->state == 'X')
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "process %d has ended", pid);
	if (!target->has_memory)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "process %d is a kernel thread", pid);
	return NULL;
}

/** Why @p self may not trace its user's process, the likeliest reason first. */
static struct hfx_error *caller_error(pid_t pid, const struct proc_status *self,
                                      const struct proc_status *target)
{
	int scope = yama_scope();

	if (scope >= 3 || (scope && !may_trace_all(self)))
		return yama_error(pid, scope);
	if (!may_trace_all(self) && !is_dumpable(pid, target))
		return hfx_error_create(
			HFX_ERROR_PERMISSION,
			"tracing process %d is forbidden: it is not dumpable "
			"(prctl PR_SET_DUMPABLE, or it changed its user); run "
			"as root",
			pid);
	if (!may_trace_all(self) &&
	    target->permitted_caps & ~self->permitted_caps)
		return hfx_error_create(
			HFX_ERROR_PERMISSION,
			"tracing process %d is forbidden: it has capabilities "
			"that the caller has not, which takes CAP_SYS_PTRACE; "
			"run as root",
			pid);
	if (self->seccomp)
		return hfx_error_create(
			HFX_ERROR_PERMISSION,
			"tracing process %d is forbidden: the caller runs "
			"under seccomp; run it outside of the sandbox, or "
			"allow ptrace there (containers: the capability "
			"SYS_PTRACE)",
			pid);
	return hfx_error_create(
		HFX_ERROR_PERMISSION,
		"tracing process %d is forbidden: it is in another user "
		"namespace, or a security module (SELinux, AppArmor) denies it",
		pid);
}

struct hfx_error *permission_error(pid_t pid, pid_t tid, int error_number)
{
	struct proc_status target;
	struct proc_status self;

	if (error_number == ESRCH || error_number == ENOENT ||
	    proc_status_read(pid, tid, &target) == -ESRCH)
		return hfx_error_create(HFX_ERROR_NO_PROCESS, "no process %d",
		                        pid);
	if (error_number != EPERM && error_number != EACCES)
		return hfx_error_os(error_number, "trace thread %d of %d", tid,
		                    pid);
	HFX_TRY(target_error(pid, &target));
	if (proc_status_read(getpid(), gettid(), &self))
		return hfx_error_create(HFX_ERROR_PERMISSION,
		                        "tracing process %d is forbidden", pid);
	/* Who may not trace it is not helped by the end of its tracer. */
	if (!may_trace_all(&self) && !same_user(&self, &target))
		return user_error(pid, &self, &target);
	HFX_TRY(tracer_error(pid, tid, &target));
	return caller_error(pid, &self, &target);
}
