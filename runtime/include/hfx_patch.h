/* SPDX-License-Identifier: MIT */
/**
 * @file hfx_patch.h
 *
 * For the fixed source of a program: what a patch may need and a program does
 * not. The header is all there is; nothing has to be linked.
 *
 * Shadow variables. A fix that needs a new member in a structure cannot have
 * it while objects of the old layout are alive. It can keep the new data beside
 * the object instead, found by the object's address and a number that says
 * which data it is:
 *
 *     struct limits *limits = hfx_shadow_get(connection, LIMITS_ID);
 *
 * All patches of a process find the same data: that of a patch stays when the
 * next one is applied over it or in its place, when it is reverted, and when it
 * is applied again. A program that was built from the fixed source has the same
 * functions with data of its own.
 *
 * - What is attached does not go with the object. Whoever frees the object must
 *   detach first, or the next object at this address has its data.
 * - All functions are thread-safe. They take a lock and allocate memory, so
 *   they are not for signal handlers. What a call returns stays until it is
 *   detached: that no other thread does so meanwhile is up to the caller.
 * - Numbers are shared by all patches of a process. 64 bits leave room for
 *   names: take some that nobody else takes.
 *
 * Hooks. A patch may carry functions that are called when it is applied and
 * reverted. Each is written once in a program or library, with its body:
 *
 *     HFX_PRE_APPLY()
 *     {
 *             return is_rebuilding ? "the index is being rebuilt" : NULL;
 *     }
 *
 * - Threads run while a hook does. It may do what any function of the program
 *   may: allocate, take locks, attach shadow variables. It must not call hfx,
 *   and should return soon: whoever applies the patch waits for it, `hfx` for
 *   30 seconds.
 * - By libhfx it is called in the thread that applies or reverts. `hfx` has the
 *   process start a thread for it, with all signals blocked.
 * - A program that was built with hooks does not call them itself.
 *
 * The functions are weak and hidden: each program or library that includes this
 * header has them once. hfx finds the table by its name.
 */
#ifndef HFX_PATCH_H
#define HFX_PATCH_H

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Once a module, whoever includes the header; not for other modules. */
#define HFX_PATCH_ONCE __attribute__((__weak__, __visibility__("hidden")))

/** Data of @p object under @p id, or `NULL`. */
void *hfx_shadow_get(const void *object, uint64_t id);

/**
 * Attach @p size bytes to @p object, which need not be a valid address.
 *
 * @param[in] initial Bytes to begin with, or `NULL` for zeros. No thread sees
 * the data before they are there.
 * @return The data, aligned for everything; `NULL` with `errno` EEXIST if there
 * is some already, or ENOMEM.
 */
void *hfx_shadow_attach(const void *object, uint64_t id, size_t size,
                        const void *initial);

/** As hfx_shadow_attach(), or what is there already, whatever its size. */
void *hfx_shadow_get_or_attach(const void *object, uint64_t id, size_t size,
                               const void *initial);

/** Free the data. @return 1, or 0 if there was none. */
int hfx_shadow_detach(const void *object, uint64_t id);

/**
 * Free the data of all objects under @p id.
 *
 * @param[in] destroy Called with each before it is freed, without a lock; may
 * be `NULL`.
 * @return How many there were.
 */
size_t hfx_shadow_detach_all(uint64_t id,
                             void (*destroy)(void *object, void *data));

/* ---- Hooks --------------------------------------------------------------- */

/**
 * Before the patch is applied, which has no effect yet. Returns `NULL`, or why
 * it is not to be applied now: a text that stays.
 */
#define HFX_PRE_APPLY() HFX_HOOK(const char *, hfx_pre_apply)

/** After it was applied; also when a revert has failed after pre-revert. */
#define HFX_POST_APPLY() HFX_HOOK(void, hfx_post_apply)

/** Before it is reverted, which may fail. */
#define HFX_PRE_REVERT() HFX_HOOK(void, hfx_pre_revert)

/**
 * After it was reverted; also when an apply has failed after a pre-apply that
 * returned `NULL`. Not when another patch took the place of this one.
 */
#define HFX_POST_REVERT() HFX_HOOK(void, hfx_post_revert)

#ifdef __cplusplus
#define HFX_HOOK_LINKAGE extern "C"
#else
#define HFX_HOOK_LINKAGE
#endif

#define HFX_HOOK(type, name)                                                   \
	HFX_HOOK_LINKAGE HFX_HOOK_KEPT type name(void);                        \
	HFX_HOOK_LINKAGE HFX_HOOK_KEPT type name(void)

