/* SPDX-License-Identifier: MIT */
/**
 * @file maps.h
 *
 * The mappings of a process, as /proc/PID/maps gives them (proc_pid_maps(5)).
 */
#ifndef HFX_RUNTIME_MAPS_H
#define HFX_RUNTIME_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/** Size of a page on x86-64. */
#define PAGE_BYTES UINT64_C(4096)

/** Largest text of /proc/PID/maps that is read, in bytes. */
#define MAPS_MAX_SIZE (256u << 20)

struct mapping {
	/** First address, and first one behind. */
	uint64_t start_addr;
	uint64_t end_addr;
	uint64_t file_off;
	/** PROT_READ, PROT_WRITE, PROT_EXEC. */
	uint32_t protection;
	bool is_private;
	/** 0 for memory without a file. */
	uint64_t inode;
	uint64_t device;
	/** Path or `[name]`, borrowed from the maps; may be empty. */
	const char *name;
};

/** All mappings of a process, by address. */
struct maps {
	struct mapping *mappings;
	size_t num_mappings;
	size_t cap_mappings;
	/** Owner of the names. */
	char *text;
};

/** Read the mappings of the process @p pid. */
HFX_MUST_CHECK struct hfx_error *maps_read(pid_t pid, struct maps *ret);

/** As maps_read(), from text. Mappings must ascend and not overlap. */
HFX_MUST_CHECK struct hfx_error *maps_parse(const char *text, size_t size,
                                            struct maps *ret);

/** Mapping that holds @p addr, or `NULL`. */
const struct mapping *maps_find(const struct maps *maps, uint64_t addr);

/**
 * Whether [@p addr, @p addr + @p size) is mapped without a hole, everywhere
 * with at least @p protection.
 */
bool maps_cover(const struct maps *maps, uint64_t addr, uint64_t size,
                uint32_t protection);

/** Guard and destructor. */
void maps_deinit(struct maps *maps);

static inline uint64_t page_floor(uint64_t addr)
{
	return addr & ~(PAGE_BYTES - 1);
}

/** Wraps to 0 within the last page of the address space. */
static inline uint64_t page_ceil(uint64_t addr)
{
	return page_floor(addr + PAGE_BYTES - 1);
}

#endif /* HFX_RUNTIME_MAPS_H */
