/* SPDX-License-Identifier: MIT */
/*
 * What waits stays in a list for as long as its patch is not taken back: when
 * its module is unloaded and loaded again, it is applied again. The bundle was
 * read and its signature checked when it was given to us.
 *
 * A library is loaded under the dynamic linker's lock, which a thread that is
 * in the middle of another change may want, too. So the loading thread waits
 * for the end of that change, but not for ever; what it then leaves undone is
 * done by the thread that ends the change.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "cleanup.h"
#include "engine.h"
#include "load_notice.h"
#include "loaded.h"
#include "log.h"
#include "tracer.h"
#include "waiting.h"

struct waiting {
	struct waiting *next;
	/** Owned. */
	struct bundle *bundle;
	/** As for an apply, without what is for its caller. */
	struct hfx_apply_opts opts;
	/** What they refer to, owned. */
	char *helper_path;
	struct hfx_patch_id *replaces;
	/** What was said last, owned; may be `NULL`. */
	char *reason;
	/** Whether it could not be applied. */
	bool has_failed;
	/** Whether it is said on the standard error. */
	bool tells;
	/** Record of each module that waits; 0 for the others. */
	uint64_t *record_addrs;
};

/** Oldest first. Changed in the middle of a change only. */
static struct waiting *_Atomic first;

/** Something was loaded or unloaded that was not looked at yet. */
static atomic_bool is_behind;

/** The program has not begun, and its start is told of. */
static bool is_telling;

static waiting_load_fn *watcher;

static void waiting_destroy(struct waiting *waiting)
{
	if (!waiting)
		return;
	bundle_destroy(waiting->bundle);
	free(waiting->helper_path);
	free(waiting->replaces);
	free(waiting->reason);
	free(waiting->record_addrs);
	free(waiting);
}

static void waiting_cleanup(struct waiting **waiting)
{
	waiting_destroy(*waiting);
}

/** Needs no more than to read and write this process. */
static struct hfx_error *open_self(struct target **ret)
{
	return target_create_self(NULL, 0, ret);
}

static struct hfx_error *list_self(struct engine_patches *ret)
{
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(open_self(&target));
	err = engine_list(target, ret);
	target_destroy(target);
	return err;
}

/* ---- What is there ----------------------------------------------------- */

static size_t num_modules(const struct waiting *waiting)
{
	return waiting->bundle->manifest->num_modules;
}

static bool is_of(const struct waiting *waiting, const struct hfx_patch_id *id)
{
	return !memcmp(waiting->bundle->id.bytes, id->bytes, sizeof(id->bytes));
}

/** Whether some module, or all of them, are at @p position or behind. */
static bool is_loaded(const struct waiting *waiting, size_t position, bool all)
{
	size_t count = 0;

	for (size_t i = 0; i < num_modules(waiting); i++)
		count += loaded_has_build(
			&waiting->bundle->manifest->modules[i].old_build_id,
			position);
	return all ? count == num_modules(waiting) : count > 0;
}

static bool has_records(const struct waiting *waiting)
{
	for (size_t i = 0; i < num_modules(waiting); i++)
		if (waiting->record_addrs[i])
			return true;
	return false;
}

/** Whether `hfx revert` has taken it back while it waited. */
static bool was_taken_back(const struct waiting *waiting)
{
	for (size_t i = 0; i < num_modules(waiting); i++) {
		const struct record_header *header =
			(const struct record_header *)(uintptr_t)
				waiting->record_addrs[i];

		if (header && header->state != RECORD_WAITING)
			return true;
	}
	return false;
}

/** Whether the newest life of the patch was reverted. */
static bool was_reverted(const struct waiting *waiting,
                         const struct engine_patches *patches)
{
	const struct engine_patch *newest = NULL;

	for (size_t i = 0; i < patches->num_patches; i++)
		if (digest_equal(&patches->patches[i].id, &waiting->bundle->id))
			newest = &patches->patches[i];
	return newest && newest->state == RECORD_REVERTED;
}

static bool is_applied_to(const struct waiting *waiting, size_t index,
                          const struct engine_patches *patches)
{
	const struct build_id *build_id =
		&waiting->bundle->manifest->modules[index].old_build_id;

	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *patch = &patches->patches[i];

		if (patch->state == RECORD_APPLIED &&
		    digest_equal(&patch->id, &waiting->bundle->id) &&
		    patch->build_id.size == build_id->size &&
		    !memcmp(patch->build_id.bytes, build_id->bytes,
		            build_id->size))
			return true;
	}
	return false;
}

