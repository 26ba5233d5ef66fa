/* SPDX-License-Identifier: MIT */
/*
 * Symbols whose names differ in these numbers alone are a group. Where a group
 * has as many of them in both builds, and each of NEW's number is OLD's and one
 * distance, which is 0 for numbers that count within a function, they are the
 * same in their order. Else nothing tells which is which, and none is matched:
 * objects that the process holds keep OLD's code. So it is where the code of
 * one is that of another in OLD: they have changed places, and with them all
 * that is made of the lambdas of that function.
 */
#include "lambda_names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "match.h"

/* Of lambdas in lambdas; the numbers of more are taken as a part of the name.
 */
#define MAX_NUMBERS 4

struct numbered {
	/** With '#' for each number, and without suffix. Owned. */
	char *pattern;
	uint32_t numbers[MAX_NUMBERS];
	/** A bit for each number that counts within a file. */
	uint8_t by_file;
	uint8_t num_numbers;
	uint32_t symbol;
};

struct list {
	struct numbered *items;
	size_t num_items;
	size_t cap_items;
};

static void list_deinit(struct list *list)
{
	for (size_t i = 0; i < list->num_items; i++)
		free(list->items[i].pattern);
	free(list->items);
}

/* ---- Names -------------------------------------------------------------- */

/* "E_" or "E12_": the end of a lambda's parameters, with its number. */
static const char *find_end(const char *text, const char *stop)
{
	for (; text < stop; text++) {
		const char *end = text + 1;

		while (end < stop && isdigit((unsigned char)*end))
			end++;
		if (*text == 'E' && end < stop && *end == '_')
			return text + 1;
	}
	return NULL;
}

/*
 * The number that begins a mark at `text`: where its digits are, if it has any.
 * `3$_12` of clang, whose length is left out of the pattern, too.
 */
static const char *find_number(const char *text, const char *stop,
                               bool *by_file_ret)
{
	*by_file_ret = text[0] == '$' && text[1] == '_';
	if (*by_file_ret)
		return text + 2;
	if (text[0] != 'U')
		return NULL;
	if (text[1] == 'l')
		return find_end(text + 2, stop);
	if (text[1] != 't')
		return NULL;
	const char *end = text + 2;
	while (end < stop && isdigit((unsigned char)*end))
		end++;
	return end < stop && *end == '_' ? text + 2 : NULL;
}

/* `Ul_` has the number 0 and `Ul0_` 1. */
static const char *read_number(const char *text, uint32_t *ret)
{
	char *end = (char *)text;
	unsigned long number =
		isdigit((unsigned char)*text) ? strtoul(text, &end, 10) + 1 : 0;

	*ret = number > UINT32_MAX ? UINT32_MAX : number;
	return end;
}

/* Take the digits of a length, which depends on the number, off the pattern. */
static char *drop_length(char *start, char *out)
{
	while (out > start && isdigit((unsigned char)out[-1]))
		out--;
	return out;
}

static void parse(const char *name, struct numbered *ret)
{
	const char *stop = name + match_base_length(name);
	char *out = ret->pattern;
	bool by_file;

	while (name < stop) {
		const char *number = ret->num_numbers < MAX_NUMBERS
		                             ? find_number(name, stop, &by_file)
		                             : NULL;

		if (!number) {
			*out++ = *name++;
			continue;
		}
		if (by_file) {
			out = drop_length(ret->pattern, out);
			ret->by_file |= 1 << ret->num_numbers;
		}
		while (name < number)
			*out++ = *name++;
		*out++ = '#';
		name = read_number(number, &ret->numbers[ret->num_numbers++]);
	}
	*out = '\0';
}

static bool may_be_numbered(const char *name)
{
	return !strncmp(name, "_Z", 2) &&
	       (strstr(name, "Ul") || strstr(name, "Ut") || strstr(name, "$_"));
}

/* Behind the length of a clang name, if that is at `text`. */
static const char *skip_length(const char *text)
{
	const char *end = text;

	while (isdigit((unsigned char)*end))
		end++;
	return end[0] == '$' && end[1] == '_' ? end : text;
}

