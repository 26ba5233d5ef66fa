/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proc_status.h"
#include "ptrace_child.h"

/* Time that a thread waits in one call. */
#define WAIT_MS 40

const uint8_t child_version_1[5] = {0xb8, 1, 0, 0, 0};
const uint8_t child_version_2[5] = {0xb8, 2, 0, 0, 0};

__asm__(".text\n"
        ".globl child_version\n"
        ".type child_version, @function\n"
        ".balign 16\n"
        "child_version:\n"
        "	mov $1, %eax\n"
        "	ret\n"
        ".size child_version, .-child_version\n"
        ".balign 16\n");

struct child_shared *child_share(void)
{
	struct child_shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	             MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(shared != MAP_FAILED);
	return shared;
}

pid_t child_fork(struct child_shared *shared,
                 void (*run)(struct child_shared *shared))
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(shared);
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

bool child_end(struct child_shared *shared, pid_t pid)
{
	int status;

	shared->quit = true;
	for (int i = 0; i < 20000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && !WEXITSTATUS(status);
		usleep(10000);
	}
	child_kill(pid);
	return false;
}

void child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- What threads do ------------------------------------------------------
 */

static int round_nanosleep(void)
{
	struct timespec start;
	struct timespec now;
	struct timespec time = {.tv_nsec = WAIT_MS * 1000000};
	long ms;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (nanosleep(&time, NULL))
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - start.tv_sec) * 1000 +
	     (now.tv_nsec - start.tv_nsec) / 1000000;
	errno = 0;
	return ms < WAIT_MS - 1 ? -1 : 0;
}

static int round_select(void)
{
	struct timeval time = {.tv_usec = WAIT_MS * 1000};

	return select(0, NULL, NULL, NULL, &time);
}

static int round_epoll(bool mask)
{
	static _Thread_local int fd = -1;
	struct epoll_event event;
	sigset_t set;

	sigemptyset(&set);
	if (fd < 0)
		fd = epoll_create1(0);
	return mask ? epoll_pwait(fd, &event, 1, WAIT_MS, &set)
	            : epoll_wait(fd, &event, 1, WAIT_MS);
}

static int round_futex(void)
{
	struct timespec time = {.tv_nsec = WAIT_MS * 1000000};
	uint32_t word = 0;
	long rc = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time);

	return rc && errno == ETIMEDOUT ? 0 : -1;
}

/** Writes to its own pipe every second round, so that reads do wait. */
static void *write_pipe(void *arg)
{
	int fd = *(int *)arg;

	for (;;) {
		usleep(WAIT_MS * 1000);
		if (write(fd, "x", 1) != 1)
			return NULL;
	}
}

static int round_pipe(void)
{
	static _Thread_local int fds[2] = {-1, -1};
	pthread_t writer;
	char byte;

	if (fds[0] < 0) {
		if (pipe(fds) ||
		    pthread_create(&writer, NULL, write_pipe, &fds[1]))
			return -1;
	}
	return read(fds[0], &byte, 1) == 1 ? 0 : -1;
}

static int round_recv(void)
{
	static _Thread_local int fds[2] = {-1, -1};
	struct timeval time = {.tv_usec = WAIT_MS * 1000};
	char byte;

	if (fds[0] < 0) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) ||
		    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &time,
		               sizeof(time)))
			return -1;
	}
	return recv(fds[0], &byte, 1, 0) < 0 && errno == EAGAIN ? 0 : -1;
}

static int round_sigtimedwait(void)
{
	struct timespec time = {.tv_nsec = WAIT_MS * 1000000};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &time) < 0 && errno == EAGAIN ? 0 : -1;
}

static int round_semtimedop(void)
{
	static _Thread_local int id = -1;
	struct timespec time = {.tv_nsec = WAIT_MS * 1000000};
	struct sembuf op = {.sem_op = -1};
	int rc;

	if (id < 0) {
		id = semget(IPC_PRIVATE, 1, 0600);
		if (id < 0)
			return -1;
	}
	rc = semtimedop(id, &op, 1, &time);
	return rc < 0 && errno == EAGAIN ? 0 : -1;
}

