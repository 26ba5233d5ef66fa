/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include <pthread.h>
#include <stdlib.h>

#include <elf.h>

#include "array.h"
#include "decode.h"

static bool is_own_branch(const struct function *function,
                          const struct reference *reference)
{
	return (reference->kind == REFERENCE_CALL ||
	        reference->kind == REFERENCE_JUMP) &&
	       reference->target - function->addr < function->size;
}

/* Several in one instruction stand in the order of their fields. */
static bool push(struct function *function, struct reference reference)
{
	if (!HFX_ARRAY_PUSH(function, references, reference))
		return false;
	struct reference *last =
		&function->references[function->num_references - 1];
	if (function->num_references > 1 &&
	    last[-1].insn_off == last->insn_off &&
	    last[-1].field_off > last->field_off) {
		struct reference swapped = last[-1];

		last[-1] = *last;
		*last = swapped;
	}
	return true;
}

/* Addresses that the instruction holds as they are (program_kept.c). */
static bool push_absolute(const struct program *program,
                          struct function *function,
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
		if (!push(function, reference))
			return false;
	}
	return true;
}

static struct hfx_error *scan_function(struct program *program,
                                       struct function *function,
                                       struct decoder *decoder)
{
	size_t kept = program_kept_from(program, function->addr);
	struct instruction insn;

	for (size_t off = 0; off < function->size; off += insn.size) {
		if (!decoder_next(decoder, function->code, function->size,
		                  function->addr, off, &insn)) {
			function->is_opaque = true;
			return NULL;
		}
		program->num_instructions++;
		function->uses_tls |= insn.uses_tls;
		if (insn.has_reference &&
		    !is_own_branch(function, &insn.reference) &&
		    !push(function, insn.reference))
			return hfx_error_no_memory();
		if (!push_absolute(program, function, &insn, &kept))
			return hfx_error_no_memory();
	}
	return NULL;
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

static struct hfx_error *scan_program(struct program *program)
{
	struct decoder *decoder;
	struct hfx_error *err = decoder_create(&decoder);

	if (err)
		return err;
	for (size_t i = 0; !err && i < program->num_functions; i++)
		err = scan_function(program, &program->functions[i], decoder);
	decoder_destroy(decoder);
	return err ? err : find_landmarks(program);
}

struct scan {
	struct program *program;
	struct hfx_error *err;
};

static void *run_scan(void *arg)
{
	struct scan *scan = arg;

	scan->err = scan_program(scan->program);
	return NULL;
}

struct hfx_error *scan_programs(struct program *old_program,
                                struct program *new_program)
{
	struct scan old_scan = {.program = old_program};
	struct scan new_scan = {.program = new_program};
	pthread_t thread;
	bool has_thread = !pthread_create(&thread, NULL, run_scan, &old_scan);

	run_scan(&new_scan);
	if (has_thread)
		pthread_join(thread, NULL);
	else
		run_scan(&old_scan);
	if (!old_scan.err)
		return new_scan.err;
	hfx_error_destroy(new_scan.err);
	return old_scan.err;
}
