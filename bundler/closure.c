/* SPDX-License-Identifier: MIT */
#include "closure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include "array.h"
#include "closure_private.h"
#include "own_unwinder.h"

#define REMEDY_SKIP "Leave the function out with --skip"

struct hfx_error *closure_refuse(struct closure *closure, struct target *ret,
                                 const char *remedy, const char *format, ...)
{
	const struct program *program = closure->new_program;
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ret->kind = TARGET_REFUSED;
	return refusals_add(
		&closure->refusals, closure->function - program->functions,
		function_name(program, closure->function), remedy, "%s", text);
}

struct hfx_error *closure_relocate(struct closure *closure, uint64_t addr,
                                   uint32_t type, uint32_t symbol,
                                   int64_t addend)
{
	struct image_relocation relocation = {
		.addr = addr,
		.type = type,
		.symbol = symbol,
		.addend = addend,
	};

	return HFX_ARRAY_PUSH(&closure->image, relocations, relocation)
	               ? NULL
	               : hfx_error_no_memory();
}

static struct hfx_error *take_function(struct closure *closure,
                                       struct function *function)
{
	uint32_t index = function - closure->new_program->functions;

	if (function->is_selected)
		return NULL;
	function->is_selected = true;
	function->is_copy = function->peer != NO_INDEX;
	return HFX_ARRAY_PUSH(closure, functions, index)
	               ? NULL
	               : hfx_error_no_memory();
}

/*
 * What only NEW has, or a copy. Parts of a function jump into each other's
 * middle: of what is copied all are taken.
 */
static struct hfx_error *take(struct closure *closure,
                              struct function *function)
{
	struct program *program = closure->new_program;

	if (function->is_selected || function->peer == NO_INDEX)
		return take_function(closure, function);
	for (size_t i = 0; i < program->num_functions; i++)
		if (function_is_family(program, function,
		                       &program->functions[i]))
			HFX_TRY(take_function(closure, &program->functions[i]));
	return NULL;
}

static struct target target_old(uint64_t old_addr)
{
	return (struct target){TARGET_OLD, old_addr};
}

/*
 * A function of both builds is entered through OLD's address by everyone but
 * the new code itself, so that pointers to it compare equal everywhere.
 */
static struct hfx_error *resolve_function(struct closure *closure,
                                          const struct place *place,
                                          const struct use *use,
                                          struct target *ret)
{
	struct function *function = place->function;
	bool is_branch =
		use->kind == REFERENCE_CALL || use->kind == REFERENCE_JUMP;
	bool has_peer = function->peer != NO_INDEX;
	uint64_t old_addr =
		has_peer ? closure->old_program->functions[function->peer].addr
			 : 0;

	if (!strncmp(function_name(closure->new_program, function),
	             "__morestack", strlen("__morestack")))
		return closure_refuse(closure, ret,
		                      "Build both versions without "
		                      "-fsplit-stack",
		                      "is built with -fsplit-stack");
	ret->kind = TARGET_INSIDE;
	if (use->is_short && function->verdict == VERDICT_SAME)
		return take(closure, function);
	if (!place->off && has_peer &&
	    !(function->is_selected && is_branch && !use->is_pointer)) {
		*ret = target_old(old_addr);
		return NULL;
	}
	/* The same code: its middle is OLD's middle. */
	if (has_peer && !function->is_selected &&
	    function->verdict == VERDICT_SAME) {
		*ret = target_old(old_addr + place->off);
		return NULL;
	}
	return take(closure, function);
}

static struct hfx_error *resolve_label(struct closure *closure,
                                       const struct place *place,
                                       struct target *ret)
{
	uint32_t peer = place->symbol->peer;

	if (peer == NO_INDEX)
		return closure_refuse(closure, ret, REMEDY_SKIP,
		                      "refers to %s, which the old build does "
		                      "not have",
		                      place->symbol->name);
	*ret = target_old(closure->old_program->symbols[peer].addr);
	return NULL;
}

