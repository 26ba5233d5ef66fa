/* SPDX-License-Identifier: MIT */
/**
 * @file hfx.h
 *
 * Replace functions in the running process, and put them back.
 *
 * A bundle (`.hfx`, docs/format.md) holds new code for one exact build of one
 * program or shared library. hfx_apply_bundle() checks it against this
 * process, loads the new code, brings every other thread to a safe point, and
 * redirects the old functions. hfx_revert() undoes that.
 *
 *     struct hfx_error *err = hfx_apply_bundle("fix.hfx", NULL, NULL);
 *     if (err) {
 *             fprintf(stderr, "%s\n", hfx_error_message(err));
 *             hfx_error_destroy(err);
 *     }
 *
 * Guarantee: all or nothing. When a function here returns an error, the
 * program text and the list of applied patches are what they were before the
 * call. The one exception is #HFX_ERROR_POISONED.
 *
 * Thread safety: every function may be called from any thread, unless its
 * comment says otherwise, but not from a signal handler and not between
 * vfork() and exec(). Apply and revert exclude each other: a second caller
 * gets #HFX_ERROR_BUSY at once instead of waiting, because a waiting thread
 * might hold the very lock the first caller needs released.
 *
 * State is per process, not per handle, since the thing being changed (the
 * text segment) is per process. It is kept in a record that `hfx` reads too,
 * so what one applied the other lists and reverts. A forked child inherits the
 * patched text and the list of patches. No function here changes `errno`.
 *
 * Compatibility: structures that the caller allocates begin with `sz`, which
 * the caller sets to sizeof; all other bytes must be zero unless set.
 * Structures that the library allocates may gain members at the end: use them
 * through the pointer, and never copy them or take their size.
 */
#ifndef HFX_H
#define HFX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hfx_error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HFX_VERSION_MAJOR 0
#define HFX_VERSION_MINOR 1
#define HFX_VERSION_PATCH 0

/** Version of the loaded library: `major << 16 | minor << 8 | patch`. */
HFX_API uint32_t hfx_version(void);

/* ---- Logging ----------------------------------------------------------- */

enum hfx_log_level {
	HFX_LOG_ERROR = 0,
	HFX_LOG_WARNING = 1,
	HFX_LOG_INFO = 2,
	HFX_LOG_DEBUG = 3,
};

/**
 * Receive one message.
 *
 * Called on the thread that called into hfx, never while threads are stopped,
 * so it may allocate, block, and use the query functions below. An apply or
 * revert from here gets #HFX_ERROR_BUSY. `errno` is preserved around the call.
 *
 * With #HFX_APPLY_WAIT it is also called on threads that are inside dlopen() or
 * dlclose(): then it must not wait for a thread that may call these, too.
 *
 * @param[in] arg As given to hfx_set_log().
 * @param[in] message Formatted text without a final newline; valid only during
 * the call.
 */
typedef void hfx_log_fn(void *arg, enum hfx_log_level level,
                        const char *message);

/**
 * Send messages of level @p max and below to @p fn.
 *
 * hfx is silent until this is called, and writes to no log of the host: a
 * program that wants to keep an account of what was applied and reverted does
 * so from here (#HFX_LOG_INFO) and from the errors that it gets. An error that
 * a function returns is not logged as well; the caller decides. A callback that
 * another thread is in while this is called may still run once to its end.
 *
 * @param[in] fn Callback, or `NULL` for silence.
 */
HFX_API void hfx_set_log(hfx_log_fn *fn, void *arg, enum hfx_log_level max);

/* ---- Trust ------------------------------------------------------------- */

/**
 * Accept only bundles that one of these keys has signed.
 *
 * Without this call the keys are those in `/etc/hfx/trusted.d`, and where that
 * folder is not there, bundles need no signature. A bundle that is refused
 * (#HFX_ERROR_UNTRUSTED) is not parsed any further. One whose identity is in
 * `/etc/hfx/withdrawn` is refused in any case (#HFX_ERROR_WITHDRAWN).
 *
 * The keys are read now, to tell of what is wrong with them, and again by each
 * apply. They are guarded: files and folders that others than root and the
 * effective user can write are an error.
 *
 * @param[in] keys Folder of public keys (`*.pub`), file of one, or one itself
 * (`RW...`, as hfx-bundle keygen and minisign write it); `NULL` for the usual
 * ones.
 */
HFX_API HFX_MUST_CHECK struct hfx_error *hfx_set_trust(const char *keys);

/* ---- Applying ---------------------------------------------------------- */

