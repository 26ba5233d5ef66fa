/* SPDX-License-Identifier: MIT */
/**
 * @file debug_package.h
 *
 * Packages of split debug information (.dwp; DWARF 5, section 7.3.5, and the
 * GNU extension of DWARF 4 before it), which this libdw does not read.
 *
 * Each unit that is asked for becomes a file of its own in memory, as its .dwo
 * was, with what it needs of the program: addresses, ranges and the names of
 * source files. libdw reads that.
 */
#ifndef HFX_BUNDLER_DEBUG_PACKAGE_H
#define HFX_BUNDLER_DEBUG_PACKAGE_H

#include <elfutils/libdw.h>

#include "bytes.h"
#include "error.h"

struct debug_package;

/**
 * Open the package beside a file: its path with ".dwp" behind it.
 *
 * @param[out] ret `NULL` when there is none, or when it is none that is read.
 */
HFX_MUST_CHECK struct hfx_error *debug_package_open(const char *path,
                                                    struct debug_package **ret);

/** Ends what debug_package_unit() gave, too. */
void debug_package_close(struct debug_package *package);

/**
 * The unit that @p skeleton stands for.
 *
 * @param[in] main Debug information with the skeleton; borrowed for the call.
 * @param[out] found_ret False when the package has it not.
 */
HFX_MUST_CHECK struct hfx_error *
debug_package_unit(struct debug_package *package, Dwarf *main,
                   Dwarf_Die *skeleton, Dwarf_Die *ret, bool *found_ret);

/** Contributions of one unit, and sections of which it has a part. */
enum debug_section {
	DEBUG_SECTION_INFO,
	DEBUG_SECTION_ABBREV,
	DEBUG_SECTION_LINE,
	DEBUG_SECTION_STR_OFFSETS,
	DEBUG_SECTION_RNGLISTS,
	/** The unit's strings, of the whole package. */
	DEBUG_SECTION_STR,
	/** Of the program. */
	DEBUG_SECTION_ADDR,
	DEBUG_SECTION_RANGES,
	DEBUG_SECTION_LINE_STR,
	NUM_DEBUG_SECTIONS,
};

struct debug_span {
	const uint8_t *data;
	size_t size;
};

/** What a unit's file is made of. */
struct debug_pieces {
	struct debug_span spans[NUM_DEBUG_SECTIONS];
	bool is_dwarf_5;
	/** Address from which the unit's ranges count. */
	uint64_t base_addr;
};

/** Write an ELF file that libdw takes for the unit's .dwo. */
HFX_MUST_CHECK struct hfx_error *
debug_package_compose(const struct debug_pieces *pieces, struct bytes *ret);

#endif /* HFX_BUNDLER_DEBUG_PACKAGE_H */
