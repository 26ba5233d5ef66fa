/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cleanup.h"
#include "manifest.h"

/* The first value that JSON cannot hold; what follows is skipped. */
struct writer {
	bool failed;
	const char *key;
	/** Name of the function, import or object that has it, or "". */
	const char *owner;
};

static void put(struct writer *writer, json_t *object, const char *key,
                json_t *value)
{
	/* json_object_set_new() accepts NULL, frees `value`, and fails. */
	if (json_object_set_new(object, key, value) == 0 || writer->failed)
		return;
	writer->failed = true;
	writer->key = key;
}

static void put_string(struct writer *writer, json_t *object, const char *key,
                       const char *text)
{
	put(writer, object, key, json_string(text ? text : ""));
}

static void put_integer(struct writer *writer, json_t *object, const char *key,
                        uint64_t value)
{
	put(writer, object, key,
	    value > INT64_MAX ? NULL : json_integer((json_int_t)value));
}

static void put_hex(struct writer *writer, json_t *object, const char *key,
                    const uint8_t *bytes, size_t size)
{
	char text[2 * BUILD_ID_MAX + 1];

	if (size > BUILD_ID_MAX) {
		put(writer, object, key, NULL);
		return;
	}
	hex_encode(bytes, size, text);
	put(writer, object, key, json_string(text));
}

static void put_digest(struct writer *writer, json_t *object, const char *key,
                       const struct digest *digest)
{
	put_hex(writer, object, key, digest->bytes, DIGEST_SIZE);
}

static void append(struct writer *writer, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) == 0 || writer->failed)
		return;
	writer->failed = true;
	writer->key = "warnings";
}

static json_t *old_code(struct writer *writer,
                        const struct manifest_function *function)
{
	json_t *object = json_object();

	put_integer(writer, object, "address", function->old_addr);
	put_integer(writer, object, "size", function->old_size);
	put_digest(writer, object, "sha256", &function->old_digest);
	put_integer(writer, object, "entry", function->old_entry);
	return object;
}

static json_t *new_code(struct writer *writer,
                        const struct manifest_function *function)
{
	json_t *object = json_object();

	put_integer(writer, object, "address", function->new_addr);
	put_integer(writer, object, "size", function->new_size);
	if (function->new_entry != MANIFEST_NO_ENTRY)
		put_integer(writer, object, "entry", function->new_entry);
	return object;
}

static const char *kind_name(enum manifest_function_kind kind)
{
	switch (kind) {
	case MANIFEST_FUNCTION_CHANGED:
		return "changed";
	case MANIFEST_FUNCTION_NEW:
		return "new";
	case MANIFEST_FUNCTION_PART:
		return "part";
	}
	return "";
}

/* The owner stays that of the first failure. */
static void set_owner(struct writer *writer, const char *owner)
{
	if (!writer->failed)
		writer->owner = owner ? owner : "";
}

static json_t *function_json(struct writer *writer,
                             const struct manifest_function *function)
{
	json_t *object = json_object();

	set_owner(writer, function->linkage_name);
	put_string(writer, object, "name", function->name);
	put_string(writer, object, "linkage_name", function->linkage_name);
	put_string(writer, object, "unit", function->unit);
	put_string(writer, object, "kind", kind_name(function->kind));
	if (function->kind == MANIFEST_FUNCTION_PART &&
	    function->whole != MANIFEST_NO_WHOLE)
		put_integer(writer, object, "part_of", function->whole);
	put_string(writer, object, "signature", function->signature);
	put_digest(writer, object, "signature_sha256",
	           &function->signature_digest);
	put_string(writer, object, "source", function->source);
	put_string(writer, object, "reason", function->reason);
	if (function->kind == MANIFEST_FUNCTION_CHANGED)
		put(writer, object, "old", old_code(writer, function));
	put(writer, object, "new", new_code(writer, function));
	return object;
}

