/* SPDX-License-Identifier: MIT */
/**
 * @file debug_info.h
 *
 * What the bundler asks of DWARF. The only files that use libdw's DIE and line
 * functions are debug_*.c.
 *
 * Units are read on demand: creating a debug_info parses nothing, the first
 * question the ranges of all units (.debug_aranges is not needed), and each
 * unit is walked once when an answer lies there. Questions about variables
 * walk all units.
 *
 * Damaged DWARF is an error of #HFX_ERROR_BAD_ELF, or an empty answer.
 */
#ifndef HFX_BUNDLER_DEBUG_INFO_H
#define HFX_BUNDLER_DEBUG_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <elfutils/libdw.h>

#include "error.h"
#include "type_parts.h"

struct debug_info;

/**
 * @param[in] dwarf Handle, borrowed: outlives the debug_info.
 * @param[in] path File that it is of, for messages; borrowed.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_create(Dwarf *dwarf, const char *path, struct debug_info **ret);

void debug_info_destroy(struct debug_info *debug);

/**
 * Number of units of which there is only a skeleton: compiled with
 * -gsplit-dwarf, and the .dwo file is not where it says, nor in a package
 * beside the program (.dwp).
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_count_missing(struct debug_info *debug, size_t *ret);

/**
 * Whether DWARF tells the types of the unit that has the code at @p addr: it
 * does not where the unit was compiled without -g, or with -g1. Assembly has
 * none to tell.
 */
HFX_MUST_CHECK struct hfx_error *debug_info_has_types(struct debug_info *debug,
                                                      uint64_t addr, bool *ret);

/** What DWARF says of a function. All strings are owned; "" if unknown. */
struct debug_function {
	/**
	 * DW_AT_name of the unit as seen from DW_AT_comp_dir ("main.c",
	 * "../src/main.c"): the same wherever the tree was built. With
	 * link-time optimization that of the source file.
	 */
	char *unit;
	/** Qualified name for people: `Game::Player::hit(int)`, or `main`. */
	char *name;
	/** DW_AT_linkage_name, else DW_AT_name. */
	char *linkage_name;
	/** "file:line" of the declaration, the file as in `unit`. */
	char *source;
	/**
	 * C declaration: `int process_request(mcp_parser_t *pr, const char
	 * *command, size_t cmdlen)`; methods without the object parameter and
	 * with their class: `int Game::Player::hit(int amount)`. Varargs as
	 * `...`, no parameters as `(void)`.
	 */
	char *signature;
};

void debug_function_deinit(struct debug_function *function);

/**
 * The function whose code holds @p addr, also one in the middle (a cold part).
 *
 * Where DWARF has nothing, all strings are empty and that is no error.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_function(struct debug_info *debug, uint64_t addr,
                    struct debug_function *ret);

/** In what registers a value is passed or returned (psABI 3.2.3). */
enum debug_class {
	/** `void`. */
	DEBUG_CLASS_NONE,
	/** One of the general ones. */
	DEBUG_CLASS_GENERAL,
	/** One of the vector registers. */
	DEBUG_CLASS_FLOATING,
	/** Up to two, of either kind, or not known. */
	DEBUG_CLASS_ANY,
};

struct debug_arguments {
	/** False when there may be any number. */
	bool is_known;
	/** General registers that they take at most. */
	unsigned int num_general;
	/** Whether they may take vector registers. */
	bool has_floating;
};

/**
 * Arguments of the function @p name, by its declaration in the unit of the code
 * at @p caller_addr.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_declared_arguments(struct debug_info *debug, uint64_t caller_addr,
                              const char *name, struct debug_arguments *ret);

/** What the function whose code is at @p addr returns. */
HFX_MUST_CHECK struct hfx_error *
debug_info_result_class(struct debug_info *debug, uint64_t addr,
                        enum debug_class *ret);

/**
 * Innermost inlined function at @p addr (DW_TAG_inlined_subroutine) that is
 * not of a system header (/usr).
 *
 * @param[out] name_ret Linkage name, owned; `NULL` when nothing is inlined
 * there.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_inlined_at(struct debug_info *debug, uint64_t addr, char **name_ret);

/** Whether the function at @p addr has inlined one of linkage name @p name. */
HFX_MUST_CHECK struct hfx_error *debug_info_inlines(struct debug_info *debug,
                                                    uint64_t addr,
                                                    const char *name,
                                                    bool *ret);

