/* SPDX-License-Identifier: MIT */
#include "hooks.h"

#include <stdbool.h>
#include <string.h>

#include "image.h"

static bool is_hook(const char *name)
{
	for (size_t i = 0; i < MANIFEST_NUM_HOOKS; i++)
		if (!strcmp(name, manifest_hook_symbols[i]))
			return true;
	return false;
}

static bool has_hook(const struct program *program)
{
	for (size_t i = 0; i < program->num_functions; i++)
		if (is_hook(function_name(program, &program->functions[i])))
			return true;
	return false;
}

void hooks_select(struct program *program)
{
	if (!has_hook(program))
		return;
	for (size_t i = 0; i < program->num_functions; i++) {
		struct function *function = &program->functions[i];
		const char *name = function_name(program, function);

		if (function->is_selected ||
		    (!is_hook(name) && strcmp(name, IMAGE_HOOK_STARTER)))
			continue;
		function->is_selected = true;
		function->is_copy = function->peer != NO_INDEX;
	}
}

struct hfx_error *hooks_describe(const struct program *program,
                                 struct manifest_module *module)
{
	bool has_any = false;

	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];
		const char *name = function_name(program, function);

		if (!function->is_selected)
			continue;
		if (!strcmp(name, IMAGE_HOOK_STARTER))
			module->hook_starter_addr = function->addr;
		for (size_t k = 0; k < MANIFEST_NUM_HOOKS; k++)
			if (!strcmp(name, manifest_hook_symbols[k])) {
				module->hook_addrs[k] = function->addr;
				has_any = true;
			}
	}
	if (has_any && !module->hook_starter_addr)
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"%s has a function with the name of a hook, such as "
			"%s, and no %s: write hooks with the macros of "
			"hfx_patch.h, or call the function otherwise",
			program->path, manifest_hook_symbols[0],
			IMAGE_HOOK_STARTER);
	return NULL;
}
