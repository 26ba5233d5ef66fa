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
	/** By it and by all that it calls. */
	register_set written_in_all;
	bool is_known_in_all;
	/** Some instruction returns, or hands over to a function that may. */
	bool returns;
};

struct registers {
	const struct program *program;
	struct decoder *decoder;
	struct own_use *own;
	/** Of each PLT stub, once it was asked for: which it reads. */
	struct import_use {
		bool is_known;
		register_set read;
	} * imports;
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
		.imports = calloc(program->num_stubs + 1,
	                          sizeof(*registers->imports)),
	};
	if (!registers->own || !registers->imports) {
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
	free(registers->imports);
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
	struct own_use *own = &registers->own[index];
	struct functions functions = {0};
	struct hfx_error *err = NULL;

	if (!own->is_known_in_all) {
		err = add_once(&functions, index);
		if (!err)
			err = collect_written(registers, &functions,
			                      &own->written_in_all);
		own->is_known_in_all = !err;
	}
	*ret = own->written_in_all;
	free(functions.items);
	pair_set_deinit(&functions.seen);
	return err;
}

/* ---- What is read -------------------------------------------------------- */

/* A place in the code, and the registers that nothing has written up to it. */
struct state {
	uint64_t addr;
	register_set left;
};

/* A search along all paths from one place for reads of registers. */
struct search {
	struct registers *registers;
	/** The function that is searched, whole; its parts belong to it. */
	const struct function *function;
	/** What is read by returning from it. */
	register_set returned;
	unsigned int depth;
	struct state *states;
	size_t num_states;
	size_t cap_states;
	struct pair_set seen;
	register_set read;
};

static struct hfx_error *find_reads(struct registers *registers,
                                    const struct function *function,
                                    struct state start, register_set returned,
                                    unsigned int depth, register_set *read);

static struct hfx_error *go_on_at(struct search *search, uint64_t addr,
                                  register_set left)
{
	struct state state = {addr, left & ~search->read};

	if (!state.left || pair_set_has(&search->seen, addr, state.left, 0))
		return NULL;
	return pair_set_add(&search->seen, addr, state.left, 0) &&
	                       HFX_ARRAY_PUSH(search, states, state)
	               ? NULL
	               : hfx_error_no_memory();
}

static register_set read_by(const struct debug_arguments *arguments)
{
	register_set read = ARGUMENTS;

	if (!arguments->is_known)
		return read;
	if (!arguments->has_floating)
		read &= ~REGISTERS_XMM;
	for (size_t i = arguments->num_general; i < NUM_GENERAL_ARGUMENTS; i++)
		read &= ~argument_order[i];
	return read;
}

/* What compilers call by themselves, without a declaration. */
static void know_runtime(const char *name, struct debug_arguments *ret)
{
	static const struct {
		const char *name;
		unsigned num_arguments;
	} functions[] = {
		{"__stack_chk_fail", 0},
		{"__cxa_allocate_exception", 1},
		{"__cxa_begin_catch", 1},
		{"__cxa_end_catch", 0},
		{"__cxa_free_exception", 1},
		{"__cxa_get_exception_ptr", 1},
		{"__cxa_guard_abort", 1},
		{"__cxa_guard_acquire", 1},
		{"__cxa_guard_release", 1},
		{"__cxa_pure_virtual", 0},
		{"__cxa_rethrow", 0},
		{"__cxa_throw", 3},
		{"__dynamic_cast", 4},
		{"_Unwind_Resume", 1},
		{"_ZSt9terminatev", 0},
		{"_ZdlPv", 1},
		{"_ZdlPvm", 2},
		{"_Znwm", 1},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		if (!strcmp(name, functions[i].name))
			*ret = (struct debug_arguments){
				.is_known = true,
				.num_general = functions[i].num_arguments,
			};
}

/* Arguments of what is called through a PLT stub, from its declaration. */
static struct hfx_error *read_by_import(const struct search *search,
                                        const struct plt_stub *stub,
                                        register_set *ret)
{
	const struct program *program = search->registers->program;
	struct import_use *use =
		&search->registers->imports[stub - program->stubs];
	const struct dynamic_relocation *relocation =
		program_relocation_at(program, stub->slot_addr);
	struct debug_arguments arguments = {0};

	if (!use->is_known && relocation && program->debug)
		HFX_TRY(debug_info_declared_arguments(
			program->debug, search->function->addr,
			relocation->symbol, &arguments));
	if (!use->is_known && relocation && !arguments.is_known)
		know_runtime(relocation->symbol, &arguments);
	if (!use->is_known)
		use->read = read_by(&arguments);
	use->is_known = true;
	*ret = use->read;
	return NULL;
}

/* A call of code that is not known, after which nothing is kept. */
static struct hfx_error *call_unknown(struct search *search,
                                      const struct instruction *insn,
                                      register_set left)
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
	search->read |= read & left;
	return NULL;
}

