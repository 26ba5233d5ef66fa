/* SPDX-License-Identifier: MIT */
/**
 * @file closure_private.h
 *
 * The parts of closure_run(): what a reference of NEW becomes.
 */
#ifndef HFX_BUNDLER_CLOSURE_PRIVATE_H
#define HFX_BUNDLER_CLOSURE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "address_flow.h"
#include "closure.h"
#include "place.h"

/** What a reference of NEW becomes. */
struct target {
	enum target_kind {
		/** Stays: its place is in the image. */
		TARGET_INSIDE,
		/** `old_addr` of OLD. */
		TARGET_OLD,
		/** Said in the closure's refusals. */
		TARGET_REFUSED,
	} kind;
	uint64_t old_addr;
};

/** How the code uses what it refers to. */
struct use {
	enum reference_kind kind;
	/** Of an access; 0 if not known. */
	uint64_t size;
	bool is_write;
	/** From data (a relocated pointer), not from code. */
	bool is_pointer;
	/** By a jump that reaches 127 bytes at most. */
	bool is_short;
	/** With a register added: from there on, or from before or behind. */
	bool is_indexed;
	/** Of the current function; `NULL` from data. */
	const struct reference *reference;
};

/** Resolve an address of NEW, taking into the image what must be. */
HFX_MUST_CHECK struct hfx_error *closure_resolve(struct closure *closure,
                                                 uint64_t addr,
                                                 const struct use *use,
                                                 struct target *ret);

/** Take a PLT stub into the image, with its slot (closure_import.c). */
HFX_MUST_CHECK struct hfx_error *closure_keep_stub(struct closure *closure,
                                                   const struct plt_stub *stub);

/** Resolve a PLT stub or a GOT slot (closure_import.c). */
HFX_MUST_CHECK struct hfx_error *closure_resolve_stub(struct closure *closure,
                                                      const struct place *place,
                                                      struct target *ret);
HFX_MUST_CHECK struct hfx_error *closure_resolve_slot(struct closure *closure,
                                                      const struct place *place,
                                                      struct target *ret);

/**
 * Resolve an address that may be the end of a table that the current function
 * uses, where something that is no data begins. @p is_done_ret says whether it
 * was; else @p ret is as it was.
 */
HFX_MUST_CHECK struct hfx_error *
closure_resolve_table_end(struct closure *closure, const struct place *place,
                          const struct use *use, struct target *ret,
                          bool *is_done_ret);

/** Object that ends exactly at @p addr, or `NULL` (closure_end.c). */
const struct symbol *closure_table_before(const struct closure *closure,
                                          uint64_t addr);

/**
 * The same, if the current function refers to that object otherwise, too, or it
 * is a vtable, to whose end objects may point.
 */
const struct symbol *closure_used_table(const struct closure *closure,
                                        uint64_t addr);

/** Resolve the end of an object. */
HFX_MUST_CHECK struct hfx_error *closure_resolve_end(struct closure *closure,
                                                     const struct symbol *table,
                                                     struct target *ret);

/** Resolve what may be the end of @p table or the variable @p place. */
HFX_MUST_CHECK struct hfx_error *
closure_resolve_doubt(struct closure *closure, const struct place *place,
                      const struct symbol *table, struct target *ret);

/** Fill `old_stubs` and `old_slots`. */
HFX_MUST_CHECK struct hfx_error *closure_match_imports(struct closure *closure);

/** Resolve data (closure_data.c). */
HFX_MUST_CHECK struct hfx_error *closure_resolve_data(struct closure *closure,
                                                      const struct place *place,
                                                      const struct use *use,
                                                      struct target *ret);

/** Resolve a place in a variable or a named constant. */
HFX_MUST_CHECK struct hfx_error *
closure_resolve_object(struct closure *closure, const struct place *place,
                       struct target *ret);

/**
 * Whether the current function refers to a place without a name shortly before
 * @p object: perhaps it means the object (closure_bias.c).
 */
bool closure_counts_to(const struct closure *closure,
                       const struct symbol *object);

/**
 * Whether constants without a name end at @p addr or a little before it: the
 * address may be their end, or that of a text's NUL, from which code counts
 * back (closure_bias.c).
 */
bool closure_ends_data(const struct program *program, uint64_t addr);

/**
 * Resolve an address that may be meant as `next - n` for the object behind it
 * (closure_bias.c). @p is_done_ret says whether it was; else @p ret is as it
 * was.
 */
