/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "cleanup.h"
#include "permission.h"
#include "proc_status.h"
#include "stop_private.h"

/** Wakes a wait that has gone on past the deadline, again and again. */
#define TICK_NS 1000000

/** Between two looks at what a thread waits for that does not stop. */
#define LOOK_NS 50000000

/** How long stop_destroy() waits for threads that have not stopped yet. */
#define LAST_WAIT_NS      500000000
#define LAST_WAIT_STEP_US 500

#define SEIZE_OPTIONS (PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD)

/** Passes over the list of threads, each with new ones, before giving up. */
#define MAX_SEIZE_PASSES 1000

struct stop {
	pid_t pid;
	/** /proc/PID/task: also tells a reused pid. */
	int task_fd;
	/** Tracing thread: as TracerPid shows it. */
	pid_t tracer_tid;
	struct stop_thread *threads;
	size_t num_threads;
	size_t cap_threads;
	uint64_t deadline_ns;
	/** Place in `threads` where the next one of the list is expected. */
	size_t expected;
	bool is_hurried;
	bool holds_signals;
	sigset_t held_mask;
	bool has_timer;
	timer_t timer;
	struct sigaction saved_action;
	sigset_t saved_mask;
	char entries[32768] __attribute__((__aligned__(8)));
};

uint64_t stop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool stop_deadline_passed(const struct stop *stop)
{
	return stop_now_ns() >= stop->deadline_ns;
}

size_t stop_num_threads(const struct stop *stop)
{
	return stop->num_threads;
}

struct stop_thread *stop_thread(struct stop *stop, size_t index)
{
	return &stop->threads[index];
}

size_t stop_count(const struct stop *stop, enum stop_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < stop->num_threads; i++)
		count += stop->threads[i].state == state;
	return count;
}

void stop_hurry(struct stop *stop)
{
	struct sched_param param = {.sched_priority = 1};

	if (sched_getscheduler(0) == SCHED_OTHER &&
	    !sched_setscheduler(0, SCHED_FIFO, &param))
		stop->is_hurried = true;
}

static void end_hurry(struct stop *stop)
{
	struct sched_param param = {0};

	if (stop->is_hurried)
		(void)sched_setscheduler(0, SCHED_OTHER, &param);
	stop->is_hurried = false;
}

void stop_hold_signals(struct stop *stop)
{
	sigset_t held;

	if (stop->holds_signals)
		return;
	sigfillset(&held);
	/* It ends waits. */
	sigdelset(&held, SIGALRM);
	pthread_sigmask(SIG_SETMASK, &held, &stop->held_mask);
	stop->holds_signals = true;
}

static void let_signals_in(struct stop *stop)
{
	if (stop->holds_signals)
		pthread_sigmask(SIG_SETMASK, &stop->held_mask, NULL);
	stop->holds_signals = false;
}

/* ---- The timer that ends waits ------------------------------------------ */

static void on_tick(int signal)
{
	(void)signal;
}

/**
 * Waits block, so that the tracer takes no time from the threads it waits for.
 * A tick makes them return EINTR; it repeats, since one that comes just before
 * the wait does not.
 */
static struct hfx_error *start_timer(struct stop *stop)
{
	struct sigaction action = {.sa_handler = on_tick};
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGALRM,
		._sigev_un._tid = stop->tracer_tid,
	};
	sigset_t alarm_set;

	if (timer_create(CLOCK_MONOTONIC, &event, &stop->timer))
		return hfx_error_os(errno, "create a timer");
	sigaction(SIGALRM, &action, &stop->saved_action);
	sigemptyset(&alarm_set);
	sigaddset(&alarm_set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarm_set, &stop->saved_mask);
	stop->has_timer = true;
	return NULL;
}

static void end_timer(struct stop *stop)
{
	if (!stop->has_timer)
		return;
	timer_delete(stop->timer);
	pthread_sigmask(SIG_SETMASK, &stop->saved_mask, NULL);
	sigaction(SIGALRM, &stop->saved_action, NULL);
}