struct hfx_error *closure_resolve(struct closure *closure, uint64_t addr,
                                  const struct use *use, struct target *ret)
{
	struct place place = place_at(closure->new_program, addr);
	bool is_done;

	HFX_TRY(closure_resolve_set(closure, addr, use, ret, &is_done));
	if (!is_done)
		HFX_TRY(closure_resolve_table_end(closure, &place, use, ret,
		                                  &is_done));
	if (!is_done)
		HFX_TRY(closure_resolve_far(closure, &place, use, ret,
		                            &is_done));
	if (is_done)
		return NULL;
	switch (place.kind) {
	case PLACE_FUNCTION:
		return resolve_function(closure, &place, use, ret);
	case PLACE_CONSTANT_STUB:
		*ret = target_old(0);
		return NULL;
	case PLACE_STUB:
		return closure_resolve_stub(closure, &place, ret);
	case PLACE_SLOT:
		return closure_resolve_slot(closure, &place, ret);
	case PLACE_CONSTANT_SLOT:
		ret->kind = TARGET_INSIDE;
		return closure_keep(closure, addr, sizeof(uint64_t), PF_R);
	case PLACE_LABEL:
		HFX_TRY(closure_resolve_bias(closure, &place, use, ret,
		                             &is_done));
		return is_done ? NULL : resolve_label(closure, &place, ret);
	default:
		return closure_resolve_data(closure, &place, use, ret);
	}
}

/* An address in the code is wrong in any other place, inside or not. */
static struct hfx_error *relocate_absolute(struct closure *closure,
                                           uint64_t addr,
                                           const struct reference *reference,
                                           const struct target *target)
{
	bool is_inside = target->kind == TARGET_INSIDE;
	uint32_t type = reference->relocation;

	if (type == R_X86_64_64 && is_inside)
		type = R_X86_64_RELATIVE;
	return closure_relocate(
		closure, addr, type,
		is_inside ? IMAGE_SYMBOL_NONE : IMAGE_SYMBOL_MODULE,
		is_inside ? reference->target : target->old_addr);
}

/* What counts from an object goes where the object goes. */
static struct hfx_error *resolve_anchored(struct closure *closure,
                                          const struct symbol *anchor,
                                          uint64_t addr, struct target *ret)
{
	struct place place = place_at(closure->new_program, anchor->addr);

	HFX_TRY(closure_resolve_object(closure, &place, ret));
	if (ret->kind == TARGET_OLD)
		ret->old_addr += addr - anchor->addr;
	return NULL;
}

/**
 * Vector instructions fault where their operand is not aligned as the compiler
 * made it: OLD's object must be so, too.
 */
static bool loses_alignment(const struct reference *reference,
                            const struct target *target)
{
	uint64_t size = reference->access_size;

	return target->kind == TARGET_OLD &&
	       reference->kind == REFERENCE_ACCESS && size >= 16 &&
	       reference->target % size == 0 && target->old_addr % size != 0;
}

