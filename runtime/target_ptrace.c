/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "inject.h"
#include "permission.h"
#include "proc_self.h"
#include "proc_status.h"
#include "target.h"

struct target_ptrace {
	struct target base;
	/** Readable once the process has ended: its pid may then be another's.
	 */
	int pidfd;
	int mem_fd;
	/** Filled by the first call that needs it. */
	struct inject inject;
	bool has_inject;
};

static struct target_ptrace *to_ptrace(struct target *target)
{
	return (struct target_ptrace *)target;
}

/** The pid stands for this process only as long as it has not ended. */
static struct hfx_error *check_alive(struct target *target)
{
	struct pollfd poll_fd = {
		.fd = to_ptrace(target)->pidfd,
		.events = POLLIN,
	};

	if (poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLIN)
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "process %d has ended", target->pid);
	return NULL;
}

/**
 * The memory was opened when the target was: that of another program, which the
 * process has started since by execve(2), is not it, and it reads as empty.
 */
static bool has_new_program(struct target *target)
{
	char byte;

	return pread(to_ptrace(target)->mem_fd, &byte, 1, 0) == 0;
}

/** The process lives, and runs the program that it did. */
static struct hfx_error *check_program(struct target *target)
{
	HFX_TRY(check_alive(target));
	if (has_new_program(target))
		return hfx_error_create(
			HFX_ERROR_NO_PROCESS,
			"process %d has started another program meanwhile "
			"(execve), to which nothing was applied",
			target->pid);
	return NULL;
}

/** What @p err, taken, is when there is more to say of it. */
static struct hfx_error *explain(struct target *target, struct hfx_error *err)
{
	struct hfx_error *end = err ? check_program(target) : NULL;

	if (!end)
		return err;
	hfx_error_destroy(err);
	return end;
}

static struct hfx_error *access_error(struct target *target, const char *what,
                                      uint64_t live_addr, size_t size, int rc)
{
	return explain(target,
	               hfx_error_os(rc ? rc : EFAULT,
	                            "%s %zu bytes at 0x%" PRIx64
	                            " of process %d",
	                            what, size, live_addr, target->pid));
}

/** @return Bytes read, up to the first page that is not there, or -1. */
static ssize_t read_vm(pid_t pid, uint64_t live_addr, void *buffer, size_t size)
{
	struct iovec local = {buffer, size};
	struct iovec remote = {(void *)(uintptr_t)live_addr, size};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

/** process_vm_readv() needs readable pages; /proc/PID/mem reads any. */
static struct hfx_error *ptrace_read(struct target *target, uint64_t live_addr,
                                     void *buffer, size_t size)
{
	uint8_t *bytes = buffer;
	/* In vain when the main thread has ended. */
	ssize_t got = read_vm(target->pid, live_addr, bytes, size);
	size_t done = got > 0 ? (size_t)got : 0;

	while (done < size) {
		errno = 0;
		got = pread(to_ptrace(target)->mem_fd, bytes + done,
		            size - done, (off_t)(live_addr + done));
		if (got <= 0)
			return access_error(target, "read", live_addr, size,
			                    errno);
		done += (size_t)got;
	}
	return NULL;
}

static struct hfx_error *ptrace_write(struct target *target, uint64_t live_addr,
                                      const void *data, size_t size)
{
	const uint8_t *bytes = data;
	size_t done = 0;

	while (done < size) {
		ssize_t put;

		errno = 0;
		put = pwrite(to_ptrace(target)->mem_fd, bytes + done,
		             size - done, (off_t)(live_addr + done));
		if (put <= 0)
			return access_error(target, "write", live_addr, size,
			                    errno);
		done += (size_t)put;
	}
	return NULL;
}

static struct hfx_error *prepare_inject(struct target_ptrace *target)
{
	HFX_TRY(check_program(&target->base));
	if (target->has_inject)
		return NULL;
	HFX_TRY(explain(&target->base,
	                inject_init(target->base.pid, &target->inject)));
	target->has_inject = true;
	return NULL;
}

static struct hfx_error *ptrace_syscall(struct target *target, long number,
                                        const uint64_t args[6],
                                        int64_t *result_ret)
{
	HFX_TRY(prepare_inject(to_ptrace(target)));
	return explain(target, inject_syscall(&to_ptrace(target)->inject,
	                                      number, args, result_ret));
}

static struct hfx_error *ptrace_call(struct target *target, uint64_t live_addr,
                                     const uint64_t args[2],
                                     uint64_t *result_ret)
{
	HFX_TRY(prepare_inject(to_ptrace(target)));
	return explain(target, inject_call(&to_ptrace(target)->inject,
	                                   live_addr, args, result_ret));
}

/** On a thread that waits: starting one takes locks of the C library. */
static struct hfx_error *ptrace_start_hook(struct target *target,
                                           uint64_t starter_addr,
                                           uint64_t job_addr)
{
	const uint64_t args[2] = {job_addr};
	uint64_t result;

	HFX_TRY(prepare_inject(to_ptrace(target)));
	HFX_TRY(explain(target,
	                inject_call_waiting(&to_ptrace(target)->inject,
	                                    starter_addr, args, &result)));
	return (int)result ? hfx_error_os((int)result,
	                                  "start a thread in process %d",
	                                  target->pid)
	                   : NULL;
}

static struct hfx_error *ptrace_commit(struct target *target,
                                       const struct commit_plan *plan,
                                       struct commit_result *ret)
{
	HFX_TRY(check_program(target));
	return explain(target, commit_execute(target->pid, plan, ret));
}

static void ptrace_destroy(struct target *target)
{
	struct target_ptrace *ptrace_target = to_ptrace(target);

	inject_deinit(&ptrace_target->inject);
	hfx_close(&ptrace_target->pidfd);
	hfx_close(&ptrace_target->mem_fd);
	free(ptrace_target);
}

static const struct target_ops ptrace_ops = {
	.read = ptrace_read,
	.write = ptrace_write,
	.syscall = ptrace_syscall,
	.call = ptrace_call,
	.start_hook = ptrace_start_hook,
	.commit = ptrace_commit,
	.destroy = ptrace_destroy,
};

/* ---- Opening --------------------------------------------------------------
 */

static struct hfx_error *check_process(pid_t pid)
{
	struct proc_status status;

	if (pid <= 0 || proc_status_read(pid, pid, &status) == -ESRCH)
		return hfx_error_create(HFX_ERROR_NO_PROCESS, "no process %d",
		                        pid);
	if (pid == getpid())
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "process %d is hfx itself", pid);
	if (status.tgid != pid)
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "%d is a thread; the process is %d",
		                        pid, status.tgid);
	return NULL;
}

