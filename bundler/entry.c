/* SPDX-License-Identifier: MIT */
#include "entry.h"

#include <stdlib.h>

#include <elf.h>

#include "array.h"
#include "image.h"
#include "place.h"

#define ENDBR64_SIZE 4

struct entry_checker {
	const struct program *program;
	struct decoder *decoder;
	/** Code addresses that other functions or data refer to, sorted. */
	uint64_t *targets;
	size_t num_targets;
	size_t cap_targets;
};

static int compare_addrs(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool add_target(struct entry_checker *checker, uint64_t addr)
{
	const struct function *function =
		program_function_at(checker->program, addr);

	/* A function's first byte is where everybody may go. */
	return !function || function->addr == addr ||
	       HFX_ARRAY_PUSH(checker, targets, addr);
}

static bool add_jump_table(struct entry_checker *checker,
                           const struct function *function, uint64_t addr)
{
	uint64_t count = jump_table_length(checker->program, function, addr);

	for (uint64_t i = 0; i < count; i++)
		if (!add_target(checker,
		                table_target(checker->program, addr, i)))
			return false;
	return true;
}

static bool add_references(struct entry_checker *checker,
                           const struct function *function)
{
	for (size_t r = 0; r < function->num_references; r++) {
		const struct reference *reference = &function->references[r];

		if (!add_target(checker, reference->target) ||
		    (reference->kind == REFERENCE_ADDRESS &&
		     !add_jump_table(checker, function, reference->target)))
			return false;
	}
	return true;
}

static bool collect_targets(struct entry_checker *checker)
{
	const struct program *program = checker->program;

	for (size_t i = 0; i < program->num_functions; i++)
		if (!add_references(checker, &program->functions[i]))
			return false;
	for (size_t i = 0; i < program->num_relocations; i++)
		if (program->relocations[i].type == R_X86_64_RELATIVE &&
		    !add_target(checker, program->relocations[i].addend))
			return false;
	hfx_array_sort(checker->targets, checker->num_targets,
	               sizeof(*checker->targets), compare_addrs);
	return true;
}

struct hfx_error *entry_checker_create(const struct program *program,
                                       struct decoder *decoder,
                                       struct entry_checker **ret)
{
	struct entry_checker *checker = calloc(1, sizeof(*checker));

	if (!checker)
		return hfx_error_no_memory();
	checker->program = program;
	checker->decoder = decoder;
	if (!collect_targets(checker)) {
		entry_checker_destroy(checker);
		return hfx_error_no_memory();
	}
	*ret = checker;
	return NULL;
}

void entry_checker_destroy(struct entry_checker *checker)
{
	if (!checker)
		return;
	free(checker->targets);
	free(checker);
}

static bool has_target_inside(const struct entry_checker *checker,
                              uint64_t start, uint64_t end)
{
	size_t low = 0, high = checker->num_targets;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (checker->targets[middle] <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < checker->num_targets && checker->targets[low] < end;
}

/* Start of the next symbol behind the function, or the end of its section. */
static uint64_t next_symbol(const struct program *program,
                            const struct function *function)
{
	const struct section *section =
		program_section_at(program, function->addr);
	size_t i = function->first_symbol + function->num_symbols;

	for (; i < program->num_symbols - program->num_tls_symbols; i++)
		if (program->symbols[i].addr >= function->addr + function->size)
			break;
	uint64_t end = section->addr + section->size;
	if (i < program->num_symbols - program->num_tls_symbols &&
	    program->symbols[i].addr < end)
		return program->symbols[i].addr;
	return end;
}

/* Whether only padding stands between the function's end and `end`. */
static bool is_padded(const struct entry_checker *checker,
                      const struct function *function, uint64_t end)
{
	uint64_t limit = next_symbol(checker->program, function);
	uint64_t size = limit - function->addr;
	struct instruction insn;

	if (end > size)
		return false;
	for (uint64_t off = function->size; off < end; off += insn.size) {
		if (!function->code[off]) {
			insn.size = 1;
			continue;
		}
		if (!decoder_next(checker->decoder, function->code, size,
		                  function->addr, off, &insn) ||
		    !insn.is_padding)
			return false;
	}
	return true;
}

/* Whether a branch of the function leads to where `from` < offset <= `to`. */
static bool is_branched_to(const struct entry_checker *checker,
                           const struct function *function, uint64_t from,
                           uint64_t to)
{
	struct instruction insn;

	for (uint64_t off = 0; off < function->size; off += insn.size) {
		if (!decoder_next(checker->decoder, function->code,
		                  function->size, function->addr, off, &insn))
			return true;
		uint64_t target = insn.reference.target - function->addr;
		if (insn.is_jump && insn.has_reference && target > from &&
		    target <= to)
			return true;
	}
	return false;
}

/*
 * A jump to the first byte that follows the epilogue is a tail call: the
 * function calls itself, as it would by `call`, and may call the new one
 * instead. Loops give back neither registers of the caller nor the frame that
 * their calls need; there, code at the first byte may count on more than the
 * arguments.
 */
static bool is_tail_call(const struct entry_checker *checker,
                         const struct function *function,
                         const struct instruction *insn, uint64_t first_restore)
{
	return insn->is_jump && !insn->is_conditional && first_restore &&
	       insn->reference.target == function->addr &&
	       !is_branched_to(checker, function, first_restore, insn->off);
}

/* What an instruction of the function does to the jump at [off, end). */
static const char *check_instruction(const struct entry_checker *checker,
                                     const struct function *function,
                                     const struct instruction *insn,
                                     uint64_t first_restore,
                                     const struct entry *entry)
{
	uint64_t next = insn->off + insn->size;
	uint64_t target = insn->reference.target - function->addr;
	uint64_t end = entry->off + JUMP_SIZE;
	bool is_branch =
		insn->has_reference && (insn->is_jump || insn->is_call);

	if ((insn->is_call || insn->is_syscall) && next > entry->off &&
	    next < end)
		return "a call or system call returns into its first bytes";
	if (is_branch && target < end &&
	    (insn->is_jump || (target && target != entry->off)) &&
	    !is_tail_call(checker, function, insn, first_restore))
		return "a branch leads back into its first bytes";
	return NULL;
}

static const char *check_code(const struct entry_checker *checker,
                              const struct function *function,
                              const struct entry *entry)
{
	/* Of those that nothing but moves and the like follow; 0 is none. */
	uint64_t first_restore = 0;
	const char *refusal = NULL;
	struct instruction insn;

	for (uint64_t off = 0; !refusal && off < function->size;
	     off += insn.size) {
		if (!decoder_next(checker->decoder, function->code,
		                  function->size, function->addr, off, &insn))
			break;
		refusal = check_instruction(checker, function, &insn,
		                            first_restore, entry);
		if (insn.is_jump || insn.is_call || insn.is_return)
			first_restore = 0;
		else if (insn.is_restore && !first_restore)
			first_restore = off;
	}
	return refusal;
}

struct entry entry_check(struct entry_checker *checker,
                         const struct function *function)
{
	struct entry entry = {.size = function->size};

	if (is_endbr64(function->code, function->size))
		entry.off = ENDBR64_SIZE;
	uint64_t end = entry.off + JUMP_SIZE;
	if (function->is_opaque)
		entry.refusal = "its code cannot be decoded";
	else if (function->size < end && !is_padded(checker, function, end))
		entry.refusal = "it is too short for a jump of 5 bytes";
	else if (has_target_inside(checker, function->addr,
	                           function->addr + end))
		entry.refusal = "something refers into its first bytes";
	if (entry.refusal)
		return entry;
	if (entry.size < end)
		entry.size = end;
	entry.refusal = check_code(checker, function, &entry);
	return entry;
}
