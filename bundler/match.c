/* SPDX-License-Identifier: MIT */
#include "match.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "debug_info.h"
#include "lambda_names.h"

/*
 * A pass gives each symbol that is still alone a key; symbols whose key is
 * unique on both sides become a pair.
 */
struct entry {
	const char *name;
	size_t name_length;
	const char *place;
	uint64_t tag;
	uint32_t symbol;
	/** Owned copy of `place`, or NULL. */
	char *owned;
};

struct entries {
	struct entry *items;
	size_t num_items;
	size_t cap_items;
};

enum pass {
	PASS_GLOBAL,
	/** Variables and functions by what DWARF says of their place. */
	PASS_SCOPE,
	/** Functions by their code, references left out. */
	PASS_CODE,
	PASS_FULL_NAME_AND_FILE,
	PASS_FULL_NAME,
	PASS_BASE_NAME_AND_FILE,
	PASS_BASE_NAME,
	/** Numbered variables of one size, for want of anything better. */
	PASS_NUMBER,
};

/* Of match_by_use(). */
#define MAX_ROUNDS 8

size_t match_base_length(const char *name)
{
	const char *dot = *name ? strchr(name + 1, '.') : NULL;

	return dot ? (size_t)(dot - name) : strlen(name);
}

static uint64_t class_of(const struct symbol *symbol)
{
	uint64_t cold = strstr(symbol->name, ".cold") ? 16 : 0;

	return (symbol->kind == SYMBOL_IFUNC ? SYMBOL_FUNCTION : symbol->kind) |
	       cold;
}

static bool is_code(const struct symbol *symbol)
{
	return symbol->kind == SYMBOL_FUNCTION || symbol->kind == SYMBOL_IFUNC;
}

/* Whether the compiler may have numbered this variable. */
static bool is_numbered_object(const struct symbol *symbol)
{
	return symbol->kind == SYMBOL_OBJECT && symbol->is_local &&
	       symbol->name[match_base_length(symbol->name)];
}

static bool is_constant(const struct program *program,
                        const struct symbol *symbol)
{
	return symbol->section != NO_INDEX &&
	       program->sections[symbol->section].kind == SECTION_CONST;
}

/* FNV-1a over the code, with the reference fields as zeros. */
uint64_t match_code_hash(const struct function *function)
{
	uint64_t hash = 0xcbf29ce484222325;
	size_t off = 0;

	for (size_t r = 0; r <= function->num_references; r++) {
		bool is_last = r == function->num_references;
		const struct reference *reference =
			is_last ? NULL : &function->references[r];
		size_t end =
			is_last ? function->size
				: reference->insn_off + reference->field_off;

		for (; off < end; off++)
			hash = (hash ^ function->code[off]) * 0x100000001b3;
		if (!is_last)
			off += reference->field_size;
	}
	return hash;
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	size_t shorter = x->name_length < y->name_length ? x->name_length
	                                                 : y->name_length;
	int order = memcmp(x->name, y->name, shorter);

	if (order)
		return order;
	if (x->name_length != y->name_length)
		return x->name_length < y->name_length ? -1 : 1;
	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return strcmp(x->place, y->place);
}

/*
 * What only DWARF can tell is asked of it only for names that are several
 * times there: reading all variables is not cheap.
 */
static struct hfx_error *scope_of(const struct program *program,
                                  const struct symbol *symbol, char **ret)
{
	*ret = NULL;
	if (!program->debug)
		return NULL;
	if (is_code(symbol))
		return debug_info_unit_at(program->debug, symbol->addr, false,
		                          ret);
	return debug_info_variable_scope(program->debug, symbol->addr, ret);
}

/* Fill in the key of a symbol for a pass; false if the pass is not for it. */
static bool make_key(const struct program *program, char *const *names,
                     enum pass pass, uint32_t index, struct entry *entry)
{
	const struct symbol *symbol = &program->symbols[index];
	const char *name = names[index] ? names[index] : symbol->name;
	bool by_base = pass == PASS_BASE_NAME || pass == PASS_SCOPE ||
	               pass == PASS_BASE_NAME_AND_FILE || pass == PASS_CODE;

