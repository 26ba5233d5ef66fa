/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "api.h"
#include "bundle.h"
#include "cleanup.h"
#include "engine.h"
#include "log.h"
#include "perf_map.h"
#include "target.h"
#include "waiting.h"

/**
 * Process that is inside an apply or revert. A pid rather than a flag: a child
 * that was forked meanwhile inherits the value, but not the thread.
 */
static atomic_int busy_pid;

/** Its thread. */
static atomic_int busy_tid;

/**
 * Stack pointer of the call that is in progress: what is above it is the
 * program's. Guarded by `busy_pid`.
 */
static uint64_t caller_stack_addr;

/**
 * Process in which a thread that loads a library waits for the end of a change:
 * it comes next, since others wait for what it holds.
 */
static atomic_int loading_pid;

/** Set by the first change that could not be undone. */
static atomic_bool is_poisoned;

/** @param[in] is_loading Whether the thread is the one of `loading_pid`. */
static struct hfx_error *begin(const void *frame, bool is_loading)
{
	int self = (int)getpid();
	int seen = atomic_load(&busy_pid);
	bool is_next = is_loading || atomic_load(&loading_pid) != self;

	if (atomic_load(&is_poisoned))
		return hfx_error_create(HFX_ERROR_POISONED,
		                        "an earlier change failed half-way and "
		                        "could not be undone; replace the "
		                        "process");
	if (seen == self || !is_next ||
	    !atomic_compare_exchange_strong(&busy_pid, &seen, self))
		return hfx_error_create(HFX_ERROR_BUSY,
		                        "another apply or revert is in "
		                        "progress");
	atomic_store(&busy_tid, gettid());
	caller_stack_addr = (uint64_t)(uintptr_t)frame;
	return NULL;
}

struct hfx_error *api_begin(const void *frame)
{
	return begin(frame, false);
}

void api_loading_pause(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	nanosleep(&pause, NULL);
}

struct hfx_error *api_begin_loading(const void *frame)
{
	struct hfx_error *err;

	atomic_store(&loading_pid, (int)getpid());
	for (int i = 0;; i++) {
		err = begin(frame, true);
		if (hfx_error_code(err) != HFX_ERROR_BUSY ||
		    i == API_LOADING_TRIES)
			break;
		hfx_error_destroy(err);
		api_loading_pause();
	}
	atomic_store(&loading_pid, 0);
	return err;
}

struct hfx_error *api_end(struct hfx_error *err)
{
	if (hfx_error_code(err) == HFX_ERROR_POISONED)
		atomic_store(&is_poisoned, true);
	atomic_store(&busy_tid, 0);
	atomic_store(&busy_pid, 0);
	waiting_catch_up();
	return err;
}

bool api_is_changing(void)
{
	return atomic_load(&busy_tid) == gettid();
}

bool api_is_poisoned(void)
{
	return atomic_load(&is_poisoned);
}

/**
 * Copy options of a caller that knows @p from_size bytes of them into @p to.
 * Bytes that this library does not know must be zero.
 */
static struct hfx_error *take_options(const void *from, size_t from_size,
                                      void *to, size_t to_size)
{
	const uint8_t *bytes = from;

	if (from_size < sizeof(size_t) || from_size > 4096)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the options' sz is not set to their "
		                        "size");
	for (size_t i = to_size; i < from_size; i++)
		if (bytes[i])
			return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
			                        "the options are of a newer "
			                        "libhfx");
	memset(to, 0, to_size);
	memcpy(to, from, from_size < to_size ? from_size : to_size);
	return NULL;
}

static struct hfx_error *check_flags(uint32_t unknown, uint32_t reserved,
                                     const struct hfx_stop_info *stop)
{
	if (unknown || reserved)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the options have flags that this "
		                        "libhfx does not know");
	if (stop && stop->sz < sizeof(stop->sz))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the sz of stop_ret is not set to its "
		                        "size");
	return NULL;
}

/** Fill in the first `stop->sz` bytes of @p stop, if there is one. */
static void give_stop(const struct commit_result *result,
                      struct hfx_stop_info *stop)
{
	struct hfx_stop_info full = {
		.pause_ns = result->pause_ns,
		.num_threads = result->num_threads,
		.num_tries = result->num_tries,
	};

