/* SPDX-License-Identifier: MIT */
/**
 * @file target.h
 *
 * The process that is patched, seen through one small table of functions.
 *
 * The engine (engine.h) works through this table alone, so it is the same code
 * whether it stands inside the process (target_self.c, in libhfx) or outside
 * (target_ptrace.c, in `hfx`).
 */
#ifndef HFX_RUNTIME_TARGET_H
#define HFX_RUNTIME_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "commit.h"
#include "error.h"

struct target;

struct target_ops {
	/** Read exactly @p size bytes of live memory. */
	struct hfx_error *(*read)(struct target *target, uint64_t live_addr,
	                          void *buffer, size_t size);
	/**
	 * Write exactly @p size bytes, whatever the mapping's protection, by
	 * /proc/PID/mem: no mapping becomes writable and executable.
	 */
	struct hfx_error *(*write)(struct target *target, uint64_t live_addr,
	                           const void *data, size_t size);
	/**
	 * Make a system call in the process.
	 *
	 * @param[out] result_ret What the kernel returned: negative is -errno.
	 */
	struct hfx_error *(*syscall)(struct target *target, long number,
	                             const uint64_t args[6],
	                             int64_t *result_ret);
	/**
	 * Call a function of up to two integer arguments in the process: the
	 * resolver of an IFUNC symbol (gABI STT_GNU_IFUNC), or the unwinder's
	 * __register_frame_info().
	 */
	struct hfx_error *(*call)(struct target *target, uint64_t live_addr,
	                          const uint64_t args[2], uint64_t *result_ret);
	/**
	 * Have @p starter_addr start a thread for a hook of a patch
	 * (hfx_patch.h): a hook may allocate and lock, which a borrowed thread
	 * must not. `NULL` where hooks are called like any function.
	 *
	 * @param[in] job_addr Live address of a struct image_hook_job.
	 */
	struct hfx_error *(*start_hook)(struct target *target,
	                                uint64_t starter_addr,
	                                uint64_t job_addr);
	/**
	 * The unwinder's __register_frame_info(), where it is known better than
	 * by looking it up; 0 if not. May be `NULL`.
	 */
	uint64_t (*unwinder)(struct target *target);
	/**
	 * The TLS index of the module with this bias, where it is known better
	 * than from the module itself; 0 if not. May be `NULL`.
	 */
	uint64_t (*tls_index)(struct target *target, uint64_t bias);
	/** commit_execute() for this process, by the way that fits it. */
	struct hfx_error *(*commit)(struct target *target,
	                            const struct commit_plan *plan,
	                            struct commit_result *ret);
	void (*destroy)(struct target *target);
};

/** Base of both kinds of target; `pid` is that of the process to patch. */
struct target {
	const struct target_ops *ops;
	pid_t pid;
};

/**
 * The calling process. Commits by itself while it has one thread that is
 * outside of what the plan guards, else by hfx-tracer.
 *
 * @param[in] tracer_path Path of hfx-tracer, borrowed, or `NULL` for the one
 * installed with the library.
 * @param[in] stack_addr Where the program's own frames begin on the stack of
 * the calling thread: below are those of libhfx. Needed for commits.
 */
HFX_MUST_CHECK struct hfx_error *target_create_self(const char *tracer_path,
                                                    uint64_t stack_addr,
                                                    struct target **ret);

/**
 * Say whether only the dynamic linker's frames are on the stack, at the start
 * of the program. It keeps the program's entry point there, which may stand
 * right behind a function and so look like a return address of it.
 */
void target_self_set_starting(bool is_starting);

/**
 * Another process, by ptrace. Threads are only stopped inside `syscall`, `call`
 * (one thread, for the length of the call) and `commit` (all).
 *
 * Errors: #HFX_ERROR_NO_PROCESS, #HFX_ERROR_PERMISSION, and
 * #HFX_ERROR_UNSUPPORTED for a 32-bit process.
 */
HFX_MUST_CHECK struct hfx_error *target_create_ptrace(pid_t pid,
                                                      struct target **ret);

/** Free a target; `NULL` is allowed. */
void target_destroy(struct target *target);

#endif /* HFX_RUNTIME_TARGET_H */
