/* SPDX-License-Identifier: MIT */
/*
 * What an instruction is does not depend on the value of its displacement, so
 * equal bytes outside of the reference fields make equal instructions. A twin
 * is only a place to copy from: match.c decides which functions belong
 * together.
 */
#include "twins.h"

#include <stdlib.h>
#include <string.h>

struct twins {
	const struct program *program;
	/** Indexes of functions or NO_INDEX; a power of 2, half full at most.
	 */
	uint32_t *slots;
	size_t num_slots;
};

static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3;
	return hash;
}

static bool same_key(const struct program *a, const struct function *f,
                     const struct program *b, const struct function *g)
{
	const struct symbol *x = &a->symbols[f->symbol];
	const struct symbol *y = &b->symbols[g->symbol];

	return f->size == g->size && !strcmp(x->name, y->name) &&
	       !strcmp(x->file, y->file);
}

/* The slot of the function with this key, or the free one where it would be. */
static uint32_t *find(const struct twins *twins, const struct program *program,
                      const struct function *function)
{
	const struct symbol *symbol = &program->symbols[function->symbol];
	uint64_t hash = hash_text(hash_text(function->size, symbol->name),
	                          symbol->file);

	for (size_t i = hash ^ hash >> 32;; i++) {
		uint32_t *slot = &twins->slots[i & (twins->num_slots - 1)];

		if (*slot == NO_INDEX ||
		    same_key(twins->program, &twins->program->functions[*slot],
		             program, function))
			return slot;
	}
}

struct hfx_error *twins_create(const struct program *old_program,
                               struct twins **ret)
{
	struct twins *twins = calloc(1, sizeof(*twins));

	if (!twins)
		return hfx_error_no_memory();
	twins->program = old_program;
	twins->num_slots = 16;
	while (twins->num_slots < old_program->num_functions * 2)
		twins->num_slots *= 2;
	twins->slots = malloc(twins->num_slots * sizeof(*twins->slots));
	if (!twins->slots) {
		twins_destroy(twins);
		return hfx_error_no_memory();
	}
	memset(twins->slots, 0xff, twins->num_slots * sizeof(*twins->slots));
	/* Of several with one key the first: the others are decoded. */
	for (size_t i = 0; i < old_program->num_functions; i++) {
		uint32_t *slot =
			find(twins, old_program, &old_program->functions[i]);

		if (*slot == NO_INDEX)
			*slot = i;
	}
	*ret = twins;
	return NULL;
}

void twins_destroy(struct twins *twins)
{
	if (!twins)
		return;
	free(twins->slots);
	free(twins);
}

static bool same_instructions(const struct function *o,
                              const struct function *n)
{
	size_t off = 0;

	for (size_t r = 0; r < o->num_references; r++) {
		const struct reference *reference = &o->references[r];
		size_t end = reference->insn_off + reference->field_off;

		if (memcmp(o->code + off, n->code + off, end - off))
			return false;
		off = end + reference->field_size;
	}
	return !memcmp(o->code + off, n->code + off, o->size - off);
}

static int64_t field_value(const uint8_t *field, size_t size)
{
	int32_t value;

	if (size == 1)
		return (int8_t)*field;
	memcpy(&value, field, sizeof(value));
	return value;
}

/* False if the reference leads into the function itself, as OLD's does not. */
static bool aim(const struct function *function, struct reference *reference)
{
	uint64_t off = reference->insn_off;

	reference->target =
		function->addr + off + reference->insn_size +
		field_value(function->code + off + reference->field_off,
	                    reference->field_size);
	return (reference->kind != REFERENCE_CALL &&
	        reference->kind != REFERENCE_JUMP) ||
	       reference->target - function->addr >= function->size;
}

static struct hfx_error *copy(const struct function *twin,
                              struct function *function, bool *found_ret)
{
	size_t count = twin->num_references;
	struct reference *references = NULL;

	if (count) {
		references = malloc(count * sizeof(*references));
		if (!references)
			return hfx_error_no_memory();
		memcpy(references, twin->references,
		       count * sizeof(*references));
	}
	for (size_t r = 0; r < count; r++)
		if (!aim(function, &references[r])) {
			free(references);
			return NULL;
		}
	function->references = references;
	function->num_references = count;
	function->num_instructions = twin->num_instructions;
	function->uses_tls = twin->uses_tls;
	*found_ret = true;
	return NULL;
}

struct hfx_error *twins_copy(const struct twins *twins,
                             const struct program *program,
                             struct function *function, bool *found_ret)
{
	uint32_t index = *find(twins, program, function);

	*found_ret = false;
	if (index == NO_INDEX)
		return NULL;
	const struct function *twin = &twins->program->functions[index];
	if (twin->is_opaque || !same_instructions(twin, function))
		return NULL;
	return copy(twin, function, found_ret);
}