static int round_malloc(void)
{
	for (int i = 0; i < 200; i++) {
		char *memory = malloc(64 + (size_t)(i % 7) * 5000);

		if (!memory)
			return -1;
		memset(memory, i, 64);
		__asm__ volatile("" : : "r"(memory) : "memory");
		free(memory);
	}
	return 0;
}

static int do_round(enum child_kind kind)
{
	struct timespec time = {.tv_nsec = WAIT_MS * 1000000};

	switch (kind) {
	case CHILD_NANOSLEEP:
		return round_nanosleep();
	case CHILD_POLL:
		return poll(NULL, 0, WAIT_MS);
	case CHILD_PPOLL:
		return ppoll(NULL, 0, &time, NULL);
	case CHILD_SELECT:
		return round_select();
	case CHILD_EPOLL:
	case CHILD_EPOLL_PWAIT:
		return round_epoll(kind == CHILD_EPOLL_PWAIT);
	case CHILD_FUTEX:
		return round_futex();
	case CHILD_PIPE_READ:
		return round_pipe();
	case CHILD_RECV_TIMEOUT:
		return round_recv();
	case CHILD_SIGTIMEDWAIT:
		return round_sigtimedwait();
	case CHILD_SEMTIMEDOP:
		return round_semtimedop();
	case CHILD_MALLOC:
		return round_malloc();
	default:
		return 0;
	}
}

struct thread_start {
	struct child_shared *shared;
	enum child_kind kind;
};

void child_run(struct child_shared *shared, enum child_kind kind)
{
	shared->started++;
	while (!shared->quit) {
		int version = child_version();

		if (version != 1 && version != 2)
			shared->wrong++;
		shared->version = version;
		errno = 0;
		if (do_round(kind)) {
			if (errno == EINTR)
				shared->interrupted[kind]++;
			else
				shared->wrong++;
		}
		shared->rounds[kind]++;
	}
}

static void *run_thread(void *arg)
{
	struct thread_start start = *(struct thread_start *)arg;

	free(arg);
	child_run(start.shared, start.kind);
	return NULL;
}

void child_start(struct child_shared *shared, enum child_kind kind, int count)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < count; i++) {
		struct thread_start *start = malloc(sizeof(*start));
		pthread_t thread;

		*start = (struct thread_start){shared, kind};
		if (pthread_create(&thread, &attributes, run_thread, start))
			_exit(99);
	}
}

void child_wait(struct child_shared *shared)
{
	while (!shared->quit) {
		struct timespec time = {.tv_nsec = 5000000};

		nanosleep(&time, NULL);
	}
}

/* ---- In the test ----------------------------------------------------------
 */

bool wait_for(atomic_long *counter, long least)
{
	for (int i = 0; i < 200000 && *counter < least; i++)
		usleep(1000);
	return *counter >= least;
}

bool wait_for_int(atomic_int *counter, int least)
{
	for (int i = 0; i < 200000 && *counter < least; i++)
		usleep(1000);
	return *counter >= least;
}

char child_state(pid_t pid)
{
	struct proc_status status;

	return proc_status_read(pid, pid, &status) ? '-' : status.state;
}

struct hfx_error *child_set_version(pid_t pid, int version,
                                    struct commit_result *result)
{
	struct commit_write write = {
		.live_addr = (uint64_t)(uintptr_t)child_version,
		.size = 5,
		.is_code = 1,
	};
	struct commit_plan plan = {
		.writes = &write,
		.num_writes = 1,
		.timeout_ms = 120000,
		.max_pause_us = 10000000,
	};

	memcpy(write.before, version == 2 ? child_version_1 : child_version_2,
	       5);
	memcpy(write.after, version == 2 ? child_version_2 : child_version_1,
	       5);
	return commit_execute(pid, &plan, result);
}

void assert_no_error(struct hfx_error *err)
{
	if (err)
		fail_msg("%s", hfx_error_message(err));
}

void assert_error(struct hfx_error *err, int code)
{
	assert_non_null(err);
	if ((int)hfx_error_code(err) != code)
		print_error("message: %s\n", hfx_error_message(err));
	assert_int_equal(hfx_error_code(err), code);
	assert_null(strchr(hfx_error_message(err), '\n'));
	hfx_error_destroy(err);
}