static struct hfx_error *follow_reference(struct closure *closure,
                                          const struct function *function,
                                          const struct reference *reference)
{
	struct use use = {
		.kind = reference->kind,
		.size = reference->kind == REFERENCE_ACCESS
	                        ? reference->access_size
	                        : 0,
		.is_write = reference->is_write,
		.is_short = reference->field_size == 1,
		.is_indexed = reference->is_indexed,
		.reference = reference,
	};
	uint64_t addr =
		function->addr + reference->insn_off + reference->field_off;
	struct target target;

	const struct symbol *anchor =
		program_anchor_at(closure->new_program, addr);
	if (anchor)
		HFX_TRY(resolve_anchored(closure, anchor, reference->target,
		                         &target));
	else
		HFX_TRY(closure_resolve(closure, reference->target, &use,
		                        &target));
	if (target.kind == TARGET_REFUSED)
		return NULL;
	if (loses_alignment(reference, &target))
		return closure_refuse(
			closure, &target,
			"Keep the alignment of the variable, and add a new one "
			"instead",
			"accesses %u bytes at +0x%x at once, and in the old "
			"build these are not aligned as in the new one",
			reference->access_size, reference->insn_off);
	if (reference->relocation != R_X86_64_PC32)
		return relocate_absolute(closure, addr, reference, &target);
	if (target.kind == TARGET_INSIDE)
		return NULL;
	if (reference->field_size != 4)
		return closure_refuse(closure, &target, REMEDY_SKIP,
		                      "a short jump at +0x%x leaves the "
		                      "function",
		                      reference->insn_off);
	/* The field counts from the end of the instruction. */
	return closure_relocate(
		closure, addr, R_X86_64_PC32, IMAGE_SYMBOL_MODULE,
		(int64_t)target.old_addr -
			(reference->insn_size - reference->field_off));
}

