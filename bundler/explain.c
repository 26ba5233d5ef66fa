/* SPDX-License-Identifier: MIT */
/* What people are told of a difference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "compare_private.h"
#include "debug_info.h"
#include "place.h"

/** Functions that are looked at on each side of one. */
#define MAX_NEAR 32

static const char *describe(const struct program *program,
                            const struct reference *reference, char *text,
                            size_t size)
{
	uint64_t addr = reference->target;
	struct place place = place_at(program, addr);
	const char *string = (const char *)program_bytes(program, addr, 1);
	/* What is read at once, such as a float, is no string. */
	bool is_text = place.kind == PLACE_ANONYMOUS &&
	               reference->kind == REFERENCE_ADDRESS;

	if (place.kind == PLACE_FUNCTION)
		snprintf(text, size, "%s",
		         function_name(program, place.function));
	else if (place.symbol)
		snprintf(text, size, "%s", place.symbol->name);
	else if (place.relocation && *place.relocation->symbol)
		snprintf(text, size, "%s", place.relocation->symbol);
	else if (is_text && text_size(program, addr) > 1)
		snprintf(text, size, "\"%.40s\"", string);
	else
		snprintf(text, size, "constant data");
	/* It may be cut within a character, or be in no known encoding. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
		else if ((unsigned char)*p > '~')
			*p = '?';
	return text;
}

/* The same text, merged with the end of another one (same_before()). */
static bool is_end_of_another(const struct comparison *c,
                              const struct place *old_place,
                              const struct place *new_place)
{
	const struct program *old = c->old_program, *new = c->new_program;

	return old_place->kind == PLACE_ANONYMOUS &&
	       new_place->kind == PLACE_ANONYMOUS &&
	       text_size(new, new_place->addr) > 1 &&
	       text_size(new, new_place->addr) ==
	               text_size(old, old_place->addr) &&
	       text_start(old, old_place->addr) != old_place->addr &&
	       text_start(new, new_place->addr) != new_place->addr;
}

char *explain_reference(const struct comparison *c, const struct reference *o,
                        const struct reference *n)
{
	struct place old_place = place_at(c->old_program, o->target);
	struct place new_place = place_at(c->new_program, n->target);
	char old_text[128], new_text[128];
	char *reason = NULL;
	int length;

	describe(c->old_program, o, old_text, sizeof(old_text));
	describe(c->new_program, n, new_text, sizeof(new_text));
	const struct section *set = place_set_at(c->new_program, n->target);

	if (set)
		length = asprintf(&reason,
		                  "refers to section %s, whose content changed",
		                  set->name);
	else if (old_place.kind == PLACE_OBJECT &&
	         new_place.kind == PLACE_OBJECT &&
	         old_place.off == new_place.off &&
	         place_is_constant(&new_place) &&
	         comparison_same_base_name(old_place.symbol, new_place.symbol))
		length = asprintf(&reason,
		                  "reads table %s, whose content changed",
		                  new_text);
	else if (!strcmp(old_text, new_text) &&
	         is_end_of_another(c, &old_place, &new_place))
		length = asprintf(&reason,
		                  "%s at +0x%x is the end of another text",
		                  new_text, n->insn_off);
	else if (!strcmp(old_text, new_text))
		length = asprintf(&reason, "%s at +0x%x changed", new_text,
		                  n->insn_off);
	else
		length =
			asprintf(&reason, "refers to %s instead of %s at +0x%x",
		                 new_text, old_text, n->insn_off);
	return length < 0 ? NULL : reason;
}

/* The instruction that holds a byte. */
static uint64_t instruction_at(const struct comparison *c,
                               const struct function *function, uint64_t byte)
{
	struct instruction insn;

	for (size_t off = 0; off < function->size; off += insn.size) {
		if (!decoder_next(c->decoder, function->code, function->size,
		                  function->addr, off, &insn))
			break;
		if (byte < off + insn.size)
			return off;
	}
	return byte;
}

/* Name of what is inlined where two functions begin to differ, or NULL. */
static struct hfx_error *inlined_in_both(const struct comparison *c,
                                         const struct function *n, char **ret)
{
	const struct function *o = &c->old_program->functions[n->peer];
	uint64_t off = n->difference_off;
	char *old_name = NULL;

	*ret = NULL;
	HFX_TRY(debug_info_inlined_at(c->new_program->debug, n->addr + off,
	                              ret));
	struct hfx_error *err = debug_info_inlined_at(c->old_program->debug,
	                                              o->addr + off, &old_name);
	if (err || !*ret || !old_name || strcmp(*ret, old_name)) {
		free(*ret);
		*ret = NULL;
	}
	free(old_name);
	return err;
}

/* Names of the functions that are the same, sorted. */
struct names {
	const char **items;
	size_t num_items;
	size_t cap_items;
};

static void names_deinit(struct names *names)
{
	free(names->items);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct hfx_error *names_of_same(const struct program *program,
                                       struct names *ret)
{
	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];
		const char *name = function_name(program, function);

		if (function->verdict == VERDICT_SAME &&
		    !HFX_ARRAY_PUSH(ret, items, name))
			return hfx_error_no_memory();
	}
	if (ret->num_items)
		qsort(ret->items, ret->num_items, sizeof(*ret->items),
		      compare_names);
	return NULL;
}

