/* SPDX-License-Identifier: MIT */
/**
 * @file debug_private.h
 *
 * What the debug_*.c files share: the index of a unit, and how references
 * between DIEs are followed.
 *
 * DWARF is input like any other. libdw checks bounds, but it follows
 * DW_AT_sibling wherever it points, so that a damaged one makes it walk in
 * circles. debug_unit.c therefore walks each unit once with every step going
 * forward, and notes where DIEs begin; all other code reaches DIEs only in a
 * unit that was walked, and by debug_follow(), which refuses references to
 * anything but the beginning of a DIE.
 */
#ifndef HFX_BUNDLER_DEBUG_PRIVATE_H
#define HFX_BUNDLER_DEBUG_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dwarf.h>

#include "debug_info.h"
#include "debug_package.h"
#include "pair_set.h"

/** Longest chain of DW_AT_type, DW_AT_specification, ... that is followed. */
#define DEBUG_MAX_CHAIN 32

#define DEBUG_NO_INDEX UINT32_MAX

/** Addresses from `low_addr` to before `high_addr`. */
struct debug_range {
	uint64_t low_addr;
	uint64_t high_addr;
	/** Of the unit or function that it belongs to. */
	uint32_t index;
};

struct debug_ranges {
	struct debug_range *items;
	size_t num_items;
	size_t cap_items;
};

/** A DIE that others have as their parent: namespace, class, function, block.
 */
struct debug_scope {
	Dwarf_Die die;
	/** Offsets in the unit: of the DIE, and of the last one inside it. */
	uint32_t off;
	uint32_t last_off;
	/** Index in `scopes`, or DEBUG_NO_INDEX for the unit itself. */
	uint32_t parent;
};

/** A variable with a fixed address, or offset among thread-local ones. */
struct debug_variable {
	uint64_t addr;
	bool is_tls;
	Dwarf_Die die;
};

struct debug_unit {
	Dwarf_CU *cu;
	/** The unit's own DIE. */
	Dwarf_Die die;
	/** Of a split unit what the program has of it: lines are there. */
	Dwarf_Die skeleton;
	/** DW_AT_name relative to DW_AT_comp_dir, owned; "" for partial units.
	 */
	char *name;
	/** Borrowed from libdw, may be `NULL`. */
	const char *folder;
	/** Offset in .debug_abbrev; UINT64_MAX if that says nothing. */
	uint64_t abbreviations_off;
	/** Tag names have their keyword, functions no overloads. */
	bool is_c;
	bool is_indexed;
	/** Something in it has a type: with -g1 nothing has. */
	bool has_types;
	/** Where DIEs begin: offsets in the unit, ascending. */
	uint32_t *die_offs;
	size_t num_die_offs;
	size_t cap_die_offs;
	struct debug_scope *scopes;
	size_t num_scopes;
	size_t cap_scopes;
	/** Functions with code, and their ranges. */
	Dwarf_Die *functions;
	size_t num_functions;
	size_t cap_functions;
	struct debug_ranges ranges;
	struct debug_variable *variables;
	size_t num_variables;
	size_t cap_variables;
	/** Complete structures, classes and unions, and all typedefs. */
	Dwarf_Die *types;
	size_t num_types;
	size_t cap_types;
	/** Structures, classes and unions that are only declared. */
	Dwarf_Die *declared;
	size_t num_declared;
	size_t cap_declared;
	/** DIEs of other units whose types are also this unit's. */
	Dwarf_Die *imports;
	size_t num_imports;
	size_t cap_imports;
	/** Of the last traversal that came here. */
	uint64_t visit;
};

struct debug_info {
	Dwarf *dwarf;
	const char *path;
	/** tsearch() tree of the units by their `cu`; owns them. */
	void *units;
	/** The one that was looked for last; `NULL` at first. */
	struct debug_unit *last_unit;
	/** Units of the file itself in its order; borrowed. */
	struct debug_unit **listed;
	size_t num_listed;
	size_t cap_listed;
	bool is_listed;
	bool has_type_units;
	/** dwz was here: units share more than link-time optimization does. */
	bool has_partial_units;
	/** Split units of the whole program; `NULL` if there is none. */
	struct debug_package *package;
	/** Units whose split part (.dwo) was not found. */
	size_t num_missing;
	/** All units that were walked, of other files too; borrowed. */
	struct debug_unit **indexed;
	size_t num_indexed;
	size_t cap_indexed;
	struct debug_ranges ranges;
	/** Variables of all units, by address. */
	struct debug_variable *variables;
	size_t num_variables;
	size_t cap_variables;
	bool has_variables;
	uint64_t last_visit;
};

