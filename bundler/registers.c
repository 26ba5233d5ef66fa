/* SPDX-License-Identifier: MIT */
#include "registers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "debug_info.h"
#include "pair_set.h"
#include "place.h"

/** Calls that are followed for what the callee reads. */
#define MAX_DEPTH 4

/* What a function of any kind may take and give back (psABI 3.2.3). */
#define ARGUMENTS                                                              \
	(REGISTER_RDI | REGISTER_RSI | REGISTER_RDX | REGISTER_RCX |           \
	 REGISTER_R8 | REGISTER_R9 | (0xff * REGISTER_XMM0))

static const register_set argument_order[] = {
	REGISTER_RDI, REGISTER_RSI, REGISTER_RDX,
	REGISTER_RCX, REGISTER_R8,  REGISTER_R9,
};
#define NUM_GENERAL_ARGUMENTS (sizeof(argument_order) / sizeof(*argument_order))

struct own_use {
	bool is_known;
	register_set written;
	/** Read or written by some instruction. */
	register_set mentioned;
	/** Some instruction returns, or hands over to a function that may. */
	bool returns;
};

struct registers {
	const struct program *program;
	struct decoder *decoder;
	struct own_use *own;
};

struct hfx_error *registers_create(const struct program *program,
                                   struct decoder *decoder,
                                   struct registers **ret)
{
	struct registers *registers = calloc(1, sizeof(*registers));

	if (!registers)
		return hfx_error_no_memory();
	*registers = (struct registers){
		.program = program,
		.decoder = decoder,
		.own = calloc(program->num_functions + 1,
	                      sizeof(*registers->own)),
	};
	if (!registers->own) {
		registers_destroy(registers);
		return hfx_error_no_memory();
	}
	*ret = registers;
	return NULL;
}

void registers_destroy(struct registers *registers)
{
	if (!registers)
		return;
	free(registers->own);
	free(registers);
}

/* ---- What is written ----------------------------------------------------- */

static bool is_call_or_jump(const struct reference *reference)
{
	return reference->kind == REFERENCE_CALL ||
	       reference->kind == REFERENCE_JUMP;
}

static bool leaves_program(const struct program *program,
                           const struct function *function)
{
	for (size_t i = 0; i < function->num_references; i++)
		if (is_call_or_jump(&function->references[i]) &&
		    !program_function_at(program,
		                         function->references[i].target))
			return true;
	return function->is_opaque;
}

/* Then its indirect jumps stay inside, like those of a `switch`. */
static bool has_jump_table(const struct program *program,
                           const struct function *function)
{
	for (size_t i = 0; i < function->num_references; i++)
		if (function->references[i].kind == REFERENCE_ADDRESS &&
		    jump_table_length(program, function,
		                      function->references[i].target))
			return true;
	return false;
}

/* A tail call. */
static bool leads_away(const struct program *program,
                       const struct function *function,
                       const struct instruction *insn)
{
	const struct function *target;

	if (!insn->is_jump || !insn->has_reference)
		return false;
	target = program_function_at(program, insn->reference.target);
	return !target || !function_is_family(program, function, target);
}

static void decode_own(struct registers *registers,
                       const struct function *function, struct own_use *own)
{
	bool stays = has_jump_table(registers->program, function);
	struct instruction insn;

	for (uint64_t off = 0; off < function->size; off += insn.size) {
		if (!decoder_next(registers->decoder, function->code,
		                  function->size, function->addr, off, &insn)) {
			own->written = own->mentioned = REGISTERS_ALL;
			own->returns = true;
			return;
		}
		struct register_use use = decoder_registers(registers->decoder);
		own->written |= use.written;
		own->mentioned |= use.written | use.read;
		bool is_away = insn.is_jump && !insn.has_reference && !stays;
		if (is_away || (insn.is_call && !insn.has_reference))
			own->written = REGISTERS_ALL;
		own->returns |= insn.is_return || is_away ||
		                leads_away(registers->program, function, &insn);
	}
}

