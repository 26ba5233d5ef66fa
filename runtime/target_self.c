/* SPDX-License-Identifier: MIT */
/*
 * The calling process as a target.
 *
 * Memory is reached by /proc/self/mem: an address that is not mapped is an
 * error there, not a crash, and code is written without becoming writable.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "guard.h"
#include "load_notice.h"
#include "loaded.h"
#include "maps.h"
#include "target.h"
#include "tracer.h"

struct target_self {
	struct target base;
	int mem_fd;
	/** Owned; `NULL` for the one installed with the library. */
	char *tracer_path;
	/** From here up the calling thread's stack is the program's. */
	uint64_t stack_addr;
};

static struct target_self *to_self(struct target *target)
{
	return (struct target_self *)target;
}

static struct hfx_error *self_read(struct target *target, uint64_t live_addr,
                                   void *buffer, size_t size)
{
	uint8_t *bytes = buffer;

	while (size) {
		ssize_t got = pread(to_self(target)->mem_fd, bytes, size,
		                    (off_t)live_addr);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return hfx_error_os(got ? errno : EFAULT,
			                    "read %zu bytes at %#llx", size,
			                    (unsigned long long)live_addr);
		bytes += got;
		live_addr += (uint64_t)got;
		size -= (size_t)got;
	}
	return NULL;
}

static struct hfx_error *self_write(struct target *target, uint64_t live_addr,
                                    const void *data, size_t size)
{
	const uint8_t *bytes = data;

	while (size) {
		ssize_t done = pwrite(to_self(target)->mem_fd, bytes, size,
		                      (off_t)live_addr);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return hfx_error_os(
				done ? errno : EFAULT,
				"write %zu bytes at %#llx by /proc/self/mem",
				size, (unsigned long long)live_addr);
		bytes += done;
		live_addr += (uint64_t)done;
		size -= (size_t)done;
	}
	return NULL;
}

static struct hfx_error *self_syscall(struct target *target, long number,
                                      const uint64_t args[6],
                                      int64_t *result_ret)
{
	long result = syscall(number, args[0], args[1], args[2], args[3],
	                      args[4], args[5]);

	(void)target;
	*result_ret = result == -1 ? -errno : result;
	return NULL;
}

static struct hfx_error *self_call(struct target *target, uint64_t live_addr,
                                   const uint64_t args[2], uint64_t *result_ret)
{
	uint64_t (*function)(uint64_t, uint64_t) =
		(uint64_t(*)(uint64_t, uint64_t))(uintptr_t)live_addr;

	(void)target;
	if (load_notice_is_unready(live_addr))
		return hfx_error_create(
			HFX_ERROR_UNSUPPORTED,
			"the patch needs a function at %#llx called (the "
			"resolver of an IFUNC), whose library is still being "
			"loaded",
			(unsigned long long)live_addr);
	*result_ret = function(args[0], args[1]);
	return NULL;
}

/* ---- Commit ------------------------------------------------------------ */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) +
	       (uint64_t)now.tv_nsec;
}

static struct hfx_error *is_single_threaded(bool *ret)
{
	DIR *tasks = opendir("/proc/self/task");
	size_t count = 0;
	struct dirent *entry;

	if (!tasks)
		return hfx_error_os(errno, "cannot open /proc/self/task");
	while ((entry = readdir(tasks)))
		count += entry->d_name[0] != '.';
	closedir(tasks);
	*ret = count == 1;
	return NULL;
}

static struct hfx_error *write_one(struct target *target,
                                   const struct commit_write *write)
{
	uint8_t now[SITE_SIZE];

	HFX_TRY(self_read(target, write->live_addr, now, write->size));
	if (memcmp(now, write->before, write->size) != 0)
		return hfx_error_create(HFX_ERROR_CODE_MISMATCH,
		                        "the bytes at %#llx are not what they "
		                        "were a moment ago",
		                        (unsigned long long)write->live_addr);
	return self_write(target, write->live_addr, write->after, write->size);
}

