/* SPDX-License-Identifier: MIT */
/*
 * The program that the engine's live tests patch. It obeys commands on its
 * standard input, one a line, and answers each with one line.
 *
 *     engine_victim [NUMBER OF THREADS]
 *
 * With HAVE_LIBHFX it can also patch itself.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine_victim.h"

#ifdef HAVE_LIBHFX
#include "hfx.h"
#endif

static volatile sig_atomic_t num_sigchld;

static void on_sigchld(int number)
{
	(void)number;
	num_sigchld++;
}

static void *sleep_forever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void *call_forever(void *arg)
{
	for (;;)
		*(volatile int *)arg = victim_f();
	return NULL;
}

static void start_threads(int count)
{
	static int sink;
	pthread_t thread;

	for (int i = 0; i < count; i++)
		if (pthread_create(&thread, NULL,
		                   i % 2 ? call_forever : sleep_forever, &sink))
			exit(3);
}

static void print_results(void)
{
	printf("f=%d g=%d sum=%d data=%d\n", victim_f(), victim_g(),
	       victim_sum(), victim_data);
}

/** Take every free address for 4 GiB around the program. */
static void fill_surroundings(void)
{
	uintptr_t here = (uintptr_t)&victim_f & ~(uintptr_t)0xfffff;
	uintptr_t step = 0x100000;
	int count = 0;

	for (uintptr_t at = here - (UINT64_C(1) << 31) - step;
	     at < here + (UINT64_C(1) << 31) + step; at += step)
		for (uintptr_t page = at, size = step; page < at + step;
		     page += size) {
			void *got = mmap((void *)page, size, PROT_NONE,
			                 MAP_PRIVATE | MAP_ANONYMOUS |
			                         MAP_NORESERVE |
			                         MAP_FIXED_NOREPLACE,
			                 -1, 0);

			count += got != MAP_FAILED;
			if (got == MAP_FAILED && size > 4096) {
				size = 4096;
				page -= size;
			}
		}
	printf("filled %d\n", count > 0);
}

/** What a host sees of hfx's children: none. */
static void print_children(void)
{
	int rc = waitpid(-1, NULL, WNOHANG);

	printf("sigchld=%d children=%d\n", (int)num_sigchld,
	       !(rc < 0 && errno == ECHILD));
}

#ifdef HAVE_LIBHFX
/* Machines that run tests are busy: what is right matters, not how fast. */
#define PATIENCE                                                               \
	.timeout_ms = 120000, .max_pause_us = 10000000,                        \
	.helper_path = *helper_path ? helper_path : NULL

/** Set by the command "helper". */
static char helper_path[4096];

static void answer(struct hfx_error *err)
{
	if (err)
		printf("error %d %s\n", hfx_error_code(err),
		       hfx_error_message(err));
	else
		printf("ok\n");
	hfx_error_destroy(err);
}

static const struct hfx_patch_info *find(const struct hfx_patch_list *list,
                                         const char *name)
{
	for (size_t i = 0; i < hfx_patch_list_count(list); i++)
		if (!strcmp(hfx_patch_list_get(list, i)->name, name))
			return hfx_patch_list_get(list, i);
	return NULL;
}

static void revert(const char *name)
{
	static const struct hfx_patch_id none;
	const struct hfx_revert_opts opts = {.sz = sizeof(opts), PATIENCE};
	const struct hfx_patch_info *info;
	struct hfx_patch_list *list;
	struct hfx_error *err = hfx_patch_list_create(&list);

	if (err) {
		answer(err);
		return;
	}
	info = find(list, name);
	answer(hfx_revert(info ? &info->id : &none, &opts));
	hfx_patch_list_destroy(list);
}

/** "NAME PATH" */
static void replace(char *arg)
{
	struct hfx_patch_id id = {0};
	const struct hfx_apply_opts opts = {
		.sz = sizeof(opts),
		PATIENCE,
		.replaces = &id,
		.num_replaces = 1,
	};
	const char *name = strsep(&arg, " ");
	const struct hfx_patch_info *info;
	struct hfx_patch_list *list;
	struct hfx_error *err = hfx_patch_list_create(&list);

	if (err) {
		answer(err);
		return;
	}
	info = find(list, name);
	if (info)
		id = info->id;
	answer(hfx_apply_bundle(arg, &opts, NULL));
	hfx_patch_list_destroy(list);
}

static void print_list(void)
{
	struct hfx_status status = {.sz = sizeof(status)};
	struct hfx_patch_list *list;
	struct hfx_error *err = hfx_patch_list_create(&list);

	if (!err)
		err = hfx_get_status(&status);
	if (err) {
		answer(err);
		return;
	}
	printf("applied %u:", status.num_applied);
	for (size_t i = 0; i < hfx_patch_list_count(list); i++)
		printf(" %s", hfx_patch_list_get(list, i)->name);
	printf("\n");
	hfx_patch_list_destroy(list);
}

static bool obey_libhfx(const char *command, char *arg)
{
	const struct hfx_apply_opts patient = {.sz = sizeof(patient), PATIENCE};
	const struct hfx_apply_opts alone = {
		.sz = sizeof(alone), PATIENCE, .flags = HFX_APPLY_REPLACE_ALL};
	const struct hfx_apply_opts redirecting = {
		.sz = sizeof(redirecting),
		PATIENCE,
		.flags = HFX_APPLY_REDIRECT_CALLS,
	};
	const struct hfx_revert_opts all = {.sz = sizeof(all), PATIENCE};
	const struct hfx_apply_opts dry_run = {
		.sz = sizeof(dry_run),
		.flags = HFX_APPLY_DRY_RUN,
	};

	if (!strcmp(command, "apply"))
		answer(hfx_apply_bundle(arg, &patient, NULL));
	else if (!strcmp(command, "redirect"))
		answer(hfx_apply_bundle(arg, &redirecting, NULL));
	else if (!strcmp(command, "try"))
		answer(hfx_apply_bundle(arg, &dry_run, NULL));
	else if (!strcmp(command, "replace"))
		replace(arg);
	else if (!strcmp(command, "replace-all"))
		answer(hfx_apply_bundle(arg, &alone, NULL));
	else if (!strcmp(command, "revert"))
		revert(arg);
	else if (!strcmp(command, "revert-all"))
		answer(hfx_revert_all(&all));
	else if (!strcmp(command, "helper"))
		printf("%s\n",
		       strncpy(helper_path, arg, sizeof(helper_path) - 1));
	else if (!strcmp(command, "trust"))
		answer(hfx_set_trust(*arg ? arg : NULL));
	else if (!strcmp(command, "list"))
		print_list();
	else
		return false;
	return true;
}
#else
static bool obey_libhfx(const char *command, char *arg)
{
	(void)command;
	(void)arg;
	return false;
}
#endif

static void obey(char *line)
{
	char none[] = "";
	char *command = strsep(&line, " ");

	if (!strcmp(command, "call"))
		print_results();
	else if (!strcmp(command, "fill"))
		fill_surroundings();
	else if (!strcmp(command, "tls"))
		printf("%d\n", victim_tls_index());
	else if (!strcmp(command, "children"))
		print_children();
	else if (!obey_libhfx(command, line ? line : none))
		printf("unknown command\n");
}

int main(int argc, char **argv)
{
	char line[4096];

	signal(SIGCHLD, on_sigchld);
	start_threads(argc > 1 ? atoi(argv[1]) : 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return 0;
}