/* ---- Records ----------------------------------------------------------- */

static void hide(struct target *target, struct waiting *waiting)
{
	for (size_t i = 0; i < num_modules(waiting); i++) {
		engine_waiting_destroy(target, waiting->record_addrs[i]);
		waiting->record_addrs[i] = 0;
	}
}

/** Have the process say what it waits for now. */
static struct hfx_error *show_in(struct target *target, struct waiting *waiting,
                                 const char *reason)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};
	struct hfx_error *err = NULL;

	hide(target, waiting);
	HFX_TRY(engine_list(target, &patches));
	for (size_t i = 0; i < num_modules(waiting) && !err; i++)
		if (!is_applied_to(waiting, i, &patches))
			err = engine_waiting_create(target, waiting->bundle, i,
			                            reason,
			                            &waiting->record_addrs[i]);
	if (err)
		hide(target, waiting);
	return err;
}

static struct hfx_error *show(struct waiting *waiting, const char *reason)
{
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(open_self(&target));
	err = show_in(target, waiting, reason);
	target_destroy(target);
	return err;
}

/* ---- The list ---------------------------------------------------------- */

static void append(struct waiting *waiting)
{
	struct waiting *last = first;

	if (!last) {
		first = waiting;
		return;
	}
	while (last->next)
		last = last->next;
	last->next = waiting;
}

static struct waiting *find(const struct digest *id)
{
	struct waiting *waiting = first;

	while (waiting && !digest_equal(&waiting->bundle->id, id))
		waiting = waiting->next;
	return waiting;
}

static void drop(struct waiting *waiting)
{
	struct waiting *before = first;
	struct target *target;
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = open_self(&target);

	if (!err) {
		hide(target, waiting);
		target_destroy(target);
	}
	if (before == waiting) {
		first = waiting->next;
	} else {
		while (before->next != waiting)
			before = before->next;
		before->next = waiting->next;
	}
	waiting_destroy(waiting);
}

void waiting_drop(const struct hfx_patch_id *id)
{
	for (struct waiting *waiting = first, *next; waiting; waiting = next) {
		next = waiting->next;
		if (!id || is_of(waiting, id))
			drop(waiting);
	}
}

void waiting_drop_replaced(const struct hfx_apply_opts *opts,
                           const struct digest *id)
{
	for (struct waiting *waiting = first, *next; waiting; waiting = next) {
		next = waiting->next;
		if ((opts->flags & HFX_APPLY_REPLACE_ALL) &&
		    !digest_equal(&waiting->bundle->id, id))
			drop(waiting);
	}
	for (size_t i = 0; i < opts->num_replaces; i++)
		waiting_drop(&opts->replaces[i]);
}

/* ---- What it takes the place of ---------------------------------------- */

static bool is_in_place(const struct engine_patches *patches,
                        const struct hfx_patch_id *id)
{
	for (size_t i = 0; i < patches->num_patches; i++) {
		const struct engine_patch *patch = &patches->patches[i];

		if (engine_patch_is_in_place(patch) &&
		    !memcmp(patch->id.bytes, id->bytes, sizeof(id->bytes)))
			return true;
	}
	return false;
}

/** Those that are there by now: the others need no replacing. */
static struct hfx_error *choose_replaced(struct waiting *waiting)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};
	size_t count = 0;

	if (!waiting->opts.num_replaces)
		return NULL;
	HFX_TRY(list_self(&patches));
	for (size_t i = 0; i < waiting->opts.num_replaces; i++)
		if (is_in_place(&patches, &waiting->replaces[i]))
			waiting->replaces[count++] = waiting->replaces[i];
	waiting->opts.num_replaces = count;
	return NULL;
}