bool lambda_names_alike(const char *a, const char *b)
{
	const char *a_stop = a + strlen(a), *b_stop = b + strlen(b);
	uint32_t ignored;
	bool by_file;

	for (;;) {
		a = skip_length(a);
		b = skip_length(b);
		const char *a_number = find_number(a, a_stop, &by_file);
		const char *b_number = find_number(b, b_stop, &by_file);

		if (!a_number != !b_number)
			return false;
		if (!a_number && (*a != *b || !*a))
			return *a == *b;
		size_t length = a_number ? (size_t)(a_number - a) : 1;
		if (a_number &&
		    (b_number - b != a_number - a || memcmp(a, b, length) != 0))
			return false;
		a = a_number ? read_number(a_number, &ignored) : a + 1;
		b = b_number ? read_number(b_number, &ignored) : b + 1;
	}
}

/* ---- Groups ------------------------------------------------------------- */

static int compare_numbers(const struct numbered *a, const struct numbered *b)
{
	return memcmp(a->numbers, b->numbers, sizeof(a->numbers));
}

static int compare_numbered(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int order = strcmp(x->pattern, y->pattern);

	for (size_t i = 0; !order && i < MAX_NUMBERS; i++)
		order = (x->numbers[i] > y->numbers[i]) -
		        (x->numbers[i] < y->numbers[i]);
	return order;
}

static struct hfx_error *collect(const struct program *program,
                                 struct list *list)
{
	for (uint32_t i = 0; i < program->num_symbols; i++) {
		const char *name = program->symbols[i].name;
		struct numbered numbered = {.symbol = i};

		if (!may_be_numbered(name))
			continue;
		/* A number may have no digits. */
		numbered.pattern = malloc(strlen(name) + MAX_NUMBERS + 1);
		if (numbered.pattern)
			parse(name, &numbered);
		if (!numbered.pattern ||
		    !HFX_ARRAY_PUSH(list, items, numbered)) {
			free(numbered.pattern);
			return hfx_error_no_memory();
		}
	}
	hfx_array_sort(list->items, list->num_items, sizeof(*list->items),
	               compare_numbered);
	return NULL;
}

static size_t group_end(const struct list *list, size_t start)
{
	size_t end = start;

	while (end < list->num_items &&
	       !strcmp(list->items[start].pattern, list->items[end].pattern))
		end++;
	return end;
}

/* Behind the symbols of one entity: a function, its parts, in several files. */
static size_t next_entity(const struct list *list, size_t i, size_t end)
{
	size_t next = i;

	while (next < end &&
	       !compare_numbers(&list->items[i], &list->items[next]))
		next++;
	return next;
}

struct range {
	const struct list *list;
	size_t start;
	size_t end;
};

/* Whether the numbers of NEW are those of OLD, shifted. */
static bool are_in_step(struct range olds, struct range news)
{
	const struct numbered *first_old = &olds.list->items[olds.start];
	const struct numbered *first_new = &news.list->items[news.start];
	size_t o = olds.start, n = news.start;

	while (o < olds.end && n < news.end) {
		const struct numbered *old = &olds.list->items[o];
		const struct numbered *new = &news.list->items[n];

		for (size_t i = 0; i < old->num_numbers; i++) {
			bool by_file = old->by_file >> i & 1;
			uint32_t shift = by_file ? first_new->numbers[i] -
			                                   first_old->numbers[i]
			                         : 0;

			if (new->numbers[i] - old->numbers[i] != shift)
				return false;
		}
		o = next_entity(olds.list, o, olds.end);
		n = next_entity(news.list, n, news.end);
	}
	return o == olds.end && n == news.end;
}

/* ---- Lambdas that have changed places ----------------------------------- */

/* Functions, as in the names of their lambdas: "ZL5setupvE". */
struct owners {
	char **items;
	size_t num_items;
	size_t cap_items;
};