/** Nobody refers to them; also the linker is to keep them. */
#if defined(__has_attribute)
#if __has_attribute(__retain__)
#define HFX_HOOK_RETAINED __attribute__((__retain__))
#endif
#endif
#ifndef HFX_HOOK_RETAINED
#define HFX_HOOK_RETAINED
#endif
#define HFX_HOOK_KEPT                                                          \
	HFX_HOOK_RETAINED __attribute__((__used__, __noinline__,               \
	                                 __visibility__("hidden")))

/* ---- Inside ------------------------------------------------------------
 *
 * Code of several patches, compiled at different times, works on one table. Its
 * layout never changes under this name: another one needs another name, here
 * and in hfx.
 */

struct hfx_shadow_entry_1 {
	struct hfx_shadow_entry_1 *next;
	uintptr_t object;
	uint64_t id;
	uint64_t reserved;
};

struct hfx_shadow_table_1 {
	/** Written by hfx, before the code of the patch runs: the table to use
	 * in place of this one. */
	struct hfx_shadow_table_1 *shared;
	pthread_mutex_t lock;
	/** A power of two of them, or none yet. */
	struct hfx_shadow_entry_1 **buckets;
	size_t num_buckets;
	size_t num_entries;
};

HFX_PATCH_ONCE struct hfx_shadow_table_1 hfx_shadow_table_1 = {
	NULL, PTHREAD_MUTEX_INITIALIZER, NULL, 0, 0};

static inline struct hfx_shadow_table_1 *hfx_shadow_table(void)
{
	struct hfx_shadow_table_1 *table = &hfx_shadow_table_1;

	return table->shared ? table->shared : table;
}

/** Where the entry is linked, or the end of its list; there are buckets. */
static inline struct hfx_shadow_entry_1 **
hfx_shadow_place(const struct hfx_shadow_table_1 *table, uintptr_t object,
                 uint64_t id)
{
	uint64_t hash = (object ^ id * UINT64_C(0xff51afd7ed558ccd)) *
	                UINT64_C(0x9e3779b97f4a7c15);
	struct hfx_shadow_entry_1 **place =
		&table->buckets[(hash >> 32) & (table->num_buckets - 1)];

	while (*place && ((*place)->object != object || (*place)->id != id))
		place = &(*place)->next;
	return place;
}

/** Have room for one more. What cannot grow gets slower, if it has buckets. */
static inline int hfx_shadow_grow(struct hfx_shadow_table_1 *table)
{
	struct hfx_shadow_table_1 larger = *table;

	if (table->num_entries < table->num_buckets)
		return 1;
	larger.num_buckets = table->num_buckets ? table->num_buckets * 2 : 64;
	larger.buckets = (struct hfx_shadow_entry_1 **)calloc(
		larger.num_buckets, sizeof(*larger.buckets));
	if (!larger.buckets)
		return table->num_buckets != 0;
	for (size_t i = 0; i < table->num_buckets; i++)
		while (table->buckets[i]) {
			struct hfx_shadow_entry_1 *entry = table->buckets[i];

			table->buckets[i] = entry->next;
			entry->next = NULL;
			*hfx_shadow_place(&larger, entry->object, entry->id) =
				entry;
		}
	free(table->buckets);
	table->buckets = larger.buckets;
	table->num_buckets = larger.num_buckets;
	return 1;
}

HFX_PATCH_ONCE void *hfx_shadow_get(const void *object, uint64_t id)
{
	struct hfx_shadow_table_1 *table = hfx_shadow_table();
	struct hfx_shadow_entry_1 *entry = NULL;

	pthread_mutex_lock(&table->lock);
	if (table->num_buckets)
		entry = *hfx_shadow_place(table, (uintptr_t)object, id);
	pthread_mutex_unlock(&table->lock);
	return entry ? entry + 1 : NULL;
}

static inline struct hfx_shadow_entry_1 *hfx_shadow_entry(const void *object,
                                                          uint64_t id,
                                                          size_t size,
                                                          const void *initial)
{
	struct hfx_shadow_entry_1 *entry = NULL;

	if (size <= SIZE_MAX - sizeof(*entry))
		entry = (struct hfx_shadow_entry_1 *)calloc(1, sizeof(*entry) +
		                                                       size);
	if (!entry)
		return NULL;
	entry->object = (uintptr_t)object;
	entry->id = id;
	if (initial)
		memcpy(entry + 1, initial, size);
	return entry;
}

