/* SPDX-License-Identifier: MIT */
/*
 * Local symbols of one name, such as `lock` in many files of a library without
 * debug information, are told apart by who uses them: one file has only one
 * `lock`, and a function that is the same in both builds, byte for byte, means
 * the one of its file in both. What two users disagree about stays alone.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "match.h"

/* Two users name two counterparts. */
#define CONFLICT (NO_INDEX - 1)

/* For each symbol the counterpart that its users name, or NO_INDEX. */
struct choices {
	struct program *old_program;
	struct program *new_program;
	uint32_t *of_old;
	uint32_t *of_new;
};

static void choices_deinit(struct choices *choices)
{
	free(choices->of_old);
	free(choices->of_new);
}

static uint32_t *new_list(size_t count)
{
	uint32_t *list = malloc((count + 1) * sizeof(*list));

	if (list)
		memset(list, 0xff, (count + 1) * sizeof(*list));
	return list;
}

static void choose(uint32_t *choice, uint32_t index)
{
	*choice = *choice == NO_INDEX || *choice == index ? index : CONFLICT;
}

/* Symbol of the object or function that holds `addr`, or NULL. */
static const struct symbol *symbol_at(const struct program *program,
                                      uint64_t addr)
{
	const struct symbol *object = program_object_at(program, addr);
	const struct function *function =
		object ? NULL : program_function_at(program, addr);

	return function ? &program->symbols[function->symbol] : object;
}

static void choose_targets(struct choices *choices, uint64_t old_addr,
                           uint64_t new_addr)
{
	const struct symbol *o = symbol_at(choices->old_program, old_addr);
	const struct symbol *n = symbol_at(choices->new_program, new_addr);

	if (!o || !n || o->peer != NO_INDEX || n->peer != NO_INDEX ||
	    !o->is_local || !n->is_local || o->kind != n->kind ||
	    o->size != n->size || old_addr - o->addr != new_addr - n->addr ||
	    strcmp(o->name, n->name))
		return;
	uint32_t old_symbol = o - choices->old_program->symbols;
	uint32_t new_symbol = n - choices->new_program->symbols;
	choose(&choices->of_old[old_symbol], new_symbol);
	choose(&choices->of_new[new_symbol], old_symbol);
}

/* Whether both are the same, but for what they refer to. */
static bool same_code(const struct function *a, const struct function *b)
{
	size_t off = 0;

	if (a->size != b->size || a->num_references != b->num_references ||
	    a->is_opaque || b->is_opaque)
		return false;
	for (size_t i = 0; i < a->num_references; i++) {
		const struct reference *x = &a->references[i];
		const struct reference *y = &b->references[i];
		size_t field = x->insn_off + x->field_off;

		if (field != (size_t)y->insn_off + y->field_off ||
		    x->field_size != y->field_size || field < off ||
		    memcmp(a->code + off, b->code + off, field - off))
			return false;
		off = field + x->field_size;
	}
	return off <= a->size &&
	       !memcmp(a->code + off, b->code + off, a->size - off);
}

static void ask_function(struct choices *choices, const struct function *old,
                         const struct function *new)
{
	if (!same_code(old, new))
		return;
	for (size_t i = 0; i < new->num_references; i++)
		choose_targets(choices, old->references[i].target,
		               new->references[i].target);
}

static uint64_t pointer_of(const struct dynamic_relocation *relocation)
{
	return relocation->symbol_addr + (uint64_t)relocation->addend;
}

/* What pointers of a table lead to. */
static void ask_object(struct choices *choices, const struct symbol *o,
                       const struct symbol *n)
{
	const struct program *old = choices->old_program;
	const struct program *new = choices->new_program;
	size_t i = program_relocation_from(old, o->addr);
	size_t j = program_relocation_from(new, n->addr);

	for (; i < old->num_relocations && j < new->num_relocations; i++, j++) {
		const struct dynamic_relocation *x = &old->relocations[i];
		const struct dynamic_relocation *y = &new->relocations[j];

		if (x->addr - o->addr >= o->size ||
		    x->addr - o->addr != y->addr - n->addr ||
		    x->type != y->type || x->is_import || y->is_import)
			return;
		choose_targets(choices, pointer_of(x), pointer_of(y));
	}
}

static void ask(struct choices *choices, const struct symbol *n)
{
	const struct symbol *o = &choices->old_program->symbols[n->peer];
	const struct function *old, *new;

	if (n->kind == SYMBOL_OBJECT) {
		if (o->kind == SYMBOL_OBJECT && o->size == n->size)
			ask_object(choices, o, n);
		return;
	}
	old = program_function_at(choices->old_program, o->addr);
	new = program_function_at(choices->new_program, n->addr);
	if (old && new && old->addr == o->addr &&new->addr == n->addr)
		ask_function(choices, old, new);
}

static bool take_agreed(struct choices *choices)
{
	bool found = false;

	for (uint32_t i = 0; i < choices->new_program->num_symbols; i++) {
		uint32_t old_symbol = choices->of_new[i];

		if (old_symbol >= CONFLICT || choices->of_old[old_symbol] != i)
			continue;
		choices->old_program->symbols[old_symbol].peer = i;
		choices->new_program->symbols[i].peer = old_symbol;
		found = true;
	}
	return found;
}

struct hfx_error *match_by_use(struct program *old_program,
                               struct program *new_program, bool *found_ret)
{
	HFX_CLEANUP(choices_deinit)
	struct choices choices = {
		.old_program = old_program,
		.new_program = new_program,
		.of_old = new_list(old_program->num_symbols),
		.of_new = new_list(new_program->num_symbols),
	};

	if (!choices.of_old || !choices.of_new)
		return hfx_error_no_memory();
	for (size_t i = 0; i < new_program->num_symbols; i++) {
		const struct symbol *symbol = &new_program->symbols[i];

		if (symbol->peer != NO_INDEX &&
		    (symbol->kind == SYMBOL_OBJECT ||
		     symbol->kind == SYMBOL_FUNCTION ||
		     symbol->kind == SYMBOL_IFUNC))
			ask(&choices, symbol);
	}
	*found_ret = take_agreed(&choices);
	return NULL;
}