static void owners_deinit(struct owners *owners)
{
	for (size_t i = 0; i < owners->num_items; i++)
		free(owners->items[i]);
	free(owners->items);
}

/* Of all that is in an entity; 0 without code. */
static uint64_t hash_entity(const struct program *program, struct range entity)
{
	uint64_t hash = 0;

	for (size_t i = entity.start; i < entity.end; i++) {
		uint32_t index = entity.list->items[i].symbol;
		uint64_t addr = program->symbols[index].addr;
		const struct function *function =
			program->symbols[index].kind == SYMBOL_FUNCTION
				? program_function_at(program, addr)
				: NULL;

		if (function && function->addr == addr)
			hash += match_code_hash(function);
	}
	return hash;
}

struct hashes {
	uint64_t *items;
	size_t num_items;
	size_t cap_items;
};

static void hashes_deinit(struct hashes *hashes)
{
	free(hashes->items);
}

static struct hfx_error *hash_group(const struct program *program,
                                    struct range group, struct hashes *ret)
{
	size_t end;

	for (size_t i = group.start; i < group.end; i = end) {
		end = next_entity(group.list, i, group.end);
		uint64_t hash = hash_entity(program,
		                            (struct range){group.list, i, end});

		if (!HFX_ARRAY_PUSH(ret, items, hash))
			return hfx_error_no_memory();
	}
	return NULL;
}

/* One that has kept its code has kept its place, whatever is equal to it. */
static bool have_moved(const struct hashes *olds, const struct hashes *news)
{
	for (size_t o = 0; o < olds->num_items; o++) {
		if (olds->items[o] == news->items[o])
			continue;
		for (size_t n = 0; n < news->num_items; n++)
			if (olds->items[o] == news->items[n] &&
			    olds->items[n] != news->items[n])
				return true;
	}
	return false;
}

/* `_Z OWNER NKUl`: what owns the first lambda; nothing at namespace scope. */
static const char *find_owner(const char *pattern, size_t *length_ret)
{
	const char *begin = pattern + 2, *end = strchr(pattern, '#');

	while (end > begin && strncmp(end, "Ul", 2) && strncmp(end, "$_", 2) &&
	       strncmp(end, "Ut", 2))
		end--;
	if (end > begin && end[-1] == 'K')
		end--;
	if (end > begin && end[-1] == 'N')
		end--;
	const char *start = end;
	while (start > begin &&
	       !(start[0] == 'Z' && (isdigit((unsigned char)start[1]) ||
	                             start[1] == 'L' || start[1] == 'N')))
		start--;
	*length_ret = *start == 'Z' ? (size_t)(end - start) : 0;
	return start;
}

static struct hfx_error *add_owner(const char *pattern, struct owners *owners)
{
	size_t length;
	const char *start = find_owner(pattern, &length);
	char *owner = strndup(start, length);

	if (!owner || !HFX_ARRAY_PUSH(owners, items, owner)) {
		free(owner);
		return hfx_error_no_memory();
	}
	return NULL;
}

static bool has_owner(const struct owners *owners, const char *pattern)
{
	size_t length;

	/* Has the letters of a mark, but is none of a lambda. */
	if (!strchr(pattern, '#'))
		return false;
	find_owner(pattern, &length);
	for (size_t i = 0; i < owners->num_items; i++)
		if (*owners->items[i]
		            ? strstr(pattern, owners->items[i]) != NULL
		            : !length)
			return true;
	return false;
}

/* Add the owner of two groups of one pattern, if their entities have moved. */
static struct hfx_error *check_moved(const struct program *old_program,
                                     struct range old,
                                     const struct program *new_program,
                                     struct range new, struct owners *owners)
{
	HFX_CLEANUP(hashes_deinit) struct hashes olds = {0};
	HFX_CLEANUP(hashes_deinit) struct hashes news = {0};

