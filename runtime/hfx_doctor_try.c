/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "engine_private.h"
#include "hfx_doctor.h"
#include "image.h"
#include "maps.h"
#include "modules.h"
#include "proc_status.h"
#include "symbols.h"
#include "target.h"

/* ---- A child ----------------------------------------------------------- */

static pid_t start_child(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		for (;;)
			pause();
	_exit(0);
}

/** What the image of a patch needs: memory, its protection, bytes in it. */
static struct hfx_error *try_image(struct target *target)
{
	const uint64_t map_args[6] = {0,
	                              PAGE_BYTES,
	                              PROT_READ | PROT_EXEC,
	                              MAP_PRIVATE | MAP_ANONYMOUS,
	                              (uint64_t)-1,
	                              0};
	const uint8_t code[JUMP_SIZE] = {0x90, 0x90, 0x90, 0x90, 0xc3};
	int64_t addr;

	HFX_TRY(hfx_error_wrap(
		target->ops->syscall(target, SYS_mmap, map_args, &addr),
		"borrow a thread"));
	if (addr < 0 && addr >= -4095)
		return hfx_error_os((int)-addr, "map executable memory");
	return hfx_error_wrap(
		target->ops->write(target, (uint64_t)addr, code, sizeof(code)),
		"write code by /proc/PID/mem (the kernel option "
		"proc_mem.force_override forbids it, if set)");
}

/** What a jump needs: threads stopped, code written. */
static struct hfx_error *try_commit(struct target *target)
{
	struct commit_write write = {
		.live_addr = (uint64_t)(uintptr_t)start_child,
		.size = JUMP_SIZE,
		.is_code = 1,
	};
	struct commit_plan plan = {
		.writes = &write,
		.num_writes = 1,
		.timeout_ms = ENGINE_TIMEOUT_MS,
		.max_pause_us = ENGINE_MAX_PAUSE_US,
	};
	struct commit_result result;

	HFX_TRY(target->ops->read(target, write.live_addr, write.before,
	                          JUMP_SIZE));
	memcpy(write.after, write.before, sizeof(write.after));
	return hfx_error_wrap(target->ops->commit(target, &plan, &result),
	                      "stop threads and write code");
}

static struct hfx_error *try_on(pid_t pid)
{
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(target_create_ptrace(pid, &target));
	err = try_image(target);
	if (!err)
		err = try_commit(target);
	target_destroy(target);
	return err;
}

void doctor_try(struct doctor *doctor)
{
	pid_t pid = start_child();
	struct hfx_error *err;

	if (pid < 0) {
		doctor_say(doctor, DOCTOR_STOP, "trial", "cannot fork: %s",
		           strerror(errno));
		return;
	}
	err = try_on(pid);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (err)
		doctor_say_error(doctor, "trial", err);
	else
		doctor_say(doctor, DOCTOR_OK, "trial",
		           "a child could be stopped and patched");
}

/* ---- A process --------------------------------------------------------- */

static struct hfx_error *borrow_thread(struct target *target)
{
	const uint64_t args[6] = {0};
	int64_t result;

	return target->ops->syscall(target, SYS_getpid, args, &result);
}

/** Whether exceptions and backtraces will pass new code. */
static struct hfx_error *look_at_unwinder(struct doctor *doctor,
                                          struct target *target)
{
	const struct symbol_query query = {
		.name = "__register_frame_info",
		.version = "GCC_3.0",
		.library = "libgcc_s.so.1",
		.is_call = true,
	};
	HFX_CLEANUP(maps_deinit) struct maps maps = {0};
	HFX_CLEANUP(modules_deinit) struct modules modules = {0};
	uint64_t addr;

	HFX_TRY(maps_read(target->pid, &maps));
	HFX_TRY(modules_read(target, &maps, &modules));
	HFX_TRY(symbols_find(target, &modules, &query, &addr));
	if (addr)
		doctor_say(doctor, DOCTOR_OK, "unwinder",
		           "libgcc_s is loaded: exceptions and backtraces pass "
		           "new code");
	else
		doctor_say(doctor, DOCTOR_NOTE, "unwinder",
		           "no libgcc_s: what unwinds this process later does "
		           "not see through new code");
	return NULL;
}

static struct hfx_error *look(struct doctor *doctor, pid_t pid)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(target_create_ptrace(pid, &target));
	err = borrow_thread(target);
	if (!err)
		err = engine_list(target, &patches);
	if (!err)
		err = look_at_unwinder(doctor, target);
	target_destroy(target);
	return err;
}

void doctor_look_at(struct doctor *doctor, pid_t pid)
{
	struct hfx_error *err = look(doctor, pid);

	if (err)
		doctor_say_error(doctor, "process", err);
	else
		doctor_say(doctor, DOCTOR_OK, "process", "%d can be patched",
		           pid);
}
