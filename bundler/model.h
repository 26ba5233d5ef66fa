/* SPDX-License-Identifier: MIT */
/**
 * @file model.h
 *
 * What the passes of the bundler share: a program as they see it.
 *
 * pipeline.c lists the passes. `program_load()` fills everything but the
 * references; `scan` adds these; `match` sets `peer`s; `compare` sets verdicts.
 * All addresses are virtual addresses of the file.
 */
#ifndef HFX_BUNDLER_MODEL_H
#define HFX_BUNDLER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "manifest.h"

struct debug_info;

enum section_kind {
	SECTION_CODE,
	/** Read-only for good, or after relocation (RELRO). */
	SECTION_CONST,
	SECTION_DATA,
	/** As DATA, without bytes in the file. */
	SECTION_BSS,
	/** .tdata and .tbss: addresses there are of the TLS image. */
	SECTION_TLS,
	SECTION_GOT,
	SECTION_PLT,
	/** Allocated, but nothing that code refers to: notes, tables. */
	SECTION_OTHER,
};

struct section {
	/** Borrowed from the file. */
	const char *name;
	enum section_kind kind;
	uint64_t addr;
	uint64_t size;
	/** Borrowed bytes; `NULL` for BSS. */
	const uint8_t *data;
	uint64_t align;
	/** ELF flags (gABI, sh_flags). */
	uint64_t flags;
};

/** An object symbol, to look up by address. */
struct object_span {
	uint64_t addr;
	/** Largest end of this object and all before it. */
	uint64_t reach_addr;
	/** Index into `symbols`. */
	uint32_t symbol;
};

enum symbol_kind {
	SYMBOL_FUNCTION,
	SYMBOL_OBJECT,
	SYMBOL_TLS,
	/** Labels without type or size: linker-made, hand-written assembly. */
	SYMBOL_LABEL,
	SYMBOL_IFUNC,
};

struct symbol {
	/** Borrowed from the file, with its version: `stdout@GLIBC_2.2.5`. */
	const char *name;
	/** Name of the STT_FILE symbol before a local symbol, or "". */
	const char *file;
	enum symbol_kind kind;
	bool is_local;
	bool is_weak;
	/** For TLS: offset in the TLS image. */
	uint64_t addr;
	uint64_t size;
	/** Index into `sections`. */
	uint32_t section;
	/** Index of the matching symbol of the other program, or NO_INDEX. */
	uint32_t peer;
};

#define NO_INDEX UINT32_MAX

/** A dynamic relocation (DT_RELA or DT_JMPREL). */
struct dynamic_relocation {
	/** Place that is relocated. */
	uint64_t addr;
	uint32_t type;
	/** Imported or own dynamic symbol; "" for none. Borrowed. */
	const char *symbol;
	/** Its version, or "". */
	const char *version;
	/** DT_NEEDED name that the version is of, or "". */
	const char *library;
	/** Whether the symbol is undefined here. */
	bool is_import;
	bool is_weak;
	/** `st_value` of a symbol that is defined here, else 0. */
	uint64_t symbol_addr;
	int64_t addend;
};

/**
 * A relocation that the linker kept (--emit-relocs) for code or data that it
 * has relocated already.
 */
struct kept_relocation {
	uint64_t addr;
	uint32_t type;
	/**
	 * Was of a load from a GOT slot, which the linker may have turned into
	 * another instruction: only an immediate operand is an address.
	 */
	bool was_got_load;
	/**
	 * The address that the place holds; for R_X86_64_PC32 the start of the
	 * object that the reference counts from.
	 */
	uint64_t target;
	/** Start of the object that an address in code counts from, or 0. */
	uint64_t anchor;
};

/** A PLT stub and the GOT slot through which it jumps. */
struct plt_stub {
	uint64_t addr;
	uint64_t size;
	uint64_t slot_addr;
};

enum reference_kind {
	/** Direct call. */
	REFERENCE_CALL,
	/** Direct jump, conditional or not. */
	REFERENCE_JUMP,
	/** RIP-relative operand of a load, store or other access. */
	REFERENCE_ACCESS,
	/** RIP-relative `lea`: the address itself. */
	REFERENCE_ADDRESS,
};

