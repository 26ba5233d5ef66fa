/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "commit.h"
#include "commit_check.h"
#include "digest.h"
#include "permission.h"
#include "proc_status.h"
#include "safe_point.h"
#include "step.h"
#include "stop.h"

/** Pause between tries: doubles from the first to the second. */
#define BACKOFF_MIN_US 500
#define BACKOFF_MAX_US 50000

/** Where a try stands, or has failed. */
enum stage {
	STAGE_STOP,
	STAGE_OPEN,
	STAGE_READ,
	STAGE_COMPARE,
	STAGE_GUARD,
	STAGE_STEP,
	STAGE_WRITE,
	STAGE_UNDO,
	STAGE_DONE,
};

/** One try to commit. Filled while threads are stopped, put in words later. */
struct attempt {
	enum stage stage;
	int rc;
	/** Write that failed; in STAGE_COMPARE, its index in `firsts`. */
	size_t write;
	/** Thread that did not leave, and where it is. */
	pid_t tid;
	uint64_t live_addr;
	uint64_t pause_ns;
	uint32_t num_threads;
	uint32_t num_stepped;
};

struct commit {
	pid_t pid;
	const struct commit_plan *plan;
	struct commit_check check;
	struct safe_point *safe_point;
	struct stop *stop;
	/** /proc/PID/mem while threads are stopped. */
	int mem_fd;
	/** What is in memory at `check.firsts`. */
	uint8_t (*found)[SITE_SIZE];
	/** Code between the first and the last of several places. */
	uint8_t span[PAGE_SIZE];
};

static void commit_destroy(struct commit *commit)
{
	if (!commit)
		return;
	stop_destroy(commit->stop);
	safe_point_destroy(commit->safe_point);
	commit_check_deinit(&commit->check);
	free(commit->found);
	free(commit);
}

static struct hfx_error *commit_init(struct commit *commit)
{
	HFX_TRY(commit_check_init(commit->plan, &commit->check));
	commit->found =
		calloc(commit->check.num_firsts, sizeof(*commit->found));
	if (!commit->found)
		return hfx_error_no_memory();
	HFX_TRY(safe_point_create(commit->pid, commit->plan,
	                          &commit->safe_point));
	return stop_create(commit->pid, &commit->stop);
}

/* ---- While threads are stopped ------------------------------------------ */

/** A thread to reach the memory through: the main thread may have ended. */
static pid_t any_stopped(struct commit *commit)
{
	for (size_t i = 0; i < stop_num_threads(commit->stop); i++)
		if (stop_thread(commit->stop, i)->state == STOP_STOPPED)
			return stop_thread(commit->stop, i)->tid;
	return 0;
}

/** /proc/PID/mem stays with the memory of before an execve(): open it late. */
static int open_memory(struct commit *commit)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", any_stopped(commit));
	commit->mem_fd = open(path, O_RDWR | O_CLOEXEC);
	return commit->mem_fd < 0 ? -errno : 0;
}

static const struct commit_write *first_write(const struct commit *commit,
                                              size_t i)
{
	return &commit->plan->writes[commit->check.firsts[i]];
}

static bool is_one_page(uint64_t start_addr, uint64_t end_addr)
{
	return start_addr / PAGE_SIZE == (end_addr - 1) / PAGE_SIZE;
}

/** How many of the places from index @p from on lie in one page; at least 1. */
static size_t count_in_page(const struct commit *commit, size_t from)
{
	uint64_t start_addr = first_write(commit, from)->live_addr;
	size_t count = 1;

	while (from + count < commit->check.num_firsts) {
		const struct commit_write *write =
			first_write(commit, from + count);

		if (!is_one_page(start_addr, write->live_addr + write->size))
			break;
		count++;
	}
	return count;
}