/** Link @p entry, unless there is one. @return The one that was there. */
static inline struct hfx_shadow_entry_1 *
hfx_shadow_link(struct hfx_shadow_entry_1 *entry, int *error_ret)
{
	struct hfx_shadow_table_1 *table = hfx_shadow_table();
	struct hfx_shadow_entry_1 **place = NULL, *found = NULL;

	*error_ret = ENOMEM;
	pthread_mutex_lock(&table->lock);
	if (hfx_shadow_grow(table)) {
		place = hfx_shadow_place(table, entry->object, entry->id);
		found = *place;
		*error_ret = found ? EEXIST : 0;
	}
	if (!*error_ret) {
		*place = entry;
		table->num_entries++;
	}
	pthread_mutex_unlock(&table->lock);
	return found;
}

HFX_PATCH_ONCE void *hfx_shadow_attach(const void *object, uint64_t id,
                                       size_t size, const void *initial)
{
	struct hfx_shadow_entry_1 *entry =
		hfx_shadow_entry(object, id, size, initial);
	int error = ENOMEM;

	if (entry)
		hfx_shadow_link(entry, &error);
	if (!error)
		return entry + 1;
	free(entry);
	errno = error;
	return NULL;
}

HFX_PATCH_ONCE void *hfx_shadow_get_or_attach(const void *object, uint64_t id,
                                              size_t size, const void *initial)
{
	void *data = hfx_shadow_get(object, id);
	struct hfx_shadow_entry_1 *entry, *found = NULL;
	int error = ENOMEM;

	if (data)
		return data;
	entry = hfx_shadow_entry(object, id, size, initial);
	if (entry)
		found = hfx_shadow_link(entry, &error);
	if (!error)
		return entry + 1;
	free(entry);
	errno = error;
	return found ? found + 1 : NULL;
}

HFX_PATCH_ONCE int hfx_shadow_detach(const void *object, uint64_t id)
{
	struct hfx_shadow_table_1 *table = hfx_shadow_table();
	struct hfx_shadow_entry_1 **place, *entry = NULL;

	pthread_mutex_lock(&table->lock);
	if (table->num_buckets) {
		place = hfx_shadow_place(table, (uintptr_t)object, id);
		entry = *place;
		if (entry) {
			*place = entry->next;
			table->num_entries--;
		}
	}
	pthread_mutex_unlock(&table->lock);
	free(entry);
	return entry != NULL;
}

/** Unlink all of @p id. @return They, linked among themselves. */
static inline struct hfx_shadow_entry_1 *hfx_shadow_unlink_all(uint64_t id)
{
	struct hfx_shadow_table_1 *table = hfx_shadow_table();
	struct hfx_shadow_entry_1 **place, *entry, *all = NULL;

	pthread_mutex_lock(&table->lock);
	for (size_t i = 0; i < table->num_buckets; i++)
		for (place = &table->buckets[i]; *place;) {
			entry = *place;
			if (entry->id != id) {
				place = &entry->next;
				continue;
			}
			*place = entry->next;
			entry->next = all;
			all = entry;
			table->num_entries--;
		}
	pthread_mutex_unlock(&table->lock);
	return all;
}

HFX_PATCH_ONCE size_t hfx_shadow_detach_all(uint64_t id,
                                            void (*destroy)(void *object,
                                                            void *data))
{
	struct hfx_shadow_entry_1 *entry = hfx_shadow_unlink_all(id), *next;
	size_t count = 0;

	for (; entry; entry = next, count++) {
		next = entry->next;
		if (destroy)
			destroy((void *)entry->object, entry + 1);
		free(entry);
	}
	return count;
}

/** How `hfx` has a hook called: docs/format.md. */
struct hfx_hook_job_1 {
	const char *(*hook)(void);
	const char *result;
	/** 0; 2 once the thread runs; 1 when the hook has returned. */
	uint64_t state;
};

static inline void *hfx_hook_run_1(void *arg)
{
	struct hfx_hook_job_1 *job = (struct hfx_hook_job_1 *)arg;

	__atomic_store_n(&job->state, UINT64_C(2), __ATOMIC_RELEASE);
	job->result = job->hook();
	__atomic_store_n(&job->state, UINT64_C(1), __ATOMIC_RELEASE);
	return NULL;
}

HFX_PATCH_ONCE HFX_HOOK_KEPT int hfx_hook_start_1(struct hfx_hook_job_1 *job);
HFX_PATCH_ONCE HFX_HOOK_KEPT int hfx_hook_start_1(struct hfx_hook_job_1 *job)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, hfx_hook_run_1, job);

	return error ? error : pthread_detach(thread);
}

#ifdef __cplusplus
}
#endif

#endif /* HFX_PATCH_H */
