/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "manifest.h"

#define NAME_MAX_LENGTH 128

const char *const manifest_hook_symbols[MANIFEST_NUM_HOOKS] = {
	[MANIFEST_PRE_APPLY] = "hfx_pre_apply",
	[MANIFEST_POST_APPLY] = "hfx_post_apply",
	[MANIFEST_PRE_REVERT] = "hfx_pre_revert",
	[MANIFEST_POST_REVERT] = "hfx_post_revert",
};

const char *const manifest_hook_names[MANIFEST_NUM_HOOKS] = {
	[MANIFEST_PRE_APPLY] = "pre_apply",
	[MANIFEST_POST_APPLY] = "post_apply",
	[MANIFEST_PRE_REVERT] = "pre_revert",
	[MANIFEST_POST_REVERT] = "post_revert",
};

bool manifest_name_is_valid(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789._+-";
	size_t length = strnlen(name, NAME_MAX_LENGTH + 1);

	return length > 0 && length <= NAME_MAX_LENGTH &&
	       strspn(name, allowed) == length;
}

static void function_deinit(struct manifest_function *function)
{
	free(function->name);
	free(function->linkage_name);
	free(function->unit);
	free(function->signature);
	free(function->source);
	free(function->reason);
}

static void import_deinit(struct manifest_import *import)
{
	free(import->name);
	free(import->version);
	free(import->library);
}

static void object_deinit(struct manifest_object *object)
{
	free(object->name);
	free(object->unit);
}

static void module_deinit(struct manifest_module *module)
{
	free(module->name);
	free(module->image_member);
	for (size_t i = 0; i < module->num_functions; i++)
		function_deinit(&module->functions[i]);
	free(module->functions);
	free(module->old_code);
	free(module->calls);
	for (size_t i = 0; i < module->num_imports; i++)
		import_deinit(&module->imports[i]);
	free(module->imports);
	for (size_t i = 0; i < module->num_objects; i++)
		object_deinit(&module->objects[i]);
	free(module->objects);
	for (size_t i = 0; i < module->num_warnings; i++)
		free(module->warnings[i]);
	free(module->warnings);
	for (size_t i = 0; i < module->num_accepted_types; i++)
		free(module->accepted_types[i]);
	free(module->accepted_types);
	for (size_t i = 0; i < module->num_accepted_data; i++)
		free(module->accepted_data[i]);
	free(module->accepted_data);
}

void manifest_destroy(struct manifest *manifest)
{
	if (!manifest)
		return;
	free(manifest->name);
	free(manifest->version);
	free(manifest->description);
	free(manifest->generator);
	for (size_t i = 0; i < manifest->num_modules; i++)
		module_deinit(&manifest->modules[i]);
	free(manifest->modules);
	free(manifest);
}