HFX_MUST_CHECK struct hfx_error *closure_resolve_bias(struct closure *closure,
                                                      const struct place *place,
                                                      const struct use *use,
                                                      struct target *ret,
                                                      bool *is_done_ret);

/**
 * Resolve the start or end of a linker set that the current function runs over
 * (closure_set.c). @p is_done_ret says whether it was.
 */
HFX_MUST_CHECK struct hfx_error *closure_resolve_set(struct closure *closure,
                                                     uint64_t addr,
                                                     const struct use *use,
                                                     struct target *ret,
                                                     bool *is_done_ret);

/**
 * Resolve an address in or beside objects that may be meant for another one
 * nearby (closure_doubt.c). @p is_done_ret says whether it was; else @p ret is
 * as it was.
 */
HFX_MUST_CHECK struct hfx_error *closure_resolve_far(struct closure *closure,
                                                     const struct place *place,
                                                     const struct use *use,
                                                     struct target *ret,
                                                     bool *is_done_ret);

/**
 * Whether the current function can mean @p object by its name
 * (closure_naming.c).
 */
HFX_MUST_CHECK struct hfx_error *closure_can_mean(struct closure *closure,
                                                  const struct symbol *object,
                                                  bool *ret);

/** The same of OLD's code of the current function, and an object of OLD. */
HFX_MUST_CHECK struct hfx_error *
closure_could_mean(struct closure *closure, const struct symbol *old_object,
                   bool *ret);

/**
 * Whether the code at @p reference has no name for what begins where it refers
 * to: a variable of another file, or of another function, which is not inlined
 * there.
 */
HFX_MUST_CHECK struct hfx_error *
closure_is_strange(struct closure *closure, const struct symbol *object,
                   const struct reference *reference, bool *ret);

/**
 * Whether the current function may count from @p object, where it does
 * @p fate with an address inside another one (closure_naming.c).
 */
HFX_MUST_CHECK struct hfx_error *closure_may_count(struct closure *closure,
                                                   const struct symbol *object,
                                                   enum address_fate fate,
                                                   bool *ret);

/**
 * OLD's address of an object of NEW, if new code is to use that one: a
 * variable, or a constant that is the same. Else 0. Changes nothing.
 */
HFX_MUST_CHECK struct hfx_error *closure_old_object(struct closure *closure,
                                                    const struct symbol *symbol,
                                                    uint64_t *ret);

/**
 * Resolve the address of a string literal that OLD has, too
 * (closure_literal.c). @p is_done_ret says whether it was; else @p ret is as it
 * was.
 */
HFX_MUST_CHECK struct hfx_error *
closure_resolve_literal(struct closure *closure, uint64_t addr,
                        const struct use *use, struct target *ret,
                        bool *is_done_ret);

/** Take into the image what the current function may count to from below. */
HFX_MUST_CHECK struct hfx_error *closure_keep_biased(struct closure *closure);

/** The same of what the code may count back to from @p addr. */
HFX_MUST_CHECK struct hfx_error *closure_keep_before(struct closure *closure,
                                                     uint64_t addr);

/**
 * Take into the image the constant tables whose ends the current function
 * refers to: start and end must be of one copy.
 */
HFX_MUST_CHECK struct hfx_error *closure_keep_tables(struct closure *closure);

/** Take a range of NEW into the image, with what it points to. */
HFX_MUST_CHECK struct hfx_error *closure_keep(struct closure *closure,
                                              uint64_t addr, uint64_t size,
                                              uint32_t flags);

/** Add a relocation of the image. */
HFX_MUST_CHECK struct hfx_error *closure_relocate(struct closure *closure,
                                                  uint64_t addr, uint32_t type,
                                                  uint32_t symbol,
                                                  int64_t addend);

/** Index of the import of @p relocation, added if need be. */
HFX_MUST_CHECK struct hfx_error *
closure_import(struct closure *closure,
               const struct dynamic_relocation *relocation, uint32_t *ret);

/** Refuse what the current function refers to. */
HFX_MUST_CHECK HFX_PRINTF(4, 5) struct hfx_error *closure_refuse(
	struct closure *closure, struct target *ret, const char *remedy,
	const char *format, ...);

/** Keep the unwind information of a function (closure_unwind.c). */
HFX_MUST_CHECK struct hfx_error *
closure_keep_unwind(struct closure *closure, const struct function *function);

#endif /* HFX_BUNDLER_CLOSURE_PRIVATE_H */