static json_t *functions_json(struct writer *writer,
                              const struct manifest_module *module)
{
	json_t *array = json_array();

	for (size_t i = 0; i < module->num_functions; i++)
		append(writer, array,
		       function_json(writer, &module->functions[i]));
	return array;
}

static json_t *old_code_json(struct writer *writer,
                             const struct manifest_module *module)
{
	json_t *array = json_array();

	for (size_t i = 0; i < module->num_old_code; i++) {
		const struct manifest_old_code *code = &module->old_code[i];
		json_t *object = json_object();

		put_integer(writer, object, "function", code->function);
		put_integer(writer, object, "address", code->old_addr);
		put_integer(writer, object, "size", code->old_size);
		append(writer, array, object);
	}
	return array;
}

static json_t *calls_json(struct writer *writer,
                          const struct manifest_module *module)
{
	json_t *array = json_array();

	for (size_t i = 0; i < module->num_calls; i++) {
		json_t *object = json_object();

		put_integer(writer, object, "function",
		            module->calls[i].function);
		put_integer(writer, object, "address",
		            module->calls[i].old_addr);
		append(writer, array, object);
	}
	return array;
}

static json_t *imports_json(struct writer *writer,
                            const struct manifest_module *module)
{
	json_t *array = json_array();

	for (size_t i = 0; i < module->num_imports; i++) {
		const struct manifest_import *import = &module->imports[i];
		json_t *object = json_object();

		set_owner(writer, import->name);
		put_string(writer, object, "name", import->name);
		put_string(writer, object, "version", import->version);
		put_string(writer, object, "library", import->library);
		append(writer, array, object);
	}
	return array;
}

static json_t *objects_json(struct writer *writer,
                            const struct manifest_module *module)
{
	json_t *array = json_array();

	for (size_t i = 0; i < module->num_objects; i++) {
		const struct manifest_object *item = &module->objects[i];
		json_t *object = json_object();

		set_owner(writer, item->name);
		put_string(writer, object, "name", item->name);
		put_string(writer, object, "unit", item->unit);
		put_integer(writer, object, "address", item->new_addr);
		put_integer(writer, object, "size", item->new_size);
		append(writer, array, object);
	}
	return array;
}

static json_t *warnings_json(struct writer *writer,
                             const struct manifest_module *module)
{
	json_t *array = json_array();

	for (size_t i = 0; i < module->num_warnings; i++)
		append(writer, array, json_string(module->warnings[i]));
	return array;
}

static json_t *names_json(struct writer *writer, char *const *names,
                          size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		append(writer, array, json_string(names[i]));
	return array;
}

static json_t *accepted_json(struct writer *writer,
                             const struct manifest_module *module)
{
	json_t *object = json_object();

	put(writer, object, "types",
	    names_json(writer, module->accepted_types,
	               module->num_accepted_types));
	put(writer, object, "data",
	    names_json(writer, module->accepted_data,
	               module->num_accepted_data));
	return object;
}

static json_t *image_json(struct writer *writer,
                          const struct manifest_module *module)
{
	json_t *object = json_object();

	put_string(writer, object, "member", module->image_member);
	put_integer(writer, object, "size", module->image_size);
	put_digest(writer, object, "sha256", &module->image_digest);
	return object;
}

static json_t *hooks_json(struct writer *writer,
                          const struct manifest_module *module)
{
	json_t *object = json_object();

	for (size_t i = 0; i < MANIFEST_NUM_HOOKS; i++)
		if (module->hook_addrs[i])
			put_integer(writer, object, manifest_hook_names[i],
			            module->hook_addrs[i]);
	put_integer(writer, object, "starter", module->hook_starter_addr);
	return object;
}

static json_t *unwinder_json(struct writer *writer,
                             const struct manifest_unwinder *unwinder)
{
	json_t *object = json_object();

	put_integer(writer, object, "address", unwinder->old_addr);
	put_integer(writer, object, "size", unwinder->old_size);
	put_digest(writer, object, "sha256", &unwinder->old_digest);
	return object;
}