/** Read the places from index @p from on, which lie in one page, at once. */
static bool read_joined(struct commit *commit, size_t from, size_t count)
{
	const struct commit_write *last = first_write(commit, from + count - 1);
	uint64_t start_addr = first_write(commit, from)->live_addr;
	size_t size = last->live_addr + last->size - start_addr;

	if (size > sizeof(commit->span) ||
	    pread(commit->mem_fd, commit->span, size, (off_t)start_addr) !=
	            (ssize_t)size)
		return false;
	for (size_t i = from; i < from + count; i++) {
		const struct commit_write *write = first_write(commit, i);

		memcpy(commit->found[i],
		       commit->span + (write->live_addr - start_addr),
		       write->size);
	}
	return true;
}

static int read_each(struct commit *commit, size_t from, size_t count,
                     struct attempt *attempt)
{
	for (size_t i = from; i < from + count; i++) {
		const struct commit_write *write = first_write(commit, i);

		if (pread(commit->mem_fd, commit->found[i], write->size,
		          (off_t)write->live_addr) == (ssize_t)write->size)
			continue;
		attempt->write = commit->check.firsts[i];
		return errno ? -errno : -EIO;
	}
	return 0;
}

static int read_memory(struct commit *commit, struct attempt *attempt)
{
	size_t count;

	for (size_t i = 0; i < commit->check.num_firsts; i += count) {
		int rc = 0;

		count = count_in_page(commit, i);
		if (!read_joined(commit, i, count))
			rc = read_each(commit, i, count, attempt);
		if (rc)
			return rc;
	}
	return 0;
}

static int compare_memory(struct commit *commit, struct attempt *attempt)
{
	for (size_t i = 0; i < commit->check.num_firsts; i++) {
		const struct commit_write *write = first_write(commit, i);

		if (!memcmp(commit->found[i], write->before, write->size))
			continue;
		attempt->write = i;
		return -EILSEQ;
	}
	return 0;
}

/** Step threads out of the bytes that change. */
static int clear_sites(struct commit *commit, struct attempt *attempt)
{
	for (size_t i = 0; i < stop_num_threads(commit->stop); i++) {
		const struct stop_thread *thread = stop_thread(commit->stop, i);
		int rc;

		if (thread->state != STOP_STOPPED ||
		    !commit_check_find(&commit->check, thread->regs.rip))
			continue;
		attempt->tid = thread->tid;
		attempt->live_addr = thread->regs.rip;
		rc = step_out(commit->stop, i, commit->pid, &commit->check);
		if (rc)
			return rc;
		attempt->num_stepped++;
	}
	return 0;
}

/**
 * Kernels can be told to refuse writes to read-only pages by /proc/PID/mem
 * (proc_mem.force_override); PTRACE_POKETEXT always may. It writes 8 bytes.
 */
static int poke(struct commit *commit, uint64_t live_addr, const uint8_t *bytes,
                uint32_t size)
{
	uint64_t shift = (live_addr & 4095) > 4088 ? SITE_SIZE - size : 0;
	void *start = (void *)(uintptr_t)(live_addr - shift);
	pid_t tid = any_stopped(commit);
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, tid, start, NULL);
	if (errno)
		return -errno;
	memcpy((uint8_t *)&word + shift, bytes, size);
	return ptrace(PTRACE_POKETEXT, tid, start, (void *)word) ? -errno : 0;
}

/** Each place in one call. */
static int put(struct commit *commit, const struct commit_write *write,
               const uint8_t *bytes)
{
	if (pwrite(commit->mem_fd, bytes, write->size,
	           (off_t)write->live_addr) == (ssize_t)write->size)
		return 0;
	return poke(commit, write->live_addr, bytes, write->size);
}

/**
 * How many writes from the one at @p from on can be made in one call: code in
 * one page, in ascending order. At least 1.
 */
static size_t count_joined(const struct commit_plan *plan, size_t from)
{
	const struct commit_write *first = &plan->writes[from];
	uint64_t end_addr = first->live_addr;
	size_t i = from;

	for (; i < plan->num_writes; i++) {
		const struct commit_write *write = &plan->writes[i];

		if (!write->is_code || write->live_addr < end_addr)
			break;
		end_addr = write->live_addr + write->size;
		if (!is_one_page(first->live_addr, end_addr))
			break;
	}
	return i > from ? i - from : 1;
}