static const struct own_use *own_of(struct registers *registers, uint32_t index)
{
	const struct program *program = registers->program;
	const struct function *function = &program->functions[index];
	struct own_use *own = &registers->own[index];

	if (own->is_known)
		return own;
	own->is_known = true;
	decode_own(registers, function, own);
	if (leaves_program(program, function))
		own->written = REGISTERS_ALL;
	return own;
}

register_set registers_written(struct registers *registers, uint32_t index)
{
	return own_of(registers, index)->written;
}

bool registers_never_returns(struct registers *registers, uint32_t index)
{
	const struct program *program = registers->program;
	const struct function *function = &program->functions[index];

	if (own_of(registers, index)->returns)
		return false;
	for (size_t i = 0; i < function->num_references; i++) {
		const struct function *part = program_function_at(
			program, function->references[i].target);

		if (part && part->parent == index &&
		    own_of(registers, part - program->functions)->returns)
			return false;
	}
	return true;
}

struct functions {
	uint32_t *items;
	size_t num_items;
	size_t cap_items;
	struct pair_set seen;
};

static struct hfx_error *add_once(struct functions *functions, uint32_t index)
{
	if (pair_set_has(&functions->seen, index, 0, 0))
		return NULL;
	return pair_set_add(&functions->seen, index, 0, 0) &&
	                       HFX_ARRAY_PUSH(functions, items, index)
	               ? NULL
	               : hfx_error_no_memory();
}

static struct hfx_error *collect_written(struct registers *registers,
                                         struct functions *functions,
                                         register_set *ret)
{
	const struct program *program = registers->program;

	*ret = 0;
	for (size_t i = 0; i < functions->num_items && *ret != REGISTERS_ALL;
	     i++) {
		uint32_t index = functions->items[i];
		const struct function *function = &program->functions[index];

		*ret |= registers_written(registers, index);
		for (size_t k = 0; k < function->num_references; k++) {
			const struct function *next = program_function_at(
				program, function->references[k].target);

			if (next && is_call_or_jump(&function->references[k]))
				HFX_TRY(add_once(functions,
				                 next - program->functions));
		}
	}
	return NULL;
}

struct hfx_error *registers_written_in_all(struct registers *registers,
                                           uint32_t index, register_set *ret)
{
	struct functions functions = {0};
	struct hfx_error *err = add_once(&functions, index);

	if (!err)
		err = collect_written(registers, &functions, ret);
	free(functions.items);
	pair_set_deinit(&functions.seen);
	return err;
}

/* ---- What is read -------------------------------------------------------- */

/* A search along all paths from one place for a read of one register. */
struct search {
	struct registers *registers;
	/** The function that is searched, whole; its parts belong to it. */
	const struct function *function;
	register_set wanted;
	/** What is read by returning from it. */
	register_set returned;
	unsigned int depth;
	uint64_t *places;
	size_t num_places;
	size_t cap_places;
	struct pair_set seen;
	bool is_read;
};

static struct hfx_error *is_read_from(struct registers *registers,
                                      const struct function *function,
                                      uint64_t addr, register_set wanted,
                                      register_set returned, unsigned int depth,
                                      bool *ret);

static struct hfx_error *go_on_at(struct search *search, uint64_t addr)
{
	if (pair_set_has(&search->seen, addr, 0, 0))
		return NULL;
	return pair_set_add(&search->seen, addr, 0, 0) &&
	                       HFX_ARRAY_PUSH(search, places, addr)
	               ? NULL
	               : hfx_error_no_memory();
}

/* Arguments of what is called through a PLT stub, from its declaration. */
static struct hfx_error *read_by_import(const struct search *search,
                                        const struct plt_stub *stub,
                                        register_set *ret)
{
	const struct program *program = search->registers->program;
	const struct dynamic_relocation *relocation =
		program_relocation_at(program, stub->slot_addr);
	int count = -1;

	if (relocation && program->debug)
		HFX_TRY(debug_info_declared_arguments(
			program->debug, search->function->addr,
			relocation->symbol, &count));
	if (relocation && !strcmp(relocation->symbol, "__stack_chk_fail"))
		count = 0;
	*ret = ARGUMENTS;
	for (size_t i = 0; count >= 0 && i < NUM_GENERAL_ARGUMENTS; i++)
		if (i >= (size_t)count)
			*ret &= ~argument_order[i];
	return NULL;
}

