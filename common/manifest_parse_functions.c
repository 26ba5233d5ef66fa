/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "image.h"
#include "json_node.h"
#include "manifest.h"
#include "manifest_private.h"

/* Offset of the jump's bytes in code of @p size bytes. */
static struct hfx_error *get_entry(const struct json_node *object,
                                   uint64_t size, uint32_t *ret)
{
	uint64_t entry;

	HFX_TRY(node_get_integer(object, "entry", 4, &entry));
	if (entry != 0 && entry != 4)
		return node_refuse(object, "entry %llu is neither 0 nor 4",
		                   (unsigned long long)entry);
	if (size < entry + JUMP_SIZE)
		return node_refuse(
			object, "%llu bytes are too short for a jump at %llu",
			(unsigned long long)size, (unsigned long long)entry);
	*ret = (uint32_t)entry;
	return NULL;
}

static struct hfx_error *get_kind(const struct json_node *object,
                                  enum manifest_function_kind *ret)
{
	static const char *const kinds[] = {
		[MANIFEST_FUNCTION_CHANGED] = "changed",
		[MANIFEST_FUNCTION_NEW] = "new",
		[MANIFEST_FUNCTION_PART] = "part",
	};
	struct json_node node;
	const char *text;

	HFX_TRY(node_get(object, "kind", &node));
	text = json_string_value(node.value);
	for (size_t i = 0; text && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(text, kinds[i]) == 0) {
			*ret = (enum manifest_function_kind)i;
			return NULL;
		}
	}
	return node_refuse(&node, "not one of changed, new, part");
}

/* Which function of the module a part is a piece of; absent if not known. */
static struct hfx_error *get_whole(const struct json_node *object,
                                   struct manifest_function *function)
{
	uint64_t whole;

	function->whole = MANIFEST_NO_WHOLE;
	if (!json_object_get(object->value, "part_of"))
		return NULL;
	if (function->kind != MANIFEST_FUNCTION_PART)
		return node_refuse(object, "only a part has \"part_of\"");
	HFX_TRY(node_get_integer(object, "part_of", MANIFEST_MAX_FUNCTIONS,
	                         &whole));
	function->whole = (uint32_t)whole;
	return NULL;
}

static struct hfx_error *get_old(const struct json_node *object,
                                 struct manifest_function *function)
{
	static const char *const members[] = {"address", "size", "sha256",
	                                      "entry", NULL};
	struct json_node old;

	if (function->kind != MANIFEST_FUNCTION_CHANGED) {
		if (!json_object_get(object->value, "old"))
			return NULL;
		return node_refuse(object,
		                   "only a changed function has \"old\"");
	}
	HFX_TRY(node_get_object(object, "old", members, &old));
	HFX_TRY(manifest_get_range(&old, &function->old_addr,
	                           &function->old_size));
	HFX_TRY(manifest_get_digest(&old, "sha256", &function->old_digest));
	return get_entry(&old, function->old_size, &function->old_entry);
}

static struct hfx_error *get_new(const struct json_node *object,
                                 struct manifest_function *function)
{
	static const char *const members[] = {"address", "size", "entry", NULL};
	struct json_node new;

	HFX_TRY(node_get_object(object, "new", members, &new));
	HFX_TRY(manifest_get_range(&new, &function->new_addr,
	                           &function->new_size));
	function->new_entry = MANIFEST_NO_ENTRY;
	if (!json_object_get(new.value, "entry"))
		return NULL;
	return get_entry(&new, function->new_size, &function->new_entry);
}

static struct hfx_error *get_signature(const struct json_node *object,
                                       struct manifest_function *function)
{
	struct digest digest;

	HFX_TRY(node_get_string(object, "signature", JSON_STRING_ANY,
	                        &function->signature));
	HFX_TRY(manifest_get_digest(object, "signature_sha256",
	                            &function->signature_digest));
	digest = digest_of(function->signature, strlen(function->signature));
	if (!digest_equal(&digest, &function->signature_digest))
		return node_refuse_as(HFX_ERROR_BAD_DIGEST, object,
		                      "signature_sha256 is not the digest of "
		                      "signature");
	return NULL;
}

static struct hfx_error *parse_function(const struct json_node *node,
                                        struct manifest_function *function)
{
	static const char *const members[] = {
		"name",   "linkage_name", "unit",
		"kind",   "signature",    "signature_sha256",
		"source", "reason",       "old",
		"new",    "part_of",      NULL,
	};