/**
 * Make @p count writes in one call. Nobody else writes there meanwhile: all
 * threads stand still. The kernel copies within a page in one go, so a tracer
 * that is killed has written all or none.
 */
static bool put_joined(struct commit *commit, const struct commit_write *writes,
                       size_t count)
{
	uint64_t start_addr = writes[0].live_addr;
	size_t size = writes[count - 1].live_addr + writes[count - 1].size -
	              start_addr;

	if (pread(commit->mem_fd, commit->span, size, (off_t)start_addr) !=
	    (ssize_t)size)
		return false;
	for (size_t i = 0; i < count; i++)
		memcpy(commit->span + (writes[i].live_addr - start_addr),
		       writes[i].after, writes[i].size);
	return pwrite(commit->mem_fd, commit->span, size, (off_t)start_addr) ==
	       (ssize_t)size;
}

/** Take back the first @p count writes, the last one first. */
static int undo(struct commit *commit, size_t count)
{
	int rc = 0;

	for (size_t i = count; i-- > 0;) {
		const struct commit_write *write = &commit->plan->writes[i];
		int one = put(commit, write, write->before);

		rc = one ? one : rc;
	}
	return rc;
}

/**
 * Make the writes from the one at @p from on that go together.
 *
 * @param[out] count_ret How many have been made, also on failure.
 */
static int write_some(struct commit *commit, size_t from, size_t *count_ret)
{
	const struct commit_write *writes = &commit->plan->writes[from];
	size_t count = count_joined(commit->plan, from);

	*count_ret = count;
	if (count > 1 && put_joined(commit, writes, count))
		return 0;
	for (size_t i = 0; i < count; i++) {
		int rc = put(commit, &writes[i], writes[i].after);

		*count_ret = rc ? i : count;
		if (rc)
			return rc;
	}
	return 0;
}

static int write_memory(struct commit *commit, struct attempt *attempt)
{
	size_t count;

	for (size_t i = 0; i < commit->plan->num_writes; i += count) {
		int rc = write_some(commit, i, &count);

		if (!rc)
			continue;
		attempt->write = i + count;
		if (undo(commit, i + count))
			attempt->stage = STAGE_UNDO;
		return rc;
	}
	return 0;
}

/** What is done between stop and release; `attempt->stage` tells how far. */
static int run_window(struct commit *commit, struct attempt *attempt)
{
	int rc = stop_interrupt(commit->stop);

	if (rc)
		return rc;
	attempt->num_threads = (uint32_t)stop_count(commit->stop, STOP_STOPPED);
	attempt->stage = STAGE_OPEN;
	rc = open_memory(commit);
	if (rc)
		return rc;
	attempt->stage = STAGE_READ;
	rc = read_memory(commit, attempt);
	if (rc)
		return rc;
	attempt->stage = STAGE_COMPARE;
	rc = compare_memory(commit, attempt);
	if (rc)
		return rc;
	attempt->stage = STAGE_GUARD;
	rc = safe_point_check(commit->safe_point, commit->stop);
	if (rc)
		return rc;
	attempt->stage = STAGE_STEP;
	rc = clear_sites(commit, attempt);
	if (rc)
		return rc;
	attempt->stage = STAGE_WRITE;
	rc = write_memory(commit, attempt);
	if (rc)
		return rc;
	attempt->stage = STAGE_DONE;
	return 0;
}

/* ---- Before and after --------------------------------------------------- */

/**
 * Have the kernel give the process its own copies of the pages of code while
 * all threads run: in the window that would take most of the time. Bytes are
 * written as they are. That it is traced keeps debuggers from changing them
 * meanwhile; what fails here will be told by the window.
 */