/** A row of the line table: it counts up to the next one. */
struct debug_line {
	uint64_t addr;
	/** Whole where the folder of the build is known; borrowed. */
	const char *path;
	/** 0 for code that is of no line. */
	uint32_t number;
	bool is_statement;
};

/**
 * What a debugger shows of a function. Strings are borrowed and live as long
 * as the debug_info.
 */
struct debug_code {
	/** DW_AT_name and DW_AT_comp_dir of its unit; `NULL` if unknown. */
	const char *unit;
	const char *folder;
	/** DW_AT_language, or -1. */
	int language;
	/** DW_AT_name: not qualified; may be empty. */
	const char *name;
	/** By address. */
	struct debug_line *lines;
	size_t num_lines;
	size_t cap_lines;
};

/** Guard and destructor. */
void debug_code_deinit(struct debug_code *code);

/** The function at @p addr, and the lines of @p size bytes from there. */
HFX_MUST_CHECK struct hfx_error *debug_info_code(struct debug_info *debug,
                                                 uint64_t addr, uint64_t size,
                                                 struct debug_code *ret);

/** "file:line" of @p addr by the line table, owned; "" if unknown. */
HFX_MUST_CHECK struct hfx_error *debug_info_line_at(struct debug_info *debug,
                                                    uint64_t addr, char **ret);

/**
 * Whether the code at @p addr is of line @p line: by the line table, or because
 * a function that is inlined there is called in that line (DW_AT_call_line).
 */
HFX_MUST_CHECK struct hfx_error *debug_info_is_of_line(struct debug_info *debug,
                                                       uint64_t addr,
                                                       uint64_t line,
                                                       bool *ret);

/**
 * Compilers and options of all units (DW_AT_producer): the distinct ones in
 * alphabetical order, joined by "; ". Owned.
 */
HFX_MUST_CHECK struct hfx_error *debug_info_producers(struct debug_info *debug,
                                                      char **ret);

/**
 * Folder in which the unit of the code at @p addr was compiled
 * (DW_AT_comp_dir), borrowed; "" if unknown.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_folder_at(struct debug_info *debug, uint64_t addr, const char **ret);

/**
 * Unit of the function or variable at @p addr, owned: DW_AT_name of its
 * compilation unit; "" if unknown. For variables: a DW_TAG_variable whose
 * location is DW_OP_addr @p addr.
 */
HFX_MUST_CHECK struct hfx_error *debug_info_unit_at(struct debug_info *debug,
                                                    uint64_t addr,
                                                    bool is_variable,
                                                    char **ret);

/**
 * Where the variable at @p addr is declared, as a text that is the same in two
 * builds of the same source whatever the numbering of symbols, and whether or
 * not the function around it was inlined or cloned. Owned; "" when DWARF has no
 * such variable. Joined by "/":
 *
 *     UNIT/NAMESPACE or class/.../NAME     at file scope
 *     UNIT/FUNCTION/INDEX/NAME             inside a function
 *
 * FUNCTION is `debug_function::name`, INDEX the number of variables of that
 * name, static or not, which the function declares before this one. clang may
 * lose FUNCTION of an inlined function; it is then empty.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_variable_scope(struct debug_info *debug, uint64_t addr, char **ret);

/** Where objects of a type live, as far as DWARF shows. */
enum debug_storage {
	/** Only in frames of the functions that were given. */
	DEBUG_STORAGE_STACK,
	/** Nothing shows it: a type of casts; an enumeration, whose values any
	 * integer can hold. */
	DEBUG_STORAGE_UNKNOWN,
	/** Functions that were not given have it, too. */
	DEBUG_STORAGE_OTHERS,
	/** Somewhere a pointer to it is stored or passed. */
	DEBUG_STORAGE_HEAP,
	/** In variables with static storage. */
	DEBUG_STORAGE_GLOBAL,
};

/** A type that two builds have, and that differs. */
struct debug_type_change {
	/** "struct mcp_parser_s", "enum state", in C++ "Game::Player". Owned.
	 */
	char *name;
	uint64_t old_size;
	uint64_t new_size;
	/**
	 * First difference (`member "tokens" at offset 8 -> 16`, `member "next"
	 * added at offset 24`, `value RED 1 -> 2`), or "". Owned.
	 */
	char *member;
	/** "file:line" of the declaration in NEW. Owned. */
	char *source;
	struct type_parts old_parts;
	struct type_parts new_parts;
	/** Name for comparisons with DWARF: tag or, without one, typedef. */
	char *key;
	bool is_typedef;
	bool is_enum;
	/** Indices of the given functions that have it. */
	uint32_t *users;
	size_t num_users;
	size_t cap_users;
	/** Of these, the ones that are passed it or give it back. */
	uint32_t *passers;
	size_t num_passers;
	size_t cap_passers;
	enum debug_storage storage;
	/** No object can have what changed: a count of values. */
	bool is_harmless;
	/** What shows `storage`: `variable conns`, or "". Owned. */
	char *holder;
};