/** Identity of a patch: the SHA-256 of its manifest. */
struct hfx_patch_id {
	uint8_t bytes[32];
};

enum hfx_apply_flags {
	/** Do everything up to, but not including, stopping threads. */
	HFX_APPLY_DRY_RUN = 1 << 0,
	/**
	 * Apply also while threads are inside functions that are replaced,
	 * unless they stand in the very bytes that are written. Such calls
	 * finish in the old code, while others run the new one. A bundle that
	 * needs a safe point, since such calls would go wrong, is refused
	 * (#HFX_ERROR_INVALID_ARGUMENT).
	 */
	HFX_APPLY_ALLOW_ACTIVE = 1 << 1,
	/** Revert all patches that are applied, in the same stop. */
	HFX_APPLY_REPLACE_ALL = 1 << 2,
	/**
	 * Also rewrite the direct calls in the module that lead to replaced
	 * functions, so that they reach the new code without a jump on the
	 * way. The more places are written, the longer is the stop.
	 */
	HFX_APPLY_REDIRECT_CALLS = 1 << 3,
	/**
	 * If the process has not loaded a program or library that the bundle is
	 * for, succeed and wait for it: the patch is applied inside the
	 * dlopen() that brings it, before any of its code runs; one of several
	 * modules when all of them are there. When such a library is unloaded
	 * and loaded again, it gets the patch again. hfx_revert() ends that.
	 *
	 * What goes wrong then is told at the level #HFX_LOG_ERROR and kept in
	 * hfx_patch_info::reason; the library is loaded all the same, and it is
	 * tried again whenever something is loaded or unloaded.
	 *
	 * A bundle with hooks, or for a module with an unwinder inside, cannot
	 * wait, and a static program loads nothing (#HFX_ERROR_UNSUPPORTED).
	 * Libraries in namespaces of their own (dlmopen()) are not waited for.
	 * A library that contains libhfx.a must stay loaded from then on.
	 */
	HFX_APPLY_WAIT = 1 << 4,
};

/** What a stop of the other threads cost. Allocated by the caller. */
struct hfx_stop_info {
	/** Size of this structure as the caller knows it. Required. */
	size_t sz;
	/** Longest time that threads were stopped at once, nanoseconds. */
	uint64_t pause_ns;
	/** Threads that were stopped, the calling one included. */
	uint32_t num_threads;
	/** Tries that were needed. */
	uint32_t num_tries;
};

/**
 * Options for hfx_apply_bundle().
 *
 *     struct hfx_apply_opts opts = {
 *             .sz = sizeof(opts),
 *             .timeout_ms = 500,
 *     };
 */
struct hfx_apply_opts {
	/** Size of this structure as the caller knows it. Required. */
	size_t sz;
	/** Set of #hfx_apply_flags. */
	uint32_t flags;
	/** How long to keep trying to find a safe point; 0 means 1000. */
	uint32_t timeout_ms;
	/** Longest time to hold threads stopped in one try; 0 means 10000. */
	uint32_t max_pause_us;
	/** Must be 0. */
	uint32_t reserved;
	/**
	 * Path of hfx-tracer, the program that stops the other threads; `NULL`
	 * means the one installed with the library. Not run while the process
	 * has a single thread, unless it has to tell whether that one is inside
	 * a function that is replaced.
	 */
	const char *helper_path;
	/** Filled in on success; may be `NULL`. */
	struct hfx_stop_info *stop_ret;
	/**
	 * Patches to revert in the same stop, which the bundle takes the place
	 * of; borrowed. Either all of that happens or nothing.
	 */
	const struct hfx_patch_id *replaces;
	size_t num_replaces;
};

/**
 * Apply the bundle at @p path to this process.
 *
 * Returns once every later call, in any thread, reaches the new code, or once
 * the attempt has been undone. It takes effect at a moment in which no thread
 * is inside a function that it replaces, the calling one included; when none
 * comes within `timeout_ms`, #HFX_ERROR_NOT_QUIESCENT names the threads and
 * functions. #HFX_APPLY_ALLOW_ACTIVE does without.
 *
 * Where the Yama security module restricts ptrace to descendants, the process
 * names hfx-tracer by PR_SET_PTRACER for the length of the call, which ends
 * an earlier setting of the program's own.
 *
 * @param[in] path Bundle to read. Opened once; may be removed afterwards.
 * @param[in] opts Options, or `NULL` for defaults.
 * @param[out] id_ret Identity of the applied patch. Set only on success; may
 * be `NULL`.
 * @return `NULL` on success, else an error owned by the caller.
 */