void stop_set_deadline(struct stop *stop, uint64_t deadline_ns)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
	                     .tv_nsec = (long)(deadline_ns % 1000000000u)},
		.it_interval = {.tv_nsec = TICK_NS},
	};

	stop->deadline_ns = deadline_ns;
	timer_settime(stop->timer, TIMER_ABSTIME, &when, NULL);
}

static void disarm(struct stop *stop)
{
	struct itimerspec never = {0};

	timer_settime(stop->timer, 0, &never, NULL);
}

/* ---- Finding threads ---------------------------------------------------- */

struct hfx_error *stop_create(pid_t pid, struct stop **ret)
{
	struct stop *stop = calloc(1, sizeof(*stop));
	struct hfx_error *err;
	char path[32];

	if (!stop)
		return hfx_error_no_memory();
	stop->pid = pid;
	stop->tracer_tid = gettid();
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	stop->task_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (stop->task_fd < 0)
		err = permission_error(pid, pid, errno);
	else
		err = start_timer(stop);
	if (err) {
		stop_destroy(stop);
		return err;
	}
	*ret = stop;
	return NULL;
}

/** The list and `threads` have mostly the same order, so one look is enough. */
static bool is_known(struct stop *stop, pid_t tid)
{
	if (stop->expected < stop->num_threads &&
	    stop->threads[stop->expected].tid == tid) {
		stop->expected++;
		return true;
	}
	for (size_t i = 0; i < stop->num_threads; i++) {
		if (stop->threads[i].tid == tid) {
			stop->expected = i + 1;
			return true;
		}
	}
	return false;
}

static int add_thread(struct stop *stop, pid_t tid)
{
	struct stop_thread thread = {.tid = tid};

	return HFX_ARRAY_PUSH(stop, threads, thread) ? 0 : -ENOMEM;
}

/**
 * Trace a thread.
 *
 * @return 0 (also if it has ended), or -errno of a thread that could not be.
 */
static int seize_thread(struct stop *stop, pid_t tid, unsigned long options)
{
	struct proc_status status;
	int error_number;

	if (!ptrace(PTRACE_SEIZE, tid, NULL, options))
		return add_thread(stop, tid);
	error_number = errno;
	if (error_number == ESRCH ||
	    proc_status_read(stop->pid, tid, &status) == -ESRCH)
		return 0;
	if (status.state == 'Z' || status.state == 'X')
		return 0;
	if (status.tracer_pid == stop->tracer_tid)
		return add_thread(stop, tid);
	return -error_number;
}

/** Call seize_thread() for those of one buffer of the list that are new. */
static int seize_entries(struct stop *stop, size_t size, pid_t *failed_tid)
{
	for (size_t off = 0; off < size;) {
		const struct dirent64 *entry =
			(const struct dirent64 *)(stop->entries + off);
		pid_t tid = atoi(entry->d_name);
		int rc;

		off += entry->d_reclen;
		if (tid <= 0 || is_known(stop, tid))
			continue;
		*failed_tid = tid;
		rc = seize_thread(stop, tid, SEIZE_OPTIONS);
		if (rc)
			return rc;
	}
	return 0;
}

/**
 * One pass over the list of threads. Uses the system call and a buffer of its
 * own, since it also runs while threads stand still.
 */
static int seize_pass(struct stop *stop, pid_t *failed_tid)
{
	stop->expected = 0;
	lseek(stop->task_fd, 0, SEEK_SET);
	for (;;) {
		long size = syscall(SYS_getdents64, stop->task_fd,
		                    stop->entries, sizeof(stop->entries));
		int rc;

		if (size < 0)
			return errno == ENOENT ? -ESRCH : -errno;
		if (!size)
			return 0;
		rc = seize_entries(stop, (size_t)size, failed_tid);
		if (rc)
			return rc;
	}
}

