/* SPDX-License-Identifier: MIT */
/*
 * One bundle, all processes that it is for. While it goes through them, those
 * that are not patched yet may fork; so it looks again until nothing is new.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "hfx_apply_all.h"
#include "hfx_cli.h"
#include "process_view.h"
#include "target.h"

/** A server that forks faster than it is patched is left after so many. */
#define MAX_ROUNDS 20

enum outcome {
	OUTCOME_APPLIED,
	OUTCOME_PRESENT,
	OUTCOME_FAILED,
	OUTCOME_UNDONE,
};

struct done {
	pid_t pid;
	enum outcome outcome;
};

struct all {
	const struct apply_all *request;
	/** By the order in which they were come upon. */
	struct done *done;
	size_t num_done;
	size_t cap_done;
	/** Of the last round: processes that may not be looked at. */
	size_t num_hidden;
};

static void all_deinit(struct all *all)
{
	free(all->done);
}

static bool is_done(const struct all *all, pid_t pid)
{
	for (size_t i = 0; i < all->num_done; i++)
		if (all->done[i].pid == pid)
			return true;
	return false;
}

static size_t count(const struct all *all, enum outcome outcome)
{
	size_t found = 0;

	for (size_t i = 0; i < all->num_done; i++)
		found += all->done[i].outcome == outcome;
	return found;
}

static void report_present(const struct all *all, pid_t pid)
{
	if (all->request->quiet)
		return;
	output_text(stdout, all->request->bundle->manifest->name, 0);
	fputs(" is already applied to", stdout);
	output_process(stdout, pid);
	putchar('\n');
}

/** Whether @p err begins with "process N" already. */
static bool names_process(const struct hfx_error *err, pid_t pid)
{
	char text[32];
	int size = snprintf(text, sizeof(text), "process %d ", pid);

	return !strncmp(hfx_error_message(err), text, (size_t)size);
}

/** What came of one process; @p err is taken. */
static struct hfx_error *note(struct all *all, pid_t pid, struct hfx_error *err)
{
	struct done done = {pid, err ? OUTCOME_FAILED : OUTCOME_APPLIED};

	if (hfx_error_code(err) == HFX_ERROR_ALREADY_APPLIED) {
		done.outcome = OUTCOME_PRESENT;
		report_present(all, pid);
		hfx_error_destroy(err);
	} else if (hfx_error_code(err) == HFX_ERROR_NO_PROCESS) {
		hfx_error_destroy(err);
		return NULL;
	} else if (err) {
		if (!names_process(err, pid))
			err = hfx_error_wrap(err, "process %d", pid);
		(void)output_error(err, 0);
	}
	return HFX_ARRAY_PUSH(all, done, done) ? NULL : hfx_error_no_memory();
}

/**
 * Look at one process, and apply if the bundle is for it.
 *
 * @param[out] new_ret Set if it is.
 */
static struct hfx_error *visit(struct all *all, pid_t pid, bool *new_ret)
{
	const struct apply_all *request = all->request;
	HFX_CLEANUP(process_view_deinit) struct process_view view = {0};
	struct hfx_error *err = process_view_read(pid, request->bundle, &view);

	if (hfx_error_code(err) == HFX_ERROR_PERMISSION)
		all->num_hidden++;
	if (process_view_is_none(err) ||
	    hfx_error_code(err) == HFX_ERROR_PERMISSION) {
		hfx_error_destroy(err);
		return NULL;
	}
	if (!err && !view.fits)
		return NULL;
	if (!err)
		err = request->apply(request->arg, pid);
	*new_ret = true;
	return note(all, pid, err);
}

static bool is_stopped(const struct all *all)
{
	return all->request->undo && count(all, OUTCOME_FAILED) > 0;
}

static struct hfx_error *go_through(struct all *all, bool *new_ret)
{
	HFX_CLEANUP(process_list_deinit) struct process_list list = {0};

	*new_ret = false;
	all->num_hidden = 0;
	HFX_TRY(process_list_read(&list));
	for (size_t i = 0; i < list.num_pids && !is_stopped(all); i++)
		if (!is_done(all, list.pids[i]))
			HFX_TRY(visit(all, list.pids[i], new_ret));
	return NULL;
}

/** Take it back where it was applied just now, the last one first. */
static void undo(struct all *all)
{
	for (size_t i = all->num_done; i-- > 0;) {
		struct done *done = &all->done[i];
		struct hfx_error *err;

		if (done->outcome != OUTCOME_APPLIED)
			continue;
		err = all->request->revert(all->request->arg, done->pid);
		if (hfx_error_code(err) == HFX_ERROR_NO_PROCESS) {
			hfx_error_destroy(err);
			err = NULL;
		}
		if (err)
			(void)output_error(
				hfx_error_wrap(err,
			                       "process %d keeps the patch",
			                       done->pid),
				0);
		else
			done->outcome = OUTCOME_UNDONE;
	}
}

static void print_count(size_t number, const char *what)
{
	if (number)
		printf(", %s %zu", what, number);
}

static void print_summary(const struct all *all)
{
	if (!all->request->quiet) {
		output_text(stdout, all->request->bundle->manifest->name, 0);
		printf(": %zu process%s", all->num_done,
		       all->num_done == 1 ? "" : "es");
		print_count(count(all, OUTCOME_APPLIED),
		            all->request->dry_run ? "would apply to"
		                                  : "applied to");
		print_count(count(all, OUTCOME_PRESENT), "already in");
		print_count(count(all, OUTCOME_FAILED), "failed for");
		print_count(count(all, OUTCOME_UNDONE), "undone in");
		putchar('\n');
	}
	if (all->num_hidden)
		fprintf(stderr,
		        "hfx: %zu process%s may not be looked at; "
		        "CAP_SYS_PTRACE shows all\n",
		        all->num_hidden, all->num_hidden == 1 ? "" : "es");
}

static struct hfx_error *run(struct all *all)
{
	bool is_new = true;

	for (int i = 0; is_new && i < MAX_ROUNDS && !is_stopped(all); i++)
		HFX_TRY(go_through(all, &is_new));
	return NULL;
}

int apply_to_all(const struct apply_all *request)
{
	HFX_CLEANUP(all_deinit) struct all all = {.request = request};
	struct hfx_error *err = run(&all);

	if (is_stopped(&all) || (err && request->undo))
		undo(&all);
	print_summary(&all);
	if (err)
		return output_error(err, HFX_EXIT_FAILED);
	return count(&all, OUTCOME_FAILED) ? HFX_EXIT_FAILED : HFX_EXIT_DONE;
}