/* A call of code that is not known, after which nothing is kept. */
static struct hfx_error *call_unknown(struct search *search,
                                      const struct instruction *insn)
{
	const struct program *program = search->registers->program;
	const struct plt_stub *stub =
		insn->has_reference
			? program_stub_at(program, insn->reference.target)
			: NULL;
	register_set read = ARGUMENTS;

	if (stub)
		HFX_TRY(read_by_import(search, stub, &read));
	/* What floats in the argument registers has been put there. */
	read &= ~REGISTERS_XMM |
	        own_of(search->registers, search->function - program->functions)
	                ->mentioned;
	search->is_read |= read & search->wanted;
	return NULL;
}

static struct hfx_error *call_known(struct search *search,
                                    const struct function *callee,
                                    uint64_t addr, bool *returns_ret)
{
	struct registers *registers = search->registers;
	register_set written;

	HFX_TRY(is_read_from(registers, callee, addr, search->wanted, 0,
	                     search->depth + 1, &search->is_read));
	HFX_TRY(registers_written_in_all(
		registers, callee - registers->program->functions, &written));
	*returns_ret = !(written & search->wanted);
	return NULL;
}

static struct hfx_error *follow_tables(struct search *search)
{
	const struct program *program = search->registers->program;
	const struct function *function = search->function;
	bool is_found = false;

	for (size_t i = 0; i < function->num_references; i++) {
		uint64_t addr = function->references[i].target;
		uint64_t count =
			function->references[i].kind == REFERENCE_ADDRESS
				? jump_table_length(program, function, addr)
				: 0;

		is_found |= count;
		for (uint64_t k = 0; k < count; k++)
			HFX_TRY(go_on_at(search,
			                 table_target(program, addr, k)));
	}
	if (!is_found)
		search->is_read |= search->wanted & ARGUMENTS;
	return NULL;
}

static struct hfx_error *follow_branch(struct search *search,
                                       const struct instruction *insn,
                                       bool *goes_on_ret)
{
	const struct program *program = search->registers->program;
	const struct function *target =
		insn->has_reference
			? program_function_at(program, insn->reference.target)
			: NULL;

	*goes_on_ret = false;
	if (insn->is_call)
		return target ? call_known(search, target,
		                           insn->reference.target, goes_on_ret)
		              : call_unknown(search, insn);
	*goes_on_ret = insn->is_conditional;
	if (!insn->has_reference)
		return follow_tables(search);
	if (!target)
		return call_unknown(search, insn);
	if (function_is_family(program, search->function, target))
		return go_on_at(search, insn->reference.target);
	return is_read_from(search->registers, target, insn->reference.target,
	                    search->wanted, search->returned, search->depth + 1,
	                    &search->is_read);
}

static struct hfx_error *follow_place(struct search *search, uint64_t addr)
{
	const struct function *function =
		program_function_at(search->registers->program, addr);
	struct instruction insn;
	bool goes_on;

	if (!function)
		return NULL;
	if (!decoder_next(search->registers->decoder, function->code,
	                  function->size, function->addr, addr - function->addr,
	                  &insn)) {
		search->is_read = true;
		return NULL;
	}
	struct register_use use = decoder_registers(search->registers->decoder);
	goes_on = !(use.replaced & search->wanted);
	search->is_read |= use.read & search->wanted;
	if (insn.is_return)
		search->is_read |= search->returned & search->wanted;
	else if (insn.is_call || insn.is_jump)
		HFX_TRY(follow_branch(search, &insn, &goes_on));
	if (goes_on && !insn.is_return &&
	    addr + insn.size < function->addr + function->size)
		return go_on_at(search, addr + insn.size);
	return NULL;
}

