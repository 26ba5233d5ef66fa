/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "array.h"
#include "cleanup.h"
#include "commit_wire.h"
#include "file.h"
#include "launch.h"
#include "tracer.h"

/** How often hfx-tracer is started to undo what another left half-written. */
#define UNDO_TRIES 3

/* ---- Where it is ------------------------------------------------------- */

static bool find_own_folder(char folder_ret[static PATH_MAX])
{
	Dl_info info;
	char *slash;

	/* The program's own name may be relative: ask the kernel. */
	if (dladdr((void *)(uintptr_t)&tracer_commit, &info) &&
	    info.dli_fname[0] == '/' && strlen(info.dli_fname) < PATH_MAX) {
		strcpy(folder_ret, info.dli_fname);
	} else {
		ssize_t size =
			readlink("/proc/self/exe", folder_ret, PATH_MAX - 1);

		if (size <= 0)
			return false;
		folder_ret[size] = '\0';
	}
	slash = strrchr(folder_ret, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

/**
 * Folder of the library, or of the program it is linked into, "" if it is not
 * known. Looked up once: dladdr() waits for threads that load libraries, and
 * they wait for us (waiting.c).
 */
static const char *own_folder(void)
{
	static char folder[PATH_MAX];

	if (!*folder && !find_own_folder(folder))
		*folder = '\0';
	return folder;
}

void tracer_remember_folder(void)
{
	(void)own_folder();
}

/** Format a path; whether there is a program. */
HFX_PRINTF(2, 3)
static bool try_path(char **ret, const char *format, ...)
{
	va_list args;
	int size;

	va_start(args, format);
	size = vasprintf(ret, format, args);
	va_end(args);
	if (size < 0) {
		*ret = NULL;
		return false;
	}
	if (access(*ret, X_OK) == 0)
		return true;
	free(*ret);
	*ret = NULL;
	return false;
}

static struct hfx_error *find_tracer(const char *path, char **ret)
{
	static const char *const places[] = {"../bin", "../libexec/hfx",
	                                     "../../libexec/hfx", "."};
	const char *folder;

	if (path) {
		*ret = strdup(path);
		return *ret ? NULL : hfx_error_no_memory();
	}
	folder = own_folder();
	if (*folder)
		for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
			if (try_path(ret, "%s/%s/hfx-tracer", folder,
			             places[i]))
				return NULL;
	if (try_path(ret, "%s/hfx-tracer", HFX_LIBEXECDIR))
		return NULL;
	return hfx_error_create(HFX_ERROR_UNSUPPORTED,
	                        "hfx-tracer, which stops the other threads, is "
	                        "neither beside libhfx nor in %s; install it "
	                        "or give its path",
	                        HFX_LIBEXECDIR);
}

/* ---- One run ----------------------------------------------------------- */

/** Whether Yama lets only descendants be traced, and programs name others. */
static bool yama_is_restricted(void)
{
	HFX_CLEANUP(buffer_deinit) struct buffer text = {0};
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err =
		file_read("/proc/sys/kernel/yama/ptrace_scope", 64, &text);

	return !err && text.size && text.data[0] == '1';
}

/**
 * Wait until there is a result to read or hfx-tracer has ended. Its end alone
 * may not close the socket: a child that another thread forked has a copy.
 */
static void await_result(int fd, pid_t pid)
{
	HFX_CLEANUP(hfx_close)
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
	                        {.fd = pidfd, .events = POLLIN}};

	if (pidfd < 0)
		return;
	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (!fds[0].revents)
		shutdown(fd, SHUT_RDWR);
}

static struct hfx_error *talk(int fd, pid_t pid, const struct commit_plan *plan,
                              struct commit_result *ret)
{
	struct hfx_error *err = commit_wire_send_plan(fd, getpid(), plan);

	if (!err) {
		await_result(fd, pid);
		err = commit_wire_receive_result(fd, ret);
	}
	/* It ended before it had read all of the plan. */
	if (hfx_error_errno(err) == ECONNRESET ||
	    hfx_error_errno(err) == EPIPE) {
		hfx_error_destroy(err);
		return hfx_error_create(HFX_ERROR_STOP,
		                        "hfx-tracer ended without a result");
	}
	return err;
}

/** It is inherited by init; but the host may be just that in its container. */
static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static struct hfx_error *run(const char *path, const struct commit_plan *plan,
                             struct commit_result *ret)
{
	HFX_CLEANUP(hfx_close) int ours = -1;
	HFX_CLEANUP(hfx_close) int theirs = -1;
	bool is_restricted = yama_is_restricted();
	struct hfx_error *err;
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return hfx_error_os(errno, "cannot make a socket pair");
	ours = fds[0];
	theirs = fds[1];
	HFX_TRY(launch_detached(path, theirs, &pid));
	close(theirs);
	theirs = -1;
	/* It attaches when it has the plan: not before it may. */
	if (is_restricted)
		prctl(PR_SET_PTRACER, pid, 0, 0, 0);
	err = talk(ours, pid, plan, ret);
	if (is_restricted)
		prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	/* In case it waits for more, which would make us wait for it. */
	shutdown(ours, SHUT_RDWR);
	reap(pid);
	return err;
}

/* ---- After a failure --------------------------------------------------- */

/** How far a plan has been carried out. */
enum progress {
	PROGRESS_NONE,
	PROGRESS_SOME,
	PROGRESS_ALL,
	/** Some place has neither the old nor a new value. */
	PROGRESS_UNKNOWN,
};

/** All writes of a plan to one address. */
struct place {
	const struct commit_write *first;
	const struct commit_write *last;
	uint8_t now[SITE_SIZE];
};

static int by_address(const void *a, const void *b)
{
	const struct place *left = a, *right = b;

	if (left->first->live_addr != right->first->live_addr)
		return left->first->live_addr < right->first->live_addr ? -1
		                                                        : 1;
	/* Elements of one array: the plan's order. */
	return (left->first > right->first) - (left->first < right->first);
}

/** The plan's writes by address, those of one address as one place. */
static struct hfx_error *group(const struct commit_plan *plan,
                               struct place **ret, size_t *num_ret)
{
	struct place *places = calloc(plan->num_writes + 1, sizeof(*places));
	size_t count = 0;

	if (!places)
		return hfx_error_no_memory();
	for (size_t i = 0; i < plan->num_writes; i++)
		places[i].first = places[i].last = &plan->writes[i];
	hfx_array_sort(places, plan->num_writes, sizeof(*places), by_address);
	for (size_t i = 0; i < plan->num_writes; i++) {
		if (count && places[count - 1].first->live_addr ==
		                     places[i].first->live_addr)
			places[count - 1].last = places[i].last;
		else
			places[count++] = places[i];
	}
	*ret = places;
	*num_ret = count;
	return NULL;
}

/** Whether @p place has a value that the plan gives it on its way. */
static bool is_on_the_way(const struct commit_plan *plan,
                          const struct place *place)
{
	for (size_t i = 0; i < plan->num_writes; i++) {
		const struct commit_write *write = &plan->writes[i];

		if (write->live_addr == place->first->live_addr &&
		    !memcmp(write->after, place->now, write->size))
			return true;
	}
	return false;
}

static struct hfx_error *look(struct target *target,
                              const struct commit_plan *plan,
                              struct place *places, size_t num_places,
                              enum progress *ret)
{
	size_t num_before = 0, num_after = 0;

	*ret = PROGRESS_SOME;
	for (size_t i = 0; i < num_places; i++) {
		struct place *place = &places[i];
		bool is_before, is_after;

		HFX_TRY(target->ops->read(target, place->first->live_addr,
		                          place->now, place->first->size));
		is_before = !memcmp(place->now, place->first->before,
		                    place->first->size);
		is_after = !memcmp(place->now, place->last->after,
		                   place->first->size);
		num_before += is_before;
		num_after += is_after;
		if (!is_before && !is_after && !is_on_the_way(plan, place))
			*ret = PROGRESS_UNKNOWN;
	}
	if (*ret != PROGRESS_UNKNOWN && num_before == num_places)
		*ret = PROGRESS_NONE;
	else if (*ret != PROGRESS_UNKNOWN && num_after == num_places)
		*ret = PROGRESS_ALL;
	return NULL;
}

static size_t add_undo(const struct place *places, size_t num_places,
                       bool is_code, struct commit_write *writes)
{
	size_t count = 0;

	for (size_t i = 0; i < num_places; i++) {
		const struct commit_write *first = places[i].first;

		if ((first->is_code != 0) != is_code ||
		    !memcmp(places[i].now, first->before, first->size))
			continue;
		writes[count] = *first;
		memcpy(writes[count].before, places[i].now, first->size);
		memcpy(writes[count].after, first->before, first->size);
		count++;
	}
	return count;
}

/** The code first: the record must not say before its time that all is well. */
static struct hfx_error *undo(const char *path, const struct commit_plan *plan,
                              const struct place *places, size_t num_places)
{
	struct commit_plan back = *plan;
	struct commit_result result;
	HFX_CLEANUP(hfx_free)
	struct commit_write *writes = calloc(num_places + 1, sizeof(*writes));

	if (!writes)
		return hfx_error_no_memory();
	back.writes = writes;
	back.num_writes = add_undo(places, num_places, true, writes);
	back.num_writes +=
		add_undo(places, num_places, false, writes + back.num_writes);
	return run(path, &back, &result);
}

/** Look at what a run has left, and undo it if need be. */
static struct hfx_error *settle(struct target *target, const char *path,
                                const struct commit_plan *plan,
                                enum progress *ret)
{
	HFX_CLEANUP(hfx_free) struct place *places = NULL;
	size_t num_places = 0;

	HFX_TRY(group(plan, &places, &num_places));
	for (int i = 0; i < UNDO_TRIES; i++) {
		HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;

		HFX_TRY(look(target, plan, places, num_places, ret));
		if (*ret != PROGRESS_SOME)
			return NULL;
		err = undo(path, plan, places, num_places);
	}
	return look(target, plan, places, num_places, ret);
}

struct hfx_error *tracer_commit(struct target *target, const char *path,
                                const struct commit_plan *plan,
                                struct commit_result *ret)
{
	HFX_CLEANUP(hfx_free) char *found_path = NULL;
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
	enum progress progress = PROGRESS_UNKNOWN;
	struct hfx_error *settle_err;

	HFX_TRY(find_tracer(path, &found_path));
	err = run(found_path, plan, ret);
	/* These two say for sure how far it came. */
	if (!err || hfx_error_code(err) == HFX_ERROR_POISONED ||
	    hfx_error_code(err) == HFX_ERROR_CODE_MISMATCH)
		return HFX_TAKE(err);
	settle_err = settle(target, found_path, plan, &progress);
	hfx_error_destroy(settle_err);
	if (progress == PROGRESS_ALL)
		return NULL;
	if (progress == PROGRESS_NONE)
		return HFX_TAKE(err);
	return hfx_error_create(HFX_ERROR_POISONED,
	                        "hfx-tracer left the code half-changed, and it "
	                        "could not be put back (%s)",
	                        hfx_error_message(err));
}