	if (!stop)
		return;
	full.sz = stop->sz;
	memcpy(stop, &full, full.sz < sizeof(full) ? full.sz : sizeof(full));
}

struct hfx_error *api_open_self(const char *helper_path, struct target **ret)
{
	return target_create_self(helper_path, caller_stack_addr, ret);
}

static struct hfx_error *take_apply_options(const struct hfx_apply_opts *from,
                                            struct hfx_apply_opts *to)
{
	const uint32_t known = HFX_APPLY_DRY_RUN | HFX_APPLY_ALLOW_ACTIVE |
	                       HFX_APPLY_REPLACE_ALL |
	                       HFX_APPLY_REDIRECT_CALLS | HFX_APPLY_WAIT;

	*to = (struct hfx_apply_opts){.sz = sizeof(*to)};
	if (from)
		HFX_TRY(take_options(from, from->sz, to, sizeof(*to)));
	if (to->num_replaces && !to->replaces)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the options count patches to replace, "
		                        "but name none");
	return check_flags(to->flags & ~known, to->reserved, to->stop_ret);
}

/**
 * For profilers, where the environment asks for it. The bundle is applied with
 * or without.
 */
static void write_perf_map(struct target *target)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};
	const char *wish = secure_getenv("HFX_PERF_MAP");
	char path[PERF_MAP_PATH_SIZE];
	struct hfx_error *err;
	size_t count;

	if (!wish || strcmp(wish, "1") != 0)
		return;
	err = engine_list(target, &patches);
	if (!err)
		err = perf_map_write(target->pid, &patches, path, &count);
	if (err)
		log_message(HFX_LOG_WARNING, "no map for perf: %s",
		            hfx_error_message(err));
	hfx_error_destroy(err);
}

static struct hfx_error *copy_ids(const struct hfx_patch_id *ids, size_t count,
                                  struct digest **ret)
{
	*ret = calloc(count + 1, sizeof(**ret));
	if (!*ret)
		return hfx_error_no_memory();
	for (size_t i = 0; i < count; i++)
		memcpy((*ret)[i].bytes, ids[i].bytes, sizeof(ids[i].bytes));
	return NULL;
}

struct hfx_error *api_apply(const struct bundle *bundle,
                            const struct hfx_apply_opts *opts, bool *waits_ret)
{
	HFX_CLEANUP(hfx_free) struct digest *replaces = NULL;
	struct engine_options options = {
		.dry_run = (opts->flags & HFX_APPLY_DRY_RUN) != 0,
		.allow_active = (opts->flags & HFX_APPLY_ALLOW_ACTIVE) != 0,
		.redirect_calls = (opts->flags & HFX_APPLY_REDIRECT_CALLS) != 0,
		.replaces_all = (opts->flags & HFX_APPLY_REPLACE_ALL) != 0,
		.num_replaces = opts->num_replaces,
		.timeout_ms = opts->timeout_ms,
		.max_pause_us = opts->max_pause_us,
		.waits_ret = waits_ret,
	};
	struct commit_result result = {0};
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(copy_ids(opts->replaces, opts->num_replaces, &replaces));
	options.replaces = replaces;
	HFX_TRY(api_open_self(opts->helper_path, &target));
	err = engine_apply(target, bundle, &options, &result);
	if (!err && !options.dry_run)
		write_perf_map(target);
	target_destroy(target);
	if (!err)
		give_stop(&result, opts->stop_ret);
	return err;
}

/** From @p path, or if that is `NULL` from @p fd. */
static struct hfx_error *read_and_apply(const char *path, int fd,
                                        const struct hfx_apply_opts *opts,
                                        struct hfx_patch_id *id_ret)
{
	HFX_CLEANUP(trust_cleanup) struct trust *trust = NULL;
	struct hfx_apply_opts known;
	struct bundle *bundle;
	struct hfx_error *err;
	struct digest id;