static json_t *module_json(struct writer *writer,
                           const struct manifest_module *module)
{
	json_t *object = json_object();

	set_owner(writer, module->name);
	put_string(writer, object, "name", module->name);
	put_hex(writer, object, "old_build_id", module->old_build_id.bytes,
	        module->old_build_id.size);
	put_hex(writer, object, "new_build_id", module->new_build_id.bytes,
	        module->new_build_id.size);
	put(writer, object, "image", image_json(writer, module));
	put(writer, object, "functions", functions_json(writer, module));
	if (module->num_old_code)
		put(writer, object, "old_code", old_code_json(writer, module));
	if (module->needs_safe_point)
		put(writer, object, "needs_safe_point", json_true());
	if (module->num_calls)
		put(writer, object, "calls", calls_json(writer, module));
	put(writer, object, "imports", imports_json(writer, module));
	put(writer, object, "objects", objects_json(writer, module));
	if (module->hook_starter_addr)
		put(writer, object, "hooks", hooks_json(writer, module));
	if (module->unwinder.old_size)
		put(writer, object, "unwinder",
		    unwinder_json(writer, &module->unwinder));
	if (module->shadow_table_addr)
		put_integer(writer, object, "shadow_table",
		            module->shadow_table_addr);
	set_owner(writer, module->name);
	put(writer, object, "warnings", warnings_json(writer, module));
	if (module->num_accepted_types || module->num_accepted_data)
		put(writer, object, "accepted", accepted_json(writer, module));
	return object;
}

static json_t *manifest_json(struct writer *writer,
                             const struct manifest *manifest)
{
	json_t *object = json_object(), *modules = json_array();

	put_integer(writer, object, "format", MANIFEST_FORMAT);
	put_string(writer, object, "generator", manifest->generator);
	put_string(writer, object, "name", manifest->name);
	put_string(writer, object, "version", manifest->version);
	put_string(writer, object, "description", manifest->description);
	put_integer(writer, object, "created", manifest->created);
	for (size_t i = 0; i < manifest->num_modules; i++)
		append(writer, modules,
		       module_json(writer, &manifest->modules[i]));
	put(writer, object, "modules", modules);
	return object;
}

/* The text with a final newline, for people who look into the archive. */
static struct hfx_error *dump(const json_t *json, struct buffer *ret)
{
	HFX_CLEANUP(hfx_free) char *text = json_dumps(json, JSON_INDENT(1));
	size_t size;

	if (!text)
		return hfx_error_no_memory();
	size = strlen(text);
	/* The NUL's place is for the newline. */
	text[size] = '\n';
	*ret = (struct buffer){(uint8_t *)HFX_TAKE(text), size + 1};
	return NULL;
}

static void put_json(json_t **json)
{
	json_decref(*json);
}

struct hfx_error *manifest_format(const struct manifest *manifest,
                                  struct buffer *ret)
{
	HFX_CLEANUP(put_json) json_t *json = NULL;
	HFX_CLEANUP(buffer_deinit) struct buffer text = {0};
	struct writer writer = {.owner = ""};
	struct manifest *check = NULL;

	json = manifest_json(&writer, manifest);
	if (!json)
		return hfx_error_no_memory();
	if (writer.failed)
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"the manifest cannot be written: \"%s\"%s%s is not "
			"UTF-8 text or too large a number",
			writer.key, *writer.owner ? " of " : "", writer.owner);
	HFX_TRY(dump(json, &text));
	/* What is written can be read: the same checks hold for both. */
	HFX_TRY(hfx_error_wrap(manifest_parse(text.data, text.size, &check),
	                       "the manifest cannot be written"));
	manifest_destroy(check);
	*ret = text;
	text = (struct buffer){0};
	return NULL;
}
