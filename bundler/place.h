/* SPDX-License-Identifier: MIT */
/**
 * @file place.h
 *
 * What an address of a program means.
 */
#ifndef HFX_BUNDLER_PLACE_H
#define HFX_BUNDLER_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

/** How far before an object code may count from, in bytes. */
#define PLACE_MAX_BIAS 64

enum place_kind {
	/** Nothing is known to be there. */
	PLACE_NONE,
	PLACE_FUNCTION,
	PLACE_STUB,
	/** A GOT slot that the dynamic linker fills. */
	PLACE_SLOT,
	/**
	 * A GOT slot that the linker filled for good: an offset of a
	 * thread-local variable, or zero for a weak symbol that nobody defines.
	 */
	PLACE_CONSTANT_SLOT,
	/**
	 * A PLT stub without a slot that is filled: for a weak symbol that
	 * nobody defines, so nobody comes here.
	 */
	PLACE_CONSTANT_STUB,
	/** Named data. */
	PLACE_OBJECT,
	/** A name without size, not in constant data. */
	PLACE_LABEL,
	/** Constant data without a name, or in .data a template without one. */
	PLACE_ANONYMOUS,
};

struct place {
	enum place_kind kind;
	uint64_t addr;
	/** From the start of the function or object. */
	uint64_t off;
	const struct section *section;
	struct function *function;
	const struct plt_stub *stub;
	const struct dynamic_relocation *relocation;
	const struct symbol *symbol;
};

struct place place_at(const struct program *program, uint64_t addr);

/** Whether the bytes of @p place never change while the program runs. */
bool place_is_constant(const struct place *place);

/**
 * The object that ends at @p addr or, for the sake of alignment, a little
 * before it: `table + n` points there. `NULL` if there is none.
 */
const struct symbol *place_object_ending_at(const struct program *program,
                                            uint64_t addr);

/**
 * Whether @p symbol is a table of C++ that objects point into: at its end,
 * where a class has virtual bases and no virtual functions (Itanium C++
 * ABI, 2.5.2).
 */
bool place_is_vtable(const struct symbol *symbol);

/** Whether it is that, or another that C++ makes of a class: nobody counts to
 * it from outside. */
bool place_is_of_class(const struct symbol *symbol);

/**
 * The object that begins a little behind @p addr: `table - n` points there,
 * where code counts from n. `NULL` if there is none.
 */
const struct symbol *place_object_starting_after(const struct program *program,
                                                 uint64_t addr);

/**
 * The section that the linker gave a label for: `__start_NAME` or `__stop_NAME`
 * at @p addr, which is its start or its end. `NULL` if there is none.
 */
const struct section *place_set_at(const struct program *program,
                                   uint64_t addr);

/**
 * Whether nothing is at @p addr up to @p end that code could mean: no name,
 * only zeros, no relocation. It is padding, or an anonymous constant 0.
 */
bool place_is_blank(const struct program *program, uint64_t addr, uint64_t end);

/** Bytes of the file at @p addr, at least @p size of them, or `NULL`. */
const uint8_t *program_bytes(const struct program *program, uint64_t addr,
                             uint64_t size);

/**
 * Entries of the jump table at @p addr: 32-bit distances from the table to code
 * of @p function or of its parts. 0 if there is no such table.
 */
uint64_t jump_table_length(const struct program *program,
                           const struct function *function, uint64_t addr);

/**
 * Entries of the relative table at @p addr: 32-bit distances from the table to
 * constants, as clang makes for a `switch` that only picks a string. Nothing
 * but these distances leads to the constants. 0 if there is no such table.
 */
uint64_t relative_table_length(const struct program *program, uint64_t addr);

/**
 * Entries of what may be such a table: all lead to texts, perhaps to tails of
 * other texts only, and may as well be other numbers.
 */
uint64_t relative_table_perhaps(const struct program *program, uint64_t addr);

/** What entry @p index of the jump or relative table at @p addr leads to. */
uint64_t table_target(const struct program *program, uint64_t addr,
                      uint64_t index);

/**
 * How many bytes anonymous data at @p addr has: up to the next thing that
 * something refers to, and at least to the end of a string.
 */
uint64_t anonymous_size(const struct program *program, uint64_t addr);

/** Bytes to the NUL of the text at @p addr, it included; 0 if it is no text. */
uint64_t text_size(const struct program *program, uint64_t addr);

/**
 * Where the text that holds @p addr begins, or ends just before it: @p addr if
 * there is none. Of very long ones only the last part counts.
 */
uint64_t text_start(const struct program *program, uint64_t addr);

/**
 * How far back plain data without a name reaches before @p addr: what code may
 * mean that has the address of its end and subtracts.
 */
uint64_t anonymous_start(const struct program *program, uint64_t addr);

/** Whether @p function refers to anything in a range. */
bool function_refers_to(const struct function *function, uint64_t start,
                        uint64_t size);

/** Whether @p a is @p b, a part of it, its whole, or a part of the same. */
bool function_is_family(const struct program *program, const struct function *a,
                        const struct function *b);

#endif /* HFX_BUNDLER_PLACE_H */