	*entry = (struct entry){
		.name = name,
		.name_length = by_base ? match_base_length(name) : strlen(name),
		.place = pass == PASS_FULL_NAME_AND_FILE ||
	                                 pass == PASS_BASE_NAME_AND_FILE ||
	                                 pass == PASS_NUMBER
	                         ? symbol->file
	                         : "",
		.tag = class_of(symbol),
		.symbol = index,
	};
	if (!*name)
		return false;
	if (pass == PASS_GLOBAL)
		return !symbol->is_local;
	if (pass == PASS_CODE) {
		const struct function *function =
			is_code(symbol)
				? program_function_at(program, symbol->addr)
				: NULL;
		if (!function || function->addr != symbol->addr)
			return false;
		entry->tag ^= match_code_hash(function) << 8;
	}
	if (pass == PASS_NUMBER) {
		entry->tag ^= symbol->size << 8;
		return is_numbered_object(symbol);
	}
	/* A number alone says nothing of a variable. */
	if (pass == PASS_FULL_NAME || pass == PASS_FULL_NAME_AND_FILE)
		return !is_numbered_object(symbol);
	return true;
}

static void entries_deinit(struct entries *entries)
{
	for (size_t i = 0; i < entries->num_items; i++)
		free(entries->items[i].owned);
	free(entries->items);
}

static struct hfx_error *collect(const struct program *program,
                                 char *const *names, enum pass pass,
                                 struct entries *entries)
{
	struct entry entry;

	for (uint32_t i = 0; i < program->num_symbols; i++)
		if (program->symbols[i].peer == NO_INDEX &&
		    make_key(program, names, pass, i, &entry) &&
		    !HFX_ARRAY_PUSH(entries, items, entry))
			return hfx_error_no_memory();
	hfx_array_sort(entries->items, entries->num_items,
	               sizeof(*entries->items), compare_entries);
	return NULL;
}

static size_t group_end(const struct entries *entries, size_t start)
{
	size_t end = start;

	while (end < entries->num_items &&
	       !compare_entries(&entries->items[start], &entries->items[end]))
		end++;
	return end;
}

static void pair(struct program *old_program, uint32_t old_symbol,
                 struct program *new_program, uint32_t new_symbol)
{
	old_program->symbols[old_symbol].peer = new_symbol;
	new_program->symbols[new_symbol].peer = old_symbol;
}

/* Replace the places of a group of entries by their scopes. */
static struct hfx_error *add_scopes(const struct program *program,
                                    struct entry *group, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		HFX_TRY(scope_of(program, &program->symbols[group[i].symbol],
		                 &group[i].owned));
		if (group[i].owned)
			group[i].place = group[i].owned;
	}
	hfx_array_sort(group, count, sizeof(*group), compare_entries);
	return NULL;
}

struct sides {
	struct program *old_program;
	struct program *new_program;
	struct entries old_entries;
	struct entries new_entries;
};

static void pair_unique(struct sides *sides, size_t o, size_t o_stop, size_t n,
                        size_t n_stop)
{
	const struct entry *olds = sides->old_entries.items;
	const struct entry *news = sides->new_entries.items;

	while (o < o_stop && n < n_stop) {
		int order = compare_entries(&olds[o], &news[n]);
		size_t o_end = group_end(&sides->old_entries, o);
		size_t n_end = group_end(&sides->new_entries, n);

		if (!order && o_end == o + 1 && n_end == n + 1)
			pair(sides->old_program, olds[o].symbol,
			     sides->new_program, news[n].symbol);
		if (order <= 0)
			o = o_end;
		if (order >= 0)
			n = n_end;
	}
}

static bool needs_scope(const struct sides *sides, size_t o, size_t o_count,
                        size_t n_count)
{
	const struct symbol *symbol =
		&sides->old_program
			 ->symbols[sides->old_entries.items[o].symbol];

	return (o_count > 1 || n_count > 1) &&
	       (symbol->kind == SYMBOL_OBJECT || is_code(symbol)) &&
	       !is_constant(sides->old_program, symbol);
}

/* For groups of several on a side: pair by scope. */
static struct hfx_error *pair_by_scope(struct sides *sides)
{
	size_t o = 0, n = 0;