struct hfx_error *stop_seize(struct stop *stop)
{
	for (int pass = 0; pass < MAX_SEIZE_PASSES; pass++) {
		size_t before = stop->num_threads;
		pid_t failed_tid = stop->pid;
		int rc = seize_pass(stop, &failed_tid);

		if (rc == -ENOMEM)
			return hfx_error_no_memory();
		if (rc)
			return permission_error(stop->pid, failed_tid, -rc);
		if (stop->num_threads == before)
			break;
	}
	if (!stop->num_threads)
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "process %d has ended", stop->pid);
	return NULL;
}

static struct stop_thread *find_thread(struct stop *stop, pid_t tid)
{
	for (size_t i = 0; i < stop->num_threads; i++)
		if (stop->threads[i].tid == tid)
			return &stop->threads[i];
	return NULL;
}

struct hfx_error *stop_seize_one(struct stop *stop, pid_t tid,
                                 unsigned long options,
                                 struct stop_thread **ret)
{
	int rc = 0;

	if (!find_thread(stop, tid))
		rc = seize_thread(stop, tid, options | PTRACE_O_TRACESYSGOOD);
	if (rc == -ENOMEM)
		return hfx_error_no_memory();
	if (rc)
		return permission_error(stop->pid, tid, -rc);
	*ret = find_thread(stop, tid);
	if (*ret && (*ret)->state == STOP_GONE)
		*ret = NULL;
	return NULL;
}

/* ---- Stopping ----------------------------------------------------------- */

int stop_add_cloned(struct stop *stop, pid_t tid)
{
	unsigned long cloned;

	if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &cloned))
		return 0;
	if (find_thread(stop, (pid_t)cloned))
		return 0;
	return add_thread(stop, (pid_t)cloned);
}

/** Wait for the threads from index @p first on that run; more may be added. */
static int wait_from(struct stop *stop, size_t first, bool leader)
{
	for (size_t i = first; i < stop->num_threads; i++) {
		struct stop_thread *thread = &stop->threads[i];
		int rc = 0;

		if ((thread->tid == stop->pid) == leader)
			rc = stop_wait(stop, thread);
		if (rc)
			return rc;
	}
	return 0;
}

/**
 * Stop the threads from index @p first on. The first thread of a process that
 * ends is only heard of when the others have been, so it comes last.
 */
static int interrupt_from(struct stop *stop, size_t first)
{
	int rc = 0;

	for (size_t i = first; !rc && i < stop->num_threads; i++)
		rc = stop_interrupt_one(&stop->threads[i]);
	if (!rc)
		rc = wait_from(stop, first, false);
	if (!rc)
		rc = wait_from(stop, first, true);
	/* For one that it has started last. */
	return rc ? rc : wait_from(stop, first, false);
}

/**
 * Whether the process has as many threads as stand still: then there is no
 * other. The kernel counts them in the links of the folder, 2 and one a thread,
 * which is known sooner than the list.
 */
static bool is_whole(const struct stop *stop)
{
	struct stat status;

	return !fstat(stop->task_fd, &status) &&
	       status.st_nlink == stop_count(stop, STOP_STOPPED) + 2;
}

/**
 * The look after all have stopped is what makes it sure: a thread that starts
 * while others end can be missing from the list before.
 */
int stop_interrupt(struct stop *stop)
{
	size_t first = 0;

	while (first < stop->num_threads) {
		pid_t failed_tid;
		int rc = interrupt_from(stop, first);

		if (rc)
			return rc;
		first = stop->num_threads;
		if (is_whole(stop))
			break;
		rc = seize_pass(stop, &failed_tid);
		if (rc)
			return rc;
	}
	return stop_count(stop, STOP_STOPPED) ? 0 : -ESRCH;
}

