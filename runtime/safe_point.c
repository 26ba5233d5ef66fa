/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "guard.h"
#include "proc_status.h"
#include "safe_point.h"
#include "source_line.h"
#include "stack_scan.h"
#include "unwinder.h"

/** Threads that an error names; more are counted. */
#define MAX_NAMED 16

/** A thread that is inside a guard, or may be. */
struct blocker {
	pid_t tid;
	/** `NULL` when not even that is known. */
	const struct guard *guard;
	/** Where it is in that function. */
	uint64_t live_addr;
	bool is_exact;
	/** Its frames were found; else its stack only looks like it. */
	bool is_certain;
};

struct safe_point {
	pid_t pid;
	const struct commit_plan *plan;
	struct guard_set guards;
	struct maps maps;
	struct stack_scan scan;
	/** `NULL` until a thread is suspect. */
	struct unwinder *unwinder;
	bool wants_unwinder;
	/** Of the last look. */
	struct blocker *blockers;
	size_t num_blockers;
	size_t cap_blockers;
};

void safe_point_destroy(struct safe_point *point)
{
	if (!point)
		return;
	unwinder_destroy(point->unwinder);
	maps_deinit(&point->maps);
	guard_set_deinit(&point->guards);
	free(point->blockers);
	free(point);
}

struct hfx_error *safe_point_create(pid_t pid, const struct commit_plan *plan,
                                    struct safe_point **ret)
{
	struct safe_point *point = calloc(1, sizeof(*point));
	struct hfx_error *err;

	if (!point)
		return hfx_error_no_memory();
	point->pid = pid;
	point->plan = plan;
	err = guard_set_init(plan->guards, plan->num_guards, &point->guards);
	if (err) {
		safe_point_destroy(point);
		return err;
	}
	*ret = point;
	return NULL;
}

/** Modules may have been loaded since: make it anew for each try. */
static struct hfx_error *renew_unwinder(struct safe_point *point)
{
	unwinder_destroy(point->unwinder);
	point->unwinder = NULL;
	return unwinder_create(point->pid, &point->maps, point->plan,
	                       &point->unwinder);
}

struct hfx_error *safe_point_prepare(struct safe_point *point,
                                     struct stop *stop)
{
	if (!point->plan->num_guards)
		return NULL;
	maps_deinit(&point->maps);
	point->scan.guards = &point->guards;
	point->scan.maps = &point->maps;
	point->scan.num_known = stop_num_threads(stop);
	HFX_TRY(maps_read(point->pid, &point->maps));
	return point->wants_unwinder ? renew_unwinder(point) : NULL;
}

/* ---- While threads are stopped ------------------------------------------ */

/** What a walk through the frames of a thread looks for. */
struct walk {
	const struct guard_set *guards;
	struct stop *stop;
	struct blocker *blocker;
};

static int on_frame(void *arg, uint64_t live_addr, bool is_exact)
{
	struct walk *walk = arg;
	const struct guard *guard =
		is_exact ? guard_set_find(walk->guards, live_addr)
			 : guard_set_find_return(walk->guards, live_addr);

	if (guard) {
		walk->blocker->guard = guard;
		walk->blocker->live_addr = live_addr;
		walk->blocker->is_exact = is_exact;
		walk->blocker->is_certain = true;
		return -EAGAIN;
	}
	return stop_deadline_passed(walk->stop) ? -ETIMEDOUT : 0;
}

/** Let the frames of a suspect thread decide. */
static int check_frames(struct safe_point *point, struct stop *stop,
                        const struct stop_thread *thread,
                        struct blocker *blocker)
{
	struct walk walk = {&point->guards, stop, blocker};
	int rc = -ENODATA;

	point->wants_unwinder = true;
	if (point->unwinder)
		rc = unwinder_walk(point->unwinder, thread, on_frame, &walk);
	return rc == -ENODATA ? -EAGAIN : rc;
}

static void note_found(const struct safe_point *point, bool is_exact,
                       struct blocker *blocker)
{
	uint64_t found_addr = point->scan.found_addr;

	blocker->guard = guard_set_find_return(&point->guards, found_addr);
	if (is_exact || !blocker->guard)
		blocker->guard = guard_set_find(&point->guards, found_addr);
	blocker->live_addr = found_addr;
	blocker->is_exact = is_exact;
	blocker->is_certain = is_exact;
}