/** A function's DIEs. */
struct debug_subprogram {
	/** The one with the code. */
	Dwarf_Die die;
	/** End of its chain of DW_AT_abstract_origin, perhaps itself. */
	Dwarf_Die origin;
	/** End of the chain of DW_AT_specification from there. */
	Dwarf_Die declaration;
	/** Unit of the source file, also with link-time optimization. */
	struct debug_unit *unit;
};

/** The one error for damaged DWARF; @p text `NULL` for what libdw says. */
HFX_MUST_CHECK struct hfx_error *
debug_error_damaged(const struct debug_info *debug, const char *text);

/** Append what dwarf_ranges() says of @p die. */
HFX_MUST_CHECK struct hfx_error *
debug_ranges_add(const struct debug_info *debug, struct debug_ranges *ranges,
                 Dwarf_Die *die, uint32_t index);

void debug_ranges_sort(struct debug_ranges *ranges);

/**
 * Number of the first of the ranges that begin where the last one at or before
 * @p addr does; `num_items` if there is none.
 */
size_t debug_ranges_first(const struct debug_ranges *ranges, uint64_t addr);

/** Index of the first range that holds @p addr, or DEBUG_NO_INDEX. */
uint32_t debug_ranges_find(const struct debug_ranges *ranges, uint64_t addr);

/** List the units and their ranges, once. */
HFX_MUST_CHECK struct hfx_error *debug_units_list(struct debug_info *debug);

/** The unit of @p cu, indexed. Borrowed. */
HFX_MUST_CHECK struct hfx_error *
debug_unit_of(struct debug_info *debug, Dwarf_CU *cu, struct debug_unit **ret);

/** Unit whose ranges hold @p addr, indexed; `NULL` if there is none. */
HFX_MUST_CHECK struct hfx_error *
debug_unit_at(struct debug_info *debug, uint64_t addr, struct debug_unit **ret);

/**
 * Append the unit's variables to those of @p debug. Nothing else is kept of a
 * unit that was not indexed: most are never asked about.
 */
HFX_MUST_CHECK struct hfx_error *debug_unit_variables(struct debug_info *debug,
                                                      struct debug_unit *unit);

void debug_unit_destroy(void *unit);

/** Innermost scope around @p die in its @p unit, or `NULL`. */
const struct debug_scope *debug_scope_of(const struct debug_unit *unit,
                                         Dwarf_Die *die);

/** The scope around @p scope, or `NULL`. */
const struct debug_scope *debug_scope_parent(const struct debug_unit *unit,
                                             const struct debug_scope *scope);

/**
 * DIE that the attribute refers to, in a unit that is then indexed.
 *
 * @param[out] found_ret False when @p die has no such attribute.
 */
HFX_MUST_CHECK struct hfx_error *debug_follow(struct debug_info *debug,
                                              Dwarf_Die *die, unsigned name,
                                              Dwarf_Die *ret, bool *found_ret);

/** Follow @p name as far as it goes; @p die itself when there is none. */
HFX_MUST_CHECK struct hfx_error *debug_follow_all(struct debug_info *debug,
                                                  Dwarf_Die *die, unsigned name,
                                                  Dwarf_Die *ret);

/**
 * Unit to name for something found in @p unit whose DW_AT_abstract_origin is
 * @p origin: that of the source file, not one of a linker's making.
 */
HFX_MUST_CHECK struct hfx_error *debug_home_unit(struct debug_info *debug,
                                                 struct debug_unit *unit,
                                                 Dwarf_Die *origin,
                                                 struct debug_unit **ret);

/** The function that @p die is, with or without code. */
HFX_MUST_CHECK struct hfx_error *
debug_subprogram_get(struct debug_info *debug, Dwarf_Die *die,
                     struct debug_subprogram *ret);

/** Function at @p addr; @p found_ret false if there is none. */
HFX_MUST_CHECK struct hfx_error *
debug_subprogram_at(struct debug_info *debug, uint64_t addr,
                    struct debug_subprogram *ret, bool *found_ret);

/**
 * Fill in the place that a location is, if it is a fixed one: DW_OP_addr or
 * DW_OP_addrx, perhaps with DW_OP_plus_uconst, or an offset of a thread-local
 * variable. With anything else behind it, as with DW_OP_stack_value, it is not
 * the variable that stands there.
 */
bool debug_fixed_location(Dwarf_Die *die, struct debug_variable *ret);

/** Variable at @p addr, or `NULL`. */
HFX_MUST_CHECK struct hfx_error *
debug_variable_at(struct debug_info *debug, uint64_t addr,
                  const struct debug_variable **ret);

/** The same, of the thread-local ones if @p is_tls. */
HFX_MUST_CHECK struct hfx_error *
debug_variable_find(struct debug_info *debug, uint64_t addr, bool is_tls,
                    const struct debug_variable **ret);

/** Home unit of a variable. */
HFX_MUST_CHECK struct hfx_error *
debug_variable_unit(struct debug_info *debug,
                    const struct debug_variable *variable,
                    struct debug_unit **ret);

