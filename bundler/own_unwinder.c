/* SPDX-License-Identifier: MIT */
#include "own_unwinder.h"

#include <string.h>

#include "place.h"

/* The code of a function of that name that the program itself has. */
static const struct function *find(const struct program *program,
                                   const char *name)
{
	for (size_t i = 0; i < program->num_symbols; i++) {
		const struct symbol *symbol = &program->symbols[i];
		const struct function *function;

		if (symbol->kind != SYMBOL_FUNCTION ||
		    strcmp(symbol->name, name) != 0)
			continue;
		function = program_function_at(program, symbol->addr);
		if (function && function->addr == symbol->addr)
			return function;
	}
	return NULL;
}

/* Their __register_frame_info() does nothing, or is another unwinder's. */
static bool is_of_others(const struct program *program)
{
	static const char *const names[] = {
		"unw_step",
		"__unw_step",
		"_ULx86_64_step",
		"_Ux86_64_step",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (find(program, names[i]))
			return true;
	return false;
}

enum own_unwinder own_unwinder_find(const struct program *program,
                                    const struct function **ret)
{
	*ret = NULL;
	if (!find(program, "_Unwind_RaiseException") &&
	    !find(program, "_Unwind_Find_FDE"))
		return OWN_UNWINDER_NONE;
	if (!find(program, "_Unwind_Find_FDE") || is_of_others(program))
		return OWN_UNWINDER_STRANGE;
	*ret = find(program, "__register_frame_info");
	return *ret ? OWN_UNWINDER_KNOWN : OWN_UNWINDER_STRANGE;
}

bool own_unwinder_has_exceptions(const struct program *program)
{
	return find(program, "__gxx_personality_v0") ||
	       find(program, "__cxa_throw");
}

struct hfx_error *own_unwinder_describe(const struct program *old_program,
                                        struct manifest_module *module)
{
	struct manifest_unwinder *unwinder = &module->unwinder;
	const struct function *function;
	const uint8_t *code;

	if (own_unwinder_find(old_program, &function) != OWN_UNWINDER_KNOWN)
		return NULL;
	code = program_bytes(old_program, function->addr, function->size);
	if (!code || !function->size)
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"%s: the code of __register_frame_info is not in the "
			"file",
			old_program->path);
	unwinder->old_addr = function->addr;
	unwinder->old_size = function->size;
	unwinder->old_digest = digest_of(code, function->size);
	return NULL;
}
