/* SPDX-License-Identifier: MIT */
/**
 * @file lsda.h
 *
 * The head of a function's exception table (Itanium C++ ABI, Exception
 * Handling, "LSDA"), and where its parts are.
 */
#ifndef HFX_BUNDLER_LSDA_H
#define HFX_BUNDLER_LSDA_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

/** Bytes of an entry of the type table, in every form that lsda_read() knows.
 */
#define LSDA_TYPE_SIZE 4

struct lsda {
	uint64_t addr;
	/** To the end of its section; borrowed from the program. */
	const uint8_t *bytes;
	uint64_t size;
	/** DW_EH_PE_ values. */
	uint8_t type_encoding;
	uint8_t site_encoding;
	/** Offset just behind the type table; 0 when there is none. */
	uint64_t types_end;
	/** Offsets of the call sites, and of what follows them. */
	uint64_t sites_off;
	uint64_t actions_off;
};

/**
 * Read the table at @p addr of @p program.
 *
 * @return False if it is not there, damaged, or of an unknown form: starts of
 * landing pads of its own, or types in another encoding than those of gcc and
 * clang.
 */
bool lsda_read(const struct program *program, uint64_t addr, struct lsda *ret);

/** Whether the type table holds addresses of types, not of pointers to them. */
bool lsda_has_type_addrs(const struct lsda *lsda);

#endif /* HFX_BUNDLER_LSDA_H */