/** Take back the first @p count writes. @return Whether all could be. */
static bool take_back(struct target *target, const struct commit_plan *plan,
                      size_t count)
{
	bool is_done = true;

	for (size_t i = count; i-- > 0;) {
		const struct commit_write *write = &plan->writes[i];
		HFX_CLEANUP(hfx_error_cleanup)
		struct hfx_error *err = self_write(target, write->live_addr,
		                                   write->before, write->size);

		is_done &= !err;
	}
	return is_done;
}

/** No other thread can be anywhere, so nothing has to stop. */
static struct hfx_error *commit_alone(struct target *target,
                                      const struct commit_plan *plan,
                                      struct commit_result *ret)
{
	uint64_t start_ns = now_ns();

	for (size_t i = 0; i < plan->num_writes; i++) {
		struct hfx_error *err = write_one(target, &plan->writes[i]);

		if (!err)
			continue;
		if (take_back(target, plan, i))
			return err;
		hfx_error_destroy(err);
		return hfx_error_create(HFX_ERROR_POISONED,
		                        "a write failed and what was written "
		                        "before it cannot be undone");
	}
	*ret = (struct commit_result){
		.pause_ns = now_ns() - start_ns,
		.num_threads = 1,
		.num_tries = 1,
	};
	return NULL;
}

/** Set while the program has not begun. */
static bool is_at_start;

void target_self_set_starting(bool is_starting)
{
	is_at_start = is_starting;
}

static void drop_entry_points(uint64_t *words, size_t num_words)
{
	uint64_t entry_addr = getauxval(AT_ENTRY);

	for (size_t i = 0; i < num_words; i++)
		if (words[i] == entry_addr)
			words[i] = 0;
}

/** Whether no word of the stack from @p addr to @p end looks like a frame. */
static struct hfx_error *scan_words(struct target *target,
                                    const struct guard_set *guards,
                                    uint64_t addr, uint64_t end, bool *ret)
{
	uint64_t words[512];

	*ret = true;
	while (*ret && addr < end) {
		size_t count = sizeof(words) / sizeof(*words);

		if ((end - addr) / sizeof(*words) < count)
			count = (end - addr) / sizeof(*words);
		HFX_TRY(self_read(target, addr, words, count * sizeof(*words)));
		if (is_at_start)
			drop_entry_points(words, count);
		*ret = guard_set_scan(guards, words, count) == count;
		addr += count * sizeof(*words);
	}
	return NULL;
}

/**
 * Whether the only thread is for sure outside of the guarded code: its program
 * counter is here, so its stack tells (stack_scan.h).
 */
static struct hfx_error *is_outside(struct target *target,
                                    const struct commit_plan *plan, bool *ret)
{
	uint64_t stack_addr = to_self(target)->stack_addr;
	HFX_CLEANUP(guard_set_deinit) struct guard_set guards = {0};
	HFX_CLEANUP(maps_deinit) struct maps maps = {0};
	const struct mapping *stack;

	*ret = !plan->num_guards;
	if (*ret)
		return NULL;
	HFX_TRY(guard_set_init(plan->guards, plan->num_guards, &guards));
	HFX_TRY(maps_read(target->pid, &maps));
	stack = maps_find(&maps, stack_addr);
	if (!stack)
		return NULL;
	return scan_words(target, &guards, stack_addr & ~UINT64_C(7),
	                  stack->end_addr, ret);
}

/** Without hfx-tracer nothing tells where the only thread is. */
static struct hfx_error *explain(struct hfx_error *err, bool is_single)
{
	enum hfx_error_code code = hfx_error_code(err);

	if (!is_single ||
	    (code != HFX_ERROR_PERMISSION && code != HFX_ERROR_UNSUPPORTED &&
	     code != HFX_ERROR_OS && code != HFX_ERROR_STOP))
		return err;
	return hfx_error_wrap(err, "the calling thread may be inside a "
	                           "function that would be replaced, and "
	                           "only hfx-tracer can tell");
}

/**
 * Whether no other thread can be inside the code that is written, or get there:
 * it is of libraries that this very thread is loading, or of patches that were
 * applied to them a moment ago. Those have no file, and are written only
 * beside the functions that they replace.
 */
