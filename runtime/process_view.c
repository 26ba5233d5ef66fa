/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "cleanup.h"
#include "engine_private.h"
#include "maps.h"
#include "modules.h"
#include "proc_status.h"
#include "process_view.h"
#include "target.h"

/* ---- The list ---------------------------------------------------------- */

void process_list_deinit(struct process_list *list)
{
	free(list->pids);
	*list = (struct process_list){0};
}

static int by_pid(const void *a, const void *b)
{
	pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;

	return (left > right) - (left < right);
}

static void close_folder(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

struct hfx_error *process_list_read(struct process_list *ret)
{
	HFX_CLEANUP(process_list_deinit) struct process_list list = {0};
	HFX_CLEANUP(close_folder) DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return hfx_error_os(errno, "cannot list /proc");
	while ((entry = readdir(dir))) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (!isdigit((unsigned char)*entry->d_name) || pid <= 0 ||
		    pid > INT_MAX || pid == getpid())
			continue;
		if (!HFX_ARRAY_PUSH(&list, pids, (pid_t)pid))
			return hfx_error_no_memory();
	}
	hfx_array_sort(list.pids, list.num_pids, sizeof(*list.pids), by_pid);
	*ret = list;
	list = (struct process_list){0};
	return NULL;
}

/* ---- One process ------------------------------------------------------- */

void process_view_deinit(struct process_view *view)
{
	engine_patches_deinit(&view->patches);
	free(view->module_path);
	*view = (struct process_view){0};
}

static const struct module *find_module(const struct modules *modules,
                                        const struct build_id *wanted)
{
	for (size_t i = 0; i < modules->num_modules; i++) {
		const struct build_id *present = &modules->modules[i].build_id;

		if (present->size == wanted->size &&
		    !memcmp(present->bytes, wanted->bytes, wanted->size))
			return &modules->modules[i];
	}
	return NULL;
}

static struct hfx_error *look_for_modules(struct target *target,
                                          const struct maps *maps,
                                          const struct manifest *manifest,
                                          struct process_view *view)
{
	HFX_CLEANUP(modules_deinit) struct modules modules = {0};

	if (!manifest && !view->patches.num_patches)
		return NULL;
	HFX_TRY(modules_read(target, maps, &modules));
	HFX_TRY(engine_find_unloaded(target, &modules, &view->patches));
	if (!manifest)
		return NULL;
	view->fits = true;
	for (size_t i = 0; i < manifest->num_modules; i++) {
		const struct module *module = find_module(
			&modules, &manifest->modules[i].old_build_id);

		if (!module) {
			view->fits = false;
			continue;
		}
		if (view->module_path)
			continue;
		view->module_path = strdup(module->path);
		if (!view->module_path)
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *look(struct target *target,
                              const struct bundle *bundle,
                              struct process_view *view)
{
	HFX_CLEANUP(maps_deinit) struct maps maps = {0};
	struct proc_status status;

	if (proc_status_read(target->pid, target->pid, &status))
		return hfx_error_create(HFX_ERROR_NO_PROCESS, "no process %d",
		                        target->pid);
	view->uid = status.uids[0];
	memcpy(view->name, status.name, sizeof(view->name));
	HFX_TRY(maps_read(target->pid, &maps));
	HFX_TRY(engine_list_in(target, &maps, &view->patches));
	return look_for_modules(target, &maps, bundle ? bundle->manifest : NULL,
	                        view);
}

struct hfx_error *process_view_read(pid_t pid, const struct bundle *bundle,
                                    struct process_view *ret)
{
	HFX_CLEANUP(process_view_deinit)
	struct process_view view = {.pid = pid};
	struct target *target;
	struct hfx_error *err;

	err = target_create_ptrace(pid, &target);
	if (!err) {
		err = look(target, bundle, &view);
		target_destroy(target);
	}
	/* It may end at any moment, and what was read then looks damaged. */
	if (err && !proc_has_memory(pid)) {
		hfx_error_destroy(err);
		return hfx_error_create(HFX_ERROR_NO_PROCESS,
		                        "process %d has ended", pid);
	}
	HFX_TRY(err);
	*ret = view;
	view = (struct process_view){0};
	return NULL;
}

const struct engine_patch *process_view_patch(const struct process_view *view,
                                              const struct bundle *bundle)
{
	const struct engine_patch *found = NULL;

	for (size_t i = 0; i < view->patches.num_patches; i++) {
		const struct engine_patch *patch = &view->patches.patches[i];

		if (!digest_equal(&patch->id, &bundle->id))
			continue;
		if (!found || found->state == RECORD_REVERTED ||
		    found->state == RECORD_UNLOADED)
			found = patch;
	}
	return found;
}

bool process_view_is_none(const struct hfx_error *err)
{
	enum hfx_error_code code = hfx_error_code(err);

	return code == HFX_ERROR_NO_PROCESS || code == HFX_ERROR_UNSUPPORTED;
}