/**
 * A reference from code to something outside the instruction's function. Large
 * programs have millions, so it is kept small.
 */
struct reference {
	/** Address referred to. */
	uint64_t target;
	/** Offset of the instruction in its function. */
	uint32_t insn_off;
	uint32_t insn_size : 4;
	/** Place and width in bytes of the field in the instruction. */
	uint32_t field_off : 4;
	uint32_t field_size : 4;
	/** An #reference_kind. */
	uint32_t kind : 2;
	/** R_X86_64_32, 32S or 64 for an address that the field holds as it is;
	 * R_X86_64_PC32 for a distance from the instruction's end. */
	uint32_t relocation : 4;
	/** Width of the access in bytes, 0 if not known. */
	uint32_t access_size : 8;
	uint32_t is_write : 1;
	/** Displacement of an operand that has a register, too. */
	uint32_t is_indexed : 1;
};

enum verdict {
	VERDICT_UNKNOWN = 0,
	VERDICT_SAME,
	VERDICT_CHANGED,
	/** No counterpart in the other program. */
	VERDICT_ONLY_HERE,
};

/** Differences that a build makes by itself. */
enum passed {
	PASSED_LINE = 1 << 0,
	PASSED_DATE = 1 << 1,
	PASSED_FOLDER = 1 << 2,
};

/** A piece of code with one start: all symbols of one address. */
struct function {
	uint64_t addr;
	uint64_t size;
	const uint8_t *code;
	/** First symbol at this address, and how many follow it. */
	uint32_t first_symbol;
	uint32_t num_symbols;
	/** The symbol that names it: global before local, then the first. */
	uint32_t symbol;
	/** References, in the order of their offsets. */
	struct reference *references;
	uint32_t num_references;
	uint32_t num_instructions;
	/** Bytes that did not decode: no reference there is known. */
	bool is_opaque;
	/**
	 * Its symbols have counterparts at several addresses: identical code
	 * folded into one here and not there.
	 */
	bool is_shared;
	/** Other modules can call it: it is in .dynsym. */
	bool is_exported;
	/** Whether it uses %fs for anything but the stack protector. */
	bool uses_tls;
	/** The function that this is a cold part of, or NO_INDEX. */
	uint32_t parent;
	/** Index of the matching function of the other program, or NO_INDEX. */
	uint32_t peer;
	enum verdict verdict;
	/** One line, owned; `NULL` while the verdict needs none. */
	char *reason;
	/** In NEW, when the same: set of #passed, differences passed over. */
	uint32_t passed;
	/** In NEW, when changed: first offset at which it differs. */
	uint64_t difference_off;
	/** In NEW, when selected: OLD's entry stays (call_check.h). */
	bool keeps_entry;
	/** In NEW: old calls must not reach it, for what they pass it. */
	bool wants_own_entry;
	/** In NEW: goes into the image. */
	bool is_selected;
	/**
	 * In NEW, when selected: only because new code cannot reach OLD's from
	 * where it is. OLD's stays in use beside it.
	 */
	bool is_copy;
};