static void prepare_pages(struct commit *commit)
{
	HFX_CLEANUP(hfx_close) int fd = -1;
	uint64_t done_page = UINT64_MAX;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem",
	         stop_thread(commit->stop, 0)->tid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	for (size_t i = 0; fd >= 0 && i < commit->check.num_firsts; i++) {
		const struct commit_write *write = first_write(commit, i);
		off_t off = (off_t)write->live_addr;
		uint8_t now[SITE_SIZE];

		if (!write->is_code ||
		    write->live_addr / PAGE_SIZE == done_page)
			continue;
		if (pread(fd, now, write->size, off) != (ssize_t)write->size ||
		    memcmp(now, write->before, write->size))
			continue;
		(void)!pwrite(fd, now, 1, off);
		done_page = write->live_addr / PAGE_SIZE;
	}
}

static struct hfx_error *try_once(struct commit *commit,
                                  struct attempt *attempt)
{
	uint64_t start_ns;

	*attempt = (struct attempt){.stage = STAGE_STOP};
	commit->mem_fd = -1;
	HFX_TRY(stop_seize(commit->stop));
	HFX_TRY(safe_point_prepare(commit->safe_point, commit->stop));
	prepare_pages(commit);
	stop_hold_signals(commit->stop);
	stop_hurry(commit->stop);
	start_ns = stop_now_ns();
	stop_set_deadline(commit->stop,
	                  start_ns + commit->plan->max_pause_us * 1000ull);
	attempt->rc = run_window(commit, attempt);
	stop_release(commit->stop);
	attempt->pause_ns = stop_now_ns() - start_ns;
	hfx_close(&commit->mem_fd);
	return NULL;
}

static bool may_try_again(const struct commit *commit,
                          const struct attempt *attempt)
{
	switch (attempt->stage) {
	case STAGE_STOP:
		return attempt->rc == -ETIMEDOUT;
	case STAGE_GUARD:
		return attempt->rc == -ETIMEDOUT ||
		       (attempt->rc == -EAGAIN &&
		        safe_point_advise(commit->safe_point) !=
		                SAFE_POINT_NEVER);
	case STAGE_STEP:
		return attempt->rc == -ETIMEDOUT || attempt->rc == -EAGAIN;
	default:
		return false;
	}
}

static struct hfx_error *mismatch_error(const struct commit *commit,
                                        const struct attempt *attempt)
{
	const struct commit_write *write = first_write(commit, attempt->write);
	char expected[2 * SITE_SIZE + 1];
	char found[2 * SITE_SIZE + 1];

	hex_encode(write->before, write->size, expected);
	hex_encode(commit->found[attempt->write], write->size, found);
	return hfx_error_create(HFX_ERROR_CODE_MISMATCH,
	                        "process %d has the bytes %s at 0x%" PRIx64
	                        ", expected are %s",
	                        commit->pid, found, write->live_addr, expected);
}

static struct hfx_error *not_quiescent_error(const struct commit *commit,
                                             const struct attempt *attempt)
{
	struct proc_status status = {.name = "?"};

	(void)proc_status_read(commit->pid, attempt->tid, &status);
	return hfx_error_create(
		HFX_ERROR_NOT_QUIESCENT,
		"thread %d (%s) of process %d stays at 0x%" PRIx64
		", inside the first bytes of a function to be redirected; try "
		"again later",
		attempt->tid, status.name, commit->pid, attempt->live_addr);
}

static struct hfx_error *slow_check_error(const struct commit *commit)
{
	return hfx_error_create(
		HFX_ERROR_NOT_QUIESCENT,
		"the stacks of process %d could not be looked through within "
		"the %u us that its threads may be stopped at a time; try "
		"again when it has less to do, allow a longer pause, or do "
		"without the look (--allow-active)",
		commit->pid, commit->plan->max_pause_us);
}

