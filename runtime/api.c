/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "api.h"
#include "bundle.h"
#include "cleanup.h"
#include "engine.h"
#include "log.h"
#include "perf_map.h"
#include "target.h"

/**
 * Process that is inside an apply or revert. A pid rather than a flag: a child
 * that was forked meanwhile inherits the value, but not the thread.
 */
static atomic_int busy_pid;

/** Set by the first change that could not be undone. */
static atomic_bool is_poisoned;

static struct hfx_error *begin(void)
{
	int self = (int)getpid();
	int seen = atomic_load(&busy_pid);

	if (atomic_load(&is_poisoned))
		return hfx_error_create(HFX_ERROR_POISONED,
		                        "an earlier change failed half-way and "
		                        "could not be undone; replace the "
		                        "process");
	if (seen == self ||
	    !atomic_compare_exchange_strong(&busy_pid, &seen, self))
		return hfx_error_create(HFX_ERROR_BUSY,
		                        "another apply or revert is in "
		                        "progress");
	return NULL;
}

/** Give @p err on. */
static struct hfx_error *end(struct hfx_error *err)
{
	if (hfx_error_code(err) == HFX_ERROR_POISONED)
		atomic_store(&is_poisoned, true);
	atomic_store(&busy_pid, 0);
	return err;
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

static struct hfx_error *take_apply_options(const struct hfx_apply_opts *from,
                                            struct hfx_apply_opts *to)
{
	*to = (struct hfx_apply_opts){.sz = sizeof(*to)};
	if (from)
		HFX_TRY(take_options(from, from->sz, to, sizeof(*to)));
	if (to->flags & ~(uint32_t)HFX_APPLY_DRY_RUN || to->reserved)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the options have flags that this "
		                        "libhfx does not know");
	return NULL;
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

static struct hfx_error *apply(const struct bundle *bundle,
                               const struct hfx_apply_opts *opts)
{
	const struct engine_options options = {
		.dry_run = (opts->flags & HFX_APPLY_DRY_RUN) != 0,
		.timeout_ms = opts->timeout_ms,
		.max_pause_us = opts->max_pause_us,
	};
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(target_create_self(opts->helper_path, &target));
	err = engine_apply(target, bundle, &options, NULL);
	if (!err && !options.dry_run)
		write_perf_map(target);
	target_destroy(target);
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

	HFX_TRY(take_apply_options(opts, &known));
	HFX_TRY(api_load_trust(&trust));
	if (path)
		HFX_TRY(bundle_read_trusted(path, trust, &bundle));
	else
		HFX_TRY(bundle_read_fd(fd, trust, &bundle));
	err = apply(bundle, &known);
	if (!err && id_ret)
		memcpy(id_ret->bytes, bundle->id.bytes, sizeof(id_ret->bytes));
	bundle_destroy(bundle);
	return path ? hfx_error_wrap(err, "%s", path) : err;
}

static struct hfx_error *locked_apply(const char *path, int fd,
                                      const struct hfx_apply_opts *opts,
                                      struct hfx_patch_id *id_ret)
{
	int saved_errno = errno;
	struct hfx_error *err = begin();

	if (!err)
		err = end(read_and_apply(path, fd, opts, id_ret));
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
	return locked_apply(path, -1, opts, id_ret);
}

HFX_API struct hfx_error *hfx_apply_bundle_fd(int fd,
                                              const struct hfx_apply_opts *opts,
                                              struct hfx_patch_id *id_ret)
{
	return locked_apply(NULL, fd, opts, id_ret);
}

/** @param[in] id Patch, or `NULL` for all. */
static struct hfx_error *revert(const struct hfx_patch_id *id,
                                const struct hfx_revert_opts *opts)
{
	struct hfx_revert_opts known = {.sz = sizeof(known)};
	struct engine_options options = {0};
	struct digest digest;
	struct target *target;
	struct hfx_error *err;

	if (opts)
		HFX_TRY(take_options(opts, opts->sz, &known, sizeof(known)));
	options.timeout_ms = known.timeout_ms;
	options.max_pause_us = known.max_pause_us;
	HFX_TRY(target_create_self(known.helper_path, &target));
	if (id) {
		memcpy(digest.bytes, id->bytes, sizeof(digest.bytes));
		err = engine_revert(target, &digest, &options, NULL);
	} else {
		err = engine_revert_all(target, &options, NULL);
	}
	target_destroy(target);
	return err;
}

static struct hfx_error *locked_revert(const struct hfx_patch_id *id,
                                       const struct hfx_revert_opts *opts)
{
	int saved_errno = errno;
	struct hfx_error *err = begin();

	if (!err)
		err = end(revert(id, opts));
	errno = saved_errno;
	return err;
}

HFX_API struct hfx_error *hfx_revert(const struct hfx_patch_id *id,
                                     const struct hfx_revert_opts *opts)
{
	if (!id)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "no patch is given");
	return locked_revert(id, opts);
}

HFX_API struct hfx_error *hfx_revert_all(const struct hfx_revert_opts *opts)
{
	return locked_revert(NULL, opts);
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
