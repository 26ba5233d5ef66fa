/* SPDX-License-Identifier: MIT */
/*
 * hfx-tracer: stops the threads of the process that started it and makes the
 * writes of a plan. libhfx starts it, since a process cannot trace itself.
 *
 * The plan comes in on descriptor 0, the result goes out on descriptor 1
 * (commit_wire.h). Nothing else is printed. Exit code: 0 when the plan was
 * carried out, 1 when not, 2 when no result could be sent.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "commit.h"
#include "commit_wire.h"

/** Only the parent: this program is no way around ptrace's own rules. */
static struct hfx_error *check_parent(pid_t *pid)
{
	pid_t parent = getppid();

	if (!*pid)
		*pid = parent;
	if (parent <= 1 || *pid != parent)
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"hfx-tracer traces the process that started it (%d), "
			"not process %d",
			parent, *pid);
	return NULL;
}

static struct hfx_error *run(struct commit_result *result)
{
	struct commit_plan plan = {0};
	struct hfx_error *err;
	pid_t pid;

	HFX_TRY(commit_wire_receive_plan(STDIN_FILENO, &pid, &plan));
	err = check_parent(&pid);
	if (!err)
		err = commit_execute(pid, &plan, result);
	commit_plan_deinit(&plan);
	return err;
}

int main(void)
{
	struct commit_result result = {0};
	struct hfx_error *err;
	struct hfx_error *send_err;
	int exit_code;

	/* With the parent gone there is nothing left to trace. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	err = run(&result);
	send_err = commit_wire_send_result(STDOUT_FILENO, err, &result);
	exit_code = send_err ? 2 : err ? 1 : 0;
	hfx_error_destroy(send_err);
	hfx_error_destroy(err);
	return exit_code;
}