/** Whether the thread can run, and has only to get its turn for it. */
static bool is_slow(const struct stop *stop, pid_t tid)
{
	struct proc_status status;

	return !proc_status_read(stop->pid, tid, &status) &&
	       status.state == 'R';
}

bool stop_has_slow(const struct stop *stop)
{
	for (size_t i = 0; i < stop->num_threads; i++)
		if (stop->threads[i].state == STOP_RUNNING &&
		    is_slow(stop, stop->threads[i].tid))
			return true;
	return false;
}

int stop_wait_patiently(struct stop *stop, struct stop_thread *thread,
                        uint64_t patience_ns)
{
	uint64_t end_ns = stop_now_ns() + patience_ns;
	uint64_t deadline_ns = stop->deadline_ns;
	pid_t tid = thread->tid;
	/* The list may move. */
	size_t index = (size_t)(thread - stop->threads);
	int rc = stop_wait(stop, thread);

	if (rc != -ETIMEDOUT)
		return rc;
	while (rc == -ETIMEDOUT &&
	       (stop_now_ns() < end_ns || is_slow(stop, tid))) {
		stop_set_deadline(stop, stop_now_ns() + LOOK_NS);
		rc = stop_wait(stop, &stop->threads[index]);
	}
	stop_set_deadline(stop, deadline_ns);
	return rc;
}

void stop_release(struct stop *stop)
{
	size_t left = 0;

	for (size_t i = 0; i < stop->num_threads; i++)
		if (!stop_release_thread(stop->pid, &stop->threads[i]))
			stop->threads[left++] = stop->threads[i];
	stop->num_threads = left;
	end_hurry(stop);
	let_signals_in(stop);
	if (stop->has_timer)
		disarm(stop);
}

/**
 * Threads that are still traced run, and the kernel detaches only what stands
 * still. Look again and again, so that each is let go as soon as it has
 * stopped: one may be slow because the machine is busy, another one blocked for
 * long.
 */
static void release_running(struct stop *stop)
{
	uint64_t end_ns = stop_now_ns() + LAST_WAIT_NS;

	for (size_t i = 0; i < stop->num_threads; i++)
		(void)stop_interrupt_one(&stop->threads[i]);
	while (stop->num_threads && stop_now_ns() < end_ns) {
		usleep(LAST_WAIT_STEP_US);
		stop_release(stop);
	}
}

void stop_destroy(struct stop *stop)
{
	if (!stop)
		return;
	stop_release(stop);
	release_running(stop);
	end_timer(stop);
	hfx_close(&stop->task_fd);
	free(stop->threads);
	free(stop);
}

/** Kernel function that the thread waits in; empty if that is not told. */
static void read_wchan(pid_t pid, pid_t tid, char *text, size_t size)
{
	HFX_CLEANUP(hfx_close) int fd = -1;
	char path[64];
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, text, size - 1);
	text[got > 0 ? got : 0] = '\0';
	if (!strcmp(text, "0"))
		text[0] = '\0';
}

struct hfx_error *stop_timeout_error(const struct stop *stop)
{
	for (size_t i = 0; i < stop->num_threads; i++) {
		struct proc_status status;
		pid_t tid = stop->threads[i].tid;
		char wchan[64];

		if (stop->threads[i].state != STOP_RUNNING ||
		    proc_status_read(stop->pid, tid, &status))
			continue;
		read_wchan(stop->pid, tid, wchan, sizeof(wchan));
		return hfx_error_create(
			HFX_ERROR_STOP,
			"thread %d (%s) of process %d did not stop in time: "
			"state %c%s%s; %s",
			tid, status.name, stop->pid, status.state,
			*wchan ? ", in the kernel's " : "", wchan,
			status.state == 'R'
				? "it gets too little processor time: try "
				  "again when the machine has less to do"
				: "try again later");
	}
	return hfx_error_create(HFX_ERROR_STOP,
	                        "process %d did not stop in time", stop->pid);
}