	HFX_TRY(node_check_object(node, members));
	HFX_TRY(node_get_string(node, "name", JSON_STRING_NOT_EMPTY,
	                        &function->name));
	HFX_TRY(node_get_string(node, "linkage_name", JSON_STRING_NOT_EMPTY,
	                        &function->linkage_name));
	HFX_TRY(node_get_string(node, "unit", JSON_STRING_ANY,
	                        &function->unit));
	HFX_TRY(get_kind(node, &function->kind));
	HFX_TRY(get_signature(node, function));
	HFX_TRY(node_get_string(node, "source", JSON_STRING_ANY,
	                        &function->source));
	HFX_TRY(node_get_string(node, "reason", JSON_STRING_ANY,
	                        &function->reason));
	HFX_TRY(get_whole(node, function));
	HFX_TRY(get_old(node, function));
	return get_new(node, function);
}

/* Whether there is such a function, and it is no piece of another. */
static bool is_whole(const struct manifest_module *module, uint64_t index)
{
	return index < module->num_functions &&
	       module->functions[index].kind != MANIFEST_FUNCTION_PART;
}

static struct hfx_error *check_wholes(const struct json_node *array,
                                      const struct manifest_module *module)
{
	for (size_t i = 0; i < module->num_functions; i++) {
		const struct manifest_function *function =
			&module->functions[i];
		const struct json_node node = node_element(array, i);

		if (function->whole != MANIFEST_NO_WHOLE &&
		    !is_whole(module, function->whole))
			return node_refuse(&node, "part_of is no function of "
			                          "the module");
	}
	return NULL;
}

struct hfx_error *manifest_get_functions(const struct json_node *object,
                                         struct manifest_module *module)
{
	struct json_node array;
	size_t count;

	HFX_TRY(node_get_array(object, "functions", MANIFEST_MAX_FUNCTIONS,
	                       &array, &count));
	module->functions =
		manifest_create_items(count, sizeof(*module->functions));
	if (!module->functions)
		return hfx_error_no_memory();
	module->num_functions = count;
	for (size_t i = 0; i < module->num_functions; i++) {
		const struct json_node node = node_element(&array, i);

		HFX_TRY(parse_function(&node, &module->functions[i]));
	}
	return check_wholes(&array, module);
}

static struct hfx_error *parse_old_code(const struct json_node *node,
                                        const struct manifest_module *module,
                                        struct manifest_old_code *code)
{
	static const char *const members[] = {"function", "address", "size",
	                                      NULL};
	uint64_t function;

	HFX_TRY(node_check_object(node, members));
	HFX_TRY(node_get_integer(node, "function", MANIFEST_MAX_FUNCTIONS,
	                         &function));
	if (!is_whole(module, function))
		return node_refuse(node, "function is no function of the "
		                         "module");
	code->function = (uint32_t)function;
	return manifest_get_range(node, &code->old_addr, &code->old_size);
}

struct hfx_error *manifest_get_old_code(const struct json_node *object,
                                        struct manifest_module *module)
{
	struct json_node array;
	size_t count;

	if (!json_object_get(object->value, "old_code"))
		return NULL;
	HFX_TRY(node_get_array(object, "old_code", MANIFEST_MAX_FUNCTIONS,
	                       &array, &count));
	if (!count)
		return node_refuse(&array, "empty");
	module->old_code =
		manifest_create_items(count, sizeof(*module->old_code));
	if (!module->old_code)
		return hfx_error_no_memory();
	module->num_old_code = count;
	for (size_t i = 0; i < count; i++) {
		const struct json_node node = node_element(&array, i);

		HFX_TRY(parse_old_code(&node, module, &module->old_code[i]));
	}
	return NULL;
}

static struct hfx_error *parse_call(const struct json_node *node,
                                    const struct manifest_module *module,
                                    struct manifest_call *call)
{
	static const char *const members[] = {"function", "address", NULL};
	uint64_t function;

	HFX_TRY(node_check_object(node, members));
	HFX_TRY(node_get_integer(node, "function", MANIFEST_MAX_FUNCTIONS,
	                         &function));
	if (function >= module->num_functions ||
	    module->functions[function].kind != MANIFEST_FUNCTION_CHANGED)
		return node_refuse(node, "function is no changed function of "
		                         "the module");
	call->function = (uint32_t)function;
	return node_get_integer(node, "address", INT64_MAX, &call->old_addr);
}

struct hfx_error *manifest_get_calls(const struct json_node *object,
                                     struct manifest_module *module)
{
	struct json_node array;
	size_t count;

	if (!json_object_get(object->value, "calls"))
		return NULL;
	HFX_TRY(node_get_array(object, "calls", MANIFEST_MAX_CALLS, &array,
	                       &count));
	if (!count)
		return node_refuse(&array, "empty");
	module->calls = manifest_create_items(count, sizeof(*module->calls));
	if (!module->calls)
		return hfx_error_no_memory();
	module->num_calls = count;
	for (size_t i = 0; i < count; i++) {
		const struct json_node node = node_element(&array, i);
		struct manifest_call *call = &module->calls[i];

		HFX_TRY(parse_call(&node, module, call));
		if (i && call->old_addr <= call[-1].old_addr)
			return node_refuse(&node, "not behind the one before");
	}
	return NULL;
}
