/* SPDX-License-Identifier: MIT */
/*
 * The host must not notice the program. A child made by clone() without an exit
 * signal is invisible to wait() and SIGCHLD, but only until it calls execve():
 * that gives it SIGCHLD. So there are two: the first is such a child, starts
 * the second, and ends at once; the second is then inherited by init.
 *
 * Both share the host's memory (CLONE_VM) while the host's thread sleeps
 * (CLONE_VFORK), so nothing is copied, and neither may return into its caller's
 * frame, allocate, or run a signal handler of the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

#define STACK_SIZE (64u << 10)

/** The kernel's signal set; glibc's leaves out its own two signals. */
#define NUM_SIGNALS 64

struct launch {
	const char *path;
	int fd;
	/** End of the stack of the second. */
	char *stack_end;
	/** Results. */
	pid_t pid;
	int error_number;
};

static void set_signal_mask(const uint64_t *set, uint64_t *old_ret)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, old_ret, sizeof(*set));
}

/** Handlers of the host must not run here once signals are let in. */
static void reset_signals(void)
{
	static const uint64_t none;

	for (int i = 1; i <= NUM_SIGNALS; i++) {
		struct sigaction action;

		if (sigaction(i, NULL, &action) == 0 &&
		    action.sa_handler != SIG_IGN &&
		    action.sa_handler != SIG_DFL) {
			action = (struct sigaction){.sa_handler = SIG_DFL};
			sigaction(i, &action, NULL);
		}
	}
	set_signal_mask(&none, NULL);
}

static int run_program(void *arg)
{
	struct launch *launch = arg;
	char *argv[] = {(char *)"hfx-tracer", NULL};
	char *envp[] = {NULL};
	/* The host may have closed 0 and 1, and got one of them for this. */
	int fd = fcntl(launch->fd, F_DUPFD_CLOEXEC, 3);

	reset_signals();
	if (fd >= 0 && dup2(fd, STDIN_FILENO) >= 0 &&
	    dup2(fd, STDOUT_FILENO) >= 0) {
		/* Since Linux 5.9; before, close-on-exec has to do. */
		syscall(SYS_close_range, 3u, ~0u, 0u);
		execve(launch->path, argv, envp);
	}
	launch->error_number = errno;
	_exit(127);
}

static int run_middle(void *arg)
{
	struct launch *launch = arg;

	launch->pid = clone(run_program, launch->stack_end,
	                    CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
	if (launch->pid < 0)
		launch->error_number = errno;
	_exit(0);
}

static void run_clones(struct launch *launch, char *stack_end)
{
	uint64_t all = UINT64_MAX, old;
	pid_t middle;

	set_signal_mask(&all, &old);
	middle = clone(run_middle, stack_end, CLONE_VM | CLONE_VFORK, launch);
	if (middle < 0)
		launch->error_number = errno;
	else
		while (waitpid(middle, NULL, __WCLONE) < 0 && errno == EINTR)
			;
	set_signal_mask(&old, NULL);
}

struct hfx_error *launch_detached(const char *path, int fd, pid_t *pid_ret)
{
	struct launch launch = {.path = path, .fd = fd, .pid = -1};
	char *stacks =
		mmap(NULL, (size_t)2 * STACK_SIZE, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stacks == MAP_FAILED)
		return hfx_error_os(errno, "cannot start %s", path);
	launch.stack_end = stacks + STACK_SIZE;
	run_clones(&launch, stacks + (size_t)2 * STACK_SIZE);
	munmap(stacks, (size_t)2 * STACK_SIZE);
	if (launch.error_number)
		return hfx_error_os(launch.error_number, "cannot start %s",
		                    path);
	*pid_ret = launch.pid;
	return NULL;
}