static struct hfx_error *add_code(struct closure *closure,
                                  const struct function *function)
{
	const struct program *program = closure->new_program;
	const struct symbol *symbol = &program->symbols[function->symbol];
	struct image_piece piece = {
		.addr = function->addr,
		.size = function->size,
		.data = function->code,
		.flags = PF_R | PF_X,
	};
	struct image_symbol image_symbol = {
		.name = symbol->name,
		.addr = function->addr,
		.size = function->size,
		.is_function = true,
		.is_local = symbol->is_local,
	};
	struct image_unwind unwind = {function->addr, function->size};

	if (!HFX_ARRAY_PUSH(&closure->image, pieces, piece) ||
	    !HFX_ARRAY_PUSH(&closure->image, symbols, image_symbol) ||
	    !HFX_ARRAY_PUSH(&closure->image, unwinds, unwind))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *follow_all(struct closure *closure,
                                    const struct function *function)
{
	closure->has_kept_late = false;
	for (size_t i = 0; i < function->num_references; i++)
		HFX_TRY(follow_reference(closure, function,
		                         &function->references[i]));
	return NULL;
}

/* Take back what follow_all() has made of the function's own references. */
static void drop_relocations(struct closure *closure,
                             const struct function *function, size_t first)
{
	struct image_description *image = &closure->image;
	size_t count = first;

	for (size_t i = first; i < image->num_relocations; i++)
		if (image->relocations[i].addr - function->addr >=
		    function->size)
			image->relocations[count++] = image->relocations[i];
	image->num_relocations = count;
}

/* The begin and the end of a loop must lead to one copy of a table. */
static struct hfx_error *follow_alike(struct closure *closure,
                                      const struct function *function)
{
	size_t num_refusals = closure->refusals.num_items;
	size_t first = closure->image.num_relocations;

	HFX_TRY(follow_all(closure, function));
	while (closure->has_kept_late &&
	       closure->refusals.num_items == num_refusals) {
		drop_relocations(closure, function, first);
		HFX_TRY(follow_all(closure, function));
	}
	return NULL;
}

static struct hfx_error *do_function(struct closure *closure,
                                     struct function *function)
{
	struct target target;

	closure->function = function;
	HFX_TRY(add_code(closure, function));
	if (function->is_opaque)
		HFX_TRY(closure_refuse(closure, &target, REMEDY_SKIP,
		                       "its code cannot be decoded whole"));
	if (function->uses_tls && !closure->same_tls)
		HFX_TRY(closure_refuse(
			closure, &target,
			"Keep the thread-local variables as they are",
			"uses thread-local variables, and %s",
			closure->moved_tls));
	HFX_TRY(closure_keep_biased(closure));
	HFX_TRY(closure_keep_tables(closure));
	HFX_TRY(follow_alike(closure, function));
	return closure_keep_unwind(closure, function);
}

/* The variable of that name; one at the wanted place comes first. */
static const struct symbol *find_tls(const struct program *program,
                                     const struct symbol *wanted)
{
	const struct symbol *found = NULL;

	for (size_t i = 0; i < program->num_tls_symbols; i++) {
		const struct symbol *symbol =
			&program->symbols[program->num_symbols - 1 - i];

		if (strcmp(symbol->name, wanted->name))
			continue;
		if (symbol->addr == wanted->addr &&
		    symbol->size == wanted->size)
			return symbol;
		found = symbol;
	}
	return found;
}

/* What became of `name`, for messages; an empty string means nothing. */
static void tell_tls(struct closure *closure, const char *name,
                     const char *what)
{
	snprintf(closure->moved_tls, sizeof(closure->moved_tls), "%s %s", name,
	         what);
}

/* Thread-local variables of `program` that `other` lacks or has elsewhere. */
static void compare_tls(struct closure *closure, const struct program *program,
                        const struct program *other, const char *lone)
{
	const struct symbol *symbols = program->symbols + program->num_symbols -
	                               program->num_tls_symbols;

	for (size_t i = 0; i < program->num_tls_symbols; i++) {
		const struct symbol *peer = find_tls(other, &symbols[i]);

		if (!peer)
			tell_tls(closure, symbols[i].name, lone);
		else if (peer->size != symbols[i].size)
			tell_tls(closure, symbols[i].name, "has another size");
		else if (peer->addr != symbols[i].addr && !*closure->moved_tls)
			tell_tls(closure, symbols[i].name, "moved");
		if (!peer || peer->size != symbols[i].size)
			return;
	}
}

/*
 * Offsets and sizes of all thread-local variables must be as they were. The
 * one that is new, or gone, makes others move, and is named rather than they.
 */
static void find_moved_tls(struct closure *closure)
{
	const struct program *old = closure->old_program;
	const struct program *new = closure->new_program;

	compare_tls(closure, old, new, "is in the old build only");
	compare_tls(closure, new, old, "is new");
	if (!*closure->moved_tls && (old->tls_size != new->tls_size ||
	                             old->tls_align != new->tls_align))
		tell_tls(closure, "the block of them",
		         "has another size or alignment");
}

struct hfx_error *
closure_init(struct closure *closure, struct program *old_program,
             struct program *new_program, struct comparison *comparison,
             const struct unwind_table *unwind, struct decoder *decoder,
             struct namesakes *namesakes, struct literals *literals)
{
	*closure = (struct closure){
		.old_program = old_program,
		.new_program = new_program,
		.comparison = comparison,
		.unwind = unwind,
		.decoder = decoder,
		.namesakes = namesakes,
		.literals = literals,
	};
	const struct function *unused;
	closure->has_strange_unwinder =
		own_unwinder_find(old_program, &unused) == OWN_UNWINDER_STRANGE;
	closure->has_exceptions = own_unwinder_has_exceptions(old_program);
	find_moved_tls(closure);
	closure->same_tls = !*closure->moved_tls;
	return closure_match_imports(closure);
}

struct hfx_error *closure_run(struct closure *closure)
{
	struct program *program = closure->new_program;

	for (size_t i = 0; i < program->num_functions; i++) {
		uint32_t index = i;

		if (program->functions[i].is_selected &&
		    !HFX_ARRAY_PUSH(closure, functions, index))
			return hfx_error_no_memory();
	}
	while (closure->num_done < closure->num_functions)
		HFX_TRY(do_function(
			closure,
			&program->functions
				 [closure->functions[closure->num_done++]]));
	return NULL;
}

void closure_deinit(struct closure *closure)
{
	free(closure->image.pieces);
	free(closure->image.relocations);
	free(closure->image.imports);
	free(closure->image.symbols);
	free(closure->image.unwinds);
	refusals_deinit(&closure->refusals);
	free(closure->new_objects);
	free(closure->functions);
	pair_set_deinit(&closure->kept);
	free(closure->old_stubs);
	free(closure->old_slots);
}