static struct hfx_error *is_read_from(struct registers *registers,
                                      const struct function *function,
                                      uint64_t addr, register_set wanted,
                                      register_set returned, unsigned int depth,
                                      bool *ret)
{
	struct search search = {
		.registers = registers,
		.function = function,
		.wanted = wanted,
		.returned = returned,
		.depth = depth,
		.is_read = *ret || (depth > MAX_DEPTH && wanted & ARGUMENTS),
	};
	struct hfx_error *err = NULL;

	if (depth <= MAX_DEPTH)
		err = go_on_at(&search, addr);
	while (!err && !search.is_read && search.num_places)
		err = follow_place(&search, search.places[--search.num_places]);
	free(search.places);
	pair_set_deinit(&search.seen);
	*ret = search.is_read;
	return err;
}

/* What the caller of `function` may take from it. */
static struct hfx_error *returned_by(struct registers *registers,
                                     const struct function *function,
                                     register_set *ret)
{
	const struct program *program = registers->program;
	struct debug_function debug = {0};

	*ret = REGISTER_RAX | REGISTER_RDX;
	*ret |= own_of(registers, function - program->functions)->mentioned &
	        (REGISTER_XMM0 | REGISTER_XMM1);
	if (!program->debug)
		return NULL;
	HFX_TRY(debug_info_function(program->debug, function->addr, &debug));
	if (debug.signature && !strncmp(debug.signature, "void ", 5) &&
	    debug.signature[5] != '*')
		*ret = 0;
	debug_function_deinit(&debug);
	return NULL;
}

static struct hfx_error *kept_after(struct registers *registers,
                                    const struct function *caller,
                                    uint64_t addr, register_set returned,
                                    register_set wanted, register_set *kept)
{
	for (unsigned int i = 0; i < NUM_REGISTERS; i++) {
		register_set bit = 1u << i;
		bool is_read = false;

		if (!(wanted & bit) || *kept & bit)
			continue;
		HFX_TRY(is_read_from(registers, caller, addr, bit, returned, 0,
		                     &is_read));
		if (is_read)
			*kept |= bit;
	}
	return NULL;
}

struct hfx_error *registers_kept_across(struct registers *registers,
                                        uint32_t caller, uint32_t callee,
                                        register_set wanted, register_set *ret)
{
	const struct program *program = registers->program;
	const struct function *function = &program->functions[caller];
	uint64_t callee_addr = program->functions[callee].addr;
	register_set returned, written;

	*ret = 0;
	HFX_TRY(returned_by(registers, function, &returned));
	HFX_TRY(registers_written_in_all(registers, callee, &written));
	/* Two registers are returned together. */
	if (written & REGISTER_RAX)
		returned &= ~REGISTER_RDX;
	if (written & REGISTER_XMM0)
		returned &= ~REGISTER_XMM1;
	for (size_t i = 0; i < function->num_references; i++) {
		const struct reference *reference = &function->references[i];

		if (reference->kind == REFERENCE_CALL &&
		    reference->target == callee_addr)
			HFX_TRY(kept_after(registers, function,
			                   function->addr +
			                           reference->insn_off +
			                           reference->insn_size,
			                   returned, wanted, ret));
	}
	return NULL;
}

void registers_text(register_set set, char *ret, size_t size)
{
	static const char *const names[] = {
		"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
	};
	const unsigned int num_names = sizeof(names) / sizeof(*names);
	size_t used = 0;

	*ret = '\0';
	for (unsigned int i = 0; i < NUM_REGISTERS && used < size; i++) {
		const char *comma = used ? ", " : "";

		if (!(set & 1u << i))
			continue;
		if (i < num_names)
			used += snprintf(ret + used, size - used, "%s%s", comma,
			                 names[i]);
		else
			used += snprintf(ret + used, size - used, "%sxmm%u",
			                 comma, i - num_names);
	}
}