	if (old.end - old.start < 2 || !are_in_step(old, new))
		return NULL;
	HFX_TRY(hash_group(old_program, old, &olds));
	HFX_TRY(hash_group(new_program, new, &news));
	return have_moved(&olds, &news)
	               ? add_owner(old.list->items[old.start].pattern, owners)
	               : NULL;
}

static struct hfx_error *find_moved(const struct list *olds,
                                    const struct list *news,
                                    const struct program *old_program,
                                    const struct program *new_program,
                                    struct owners *owners)
{
	size_t o = 0, n = 0;

	while (o < olds->num_items && n < news->num_items) {
		struct range old = {olds, o, group_end(olds, o)};
		struct range new = {news, n, group_end(news, n)};
		int order =
			strcmp(olds->items[o].pattern, news->items[n].pattern);

		if (!order)
			HFX_TRY(check_moved(old_program, old, new_program, new,
			                    owners));
		if (order <= 0)
			o = old.end;
		if (order >= 0)
			n = new.end;
	}
	return NULL;
}

/* ---- Naming ------------------------------------------------------------- */

/* Name the symbols by their place in the group; or by nothing. */
static bool name_group(struct range range, bool in_step,
                       const struct program *program, char **names)
{
	size_t rank = 0, entity_end = range.start;

	for (size_t i = range.start; i < range.end; i++) {
		const struct numbered *item = &range.list->items[i];
		const char *name = program->symbols[item->symbol].name;
		char **place = &names[item->symbol];

		if (i == entity_end) {
			entity_end = next_entity(range.list, i, range.end);
			rank++;
		}
		if (!in_step)
			*place = strdup("");
		else if (item->by_file &&
		         asprintf(place, "%s#%zu%s", item->pattern, rank,
		                  name + match_base_length(name)) < 0)
			*place = NULL;
		if (!*place && (!in_step || item->by_file))
			return false;
	}
	return true;
}

static struct hfx_error *name_all(const struct list *olds,
                                  const struct list *news,
                                  const struct program *old_program,
                                  const struct program *new_program,
                                  struct lambda_names *names)
{
	HFX_CLEANUP(owners_deinit) struct owners moved = {0};
	size_t o = 0, n = 0;

	HFX_TRY(find_moved(olds, news, old_program, new_program, &moved));
	while (o < olds->num_items && n < news->num_items) {
		struct range old = {olds, o, group_end(olds, o)};
		struct range new = {news, n, group_end(news, n)};
		const char *pattern = olds->items[o].pattern;
		int order = strcmp(pattern, news->items[n].pattern);
		bool in_step = !order && are_in_step(old, new) &&
		               !has_owner(&moved, pattern);

		if (!order &&
		    (!name_group(old, in_step, old_program, names->old_names) ||
		     !name_group(new, in_step, new_program, names->new_names)))
			return hfx_error_no_memory();
		if (order <= 0)
			o = old.end;
		if (order >= 0)
			n = new.end;
	}
	return NULL;
}

struct hfx_error *lambda_names_init(struct lambda_names *names,
                                    const struct program *old_program,
                                    const struct program *new_program)
{
	HFX_CLEANUP(list_deinit) struct list olds = {0};
	HFX_CLEANUP(list_deinit) struct list news = {0};

	*names = (struct lambda_names){
		.old_names =
			calloc(old_program->num_symbols + 1, sizeof(char *)),
		.new_names =
			calloc(new_program->num_symbols + 1, sizeof(char *)),
		.num_old = old_program->num_symbols,
		.num_new = new_program->num_symbols,
	};
	if (!names->old_names || !names->new_names)
		return hfx_error_no_memory();
	HFX_TRY(collect(old_program, &olds));
	HFX_TRY(collect(new_program, &news));
	return name_all(&olds, &news, old_program, new_program, names);
}

static void free_all(char **names, size_t count)
{
	for (size_t i = 0; names && i < count; i++)
		free(names[i]);
	free(names);
}

void lambda_names_deinit(struct lambda_names *names)
{
	free_all(names->old_names, names->num_old);
	free_all(names->new_names, names->num_new);
}