static struct hfx_error *is_out_of_reach(const struct target *target,
                                         const struct commit_plan *plan,
                                         bool *ret)
{
	HFX_CLEANUP(maps_deinit) struct maps maps = {0};

	*ret = true;
	for (size_t i = 0; i < plan->num_writes && *ret; i++) {
		const struct commit_write *write = &plan->writes[i];
		const struct mapping *mapping;

		if (!write->is_code || load_notice_is_new(write->live_addr))
			continue;
		*ret = load_notice_first() != LOAD_NOTICE_NONE;
		if (*ret && !maps.num_mappings)
			HFX_TRY(maps_read(target->pid, &maps));
		mapping = *ret ? maps_find(&maps, write->live_addr) : NULL;
		*ret = mapping && !mapping->inode;
	}
	return NULL;
}

static struct hfx_error *self_commit(struct target *target,
                                     const struct commit_plan *plan,
                                     struct commit_result *ret)
{
	struct commit_plan waiting = *plan;
	bool is_single = false, is_safe = false;

	HFX_TRY(is_out_of_reach(target, plan, &is_safe));
	if (is_safe)
		return commit_alone(target, plan, ret);
	HFX_TRY(is_single_threaded(&is_single));
	if (is_single)
		HFX_TRY(is_outside(target, plan, &is_safe));
	if (is_safe)
		return commit_alone(target, plan, ret);
	waiting.waiting_tid = gettid();
	return explain(tracer_commit(target, to_self(target)->tracer_path,
	                             &waiting, ret),
	               is_single);
}

static void self_destroy(struct target *target)
{
	struct target_self *self = to_self(target);

	hfx_close(&self->mem_fd);
	free(self->tracer_path);
	free(self);
}

/**
 * Of the unwinder that the program is linked with, which may be a static one
 * that no symbol table of the process leads to. `NULL` when it has none.
 */
extern void __register_frame_info(const void *begin, void *object)
	__attribute__((__weak__));

static uint64_t self_unwinder(struct target *target)
{
	(void)target;
	return (uintptr_t)__register_frame_info;
}

struct tls_search {
	uint64_t bias;
	uint64_t tls_index;
};

static bool has_bias(const struct loaded_module *module, void *arg)
{
	struct tls_search *search = arg;

	if (module->bias != search->bias || !module->tls_index)
		return false;
	search->tls_index = module->tls_index;
	return true;
}

static uint64_t self_tls_index(struct target *target, uint64_t bias)
{
	struct tls_search search = {.bias = bias};

	(void)target;
	loaded_find(has_bias, &search);
	return search.tls_index;
}

static const struct target_ops self_ops = {
	.read = self_read,
	.write = self_write,
	.syscall = self_syscall,
	.call = self_call,
	.unwinder = self_unwinder,
	.tls_index = self_tls_index,
	.commit = self_commit,
	.destroy = self_destroy,
};

/** The kernel gives the files of a process that is not dumpable to root. */
static struct hfx_error *open_error(int error_number)
{
	if (error_number != EACCES || prctl(PR_GET_DUMPABLE) == 1)
		return hfx_error_os(error_number, "cannot open /proc/self/mem");
	return hfx_error_create(
		HFX_ERROR_PERMISSION,
		"process %d may not open its own memory: it is not dumpable "
		"(it changed its user, or prctl PR_SET_DUMPABLE); set "
		"PR_SET_DUMPABLE to 1 for this call, or run `hfx` as root "
		"from outside",
		(int)getpid());
}

struct hfx_error *target_create_self(const char *tracer_path,
                                     uint64_t stack_addr, struct target **ret)
{
	struct target_self *self = calloc(1, sizeof(*self));

	if (!self)
		return hfx_error_no_memory();
	self->stack_addr = stack_addr;
	self->base = (struct target){.ops = &self_ops, .pid = getpid()};
	self->mem_fd = open("/proc/thread-self/mem", O_RDWR | O_CLOEXEC);
	if (self->mem_fd < 0) {
		struct hfx_error *err = open_error(errno);

		self_destroy(&self->base);
		return err;
	}
	if (tracer_path) {
		self->tracer_path = strdup(tracer_path);
		if (!self->tracer_path) {
			self_destroy(&self->base);
			return hfx_error_no_memory();
		}
	}
	*ret = &self->base;
	return NULL;
}
