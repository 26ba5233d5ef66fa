/* SPDX-License-Identifier: MIT */
#include "active_check.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "debug_info.h"
#include "decode.h"
#include "registers.h"

/** References between the start routine and the call that takes it. */
#define MAX_BETWEEN 6

/* ---- What threads start with -------------------------------------------- */

static bool starts_threads(const char *name)
{
	static const char *const names[] = {"pthread_create", "thrd_create"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/** Whether some name of the function at @p addr is one of those. */
static bool is_starter(const struct program *program, uint64_t addr)
{
	const struct function *function = program_function_at(program, addr);

	for (uint32_t i = 0; function && i < function->num_symbols; i++)
		if (starts_threads(
			    program->symbols[function->first_symbol + i].name))
			return true;
	return false;
}

/** Whether @p reference calls what starts a thread. */
static bool calls_starter(const struct program *program,
                          const struct reference *reference)
{
	const struct plt_stub *stub =
		program_stub_at(program, reference->target);
	const struct dynamic_relocation *relocation;

	if (reference->kind == REFERENCE_ADDRESS)
		return false;
	if (!stub && reference->kind != REFERENCE_ACCESS)
		return is_starter(program, reference->target);
	relocation = program_relocation_at(program, stub ? stub->slot_addr
	                                                 : reference->target);
	return relocation && starts_threads(relocation->symbol);
}

/** The function whose address is loaded last before reference @p call. */
static uint32_t find_routine(const struct program *program,
                             const struct function *function, size_t call)
{
	size_t least = call > MAX_BETWEEN ? call - MAX_BETWEEN : 0;

	for (size_t i = call; i-- > least;) {
		const struct reference *reference = &function->references[i];
		const struct function *target =
			program_function_at(program, reference->target);

		if (reference->kind == REFERENCE_ADDRESS && target &&
		    target->addr == reference->target)
			return target - program->functions;
	}
	return NO_INDEX;
}

static void find_routines(const struct program *program,
                          const struct function *function, bool *is_routine)
{
	for (size_t i = 0; i < function->num_references; i++) {
		uint32_t routine;

		if (!calls_starter(program, &function->references[i]))
			continue;
		routine = find_routine(program, function, i);
		if (routine != NO_INDEX)
			is_routine[routine] = true;
	}
}

/* ---- Loops --------------------------------------------------------------- */

/**
 * Whether a direct jump leads back to before a call: threads rest in what a
 * loop calls. One without calls ends soon, where the function has others.
 */
static bool has_loop(const struct function *function, struct decoder *decoder)
{
	uint64_t call_addr = 0;
	bool has_short_loop = false;
	struct instruction insn;

	for (uint64_t off = 0; off < function->size; off += insn.size) {
		if (!decoder_next(decoder, function->code, function->size,
		                  function->addr, off, &insn))
			return false;
		if (insn.is_call || insn.is_syscall)
			call_addr = function->addr + off;
		if (!insn.is_jump || !insn.has_reference ||
		    insn.reference.target < function->addr ||
		    insn.reference.target > function->addr + off)
			continue;
		if (insn.reference.target <= call_addr)
			return true;
		has_short_loop = true;
	}
	return has_short_loop && !call_addr;
}

/* ---- The check ----------------------------------------------------------- */

struct active_check {
	const struct selection *selection;
	struct warnings *warnings;
	struct decoder *decoder;
	/** By function of OLD. */
	bool *is_routine;
};

/** Why a thread is likely inside function @p index of OLD, or `NULL`. */
static const char *find_reason(const struct active_check *check, uint32_t index)
{
	const struct program *old = check->selection->old_program;
	const struct function *function = &old->functions[index];

	if (old->is_executable && !strcmp(function_name(old, function), "main"))
		return "runs as long as the program does";
	if (registers_never_returns(check->selection->old_registers, index) &&
	    has_loop(function, check->decoder))
		return "has a loop and never returns";
	if (check->is_routine[index])
		return "is what threads start with, and runs as long as they "
		       "do";
	return NULL;
}

static struct hfx_error *warn(const struct active_check *check,
                              const struct function *function,
                              const char *reason)
{
	const struct program *program = check->selection->new_program;
	struct debug_function debug = {0};
	struct hfx_error *err;
	bool has_source;

	if (program->debug)
		HFX_TRY(debug_info_function(program->debug, function->addr,
		                            &debug));
	has_source = debug.source && *debug.source;
	err = warnings_add(
		check->warnings,
		"%s%s%s%s %s: a patch of it waits for its end, in vain while a "
		"thread is inside; apply it at the start of the program, or "
		"%sleave the function out with --skip",
		debug.name && *debug.name ? debug.name
					  : function_name(program, function),
		has_source ? " (" : "", has_source ? debug.source : "",
		has_source ? ")" : "", reason,
		selection_needs_safe_point(check->selection)
			? ""
			: "with --allow-active for later calls, or ");
	debug_function_deinit(&debug);
	return err;
}

static struct hfx_error *check_functions(const struct active_check *check)
{
	const struct program *old = check->selection->old_program;
	const struct program *new = check->selection->new_program;

	for (size_t i = 0; i < old->num_functions; i++)
		find_routines(old, &old->functions[i], check->is_routine);
	for (size_t i = 0; i < new->num_functions; i++) {
		const struct function *function = &new->functions[i];
		const char *reason;

		if (!function->is_selected || !selection_redirects(function))
			continue;
		reason = find_reason(check, function->peer);
		if (reason)
			HFX_TRY(warn(check, function, reason));
	}
	return NULL;
}

struct hfx_error *active_check_run(const struct selection *selection,
                                   struct decoder *decoder,
                                   struct warnings *warnings)
{
	const struct program *old = selection->old_program;
	HFX_CLEANUP(hfx_free)
	bool *is_routine = calloc(old->num_functions + 1, sizeof(bool));
	const struct active_check check = {
		.selection = selection,
		.warnings = warnings,
		.decoder = decoder,
		.is_routine = is_routine,
	};

	return is_routine ? check_functions(&check) : hfx_error_no_memory();
}