	while (o < sides->old_entries.num_items &&
	       n < sides->new_entries.num_items) {
		int order = compare_entries(&sides->old_entries.items[o],
		                            &sides->new_entries.items[n]);
		size_t o_end = group_end(&sides->old_entries, o);
		size_t n_end = group_end(&sides->new_entries, n);

		if (!order && needs_scope(sides, o, o_end - o, n_end - n)) {
			HFX_TRY(add_scopes(sides->old_program,
			                   sides->old_entries.items + o,
			                   o_end - o));
			HFX_TRY(add_scopes(sides->new_program,
			                   sides->new_entries.items + n,
			                   n_end - n));
			pair_unique(sides, o, o_end, n, n_end);
		}
		if (order <= 0)
			o = o_end;
		if (order >= 0)
			n = n_end;
	}
	return NULL;
}

static struct hfx_error *run_pass(struct program *old_program,
                                  struct program *new_program,
                                  const struct lambda_names *names,
                                  enum pass pass)
{
	struct sides sides = {.old_program = old_program,
	                      .new_program = new_program};
	struct hfx_error *err = collect(old_program, names->old_names, pass,
	                                &sides.old_entries);

	if (!err)
		err = collect(new_program, names->new_names, pass,
		              &sides.new_entries);
	if (!err && pass == PASS_SCOPE)
		err = pair_by_scope(&sides);
	else if (!err)
		pair_unique(&sides, 0, sides.old_entries.num_items, 0,
		            sides.new_entries.num_items);
	entries_deinit(&sides.old_entries);
	entries_deinit(&sides.new_entries);
	return err;
}

/* Function in `there` of the counterpart of a symbol, or NO_INDEX. */
static uint32_t peer_function(const struct program *there,
                              const struct symbol *symbol)
{
	if (symbol->peer == NO_INDEX)
		return NO_INDEX;
	uint64_t addr = there->symbols[symbol->peer].addr;
	const struct function *found = program_function_at(there, addr);

	return found && found->addr == addr ? found - there->functions
	                                    : NO_INDEX;
}

static void match_functions(struct program *here, const struct program *there)
{
	for (size_t i = 0; i < here->num_functions; i++) {
		struct function *function = &here->functions[i];

		function->peer =
			peer_function(there, &here->symbols[function->symbol]);
		for (uint32_t s = 0; s < function->num_symbols; s++) {
			uint32_t peer = peer_function(
				there,
				&here->symbols[function->first_symbol + s]);

			if (peer == NO_INDEX)
				continue;
			if (function->peer == NO_INDEX)
				function->peer = peer;
			else if (function->peer != peer)
				function->is_shared = true;
		}
	}
}

bool match_is_ambiguous(const struct program *old_program,
                        const struct symbol *symbol)
{
	size_t length = match_base_length(symbol->name);

	for (size_t i = 0; i < old_program->num_symbols; i++) {
		const struct symbol *other = &old_program->symbols[i];

		if (other->peer == NO_INDEX && other->kind == symbol->kind &&
		    match_base_length(other->name) == length &&
		    !memcmp(other->name, symbol->name, length))
			return true;
	}
	return false;
}

/* What one round has found may use what the next one finds. */
static struct hfx_error *run_uses(struct program *old_program,
                                  struct program *new_program)
{
	bool found = true;

	for (size_t round = 0; found && round < MAX_ROUNDS; round++)
		HFX_TRY(match_by_use(old_program, new_program, &found));
	return NULL;
}

struct hfx_error *match_programs(struct program *old_program,
                                 struct program *new_program)
{
	HFX_CLEANUP(lambda_names_deinit) struct lambda_names names = {0};

	HFX_TRY(lambda_names_init(&names, old_program, new_program));
	for (enum pass pass = 0; pass < PASS_NUMBER; pass++)
		HFX_TRY(run_pass(old_program, new_program, &names, pass));
	HFX_TRY(run_uses(old_program, new_program));
	HFX_TRY(run_pass(old_program, new_program, &names, PASS_NUMBER));
	match_functions(old_program, new_program);
	match_functions(new_program, old_program);
	return NULL;
}