/** A zombie has no memory, but so has a leader whose threads live on. */
static struct hfx_error *check_kind(pid_t pid)
{
	struct proc_status status;
	char path[32];
	char link[8];

	if (proc_status_read(pid, pid, &status))
		return hfx_error_create(HFX_ERROR_NO_PROCESS, "no process %d",
		                        pid);
	if (status.has_memory || status.state == 'Z')
		return NULL;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (readlink(path, link, sizeof(link)) < 0 && errno == ENOENT)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "process %d is a kernel thread", pid);
	return NULL;
}

/** An execve(2) takes this long at most to give the process its new program. */
#define START_WAIT_MS 1000

/**
 * Read the auxiliary vector. During execve(2) it has no entries yet, and what
 * else there is of the process is half of a program: wait for the whole.
 *
 * @return Number of entries, 0 if there are none.
 */
static size_t read_auxv(pid_t pid, Elf64_auxv_t *entries, size_t max_entries)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	for (int i = 0; i < START_WAIT_MS; i++) {
		HFX_CLEANUP(hfx_close) int fd = -1;
		ssize_t size;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/task/%d/auxv", pid,
		         proc_memory_thread(pid));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		size = fd < 0 ? -1
		              : read(fd, entries,
		                     max_entries * sizeof(*entries));
		if (size <= 0)
			return 0;
		if (entries[0].a_type != AT_NULL)
			return (size_t)size / sizeof(*entries);
		nanosleep(&nap, NULL);
	}
	return 0;
}

/**
 * An i386 or x32 program: its auxiliary vector has entries of half the size, in
 * which a 64-bit AT_PHENT is not found. Its file is not opened: that may lie in
 * a file system that the process's user serves, and never answer.
 */
static struct hfx_error *check_class(pid_t pid)
{
	Elf64_auxv_t entries[64];
	size_t count = read_auxv(pid, entries, 64);

	for (size_t i = 0; i < count; i++)
		if (entries[i].a_type == AT_PHENT &&
		    entries[i].a_un.a_val == sizeof(Elf64_Phdr))
			return NULL;
	if (!count)
		return NULL;
	return hfx_error_create(
		HFX_ERROR_UNSUPPORTED,
		"process %d runs a program that is not for x86-64 (32-bit); "
		"hfx patches 64-bit ones",
		pid);
}

/** @return Whether there is memory behind it. */
static bool try_memory(struct target_ptrace *target, pid_t pid)
{
	char path[64];
	char byte;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/mem", pid,
	         proc_memory_thread(pid));
	target->mem_fd = open(path, O_RDWR | O_CLOEXEC);
	/* A zombie, on newer kernels; on others its file is empty. */
	if (target->mem_fd < 0)
		return errno != ESRCH;
	if (pread(target->mem_fd, &byte, 1, 0) != 0)
		return true;
	close(target->mem_fd);
	target->mem_fd = -1;
	return false;
}

static struct hfx_error *open_memory(struct target_ptrace *target)
{
	pid_t pid = target->base.pid;

	for (int i = 0; !try_memory(target, pid); i++)
		if (i == PROC_MEMORY_TRIES || !proc_has_memory(pid))
			return hfx_error_create(HFX_ERROR_NO_PROCESS,
			                        "process %d has ended", pid);
	return target->mem_fd < 0 ? permission_error(pid, pid, errno) : NULL;
}

static struct hfx_error *open_target(struct target_ptrace *target)
{
	pid_t pid = target->base.pid;

	HFX_TRY(proc_self_check());
	HFX_TRY(check_process(pid));
	target->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (target->pidfd < 0)
		return permission_error(pid, pid, errno);
	HFX_TRY(check_kind(pid));
	HFX_TRY(open_memory(target));
	HFX_TRY(check_class(pid));
	return check_alive(&target->base);
}

struct hfx_error *target_create_ptrace(pid_t pid, struct target **ret)
{
	struct target_ptrace *target = malloc(sizeof(*target));
	struct hfx_error *err;

	if (!target)
		return hfx_error_no_memory();
	*target = (struct target_ptrace){
		.base = {.ops = &ptrace_ops, .pid = pid},
		.pidfd = -1,
		.mem_fd = -1,
	};
	err = open_target(target);
	if (err) {
		target_destroy(&target->base);
		return err;
	}
	*ret = &target->base;
	return NULL;
}
