/* SPDX-License-Identifier: MIT */
/**
 * @file ptrace_child.h
 *
 * Processes to try ptrace on: forked from the test, so that code and shared
 * memory have the same addresses there.
 */
#ifndef HFX_TESTS_LIVE_PTRACE_CHILD_H
#define HFX_TESTS_LIVE_PTRACE_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "commit.h"

/** Kinds of threads by what they spend their time in. */
enum child_kind {
	CHILD_NANOSLEEP,
	CHILD_POLL,
	CHILD_PPOLL,
	CHILD_SELECT,
	CHILD_EPOLL,
	CHILD_EPOLL_PWAIT,
	CHILD_FUTEX,
	CHILD_PIPE_READ,
	CHILD_RECV_TIMEOUT,
	CHILD_SIGTIMEDWAIT,
	CHILD_SEMTIMEDOP,
	CHILD_MALLOC,
	CHILD_SPIN,
	CHILD_NUM_KINDS,
};

/** Shared by test and child. */
struct child_shared {
	atomic_bool quit;
	atomic_int started;
	/** Result of child_version() that some thread has seen last. */
	atomic_int version;
	/** By kind: rounds done, and calls that failed with EINTR. */
	atomic_long rounds[CHILD_NUM_KINDS];
	atomic_long interrupted[CHILD_NUM_KINDS];
	/** Results that are not as expected. */
	atomic_long wrong;
	atomic_long signals;
	atomic_long signal_sum;
	/** For the test's own use. */
	atomic_long value;
};

/** Returns 1, and what is to be written over it to return 2. */
int child_version(void);
extern const uint8_t child_version_1[5];
extern const uint8_t child_version_2[5];

/** Memory shared with children that are forked later. */
struct child_shared *child_share(void);

/** Fork a child that runs @p run, then exits. It dies with the test. */
pid_t child_fork(struct child_shared *shared,
                 void (*run)(struct child_shared *shared));

/** Ask it to quit and wait until it has; true if it exited with 0. */
bool child_end(struct child_shared *shared, pid_t pid);

/** Kill it. */
void child_kill(pid_t pid);

/** Start @p count threads that do what @p kind says until `quit`. */
void child_start(struct child_shared *shared, enum child_kind kind, int count);

/** In the child: do what @p kind says until `quit`. */
void child_run(struct child_shared *shared, enum child_kind kind);

/** In the child: wait until `quit`. */
void child_wait(struct child_shared *shared);

/** In the test: wait until @p counter is at least @p least; false after 20 s.
 */
bool wait_for(atomic_long *counter, long least);
bool wait_for_int(atomic_int *counter, int least);

/** Letter of the state in /proc/PID/status. */
char child_state(pid_t pid);

/** Replace child_version() in the child, or put it back. */
struct hfx_error *child_set_version(pid_t pid, int version,
                                    struct commit_result *result);

/** Fails the test with the error's message, if there is one. */
void assert_no_error(struct hfx_error *err);
/** Fails the test unless @p err has this code; frees it. */
void assert_error(struct hfx_error *err, int code);

#endif /* HFX_TESTS_LIVE_PTRACE_CHILD_H */
