/* SPDX-License-Identifier: MIT */
#include "describe_calls.h"

#include <string.h>

#include "array.h"
#include "image.h"

struct listing {
	const struct program *program;
	const uint32_t *indexes;
	const struct manifest_module *module;
	struct manifest_call *calls;
	size_t num_calls;
	size_t cap_calls;
};

/* Index of the function in the manifest whose jump stands at OLD's, or none. */
static uint32_t replaced_by(const struct listing *listing,
                            const struct function *old)
{
	uint32_t index =
		old->peer == NO_INDEX ? NO_INDEX : listing->indexes[old->peer];

	return index != NO_INDEX &&
	                       listing->module->functions[index].kind ==
	                               MANIFEST_FUNCTION_CHANGED &&
	                       listing->module->functions[index].old_addr ==
	                               old->addr
	               ? index
	               : NO_INDEX;
}

/* Whether only calls that are under way are still in it. */
static bool is_left_behind(const struct listing *listing,
                           const struct function *old)
{
	const struct function *whole =
		old->parent == NO_INDEX
			? old
			: &listing->program->functions[old->parent];

	return replaced_by(listing, whole) != NO_INDEX;
}

/*
 * Whether the instruction is `call rel32` or `jmp rel32` without a prefix. A
 * later patch must find room for its jumps: not at the start of a function.
 */
static bool can_be_rewritten(const struct program *program,
                             const struct function *caller,
                             const struct reference *reference)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	uint64_t addr = caller->addr + reference->insn_off;
	const uint8_t *code = caller->code + reference->insn_off;
	uint64_t entry =
		caller->size >= sizeof(endbr64) &&
				!memcmp(caller->code, endbr64, sizeof(endbr64))
			? sizeof(endbr64)
			: 0;

	return (reference->kind == REFERENCE_CALL ||
	        reference->kind == REFERENCE_JUMP) &&
	       reference->insn_size == JUMP_SIZE &&
	       (*code == CALL_OPCODE || *code == JUMP_OPCODE) &&
	       reference->insn_off >= entry + JUMP_SIZE &&
	       program_function_at(program, addr) == caller &&
	       program_function_at(program, addr + JUMP_SIZE - 1) == caller;
}

static struct hfx_error *add_call(struct listing *listing,
                                  const struct function *caller,
                                  const struct reference *reference)
{
	const struct function *target =
		program_function_at(listing->program, reference->target);
	struct manifest_call call = {
		.function = NO_INDEX,
		.old_addr = caller->addr + reference->insn_off,
	};

	if (target && target->addr == reference->target)
		call.function = replaced_by(listing, target);
	if (call.function == NO_INDEX ||
	    listing->num_calls == MANIFEST_MAX_CALLS ||
	    !can_be_rewritten(listing->program, caller, reference))
		return NULL;
	return HFX_ARRAY_PUSH(listing, calls, call) ? NULL
	                                            : hfx_error_no_memory();
}

static struct hfx_error *list_calls(struct listing *listing)
{
	const struct program *program = listing->program;

	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *caller = &program->functions[i];

		if (caller->is_opaque || is_left_behind(listing, caller))
			continue;
		for (size_t k = 0; k < caller->num_references; k++)
			HFX_TRY(add_call(listing, caller,
			                 &caller->references[k]));
	}
	return NULL;
}

static int by_addr(const void *a, const void *b)
{
	const struct manifest_call *left = a, *right = b;

	return (left->old_addr > right->old_addr) -
	       (left->old_addr < right->old_addr);
}

struct hfx_error *describe_calls(const struct selection *selection,
                                 const uint32_t *indexes,
                                 struct manifest_module *module)
{
	struct listing listing = {
		.program = selection->old_program,
		.indexes = indexes,
		.module = module,
	};
	struct hfx_error *err = list_calls(&listing);

	/* Symbols of hand-written code may stand inside each other. */
	hfx_array_sort(listing.calls, listing.num_calls, sizeof(*listing.calls),
	               by_addr);
	module->calls = listing.calls;
	module->num_calls = listing.num_calls;
	return err;
}