struct debug_type_changes {
	struct debug_type_change *items;
	size_t num_items;
	size_t cap_items;
};

void debug_type_changes_deinit(struct debug_type_changes *changes);

/** A function of NEW that goes live, and what it takes the place of. */
struct debug_function_pair {
	/** 0 if only NEW has it. */
	uint64_t old_addr;
	uint64_t new_addr;
	/** Code that is not replaced may call it with pointers of its own. */
	bool is_exposed;
	/** Addresses of NEW's variables that it refers to. Borrowed. */
	const uint64_t *variables;
	size_t num_variables;
};

/**
 * Compare the types that the units of the given functions declare: structures,
 * unions and classes with size, alignment, members, bit-fields, bases and
 * virtual functions; enumerations with the values that both have. Each type is
 * told once. One without a name goes by its typedef; one without either belongs
 * to what is around it.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_compare_types(struct debug_info *old_debug,
                         struct debug_info *new_debug,
                         const struct debug_function_pair *functions,
                         size_t count, struct debug_type_changes *ret);

/** Addresses of a function of both builds. */
struct debug_call_pair {
	uint64_t old_addr;
	uint64_t new_addr;
	/** Functions of several names are there in one of the builds. */
	bool are_folded;
};

/**
 * Say how two functions are called differently, as text: `from "int f(int)" to
 * "int f(long)"`. Compared are parameters, result, varargs and calling
 * convention. Where several functions have one address, each is compared with
 * those of its name. Where DWARF has none at one of the addresses, they count
 * as called alike.
 *
 * @param[out] ret Owned; `NULL` when they are called alike.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_call_differs(struct debug_info *old_debug,
                        struct debug_info *new_debug,
                        const struct debug_call_pair *calls, char **ret);

/** Addresses of a variable of both builds; offsets of a thread-local one. */
struct debug_variable_pair {
	uint64_t old_addr;
	uint64_t new_addr;
	bool is_tls;
};

/**
 * Say how the types of two variables differ, as text: `from "int" to "float"`,
 * and in structures without a name, or of other names, what differs inside.
 * Where DWARF has one of the variables not, they count as the same.
 *
 * @param[out] ret Owned; `NULL` when they do not differ.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_variable_differs(struct debug_info *old_debug,
                            struct debug_info *new_debug,
                            const struct debug_variable_pair *pair, char **ret);

/**
 * Alignment that the variable at @p addr was declared with; 0 if it has that of
 * its type.
 */
HFX_MUST_CHECK struct hfx_error *
debug_info_variable_alignment(struct debug_info *debug, uint64_t addr,
                              uint64_t *ret);

/** Whether the variable at @p addr is an array; false if it is unknown. */
HFX_MUST_CHECK struct hfx_error *debug_info_is_array(struct debug_info *debug,
                                                     uint64_t addr, bool *ret);

/**
 * Whether the variable at @p addr is an array or has one inside, which code may
 * index; true if it is unknown. Bytes that share their room with other members
 * of a union are room for these, and no array.
 */
HFX_MUST_CHECK struct hfx_error *debug_info_has_array(struct debug_info *debug,
                                                      uint64_t addr, bool *ret);

/** Whether the source of a function has a name for a variable. */
enum debug_naming {
	/** DWARF has one of them not. */
	DEBUG_NAMING_UNKNOWN,
	/** It has: the variable is not static, or of the same unit. */
	DEBUG_NAMING_CAN,
	/** It has not, but both units were optimized together. */
	DEBUG_NAMING_MAY,
	/** It has not. */
	DEBUG_NAMING_CANNOT,
};

/** Whether code of the function at @p function_addr may mean a variable. */
HFX_MUST_CHECK struct hfx_error *debug_info_naming(struct debug_info *debug,
                                                   uint64_t function_addr,
                                                   uint64_t variable_addr,
                                                   enum debug_naming *ret);

/** "file:line" of the variable at @p addr, owned; "" if unknown. */
HFX_MUST_CHECK struct hfx_error *
debug_info_variable_source(struct debug_info *debug, uint64_t addr, char **ret);

#endif /* HFX_BUNDLER_DEBUG_INFO_H */
