/* SPDX-License-Identifier: MIT */
#include "namesakes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "debug_info.h"
#include "match.h"

struct namesake {
	const char *base;
	size_t base_length;
	uint32_t symbol;
	/** Owned; `NULL` until it is asked for, "" when DWARF has none. */
	char *scope;
	/** Of "UNIT/FUNCTION/"; 0 when it is not in a function. */
	size_t head_length;
};

/* ---- Names -------------------------------------------------------------- */

/* The second `n` of f() is `_ZZ1fvE1n_0`. */
bool namesakes_is_local_entity(const struct symbol *symbol)
{
	return !strncmp(symbol->name, "_ZZ", 3);
}

/* Without the number that the compiler gave it. */
static size_t base_length(const struct symbol *symbol)
{
	size_t length = match_base_length(symbol->name), digits = 0;

	if (!namesakes_is_local_entity(symbol))
		return length;
	while (isdigit((unsigned char)symbol->name[length - digits - 1]))
		digits++;
	return digits && symbol->name[length - digits - 1] == '_'
	               ? length - digits - 1
	               : length;
}

bool scope_is_in_function(const char *scope, size_t *head_length_ret)
{
	const char *name = strrchr(scope, '/'), *index = name;

	while (index && index > scope && isdigit((unsigned char)index[-1]))
		index--;
	if (!name || index == name || index == scope || index[-1] != '/')
		return false;
	*head_length_ret = (size_t)(index - scope);
	return true;
}

/* ---- Order -------------------------------------------------------------- */

static int compare_texts(const char *a, size_t a_length, const char *b,
                         size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_bases(const void *left, const void *right)
{
	const struct namesake *a = left, *b = right;

	return compare_texts(a->base, a->base_length, b->base, b->base_length);
}

/* Those of one name in one function are equal; all others differ. */
static int compare_owners(const void *left, const void *right)
{
	const struct namesake *a = left, *b = right;
	int order = compare_texts(a->scope, a->head_length, b->scope,
	                          b->head_length);

	if (order)
		return order;
	return a->head_length
	               ? strcmp(strrchr(a->scope, '/'), strrchr(b->scope, '/'))
	               : strcmp(a->scope, b->scope);
}

static int compare_scopes(const void *left, const void *right)
{
	const struct namesake *a = left, *b = right;
	int order = compare_owners(a, b);

	if (!order)
		order = strcmp(a->scope, b->scope);
	return order ? order
	             : (a->symbol > b->symbol) - (a->symbol < b->symbol);
}

/** Items that follow each other. */
struct run {
	struct namesake *items;
	size_t num_items;
};

/** The part of a sorted @p run that is equal to @p key. */
static struct run find_equal(const struct run *run, const struct namesake *key,
                             int (*compare)(const void *, const void *))
{
	size_t first = hfx_array_lower_bound(key, run->items, run->num_items,
	                                     sizeof(*key), compare);
	size_t end = hfx_array_upper_bound(key, run->items, run->num_items,
	                                   sizeof(*key), compare);

	return (struct run){run->items + first, end - first};
}

/* ---- Variables ---------------------------------------------------------- */

static struct hfx_error *collect(struct namesakes_side *side)
{
	const struct program *program = side->program;

	for (uint32_t i = 0; i < program->num_symbols; i++) {
		const struct symbol *symbol = &program->symbols[i];
		struct namesake item = {
			.base = symbol->name,
			.symbol = i,
		};

		if (symbol->kind != SYMBOL_OBJECT || !symbol->is_local)
			continue;
		item.base_length = base_length(symbol);
		if (!HFX_ARRAY_PUSH(side, items, item))
			return hfx_error_no_memory();
	}
	hfx_array_sort(side->items, side->num_items, sizeof(*side->items),
	               compare_bases);
	return NULL;
}

static struct hfx_error *read_scope(const struct program *program,
                                    struct namesake *item)
{
	uint64_t addr = program->symbols[item->symbol].addr;

	HFX_TRY(debug_info_variable_scope(program->debug, addr, &item->scope));
	if (!scope_is_in_function(item->scope, &item->head_length))
		item->head_length = 0;
	return NULL;
}

/** Those with the base name of @p symbol, by scope; none without DWARF. */
static struct hfx_error *find_group(struct namesakes_side *side,
                                    const struct symbol *symbol,
                                    struct run *ret)
{
	const struct namesake key = {
		.base = symbol->name,
		.base_length = base_length(symbol),
	};
	const struct run all = {side->items, side->num_items};

	*ret = (struct run){0};
	if (!side->program->debug)
		return NULL;
	*ret = find_equal(&all, &key, compare_bases);
	/* All of a name are read at once. */
	if (!ret->num_items || ret->items[0].scope)
		return NULL;
	for (size_t i = 0; i < ret->num_items; i++)
		HFX_TRY(read_scope(side->program, &ret->items[i]));
	hfx_array_sort(ret->items, ret->num_items, sizeof(*ret->items),
	               compare_scopes);
	return NULL;
}

/** How many of them are in the function that @p scope is in. */
static struct hfx_error *count_owned(struct namesakes_side *side,
                                     const struct symbol *symbol,
                                     const char *scope, size_t head_length,
                                     size_t *ret)
{
	const struct namesake key = {.scope = (char *)scope,
	                             .head_length = head_length};
	struct run group;

	HFX_TRY(find_group(side, symbol, &group));
	*ret = find_equal(&group, &key, compare_owners).num_items;
	return NULL;
}

struct hfx_error *namesakes_init(struct namesakes *namesakes,
                                 const struct program *old_program,
                                 const struct program *new_program)
{
	*namesakes = (struct namesakes){
		.old_side = {.program = old_program},
		.new_side = {.program = new_program},
	};
	HFX_TRY(collect(&namesakes->old_side));
	return collect(&namesakes->new_side);
}

static void free_scopes(struct namesakes_side *side)
{
	for (size_t i = 0; i < side->num_items; i++)
		free(side->items[i].scope);
	free(side->items);
}

void namesakes_deinit(struct namesakes *namesakes)
{
	free_scopes(&namesakes->old_side);
	free_scopes(&namesakes->new_side);
}

struct hfx_error *namesakes_find_old(struct namesakes *namesakes,
                                     const struct symbol *symbol,
                                     const char *scope, uint32_t *ret)
{
	struct namesake key = {.scope = (char *)scope};
	struct run group;

	*ret = NO_INDEX;
	if (!scope_is_in_function(scope, &key.head_length))
		key.head_length = 0;
	HFX_TRY(find_group(&namesakes->old_side, symbol, &group));
	/* The key's symbol is 0: all of its scope stand behind it. */
	size_t first = hfx_array_lower_bound(&key, group.items, group.num_items,
	                                     sizeof(key), compare_scopes);
	if (first < group.num_items && !strcmp(group.items[first].scope, scope))
		*ret = group.items[first].symbol;
	return NULL;
}

struct hfx_error *namesakes_differ(struct namesakes *namesakes,
                                   const struct symbol *symbol,
                                   const char *scope, bool *ret)
{
	size_t head_length, num_old, num_new;

	*ret = false;
	if (!scope_is_in_function(scope, &head_length))
		return NULL;
	HFX_TRY(count_owned(&namesakes->old_side, symbol, scope, head_length,
	                    &num_old));
	HFX_TRY(count_owned(&namesakes->new_side, symbol, scope, head_length,
	                    &num_new));
	*ret = num_old && num_new && num_old != num_new;
	return NULL;
}