/** @return 0, -EAGAIN with @p blocker filled in, or -ETIMEDOUT. */
static int check_thread(struct safe_point *point, struct stop *stop,
                        size_t index, struct blocker *blocker)
{
	const struct stop_thread *thread = stop_thread(stop, index);
	int rc = stack_scan_thread(&point->scan, stop, index);

	if (rc <= 0)
		return rc;
	*blocker = (struct blocker){.tid = thread->tid};
	note_found(point, rc == STACK_SCAN_INSIDE, blocker);
	if (rc == STACK_SCAN_INSIDE)
		return -EAGAIN;
	return check_frames(point, stop, thread, blocker);
}

int safe_point_check(struct safe_point *point, struct stop *stop)
{
	point->num_blockers = 0;
	if (!point->plan->num_guards)
		return 0;
	for (size_t i = 0; i < stop_num_threads(stop); i++) {
		struct blocker blocker;
		int rc;

		if (stop_thread(stop, i)->state != STOP_STOPPED)
			continue;
		rc = check_thread(point, stop, i, &blocker);
		if (rc == -EAGAIN && !HFX_ARRAY_PUSH(point, blockers, blocker))
			return -ENOMEM;
		if (rc && rc != -EAGAIN)
			return rc;
	}
	return point->num_blockers ? -EAGAIN : 0;
}

/* ---- Afterwards --------------------------------------------------------- */

enum safe_point_advice safe_point_advise(const struct safe_point *point)
{
	for (size_t i = 0; i < point->num_blockers; i++)
		if (point->blockers[i].tid == point->plan->waiting_tid &&
		    point->blockers[i].is_certain)
			return SAFE_POINT_NEVER;
	return point->wants_unwinder && !point->unwinder ? SAFE_POINT_AT_ONCE
	                                                 : SAFE_POINT_LATER;
}

static const char *guard_name(const struct safe_point *point,
                              const struct guard *guard)
{
	return guard ? point->plan->names + guard->name_off
	             : "code to be replaced";
}

/** "thread 4243 (worker) in serve at server.c:120" */
static void put_blocker(FILE *out, const struct safe_point *point,
                        const struct blocker *blocker)
{
	/* The line of a call is that of its last byte. */
	uint64_t addr = blocker->live_addr - !blocker->is_exact;
	struct proc_status status = {.name = "?"};
	HFX_CLEANUP(hfx_free) char *line = NULL;

	(void)proc_status_read(point->pid, blocker->tid, &status);
	fprintf(out, "thread %d (%s)%s %s %s", blocker->tid, status.name,
	        blocker->tid == point->plan->waiting_tid ? ", which waits here,"
	                                                 : "",
	        blocker->is_certain ? "in" : "perhaps in",
	        guard_name(point, blocker->guard));
	if (blocker->guard)
		line = source_line_find(&point->maps, addr);
	if (line)
		fprintf(out, " at %s", line);
}

static void put_blockers(FILE *out, const struct safe_point *point)
{
	size_t count = point->num_blockers;

	for (size_t i = 0; i < count && i < MAX_NAMED; i++) {
		fputs(i ? "; " : "", out);
		put_blocker(out, point, &point->blockers[i]);
	}
	if (count > MAX_NAMED)
		fprintf(out, "; and %zu more threads", count - MAX_NAMED);
}

static bool is_certain(const struct safe_point *point)
{
	for (size_t i = 0; i < point->num_blockers; i++)
		if (!point->blockers[i].is_certain)
			return false;
	return true;
}

struct hfx_error *safe_point_error(const struct safe_point *point)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool is_full;

	if (!out)
		return hfx_error_no_memory();
	put_blockers(out, point);
	is_full = ferror(out);
	if (fclose(out) || is_full)
		return hfx_error_no_memory();
	return hfx_error_create(
		HFX_ERROR_NOT_QUIESCENT,
		"process %d is inside functions that would be replaced: %s%s. "
		"Try again when it is not, or have such calls finish in the "
		"code that they began in (--allow-active)",
		point->pid, text,
		is_certain(point) ? ""
				  : " (its stack holds an address there, and "
				    "could not be unwound)");
}