/*
 * Whether a function nearby, in all likelihood of the same file, has inlined
 * it and is the same: then it has not changed.
 */
static struct hfx_error *is_same_elsewhere(const struct comparison *c,
                                           const struct function *n,
                                           const char *name, bool *ret)
{
	const struct program *new = c->new_program;
	size_t index = n - new->functions;
	size_t first = index > MAX_NEAR ? index - MAX_NEAR : 0;

	*ret = false;
	for (size_t i = first; i < new->num_functions &&i <= index + MAX_NEAR;
	     i++)
		if (!*ret && new->functions[i].verdict == VERDICT_SAME)
			HFX_TRY(debug_info_inlines(
				new->debug, new->functions[i].addr, name, ret));
	return NULL;
}

/* "inlines f, which changed", if the difference stands in an inlined f. */
static struct hfx_error *blame_inlined(const struct comparison *c,
                                       const struct names *same,
                                       const struct function *n,
                                       char **reason_ret)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	bool is_same;

	*reason_ret = NULL;
	HFX_TRY(inlined_in_both(c, n, &name));
	/*
	 * Its own copy is as it was: the difference is the caller's. A function
	 * that the compiler has split inlines a part of itself.
	 */
	if (!name || !strcmp(name, function_name(c->new_program, n)) ||
	    (same->num_items && bsearch(&name, same->items, same->num_items,
	                                sizeof(*same->items), compare_names)))
		return NULL;
	HFX_TRY(is_same_elsewhere(c, n, name, &is_same));
	if (is_same)
		return NULL;
	if (asprintf(reason_ret, "inlines %s, which changed", name) >= 0)
		return NULL;
	*reason_ret = NULL;
	return hfx_error_no_memory();
}

char *explain_bytes(const struct comparison *c, const struct function *o,
                    const struct function *n, uint64_t byte)
{
	char *reason = NULL;
	int length;

	if (o->size != n->size)
		length = asprintf(&reason, "size %lu -> %lu", o->size, n->size);
	else
		length = asprintf(&reason, "instruction at +0x%lx",
		                  instruction_at(c, n, byte));
	return length < 0 ? NULL : reason;
}

struct hfx_error *explain_inlining(struct comparison *c)
{
	HFX_CLEANUP(names_deinit) struct names same = {0};

	if (!c->new_program->debug || !c->old_program->debug)
		return NULL;
	HFX_TRY(names_of_same(c->new_program, &same));
	for (size_t i = 0; i < c->new_program->num_functions; i++) {
		struct function *n = &c->new_program->functions[i];
		char *reason;

		if (n->verdict != VERDICT_CHANGED)
			continue;
		HFX_TRY(blame_inlined(c, &same, n, &reason));
		if (reason) {
			free(n->reason);
			n->reason = reason;
		}
	}
	return NULL;
}