static struct hfx_error *call_known(struct search *search,
                                    const struct function *callee,
                                    struct state start, register_set *left_ret)
{
	struct registers *registers = search->registers;
	register_set written;

	HFX_TRY(find_reads(registers, callee, start, 0, search->depth + 1,
	                   &search->read));
	HFX_TRY(registers_written_in_all(
		registers, callee - registers->program->functions, &written));
	*left_ret = start.left & ~written;
	return NULL;
}

static struct hfx_error *follow_tables(struct search *search, register_set left)
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
			HFX_TRY(go_on_at(search, table_target(program, addr, k),
			                 left));
	}
	if (!is_found)
		search->read |= left & ARGUMENTS;
	return NULL;
}

/* Where a call or jump leads; `left_ret`: what is left behind it. */
static struct hfx_error *follow_branch(struct search *search,
                                       const struct instruction *insn,
                                       register_set left,
                                       register_set *left_ret)
{
	const struct program *program = search->registers->program;
	struct state next = {insn->reference.target, left};
	const struct function *target =
		insn->has_reference ? program_function_at(program, next.addr)
				    : NULL;

	*left_ret = insn->is_conditional ? left : 0;
	if (insn->is_call && target)
		return call_known(search, target, next, left_ret);
	if (insn->is_call)
		return call_unknown(search, insn, left);
	if (!insn->has_reference)
		return follow_tables(search, left);
	if (!target)
		return call_unknown(search, insn, left);
	if (function_is_family(program, search->function, target))
		return go_on_at(search, next.addr, left);
	return find_reads(search->registers, target, next, search->returned,
	                  search->depth + 1, &search->read);
}

static struct hfx_error *follow_state(struct search *search, struct state state)
{
	const struct function *function =
		program_function_at(search->registers->program, state.addr);
	struct instruction insn;

	if (!function)
		return NULL;
	uint64_t off = state.addr - function->addr;
	if (!decoder_next(search->registers->decoder, function->code,
	                  function->size, function->addr, off, &insn)) {
		search->read |= state.left;
		return NULL;
	}
	struct register_use use = decoder_registers(search->registers->decoder);
	register_set left = state.left & ~use.replaced;
	search->read |= use.read & state.left;
	if (insn.is_return)
		search->read |= search->returned & state.left;
	else if (insn.is_call || insn.is_jump)
		HFX_TRY(follow_branch(search, &insn, state.left, &left));
	if (insn.is_return || off + insn.size >= function->size)
		return NULL;
	return go_on_at(search, state.addr + insn.size, left);
}

/* Add to @p read what is read of `start.left` on the way from there. */
static struct hfx_error *find_reads(struct registers *registers,
                                    const struct function *function,
                                    struct state start, register_set returned,
                                    unsigned int depth, register_set *read)
{
	struct search search = {
		.registers = registers,
		.function = function,
		.returned = returned,
		.depth = depth,
		.read = *read,
	};
	struct hfx_error *err = NULL;

	if (depth <= MAX_DEPTH)
		err = go_on_at(&search, start.addr, start.left);
	else
		search.read |= start.left & ARGUMENTS & ~REGISTERS_XMM;
	while (!err && start.left & ~search.read && search.num_states)
		err = follow_state(&search, search.states[--search.num_states]);
	free(search.states);
	pair_set_deinit(&search.seen);
	*read = search.read;
	return err;
}

/* What the caller of `function` may take from it. */
static struct hfx_error *returned_by(struct registers *registers,
                                     const struct function *function,
                                     register_set *ret)
{
	static const register_set of_class[] = {
		[DEBUG_CLASS_NONE] = 0,
		[DEBUG_CLASS_GENERAL] = REGISTER_RAX,
		[DEBUG_CLASS_FLOATING] = REGISTER_XMM0 | REGISTER_XMM1,
		[DEBUG_CLASS_ANY] = REGISTER_RAX | REGISTER_RDX |
	                            REGISTER_XMM0 | REGISTER_XMM1,
	};
	struct debug_info *debug = registers->program->debug;
	enum debug_class class = DEBUG_CLASS_ANY;

	if (debug)
		HFX_TRY(debug_info_result_class(debug, function->addr, &class));
	*ret = of_class[class];
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

		struct state behind = {
			function->addr + reference->insn_off +
				reference->insn_size,
			wanted,
		};

		if (reference->kind == REFERENCE_CALL &&
		    reference->target == callee_addr)
			HFX_TRY(find_reads(registers, function, behind,
			                   returned, 0, ret));
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
