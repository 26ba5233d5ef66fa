/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include "array.h"
#include "decode.h"
#include "twins.h"
#include "workers.h"

/*
 * A jump to the end, where nothing else begins, is one that is never made:
 * compilers that do not optimize jump there behind what does not return.
 */
static bool is_own_branch(const struct program *program,
                          const struct function *function,
                          const struct reference *reference)
{
	uint64_t off = reference->target - function->addr;

	if (reference->kind != REFERENCE_CALL &&
	    reference->kind != REFERENCE_JUMP)
		return false;
	return off < function->size ||
	       (off == function->size && reference->kind == REFERENCE_JUMP &&
	        !program_function_at(program, reference->target));
}

/* References of the function that is being decoded. */
struct found {
	struct reference *items;
	size_t num_items;
	size_t cap_items;
};

/* Several in one instruction stand in the order of their fields. */
static bool push(struct found *found, struct reference reference)
{
	if (!HFX_ARRAY_PUSH(found, items, reference))
		return false;
	struct reference *last = &found->items[found->num_items - 1];
	if (found->num_items > 1 && last[-1].insn_off == last->insn_off &&
	    last[-1].field_off > last->field_off) {
		struct reference swapped = last[-1];

		last[-1] = *last;
		*last = swapped;
	}
	return true;
}

/* Addresses that the instruction holds as they are (program_kept.c). */
static bool push_absolute(const struct program *program,
                          const struct function *function, struct found *found,
                          const struct instruction *insn, size_t *next_kept)
{
	uint64_t start = function->addr + insn->off;

	for (; *next_kept < program->num_kept; ++*next_kept) {
		const struct kept_relocation *kept = &program->kept[*next_kept];
		struct reference reference = {
			.insn_off = insn->off,
			.insn_size = insn->size,
			.field_off = kept->addr - start,
			.field_size = kept->type == R_X86_64_64 ? 8 : 4,
			.kind = REFERENCE_ADDRESS,
			.relocation = kept->type,
			.target = kept->target,
		};
		reference.is_indexed = insn->indexed_off == reference.field_off;

		if (kept->addr >= start + insn->size)
			break;
		if (kept->type == R_X86_64_PC32 ||
		    (insn->has_reference &&
		     insn->reference.field_off == reference.field_off))
			continue;
		if (kept->was_got_load &&
		    (insn->constant_size != 4 ||
		     insn->constant_off != reference.field_off))
			continue;
		if (!push(found, reference))
			return false;
	}
	return true;
}

static bool decode(const struct program *program, struct function *function,
                   struct decoder *decoder, struct found *found)
{
	size_t kept = program_kept_from(program, function->addr);
	struct instruction insn;

	for (size_t off = 0; off < function->size; off += insn.size) {
		if (!decoder_next(decoder, function->code, function->size,
		                  function->addr, off, &insn)) {
			function->is_opaque = true;
			return true;
		}
		function->num_instructions++;
		function->uses_tls |= insn.uses_tls;
		if (insn.has_reference &&
		    !is_own_branch(program, function, &insn.reference) &&
		    !push(found, insn.reference))
			return false;
		if (!push_absolute(program, function, found, &insn, &kept))
			return false;
	}
	return true;
}

/* Keep them in no more memory than they need: there are millions. */
static bool keep(struct function *function, const struct found *found)
{
	size_t size = found->num_items * sizeof(*found->items);

	if (!size)
		return true;
	function->references = malloc(size);
	if (!function->references)
		return false;
	memcpy(function->references, found->items, size);
	function->num_references = found->num_items;
	return true;
}

static struct hfx_error *scan_function(const struct program *program,
                                       struct function *function,
                                       struct decoder *decoder)
{
	struct found found = {0};
	bool is_done = decode(program, function, decoder, &found) &&
	               keep(function, &found);

	free(found.items);
	return is_done ? NULL : hfx_error_no_memory();
}

static bool is_data(const struct program *program, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);

	return section &&
	       (section->kind == SECTION_CONST ||
	        section->kind == SECTION_DATA || section->kind == SECTION_BSS);
}

static struct hfx_error *add_landmark(struct program *program, uint64_t addr)
{
	if (is_data(program, addr) && !HFX_ARRAY_PUSH(program, landmarks, addr))
		return hfx_error_no_memory();
	return NULL;
}

static int compare_addrs(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void sort_landmarks(struct program *program)
{
	size_t kept = 0;

	hfx_array_sort(program->landmarks, program->num_landmarks,
	               sizeof(*program->landmarks), compare_addrs);
	for (size_t i = 0; i < program->num_landmarks; i++)
		if (!kept ||
		    program->landmarks[kept - 1] != program->landmarks[i])
			program->landmarks[kept++] = program->landmarks[i];
	program->num_landmarks = kept;
}

static struct hfx_error *find_landmarks(struct program *program)
{
	for (size_t i = 0; i < program->num_functions; i++)
		for (size_t r = 0; r < program->functions[i].num_references;
		     r++)
			HFX_TRY(add_landmark(
				program,
				program->functions[i].references[r].target));
	for (size_t i = 0; i < program->num_relocations; i++)
		if (program->relocations[i].type == R_X86_64_RELATIVE)
			HFX_TRY(add_landmark(program,
			                     program->relocations[i].addend));
	for (size_t i = 0; i < program->num_symbols - program->num_tls_symbols;
	     i++) {
		const struct symbol *symbol = &program->symbols[i];

		HFX_TRY(add_landmark(program, symbol->addr));
		if (symbol->kind == SYMBOL_OBJECT)
			HFX_TRY(add_landmark(program,
			                     symbol->addr + symbol->size));
	}
	sort_landmarks(program);
	return NULL;
}

struct scan {
	struct program *program;
	/** Functions to copy from, or NULL. */
	const struct twins *twins;
};

static struct hfx_error *scan_one(void *context, struct decoder *decoder,
                                  size_t index)
{
	const struct scan *scan = context;
	struct function *function = &scan->program->functions[index];
	bool found = false;

	if (scan->twins)
		HFX_TRY(twins_copy(scan->twins, scan->program, function,
		                   &found));
	return found ? NULL : scan_function(scan->program, function, decoder);
}

static struct hfx_error *scan_program(struct program *program,
                                      const struct twins *twins)
{
	struct scan scan = {program, twins};

	HFX_TRY(workers_run(program->num_functions, scan_one, &scan));
	for (size_t i = 0; i < program->num_functions; i++)
		program->num_instructions +=
			program->functions[i].num_instructions;
	return find_landmarks(program);
}

struct hfx_error *scan_programs(struct program *old_program,
                                struct program *new_program)
{
	struct twins *twins = NULL;

	HFX_TRY(scan_program(old_program, NULL));
	/* Addresses of a program for a fixed address are not all distances. */
	if (!old_program->num_kept && !new_program->num_kept)
		HFX_TRY(twins_create(old_program, &twins));
	struct hfx_error *err = scan_program(new_program, twins);
	twins_destroy(twins);
	return err;
}
