/* SPDX-License-Identifier: MIT */
/*
 * An address that is counted from has to meet its index somewhere: in the
 * operand of an instruction, or in an addition. The registers that hold the
 * address are followed from where it is loaded, and each instruction is seen
 * once for each of them. What goes where it cannot be followed, into the frame,
 * another part of the function or by a jump table, counts as counted from.
 */
#include "address_flow.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "place.h"

struct flow {
	struct decoder *decoder;
	const struct program *program;
	const struct function *function;
	/** Of each offset: who may hold the address there. */
	struct address_holders *holders;
	/** Offsets to be seen, again perhaps. */
	uint32_t *items;
	size_t num_items;
	size_t cap_items;
	bool is_used;
	bool is_counted;
	bool is_given;
};

static void flow_deinit(struct flow *flow)
{
	free(flow->holders);
	free(flow->items);
}

static general_set all_of(struct address_holders holders)
{
	return holders.exact | holders.shifted;
}

static struct hfx_error *go_on(struct flow *flow, uint64_t off,
                               struct address_holders holders)
{
	struct address_holders *known = &flow->holders[off];
	uint32_t item = off;

	/* Code ends in a call that does not return. */
	if (off >= flow->function->size ||
	    !((holders.exact & ~known->exact) |
	      (holders.shifted & ~known->shifted)))
		return NULL;
	known->exact |= holders.exact;
	known->shifted |= holders.shifted;
	return HFX_ARRAY_PUSH(flow, items, item) ? NULL : hfx_error_no_memory();
}

/*
 * Within a program, a caller may know which registers a function leaves alone,
 * and these may still hold the address.
 */
static bool leaves_program(const struct flow *flow,
                           const struct instruction *insn)
{
	return !insn->has_reference || insn->reference.kind != REFERENCE_CALL ||
	       !program_function_at(flow->program, insn->reference.target);
}

/* Behind these other code begins, such as that which catches exceptions. */
static bool never_returns(const struct flow *flow,
                          const struct instruction *insn)
{
	static const char *const names[] = {
		"abort",
		"exit",
		"_exit",
		"__assert_fail",
		"__stack_chk_fail",
		"__cxa_throw",
		"__cxa_rethrow",
		"__cxa_throw_bad_array_new_length",
		"__clang_call_terminate",
		"_Unwind_Resume",
		"_ZSt9terminatev",
	};
	struct place place = place_at(flow->program, insn->reference.target);
	const char *name = "";

	if (insn->has_reference && place.kind == PLACE_STUB)
		name = place.relocation->symbol;
	else if (insn->has_reference && place.kind == PLACE_FUNCTION)
		name = function_name(flow->program, place.function);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	/* std::__throw_length_error() and its like. */
	return !strncmp(name, "_ZSt", 4) && strstr(name, "__throw_");
}

static struct hfx_error *follow_call(struct flow *flow,
                                     const struct instruction *insn,
                                     struct address_holders holders)
{
	if (all_of(holders) & GENERAL_ARGUMENTS)
		flow->is_used = flow->is_given = true;
	if (never_returns(flow, insn))
		return NULL;
	if (leaves_program(flow, insn)) {
		holders.exact &= ~GENERAL_VOLATILE;
		holders.shifted &= ~GENERAL_VOLATILE;
	}
	return go_on(flow, insn->off + insn->size, holders);
}

/* Then what registers hold are arguments. */
static bool is_tail_call(const struct flow *flow,
                         const struct instruction *insn)
{
	const struct function *target;

	if (!insn->has_reference || insn->is_conditional ||
	    insn->reference.kind != REFERENCE_JUMP)
		return false;
	target = program_function_at(flow->program, insn->reference.target);
	return !target ||
	       !function_is_family(flow->program, flow->function, target);
}

static struct hfx_error *follow_jump(struct flow *flow,
                                     const struct instruction *insn,
                                     struct address_holders holders)
{
	const struct function *function = flow->function;
	uint64_t target = insn->reference.target - function->addr;
	bool is_direct =
		insn->has_reference && insn->reference.kind == REFERENCE_JUMP;

	if (is_direct && target < function->size)
		HFX_TRY(go_on(flow, target, holders));
	else if (is_tail_call(flow, insn) &&
	         !(all_of(holders) & ~GENERAL_ARGUMENTS))
		flow->is_used = flow->is_given = true;
	else
		flow->is_counted = true;
	return insn->is_conditional
	               ? go_on(flow, insn->off + insn->size, holders)
	               : NULL;
}

static struct hfx_error *follow(struct flow *flow, uint32_t off)
{
	const struct function *function = flow->function;
	struct instruction insn;
	struct address_step step;

	if (!decoder_next(flow->decoder, function->code, function->size,
	                  function->addr, off, &insn)) {
		flow->is_counted = true;
		return NULL;
	}
	if (insn.is_return) {
		if (all_of(flow->holders[off]) & GENERAL_RAX)
			flow->is_used = flow->is_given = true;
		return NULL;
	}
	step = (struct address_step){.holders = flow->holders[off]};
	if ((!insn.is_call && !insn.is_jump) || !insn.has_reference)
		step = decoder_address_step(flow->decoder, step.holders);
	flow->is_used |= step.is_used;
	flow->is_counted |= step.is_counted;
	flow->is_given |= step.is_given;
	if (insn.is_call)
		return follow_call(flow, &insn, flow->holders[off]);
	if (insn.is_jump)
		return follow_jump(flow, &insn, flow->holders[off]);
	return go_on(flow, off + insn.size, step.holders);
}

static struct hfx_error *begin(struct flow *flow, uint32_t off)
{
	const struct function *function = flow->function;
	struct instruction insn;
	struct address_step step = {.is_counted = true};

	flow->holders = calloc(function->size, sizeof(*flow->holders));
	if (!flow->holders)
		return hfx_error_no_memory();
	if (decoder_next(flow->decoder, function->code, function->size,
	                 function->addr, off, &insn))
		step = decoder_address_load(flow->decoder);
	flow->is_used = step.is_used;
	flow->is_counted = step.is_counted;
	flow->is_given = step.is_given;
	return step.is_counted ? NULL
	                       : go_on(flow, off + insn.size, step.holders);
}

/** Follow it all, or until @p is_enough, a member of @p flow. */
static struct hfx_error *
run(struct flow *flow, const struct reference *reference, const bool *is_enough)
{
	HFX_TRY(begin(flow, reference->insn_off));
	while (flow->num_items && !*is_enough)
		HFX_TRY(follow(flow, flow->items[--flow->num_items]));
	return NULL;
}

struct hfx_error *address_flow_fate(struct decoder *decoder,
                                    const struct program *program,
                                    const struct function *function,
                                    const struct reference *reference,
                                    enum address_fate *ret)
{
	HFX_CLEANUP(flow_deinit)
	struct flow flow = {
		.decoder = decoder, .program = program, .function = function};

	HFX_TRY(run(&flow, reference, &flow.is_counted));
	*ret = flow.is_counted ? ADDRESS_COUNTED
	       : flow.is_used  ? ADDRESS_USED
	                       : ADDRESS_COMPARED;
	return NULL;
}

struct hfx_error *address_flow_gives(struct decoder *decoder,
                                     const struct program *program,
                                     const struct function *function,
                                     const struct reference *reference,
                                     bool *ret)
{
	HFX_CLEANUP(flow_deinit)
	struct flow flow = {
		.decoder = decoder, .program = program, .function = function};

	HFX_TRY(run(&flow, reference, &flow.is_given));
	*ret = flow.is_given;
	return NULL;
}