/** All that is applied when it begins to wait, not what comes later. */
static struct hfx_error *name_all(struct waiting *waiting,
                                  const struct engine_patches *patches)
{
	waiting->opts.flags &= ~(uint32_t)HFX_APPLY_REPLACE_ALL;
	waiting->opts.num_replaces = 0;
	free(waiting->replaces);
	waiting->replaces =
		calloc(patches->num_patches + 1, sizeof(*waiting->replaces));
	waiting->opts.replaces = waiting->replaces;
	if (!waiting->replaces)
		return hfx_error_no_memory();
	for (size_t i = 0; i < patches->num_patches; i++)
		if (patches->patches[i].state == RECORD_APPLIED)
			memcpy(waiting->replaces[waiting->opts.num_replaces++]
			               .bytes,
			       patches->patches[i].id.bytes, DIGEST_SIZE);
	return NULL;
}

/** Error: #HFX_ERROR_NOT_APPLIED, as when it is applied at once. */
static struct hfx_error *take_replaced(struct waiting *waiting)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};

	HFX_TRY(list_self(&patches));
	if (waiting->opts.flags & HFX_APPLY_REPLACE_ALL)
		return name_all(waiting, &patches);
	for (size_t i = 0; i < waiting->opts.num_replaces; i++)
		if (!is_in_place(&patches, &waiting->replaces[i]))
			return hfx_error_create(HFX_ERROR_NOT_APPLIED,
			                        "a patch that is to be "
			                        "replaced is not applied");
	return NULL;
}

/* ---- Applying ---------------------------------------------------------- */

/** Say what is not said yet; @p err is taken. */
static void tell(struct waiting *waiting, struct hfx_error *err)
{
	const char *name = waiting->bundle->manifest->name;
	const char *reason = hfx_error_message(err);

	if (!waiting->reason || strcmp(waiting->reason, reason) != 0) {
		free(waiting->reason);
		waiting->reason = strdup(reason);
		log_message(HFX_LOG_ERROR, "%s was waited for: %s", name,
		            reason);
		if (waiting->tells)
			dprintf(STDERR_FILENO, "hfx: %s was waited for: %s\n",
			        name, reason);
	}
	hfx_error_destroy(err);
}

/** Its modules are loaded, or were a moment ago. */
static void apply_now(struct waiting *waiting)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *show_err = NULL;
	struct hfx_error *err = choose_replaced(waiting);
	bool waits;

	for (int i = 0; !err && i < API_LOADING_TRIES; i++) {
		waits = false;
		err = api_apply(waiting->bundle, &waiting->opts, &waits);
		/* Another process is changing this one. */
		if (hfx_error_code(err) != HFX_ERROR_BUSY ||
		    i == API_LOADING_TRIES - 1)
			break;
		hfx_error_destroy(err);
		err = NULL;
		api_loading_pause();
	}
	if (hfx_error_code(err) == HFX_ERROR_ALREADY_APPLIED) {
		hfx_error_destroy(err);
		err = NULL;
	}
	waiting->has_failed = err != NULL;
	show_err = show(waiting, err ? hfx_error_message(err) : "");
	if (err) {
		tell(waiting, err);
		return;
	}
	free(waiting->reason);
	waiting->reason = NULL;
}

/** One that was applied: is it still wanted, and what of it is gone? */
static void look_again(struct waiting *waiting)
{
	HFX_CLEANUP(engine_patches_deinit) struct engine_patches patches = {0};
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = list_self(&patches);

	if (err)
		return;
	if (was_reverted(waiting, &patches))
		drop(waiting);
	else if (is_loaded(waiting, 0, true))
		apply_now(waiting);
	else
		err = show(waiting, "");
}

static void look_at(struct waiting *waiting)
{
	bool is_due = waiting->has_failed || has_records(waiting);

	if (was_taken_back(waiting))
		drop(waiting);
	else if (is_due && is_loaded(waiting, 0, true))
		apply_now(waiting);
	else if (!has_records(waiting) &&
	         (is_loaded(waiting, load_notice_first(), false) ||
	          !is_loaded(waiting, 0, true)))
		look_again(waiting);
}

/** In the middle of a change. */
static void look_at_all(void)
{
	atomic_store(&is_behind, false);
	for (struct waiting *waiting = first, *next; waiting; waiting = next) {
		next = waiting->next;
		look_at(waiting);
	}
}

void waiting_catch_up(void)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;

	if (!atomic_load(&is_behind))
		return;
	err = api_begin(__builtin_frame_address(0));
	if (err)
		return;
	look_at_all();
	err = api_end(NULL);
}