HFX_API HFX_MUST_CHECK struct hfx_error *
hfx_apply_bundle(const char *path, const struct hfx_apply_opts *opts,
                 struct hfx_patch_id *id_ret);

/**
 * Like hfx_apply_bundle(), but read from @p fd, from its start.
 *
 * @param[in] fd Seekable file. Borrowed: the caller closes it.
 */
HFX_API HFX_MUST_CHECK struct hfx_error *
hfx_apply_bundle_fd(int fd, const struct hfx_apply_opts *opts,
                    struct hfx_patch_id *id_ret);

/* ---- Reverting --------------------------------------------------------- */

enum hfx_revert_flags {
	/** As #HFX_APPLY_ALLOW_ACTIVE, of the code that is taken back. */
	HFX_REVERT_ALLOW_ACTIVE = 1 << 0,
};

/** Options for hfx_revert() and hfx_revert_all(). As #hfx_apply_opts. */
struct hfx_revert_opts {
	size_t sz;
	uint32_t timeout_ms;
	uint32_t max_pause_us;
	const char *helper_path;
	struct hfx_stop_info *stop_ret;
	/** Set of #hfx_revert_flags. */
	uint32_t flags;
	/** Must be 0. */
	uint32_t reserved;
};

/**
 * Put back the functions that patch @p id replaced, at a moment in which no
 * thread is inside its code. One that waits (#HFX_APPLY_WAIT) does so no
 * longer.
 *
 * Data the patch changed while it was in force is not restored. The patch's
 * code stays mapped, since a saved pointer may still lead to it; applying the
 * same bundle again uses it again.
 */
HFX_API HFX_MUST_CHECK struct hfx_error *
hfx_revert(const struct hfx_patch_id *id, const struct hfx_revert_opts *opts);

/** Revert every applied patch, newest first, in one stop; none is no error. */
HFX_API HFX_MUST_CHECK struct hfx_error *
hfx_revert_all(const struct hfx_revert_opts *opts);

/* ---- Looking ----------------------------------------------------------- */

enum hfx_patch_state {
	HFX_PATCH_APPLIED = 0,
	/** #HFX_APPLY_WAIT: it will be applied when its module is loaded. */
	HFX_PATCH_WAITING = 1,
};

/**
 * One patch that is applied or waits; one of several modules has an entry for
 * each. Allocated by the library.
 */
struct hfx_patch_info {
	struct hfx_patch_id id;
	/** Given to hfx-bundle; never `NULL`, perhaps empty. */
	const char *name;
	const char *version;
	const char *description;
	/** File name of the patched program or library. */
	const char *module_name;
	/** When it was applied, CLOCK_REALTIME, nanoseconds. */
	uint64_t applied_ns;
	/** How long threads were stopped for it, nanoseconds. */
	uint64_t pause_ns;
	size_t num_functions;
	/** One of #hfx_patch_state. */
	uint32_t state;
	/**
	 * Why it could not be applied when its module was loaded; empty if it
	 * was not tried; never `NULL`.
	 */
	const char *reason;
};

/** Snapshot of the patches: those that wait, then the others, oldest first. */
struct hfx_patch_list;

/**
 * Take a snapshot. Later applies and reverts do not change it.
 *
 * @param[out] ret Snapshot; the caller passes it to hfx_patch_list_destroy().
 */
HFX_API HFX_MUST_CHECK struct hfx_error *
hfx_patch_list_create(struct hfx_patch_list **ret);

HFX_API size_t hfx_patch_list_count(const struct hfx_patch_list *list);

/**
 * @return Entry @p i, valid until the list is destroyed, or `NULL` if @p i is
 * out of range.
 */
HFX_API const struct hfx_patch_info *
hfx_patch_list_get(const struct hfx_patch_list *list, size_t i);

/** Free @p list. `NULL` is allowed and ignored. */
HFX_API void hfx_patch_list_destroy(struct hfx_patch_list *list);

/** State of hfx in this process. Allocated by the caller; set `sz` first. */
struct hfx_status {
	size_t sz;
	/** Goes up by one with every successful apply and revert. */
	uint64_t generation;
	uint32_t num_applied;
	/** #HFX_ERROR_NONE, or the code every apply would fail with now. */
	uint32_t blocked_by;
	/** Patches that wait for a module. */
	uint32_t num_waiting;
	uint32_t reserved;
};

/** Fill the first `status->sz` bytes of @p status. */
HFX_API HFX_MUST_CHECK struct hfx_error *
hfx_get_status(struct hfx_status *status);

#ifdef __cplusplus
}
#endif

#endif /* HFX_H */