	HFX_TRY(take_apply_options(opts, &known));
	HFX_TRY(api_load_trust(&trust));
	if (path)
		HFX_TRY(bundle_read_trusted(path, trust, &bundle));
	else
		HFX_TRY(bundle_read_fd(fd, trust, &bundle));
	id = bundle->id;
	if (known.flags & HFX_APPLY_WAIT) {
		err = waiting_apply(bundle, &known);
	} else {
		err = api_apply(bundle, &known, NULL);
		bundle_destroy(bundle);
	}
	if (!err && !(known.flags & HFX_APPLY_DRY_RUN))
		waiting_drop_replaced(&known, &id);
	if (!err && id_ret)
		memcpy(id_ret->bytes, id.bytes, sizeof(id_ret->bytes));
	return path ? hfx_error_wrap(err, "%s", path) : err;
}

static struct hfx_error *locked_apply(const char *path, int fd,
                                      const struct hfx_apply_opts *opts,
                                      struct hfx_patch_id *id_ret,
                                      const void *frame)
{
	int saved_errno = errno;
	struct hfx_error *err = api_begin(frame);

	if (!err)
		err = api_end(read_and_apply(path, fd, opts, id_ret));
	errno = saved_errno;
	return err;
}

HFX_API struct hfx_error *hfx_apply_bundle(const char *path,
                                           const struct hfx_apply_opts *opts,
                                           struct hfx_patch_id *id_ret)
{
	if (!path)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "no path of a bundle is given");
	return locked_apply(path, -1, opts, id_ret, __builtin_frame_address(0));
}

HFX_API struct hfx_error *hfx_apply_bundle_fd(int fd,
                                              const struct hfx_apply_opts *opts,
                                              struct hfx_patch_id *id_ret)
{
	return locked_apply(NULL, fd, opts, id_ret, __builtin_frame_address(0));
}

/** @param[in] id Patch, or `NULL` for all. */
static struct hfx_error *revert(const struct hfx_patch_id *id,
                                const struct hfx_revert_opts *opts)
{
	struct hfx_revert_opts known = {.sz = sizeof(known)};
	struct engine_options options = {0};
	struct commit_result result = {0};
	struct digest digest;
	struct target *target;
	struct hfx_error *err;

	if (opts)
		HFX_TRY(take_options(opts, opts->sz, &known, sizeof(known)));
	HFX_TRY(check_flags(known.flags & ~(uint32_t)HFX_REVERT_ALLOW_ACTIVE,
	                    known.reserved, known.stop_ret));
	options.allow_active = (known.flags & HFX_REVERT_ALLOW_ACTIVE) != 0;
	options.timeout_ms = known.timeout_ms;
	options.max_pause_us = known.max_pause_us;
	HFX_TRY(api_open_self(known.helper_path, &target));
	if (id) {
		memcpy(digest.bytes, id->bytes, sizeof(digest.bytes));
		err = engine_revert(target, &digest, &options, &result);
	} else {
		err = engine_revert_all(target, &options, &result);
	}
	target_destroy(target);
	if (!err)
		waiting_drop(id);
	if (!err)
		give_stop(&result, known.stop_ret);
	return err;
}

static struct hfx_error *locked_revert(const struct hfx_patch_id *id,
                                       const struct hfx_revert_opts *opts,
                                       const void *frame)
{
	int saved_errno = errno;
	struct hfx_error *err = api_begin(frame);

	if (!err)
		err = api_end(revert(id, opts));
	errno = saved_errno;
	return err;
}

HFX_API struct hfx_error *hfx_revert(const struct hfx_patch_id *id,
                                     const struct hfx_revert_opts *opts)
{
	if (!id)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "no patch is given");
	return locked_revert(id, opts, __builtin_frame_address(0));
}

HFX_API struct hfx_error *hfx_revert_all(const struct hfx_revert_opts *opts)
{
	return locked_revert(NULL, opts, __builtin_frame_address(0));
}

HFX_API void hfx_set_log(hfx_log_fn *fn, void *arg, enum hfx_log_level max)
{
	log_set(fn, arg, max);
}

HFX_API uint32_t hfx_version(void)
{
	return HFX_VERSION_MAJOR << 16 | HFX_VERSION_MINOR << 8 |
	       HFX_VERSION_PATCH;
}