/** In a change by this very thread nothing can be done until it ends. */
static void look_while_loading(void)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;

	atomic_store(&is_behind, true);
	if (api_is_changing())
		return;
	err = api_begin_loading(__builtin_frame_address(0));
	if (err) {
		load_notice_go_on();
		return;
	}
	look_at_all();
	err = api_end(NULL);
}

static void on_load(void)
{
	if (first)
		look_while_loading();
	if (watcher && !api_is_changing())
		watcher();
}

/* ---- Beginning to wait ------------------------------------------------- */

static struct hfx_error *waiting_create(struct bundle *bundle,
                                        const struct hfx_apply_opts *opts,
                                        struct waiting **ret)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	size_t count = opts->num_replaces;

	if (!waiting) {
		bundle_destroy(bundle);
		return hfx_error_no_memory();
	}
	waiting->bundle = bundle;
	waiting->opts = *opts;
	waiting->opts.stop_ret = NULL;
	/* Nobody but the start of the program waits for more in a dlopen(). */
	waiting->tells = is_telling || load_notice_first() != LOAD_NOTICE_NONE;
	waiting->record_addrs = calloc(num_modules(waiting) + 1,
	                               sizeof(*waiting->record_addrs));
	waiting->replaces = calloc(count + 1, sizeof(*waiting->replaces));
	if (opts->helper_path)
		waiting->helper_path = strdup(opts->helper_path);
	if (!waiting->record_addrs || !waiting->replaces ||
	    (opts->helper_path && !waiting->helper_path)) {
		waiting_destroy(waiting);
		return hfx_error_no_memory();
	}
	if (count)
		memcpy(waiting->replaces, opts->replaces,
		       count * sizeof(*waiting->replaces));
	waiting->opts.helper_path = waiting->helper_path;
	waiting->opts.replaces = waiting->replaces;
	*ret = waiting;
	return NULL;
}

static struct hfx_error *watch_loads(const struct hfx_apply_opts *opts)
{
	struct target *target;
	struct hfx_error *err;

	HFX_TRY(api_open_self(opts ? opts->helper_path : NULL, &target));
	tracer_remember_folder();
	err = load_notice_install(target, on_load);
	target_destroy(target);
	return err;
}

/** What is not there yet is waited for from now on. */
static struct hfx_error *begin_to_wait(struct waiting *waiting)
{
	const char *name = waiting->bundle->manifest->name;

	if (find(&waiting->bundle->id))
		return hfx_error_create(HFX_ERROR_ALREADY_APPLIED,
		                        "%s waits already for what the process "
		                        "has not loaded",
		                        name);
	HFX_TRY(take_replaced(waiting));
	HFX_TRY(watch_loads(&waiting->opts));
	HFX_TRY(show(waiting, ""));
	log_message(HFX_LOG_INFO, "%s (%s) waits for what is not loaded yet",
	            name, digest_text(&waiting->bundle->id).text);
	return NULL;
}

/**
 * While the program starts, what is loaded stays, so that without anything to
 * wait for the dynamic linker's code is left alone.
 */
struct hfx_error *waiting_apply(struct bundle *bundle,
                                const struct hfx_apply_opts *opts)
{
	HFX_CLEANUP(waiting_cleanup) struct waiting *waiting = NULL;
	bool is_dry_run = (opts->flags & HFX_APPLY_DRY_RUN) != 0;
	bool waits = false;

	HFX_TRY(waiting_create(bundle, opts, &waiting));
	if (!is_telling && !is_dry_run)
		HFX_TRY(watch_loads(opts));
	HFX_TRY(api_apply(bundle, opts, &waits));
	if (is_dry_run || (!waits && (is_telling || find(&bundle->id))))
		return NULL;
	if (waits)
		HFX_TRY(begin_to_wait(waiting));
	append(waiting);
	/* It may have been loaded meanwhile. */
	if (waits && is_loaded(waiting, 0, true))
		atomic_store(&is_behind, true);
	waiting = NULL;
	return NULL;
}

void waiting_set_telling(bool value)
{
	is_telling = value;
}

struct hfx_error *waiting_watch(waiting_load_fn *fn)
{
	struct hfx_error *err;

	HFX_TRY(api_begin(__builtin_frame_address(0)));
	err = watch_loads(NULL);
	if (!err)
		watcher = fn;
	return api_end(err);
}
