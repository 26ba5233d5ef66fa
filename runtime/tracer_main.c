/* SPDX-License-Identifier: MIT */
/*
 * hfx-tracer: stops the threads of the process that started it and makes the
 * writes of a plan. libhfx starts it, since a process cannot trace itself.
 *
 * The plan comes in on descriptor 0, the result goes out on descriptor 1
 * (commit_wire.h). Nothing else is printed. Exit code: 0 when the plan was
 * carried out, 1 when not, 2 when no result could be sent.
 */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commit.h"
#include "commit_wire.h"

/**
 * Only the process that made the socket: this program is no way around ptrace's
 * own rules. It is not the parent, since libhfx keeps its own children out of
 * its host's sight (launch.c).
 */
static struct hfx_error *check_peer(pid_t pid)
{
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);

	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &peer, &size) ||
	    peer.pid != pid)
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"hfx-tracer traces the process that started it (%d), "
			"not process %d",
			peer.pid, pid);
	return NULL;
}

static struct hfx_error *run(struct commit_result *result)
{
	struct commit_plan plan = {0};
	struct hfx_error *err;
	pid_t pid;

	HFX_TRY(commit_wire_receive_plan(STDIN_FILENO, &pid, &plan));
	err = check_peer(pid);
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

	signal(SIGPIPE, SIG_IGN);
	err = run(&result);
	send_err = commit_wire_send_result(STDOUT_FILENO, err, &result);
	exit_code = send_err ? 2 : err ? 1 : 0;
	hfx_error_destroy(send_err);
	hfx_error_destroy(err);
	return exit_code;
}