/** DW_AT_linkage_name, else DW_AT_name, borrowed; "" if there is none. */
const char *debug_linkage_name(Dwarf_Die *die);

/** DW_AT_name, or "". Borrowed. */
const char *debug_name(Dwarf_Die *die);

/** Whether @p die has the flag @p name, also by its origin. */
bool debug_flag(Dwarf_Die *die, unsigned name);

/** Unsigned constant attribute; false when there is none. */
bool debug_number(Dwarf_Die *die, unsigned name, uint64_t *ret);

bool debug_is_aggregate(Dwarf_Die *die);

/** File of the declaration, borrowed; `NULL` if unknown. */
const char *debug_declaration_file(Dwarf_Die *die);

/** "file:line" of the declaration, for people, owned; "" if unknown. */
HFX_MUST_CHECK struct hfx_error *debug_declaration_place(Dwarf_Die *die,
                                                         char **ret);

/** "file:line", the file as seen from @p folder; "" without file or line. */
HFX_MUST_CHECK struct hfx_error *
debug_place_text(const char *file, const char *folder, int line, char **ret);

/** @p path as seen from @p folder where they have a folder in common. Owned. */
HFX_MUST_CHECK struct hfx_error *
debug_path_relative(const char *path, const char *folder, char **ret);

/**
 * Format a new text, which may use the old one, and put it in its place.
 *
 * @param[in,out] text Owned string or `NULL`.
 */
HFX_MUST_CHECK HFX_PRINTF(2, 3) struct hfx_error *debug_text_set(
	char **text, const char *format, ...);

/** Name of a type or function with its namespaces and classes. Owned. */
HFX_MUST_CHECK struct hfx_error *
debug_qualified_name(struct debug_info *debug, Dwarf_Die *die, char **ret);

/** The definition that a type unit has of @p type, else @p type. */
HFX_MUST_CHECK struct hfx_error *
debug_type_resolve(struct debug_info *debug, Dwarf_Die *type, Dwarf_Die *ret);

/** Elements of one DW_TAG_subrange_type; false if not constant. */
bool debug_subrange_length(Dwarf_Die *subrange, uint64_t *ret);

/** A member or base class that takes room in a structure. */
struct debug_member {
	Dwarf_Die die;
	/** Type behind typedefs, qualifiers and arrays. */
	Dwarf_Die type;
	/** Borrowed; "" if it has none. For a base class that of the class. */
	const char *name;
	/** From the structure's start. */
	uint64_t bit_off;
	/** Not 0: a bit-field. */
	uint64_t bit_size;
	/** Bytes of the whole member, 0 if unknown. */
	uint64_t size;
	bool is_base;
	/** `type` is a structure, class or union. */
	bool is_aggregate;
};

struct debug_members {
	struct debug_member *items;
	size_t num_items;
	size_t cap_items;
};

/** Append the members of @p type. */
HFX_MUST_CHECK struct hfx_error *debug_members_list(struct debug_info *debug,
                                                    Dwarf_Die *type,
                                                    struct debug_members *ret);

/** Append what @p type is made of, for people; not more than a limit. */
HFX_MUST_CHECK struct hfx_error *debug_type_parts(struct debug_info *debug,
                                                  Dwarf_Die *type,
                                                  struct type_parts *ret);

/** Two builds that are compared. */
struct debug_pair {
	struct debug_info *old_debug;
	struct debug_info *new_debug;
	unsigned num_steps;
	/** Types that are being compared, and how deep. */
	struct pair_set walk;
	unsigned num_nested;
	/**
	 * Inside the types that debug_types_equal() found to differ last:
	 * `member "a" at offset 0 -> 4`. Owned; `NULL` if there is no more to
	 * say.
	 */
	char *difference;
};

void debug_pair_deinit(struct debug_pair *pair);

/**
 * Whether the DW_AT_types of two entries are the same for who reads or passes
 * a value: behind typedefs and qualifiers but _Atomic, integers of one size
 * being the same whatever their sign, `void *` the same as every pointer, and
 * structures of one name, or of other names and the same content.
 */
HFX_MUST_CHECK struct hfx_error *debug_types_equal(struct debug_pair *pair,
                                                   Dwarf_Die *old_die,
                                                   Dwarf_Die *new_die,
                                                   bool *ret);

/** Whether two functions are called alike: result, parameters, convention. */
HFX_MUST_CHECK struct hfx_error *
debug_functions_equal(struct debug_pair *pair,
                      struct debug_subprogram *old_function,
                      struct debug_subprogram *new_function, bool *ret);

/** A type, or what is declared with its DW_AT_type, as C text. Owned. */
HFX_MUST_CHECK struct hfx_error *
debug_declared_type(struct debug_info *debug, Dwarf_Die *die, char **ret);

