/* SPDX-License-Identifier: MIT */
/**
 * @file loaded.h
 *
 * The programs and libraries of the calling process as its dynamic linker lists
 * them, by dl_iterate_phdr(): cheaper than reading the mappings, and right also
 * inside dlopen(). Those of other namespaces (dlmopen()) are not among them.
 */
#ifndef HFX_RUNTIME_LOADED_H
#define HFX_RUNTIME_LOADED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manifest.h"

struct loaded_module {
	/** Position in the list: what is loaded later stands behind. */
	size_t index;
	uint64_t bias;
	/** Live addresses of all PT_LOADs. */
	uint64_t start_addr;
	uint64_t end_addr;
	/** 0 without thread-local storage. */
	uint64_t tls_index;
	/** Of size 0 when there is none. */
	struct build_id build_id;
};

/**
 * Go through the modules until @p is_it returns true. It must not load or
 * unload any.
 *
 * @return Whether it did.
 */
bool loaded_find(bool (*is_it)(const struct loaded_module *module, void *arg),
                 void *arg);

/** How many there are. */
size_t loaded_count(void);

/** Whether one at position @p first or behind has this build-id. */
bool loaded_has_build(const struct build_id *build_id, size_t first);

#endif /* HFX_RUNTIME_LOADED_H */
