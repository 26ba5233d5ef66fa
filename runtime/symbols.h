/* SPDX-License-Identifier: MIT */
/**
 * @file symbols.h
 *
 * Looking up what the new code imports, as the dynamic linker would: by name
 * and version, in the modules of the process in their order.
 *
 * Sources: gABI (symbol and hash table), "ELF Symbol Versioning" (U. Drepper),
 * and the description of DT_GNU_HASH in binutils' ld.
 */
#ifndef HFX_RUNTIME_SYMBOLS_H
#define HFX_RUNTIME_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "modules.h"
#include "target.h"

/** Longest chain of one hash bucket, and list of versions, that is followed. */
#define SYMBOLS_MAX_CHAIN    65536u
#define SYMBOLS_MAX_VERSIONS 65536u

struct symbol_query {
	/** Name; borrowed, as the others. */
	const char *name;
	/** Version, or "" for none. */
	const char *version;
	/** For messages; may be "". */
	const char *library;
	/**
	 * For a call: a program's own PLT stub, which stands for the function's
	 * address in programs that are not position-independent, is passed
	 * over.
	 */
	bool is_call;
};

/**
 * Find the live address of a symbol. The resolver of an IFUNC is called in the
 * process.
 *
 * Errors: #HFX_ERROR_UNSUPPORTED for a thread-local symbol.
 *
 * @param[out] addr_ret Address, or 0 when no module has the symbol.
 */
HFX_MUST_CHECK struct hfx_error *symbols_find(struct target *target,
                                              const struct modules *modules,
                                              const struct symbol_query *query,
                                              uint64_t *addr_ret);

#endif /* HFX_RUNTIME_SYMBOLS_H */