static struct hfx_error *write_error(const struct commit *commit,
                                     const struct attempt *attempt)
{
	const struct commit_write *write =
		&commit->plan->writes[attempt->write];

	if (attempt->stage == STAGE_UNDO)
		return hfx_error_create(
			HFX_ERROR_POISONED,
			"writing to process %d at 0x%" PRIx64 " failed (%s), "
			"and so did undoing the writes before it; replace the "
			"process",
			commit->pid, write->live_addr, strerror(-attempt->rc));
	return hfx_error_os(-attempt->rc,
	                    "write %u bytes at 0x%" PRIx64 " of process %d",
	                    write->size, write->live_addr, commit->pid);
}

static struct hfx_error *attempt_error(const struct commit *commit,
                                       const struct attempt *attempt)
{
	if (attempt->rc == -ESRCH)
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "process %d has ended", commit->pid);
	switch (attempt->stage) {
	case STAGE_STOP:
		if (attempt->rc == -ETIMEDOUT)
			return stop_timeout_error(commit->stop);
		return hfx_error_os(-attempt->rc,
		                    "stop the threads of process %d",
		                    commit->pid);
	case STAGE_OPEN:
		return permission_error(commit->pid, commit->pid, -attempt->rc);
	case STAGE_COMPARE:
		return mismatch_error(commit, attempt);
	case STAGE_GUARD:
		if (attempt->rc == -ENOMEM)
			return hfx_error_no_memory();
		if (attempt->rc == -ETIMEDOUT)
			return slow_check_error(commit);
		return safe_point_error(commit->safe_point);
	case STAGE_STEP:
		return not_quiescent_error(commit, attempt);
	case STAGE_WRITE:
	case STAGE_UNDO:
		return write_error(commit, attempt);
	case STAGE_READ:
	case STAGE_DONE:
		break;
	}
	return hfx_error_os(-attempt->rc, "read process %d at 0x%" PRIx64,
	                    commit->pid,
	                    commit->plan->writes[attempt->write].live_addr);
}

static void back_off(uint32_t try_number)
{
	uint32_t shift = try_number < 7 ? try_number : 7;
	uint32_t us = BACKOFF_MIN_US << shift;

	usleep(us < BACKOFF_MAX_US ? us : BACKOFF_MAX_US);
}

/** Whether the next try can tell what this one could not. */
static bool tells_more_at_once(const struct commit *commit,
                               const struct attempt *attempt)
{
	return attempt->stage == STAGE_GUARD && attempt->rc == -EAGAIN &&
	       safe_point_advise(commit->safe_point) == SAFE_POINT_AT_ONCE;
}

/** Try until it works, cannot work, or the time is over. */
static struct hfx_error *run(struct commit *commit, struct attempt *attempt,
                             uint32_t *num_tries)
{
	uint64_t end_ns = stop_now_ns() + commit->plan->timeout_ms * 1000000ull;
	uint64_t longest_ns = 0;

	for (*num_tries = 1;; ++*num_tries) {
		HFX_TRY(try_once(commit, attempt));
		if (attempt->pause_ns < longest_ns)
			attempt->pause_ns = longest_ns;
		longest_ns = attempt->pause_ns;
		if (attempt->stage == STAGE_DONE)
			return NULL;
		if (tells_more_at_once(commit, attempt))
			continue;
		if (!may_try_again(commit, attempt) || stop_now_ns() >= end_ns)
			return attempt_error(commit, attempt);
		back_off(*num_tries - 1);
	}
}

struct hfx_error *commit_execute(pid_t pid, const struct commit_plan *plan,
                                 struct commit_result *ret)
{
	struct commit *commit = calloc(1, sizeof(*commit));
	struct attempt attempt;
	struct hfx_error *err;
	uint32_t num_tries;

	if (!commit)
		return hfx_error_no_memory();
	commit->pid = pid;
	commit->plan = plan;
	err = commit_init(commit);
	if (!err)
		err = run(commit, &attempt, &num_tries);
	commit_destroy(commit);
	if (err)
		return err;
	*ret = (struct commit_result){
		.pause_ns = attempt.pause_ns,
		.num_threads = attempt.num_threads,
		.num_tries = num_tries,
		.num_stepped = attempt.num_stepped,
	};
	return NULL;
}