/** One build of the program. */
struct program {
	const char *path;
	struct build_id build_id;
	bool is_executable;
	/** Linked for a fixed address (ET_EXEC). */
	bool is_fixed;
	/** DT_SONAME, or "". */
	const char *soname;
	struct section *sections;
	size_t num_sections;
	/** Indexes of the sections but those of TLS, by address. */
	uint32_t *placed_sections;
	size_t num_placed_sections;
	/** By address; TLS symbols last. */
	struct symbol *symbols;
	size_t num_symbols;
	size_t cap_symbols;
	/** How many of `symbols`, at its end, are of TLS. */
	size_t num_tls_symbols;
	/** The SYMBOL_OBJECTs among them, in their order. */
	struct object_span *objects;
	size_t num_objects;
	/** By address. */
	struct function *functions;
	size_t num_functions;
	size_t cap_functions;
	/** By place. */
	struct dynamic_relocation *relocations;
	size_t num_relocations;
	size_t cap_relocations;
	/** By place; empty where the linker kept none. */
	struct kept_relocation *kept;
	size_t num_kept;
	size_t cap_kept;
	/** By address. */
	struct plt_stub *stubs;
	size_t num_stubs;
	size_t cap_stubs;
	/** Instructions in all functions; filled by scan. */
	uint64_t num_instructions;
	/** PT_TLS: size in memory and alignment; 0 when there is none. */
	uint64_t tls_size;
	uint64_t tls_align;
	/** Lowest and highest (exclusive) address of all PT_LOADs. */
	uint64_t start_addr;
	uint64_t end_addr;
	/** Content of .comment: the compilers. Borrowed, may be empty. */
	const char *comment;
	/** Owner of the ELF handles behind what is borrowed above. */
	struct elf_file *elf;
	/** DWARF; `NULL` when there is none. */
	struct debug_info *debug;
	/**
	 * Addresses of data that something refers to, sorted: ends of what has
	 * no size of its own. Filled by scan.
	 */
	uint64_t *landmarks;
	size_t num_landmarks;
	size_t cap_landmarks;
};

/** Section that holds @p addr, or `NULL`. TLS sections are never found. */
const struct section *program_section_at(const struct program *program,
                                         uint64_t addr);

/** The first section with this name; `NULL` if there is none. */
const struct section *program_section_named(const struct program *program,
                                            const char *name);

/**
 * Section with initial values of thread-local variables (.tdata) that holds
 * @p addr, or `NULL`. Those without overlap with what follows.
 */
const struct section *program_tls_data_at(const struct program *program,
                                          uint64_t addr);

/** Function whose bytes hold @p addr, or `NULL`. */
struct function *program_function_at(const struct program *program,
                                     uint64_t addr);

/** Relocation whose place is @p addr, or `NULL`. */
const struct dynamic_relocation *
program_relocation_at(const struct program *program, uint64_t addr);

/** First relocation at or behind @p addr: an index, perhaps the count. */
size_t program_relocation_from(const struct program *program, uint64_t addr);

/**
 * The object that the reference in the field at @p addr counts from, if the
 * linker kept a relocation that names it; else `NULL`.
 */
const struct symbol *program_anchor_at(const struct program *program,
                                       uint64_t addr);

/** First kept relocation at or behind @p addr: an index, perhaps the count. */
size_t program_kept_from(const struct program *program, uint64_t addr);

/** PLT stub that begins at @p addr, or `NULL`. */
const struct plt_stub *program_stub_at(const struct program *program,
                                       uint64_t addr);

/**
 * Object symbol (sized) that holds @p addr, or `NULL`. Of several the one with
 * the latest start, then the smallest.
 */
const struct symbol *program_object_at(const struct program *program,
                                       uint64_t addr);

/** Label or object symbol without size exactly at @p addr, or `NULL`. */
const struct symbol *program_label_at(const struct program *program,
                                      uint64_t addr);

/** Whether a label exactly at @p addr is called @p prefix and @p name. */
bool program_has_label(const struct program *program, uint64_t addr,
                       const char *prefix, const char *name);

/** Last object symbol that begins before @p addr, or `NULL`. */
const struct symbol *program_object_before(const struct program *program,
                                           uint64_t addr);

/** First object symbol that begins behind @p addr, or `NULL`. */
const struct symbol *program_object_after(const struct program *program,
                                          uint64_t addr);

/** First landmark behind @p addr, but at most @p limit. */
uint64_t program_landmark_after(const struct program *program, uint64_t addr,
                                uint64_t limit);

/** Name that stands for @p function in messages. */
const char *function_name(const struct program *program,
                          const struct function *function);

/** Of NEW: whether it takes the place of OLD's. */
bool function_is_replaced(const struct function *function);

/** Free a program and all it owns; `NULL` is allowed. */
void program_destroy(struct program *program);

#endif /* HFX_BUNDLER_MODEL_H */