/** A structure, union or enumeration, and what it is called. */
struct debug_named_type {
	/** With keyword in C, qualified in C++; owned. */
	char *name;
	Dwarf_Die die;
	/** What declares the name: the type, or the typedef that names it. */
	Dwarf_Die declaration;
};

/** The types of a unit and of all that it imports. */
struct debug_type_table {
	struct debug_info *debug;
	bool is_c;
	/** By name. */
	struct debug_named_type *items;
	size_t num_items;
	size_t cap_items;
	/** Enumerations without a name, with or without a typedef. */
	Dwarf_Die *enums;
	size_t num_enums;
	size_t cap_enums;
	/** Units seen, which is also the list of those still to read. */
	struct debug_unit **units;
	size_t num_units;
	size_t cap_units;
};

/** @param[in,out] table Zero but for `debug`. */
HFX_MUST_CHECK struct hfx_error *
debug_type_table_fill(struct debug_type_table *table, struct debug_unit *unit);

/** What a nameless enumeration is called: `enum {IDLE, ...}`. Owned. */
HFX_MUST_CHECK struct hfx_error *
debug_nameless_enum(struct debug_info *debug, Dwarf_Die *type, char **ret);

/** Whether a typedef of the table gives the type a name. */
bool debug_type_table_names(const struct debug_type_table *table,
                            const Dwarf_Die *type);

void debug_type_table_deinit(struct debug_type_table *table);

/** Add one type, with its name. */
HFX_MUST_CHECK struct hfx_error *
debug_type_table_add(struct debug_type_table *table, Dwarf_Die *type);

void debug_type_table_sort(struct debug_type_table *table);

/** Units of OLD and NEW that are of one source file. */
struct debug_unit_pair {
	struct debug_unit *old_unit;
	struct debug_unit *new_unit;
};

struct debug_unit_pairs {
	struct debug_unit_pair *items;
	size_t num_items;
	size_t cap_items;
};

void debug_unit_pairs_deinit(struct debug_unit_pairs *pairs);

/** Add the units of a function, and of what is inlined into it. */
HFX_MUST_CHECK struct hfx_error *
debug_unit_pairs_add(struct debug_pair *pair,
                     const struct debug_function_pair *functions,
                     struct debug_unit_pairs *pairs);

/**
 * Fill a table with the definitions that all units have of the types that NEW's
 * units of @p pairs know and do not describe.
 */
HFX_MUST_CHECK struct hfx_error *
debug_type_table_elsewhere(struct debug_type_table *table,
                           const struct debug_unit_pairs *pairs);

/**
 * Say in which way two types of one name differ.
 *
 * @param[out] ret Owned text; `NULL` when they do not.
 */
HFX_MUST_CHECK struct hfx_error *debug_types_differ(struct debug_pair *pair,
                                                    Dwarf_Die *old_type,
                                                    Dwarf_Die *new_type,
                                                    char **ret);

/** The same for enumerations, and for virtual functions of classes. */
HFX_MUST_CHECK struct hfx_error *debug_enums_differ(struct debug_pair *pair,
                                                    Dwarf_Die *old_type,
                                                    Dwarf_Die *new_type,
                                                    char **ret);
HFX_MUST_CHECK struct hfx_error *
debug_virtuals_differ(Dwarf_Die *old_type, Dwarf_Die *new_type, char **ret);

/**
 * Of enumerations that do not differ: the first value that changed all the
 * same, because it counts the others. Owned; `NULL` if there is none.
 */
HFX_MUST_CHECK struct hfx_error *
debug_enum_count(Dwarf_Die *old_type, Dwarf_Die *new_type, char **ret);

/**
 * Whether two enumerations have an enumerator of the same name, and so are the
 * same one even if they have no name.
 */
bool debug_enums_share(Dwarf_Die *old_type, Dwarf_Die *new_type);

/** First enumerator's name, and whether there are more; "" if none. */
const char *debug_enum_first(Dwarf_Die *type, bool *has_more_ret);

/** Fill in who uses the types that changed, and where their objects are. */
HFX_MUST_CHECK struct hfx_error *
debug_types_find_uses(struct debug_pair *pair,
                      const struct debug_function_pair *functions, size_t count,
                      struct debug_type_changes *changes);

/** The fields `name` and `signature` of a function. Owned. */
HFX_MUST_CHECK struct hfx_error *
debug_signature(struct debug_info *debug, struct debug_subprogram *function,
                char **name_ret, char **signature_ret);

/** The name of these alone, which C has without reading any type. Owned. */
HFX_MUST_CHECK struct hfx_error *
debug_function_name(struct debug_info *debug, struct debug_subprogram *function,
                    char **ret);

#endif /* HFX_BUNDLER_DEBUG_PRIVATE_H */
