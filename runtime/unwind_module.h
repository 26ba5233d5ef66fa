/* SPDX-License-Identifier: MIT */
/**
 * @file unwind_module.h
 *
 * The unwind table of one module of a process, as an ELF file in memory that
 * holds nothing else: what libdw wants. Addresses in it are live ones.
 */
#ifndef HFX_RUNTIME_UNWIND_MODULE_H
#define HFX_RUNTIME_UNWIND_MODULE_H

#include "commit.h"
#include "file.h"
#include "maps.h"

/** Largest table that is read, in bytes. */
#define UNWIND_MODULE_MAX (UINT64_C(256) << 20)

struct unwind_module {
	/** Live range of all its PT_LOADs, in whole pages. */
	uint64_t start_addr;
	uint64_t end_addr;
	/** The ELF file, owned. */
	struct buffer elf;
};

/**
 * Read the module whose first mapping is @p mapping, by a thread @p tid of the
 * process.
 *
 * @return Whether there is one, with a table.
 */
bool unwind_module_read(pid_t tid, const struct maps *maps,
                        const struct mapping *mapping,
                        struct unwind_module *ret);

/** The same for a patch image, which has no ELF header in memory. */
bool unwind_module_read_image(pid_t tid, const struct maps *maps,
                              const struct commit_image *image,
                              struct unwind_module *ret);

/** Copy memory of the thread @p tid. @return Whether all of it could be read.
 */
bool unwind_read(pid_t tid, uint64_t live_addr, void *buffer, size_t size);

#endif /* HFX_RUNTIME_UNWIND_MODULE_H */
