/* SPDX-License-Identifier: MIT */
/**
 * @file stop.h
 *
 * Finding, stopping and letting go the threads of another process, by ptrace(2)
 * as a debugger does it, so that the process notices nothing.
 *
 * A stop has three steps, so that the time in which threads stand still is
 * short however many there are: PTRACE_SEIZE all, which stops none; then
 * PTRACE_INTERRUPT all; then wait for each.
 *
 * What the process must not notice:
 *
 * - Threads that start meanwhile are found: threads of a traced one come
 *   traced (PTRACE_O_TRACECLONE), and the list is read once more after all have
 *   stopped.
 * - No signal is lost or changed. A thread that stops because a signal is about
 *   to be delivered gets that signal, with its siginfo, when it is let go.
 *   Stops are looked at with WNOWAIT, so the kernel still knows the signal if
 *   the tracer is killed.
 * - A process that was stopped by SIGSTOP stays so.
 * - Interrupted system calls go on. The kernel restarts most by itself. Some
 *   (epoll_wait, semop, sigtimedwait, receives with a timeout: signal(7)) fail
 *   with EINTR instead; those get the kernel's own "restart unless a handler
 *   runs" in place of it. Their timeouts start anew.
 *
 * The tracer is the calling thread; all functions for one stop are called by
 * it. Between stop_interrupt() and stop_release() functions return 0 or -errno,
 * and make no message. The tracer is never a thread of the stopped process, so
 * they may allocate.
 */
#ifndef HFX_RUNTIME_STOP_H
#define HFX_RUNTIME_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "error.h"

enum stop_state {
	/** Traced, and running as far as is known. */
	STOP_RUNNING,
	/** Stands still; `regs` are its registers. */
	STOP_STOPPED,
	/** Has ended. */
	STOP_GONE,
};

/** What a thread stopped for; see ptrace(2), "Stopped states". */
enum stop_reason {
	STOP_BY_EVENT,
	/** `signal` is about to be delivered. */
	STOP_BY_SIGNAL,
	/** Entry into or exit from a system call, after PTRACE_SYSCALL. */
	STOP_BY_SYSCALL,
};

struct stop_thread {
	pid_t tid;
	enum stop_state state;
	enum stop_reason reason;
	/** To be delivered when the thread is let go, or 0. */
	int signal;
	struct user_regs_struct regs;
};

struct stop;

/**
 * Prepare to stop threads of process @p pid. Takes over SIGALRM of the calling
 * thread until stop_destroy().
 */
HFX_MUST_CHECK struct hfx_error *stop_create(pid_t pid, struct stop **ret);

/** Let go all threads and free; `NULL` is allowed. */
void stop_destroy(struct stop *stop);

/** Threads that are traced now, in the order they were found. */
size_t stop_num_threads(const struct stop *stop);
struct stop_thread *stop_thread(struct stop *stop, size_t index);

/** How many threads are in @p state. */
size_t stop_count(const struct stop *stop, enum stop_state state);

/**
 * Trace all threads; none is stopped by it.
 *
 * Errors: those of permission_error(), #HFX_ERROR_NO_PROCESS if none is left.
 */
HFX_MUST_CHECK struct hfx_error *stop_seize(struct stop *stop);

/**
 * Trace one thread only.
 *
 * @param[in] options PTRACE_O_ flags for it.
 * @param[out] ret The thread, borrowed, or `NULL` if it has ended.
 */
HFX_MUST_CHECK struct hfx_error *stop_seize_one(struct stop *stop, pid_t tid,
                                                unsigned long options,
                                                struct stop_thread **ret);

/**
 * Let the tracer run ahead of ordinary threads until stop_release(): where many
 * compete for few CPUs, it would get its turn only after each of them while
 * threads wait for it. Without the right to (CAP_SYS_NICE) it takes its
 * chances.
 */
void stop_hurry(struct stop *stop);

/**
 * Hold back signals that would end or stop the calling thread, such as that of
 * Ctrl-C, until stop_release(): threads that wait for it would be left as they
 * are. SIGKILL and SIGSTOP cannot be held.
 */
void stop_hold_signals(struct stop *stop);

/** Waiting fails with -ETIMEDOUT from this time of stop_now_ns() on. */
void stop_set_deadline(struct stop *stop, uint64_t deadline_ns);
bool stop_deadline_passed(const struct stop *stop);

/** CLOCK_MONOTONIC. */
uint64_t stop_now_ns(void);

/**
 * Stop all traced threads, and wait until each stands still or is gone; also
 * those that have started meanwhile.
 *
 * @return 0, -ETIMEDOUT (the threads that are still running are those with
 * #STOP_RUNNING), or -errno.
 */
int stop_interrupt(struct stop *stop);

/** Ask one thread to stop; for stop_wait(). */
int stop_interrupt_one(struct stop_thread *thread);

/**
 * Wait until @p thread stands still, and read its registers. On return it is
 * stopped or gone.
 */
int stop_wait(struct stop *stop, struct stop_thread *thread);

/**
 * As stop_wait(), but also past the deadline, which stays as it is: for threads
 * that must not be left as they are. One that only waits for its turn, on a
 * machine or in a group with little processor time, is waited for as long as
 * that takes; one that the kernel holds up, for @p patience_ns.
 */
int stop_wait_patiently(struct stop *stop, struct stop_thread *thread,
                        uint64_t patience_ns);

/** Whether a thread that has not stopped yet only waits for its turn. */
bool stop_has_slow(const struct stop *stop);

/** Let @p thread run with a PTRACE_ request that does so (CONT, SYSCALL...). */
int stop_resume(struct stop_thread *thread, int request, int signal);

/**
 * Let all threads go, with the signals they have coming.
 *
 * A thread that has not stopped stays traced, since the kernel detaches only
 * what stands still: a later stop_seize() finds it again, and the end of the
 * calling process frees it.
 */
void stop_release(struct stop *stop);

/** The error for threads that stop_interrupt() has timed out on. */
HFX_MUST_CHECK struct hfx_error *stop_timeout_error(const struct stop *stop);

#endif /* HFX_RUNTIME_STOP_H */
