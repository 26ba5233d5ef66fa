/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "cleanup.h"
#include "json_node.h"
#include "manifest.h"
#include "manifest_private.h"

void *manifest_create_items(size_t count, size_t item_size)
{
	return calloc(count ? count : 1, item_size);
}

struct hfx_error *manifest_get_digest(const struct json_node *object,
                                      const char *key, struct digest *ret)
{
	size_t size;

	return node_get_bytes(object, key, "digest", DIGEST_SIZE, DIGEST_SIZE,
	                      ret->bytes, &size);
}

struct hfx_error *manifest_get_range(const struct json_node *object,
                                     uint64_t *addr_ret, uint64_t *size_ret)
{
	HFX_TRY(node_get_integer(object, "address", INT64_MAX, addr_ret));
	return node_get_integer(object, "size", INT64_MAX, size_ret);
}

static struct hfx_error *get_build_id(const struct json_node *object,
                                      const char *key, size_t min_size,
                                      struct build_id *ret)
{
	return node_get_bytes(object, key, "build-id", min_size, BUILD_ID_MAX,
	                      ret->bytes, &ret->size);
}

static struct hfx_error *parse_import(const struct json_node *node,
                                      struct manifest_import *import)
{
	static const char *const members[] = {"name", "version", "library",
	                                      NULL};

	HFX_TRY(node_check_object(node, members));
	HFX_TRY(node_get_string(node, "name", JSON_STRING_NOT_EMPTY,
	                        &import->name));
	HFX_TRY(node_get_string(node, "version", JSON_STRING_ANY,
	                        &import->version));
	return node_get_string(node, "library", JSON_STRING_ANY,
	                       &import->library);
}

static struct hfx_error *parse_object(const struct json_node *node,
                                      struct manifest_object *object)
{
	static const char *const members[] = {"name", "unit", "address", "size",
	                                      NULL};

	HFX_TRY(node_check_object(node, members));
	HFX_TRY(node_get_string(node, "name", JSON_STRING_NOT_EMPTY,
	                        &object->name));
	HFX_TRY(node_get_string(node, "unit", JSON_STRING_ANY, &object->unit));
	return manifest_get_range(node, &object->new_addr, &object->new_size);
}

static struct hfx_error *get_imports(const struct json_node *object,
                                     struct manifest_module *module)
{
	struct json_node array;
	size_t count;

	HFX_TRY(node_get_array(object, "imports", MANIFEST_MAX_IMPORTS, &array,
	                       &count));
	module->imports =
		manifest_create_items(count, sizeof(*module->imports));
	if (!module->imports)
		return hfx_error_no_memory();
	module->num_imports = count;
	for (size_t i = 0; i < module->num_imports; i++) {
		const struct json_node node = node_element(&array, i);

		HFX_TRY(parse_import(&node, &module->imports[i]));
	}
	return NULL;
}

static struct hfx_error *get_objects(const struct json_node *object,
                                     struct manifest_module *module)
{
	struct json_node array;
	size_t count;

	HFX_TRY(node_get_array(object, "objects", MANIFEST_MAX_OBJECTS, &array,
	                       &count));
	module->objects =
		manifest_create_items(count, sizeof(*module->objects));
	if (!module->objects)
		return hfx_error_no_memory();
	module->num_objects = count;
	for (size_t i = 0; i < module->num_objects; i++) {
		const struct json_node node = node_element(&array, i);

		HFX_TRY(parse_object(&node, &module->objects[i]));
	}
	return NULL;
}

static struct hfx_error *get_warnings(const struct json_node *object,
                                      struct manifest_module *module)
{
	struct json_node array;
	size_t count;

	HFX_TRY(node_get_array(object, "warnings", MANIFEST_MAX_WARNINGS,
	                       &array, &count));
	module->warnings =
		manifest_create_items(count, sizeof(*module->warnings));
	if (!module->warnings)
		return hfx_error_no_memory();
	module->num_warnings = count;
	for (size_t i = 0; i < module->num_warnings; i++) {
		const struct json_node node = node_element(&array, i);

		HFX_TRY(node_copy_string(&node, JSON_STRING_ANY,
		                         &module->warnings[i]));
	}
	return NULL;
}

static struct hfx_error *get_names(const struct json_node *object,
                                   const char *key, char ***names_ret,
                                   size_t *count_ret)
{
	struct json_node array;
	size_t count;

	HFX_TRY(node_get_array(object, key, MANIFEST_MAX_ACCEPTED, &array,
	                       &count));
	*names_ret = manifest_create_items(count, sizeof(**names_ret));
	if (!*names_ret)
		return hfx_error_no_memory();
	*count_ret = count;
	for (size_t i = 0; i < count; i++) {
		const struct json_node node = node_element(&array, i);

		HFX_TRY(node_copy_string(&node, JSON_STRING_NOT_EMPTY,
		                         &(*names_ret)[i]));
	}
	return NULL;
}

/* Present when something was accepted. */
static struct hfx_error *get_accepted(const struct json_node *object,
                                      struct manifest_module *module)
{
	static const char *const members[] = {"types", "data", NULL};
	struct json_node accepted;

	if (!json_object_get(object->value, "accepted"))
		return NULL;
	HFX_TRY(node_get_object(object, "accepted", members, &accepted));
	HFX_TRY(get_names(&accepted, "types", &module->accepted_types,
	                  &module->num_accepted_types));
	HFX_TRY(get_names(&accepted, "data", &module->accepted_data,
	                  &module->num_accepted_data));
	if (!module->num_accepted_types && !module->num_accepted_data)
		return node_refuse(&accepted, "empty");
	return NULL;
}

/* Present when it is so. */
static struct hfx_error *get_flag(const struct json_node *object,
                                  const char *key, bool *ret)
{
	struct json_node flag;

	if (!json_object_get(object->value, key))
		return NULL;
	HFX_TRY(node_get(object, key, &flag));
	if (!json_is_true(flag.value))
		return node_refuse(&flag, "not true");
	*ret = true;
	return NULL;
}

static struct hfx_error *get_image(const struct json_node *object,
                                   struct manifest_module *module)
{
	static const char *const members[] = {"member", "size", "sha256", NULL};
	char expected[64];
	struct json_node image;

	HFX_TRY(node_get_object(object, "image", members, &image));
	HFX_TRY(node_get_string(&image, "member", JSON_STRING_ANY,
	                        &module->image_member));
	HFX_TRY(node_get_integer(&image, "size", BUNDLE_MAX_UNPACKED,
	                         &module->image_size));
	HFX_TRY(manifest_get_digest(&image, "sha256", &module->image_digest));
	snprintf(expected, sizeof(expected), "modules/%zu.so", object->index);
	if (strcmp(module->image_member, expected) != 0)
		return node_refuse(&image, "member is not %s", expected);
	return NULL;
}

/* Present when the image has one. */
static struct hfx_error *get_shadow_table(const struct json_node *object,
                                          struct manifest_module *module)
{
	if (!json_object_get(object->value, "shadow_table"))
		return NULL;
	HFX_TRY(node_get_integer(object, "shadow_table", INT64_MAX,
	                         &module->shadow_table_addr));
	if (!module->shadow_table_addr)
		return node_refuse(object, "shadow_table is 0");
	return NULL;
}

static struct hfx_error *get_unwinder(const struct json_node *object,
                                      struct manifest_unwinder *unwinder)
{
	static const char *const members[] = {"address", "size", "sha256",
	                                      NULL};
	struct json_node node;

	if (!json_object_get(object->value, "unwinder"))
		return NULL;
	HFX_TRY(node_get_object(object, "unwinder", members, &node));
	HFX_TRY(manifest_get_range(&node, &unwinder->old_addr,
	                           &unwinder->old_size));
	if (!unwinder->old_size || unwinder->old_size > MANIFEST_MAX_UNWINDER)
		return node_refuse(&node, "size is not from 1 to %u",
		                   MANIFEST_MAX_UNWINDER);
	return manifest_get_digest(&node, "sha256", &unwinder->old_digest);
}

static struct hfx_error *get_hook(const struct json_node *hooks,
                                  const char *name, uint64_t *addr_ret)
{
	HFX_TRY(node_get_integer(hooks, name, INT64_MAX, addr_ret));
	if (!*addr_ret)
		return node_refuse(hooks, "%s is 0", name);
	return NULL;
}

/* Present when there is one. */
static struct hfx_error *get_hooks(const struct json_node *object,
                                   struct manifest_module *module)
{
	static const char *const members[] = {"pre_apply",  "post_apply",
	                                      "pre_revert", "post_revert",
	                                      "starter",    NULL};
	struct json_node hooks;

	if (!json_object_get(object->value, "hooks"))
		return NULL;
	HFX_TRY(node_get_object(object, "hooks", members, &hooks));
	HFX_TRY(get_hook(&hooks, "starter", &module->hook_starter_addr));
	for (size_t i = 0; i < MANIFEST_NUM_HOOKS; i++)
		if (json_object_get(hooks.value, manifest_hook_names[i]))
			HFX_TRY(get_hook(&hooks, manifest_hook_names[i],
			                 &module->hook_addrs[i]));
	if (json_object_size(hooks.value) < 2)
		return node_refuse(&hooks, "has no hook");
	return NULL;
}

static struct hfx_error *parse_module(const struct json_node *node,
                                      struct manifest_module *module)
{
	static const char *const members[] = {
		"name",     "old_build_id",     "new_build_id",
		"image",    "functions",        "imports",
		"objects",  "warnings",         "accepted",
		"old_code", "needs_safe_point", "shadow_table",
		"hooks",    "unwinder",         "calls",
		NULL,
	};

	HFX_TRY(node_check_object(node, members));
	HFX_TRY(node_get_string(node, "name", JSON_STRING_NOT_EMPTY,
	                        &module->name));
	HFX_TRY(get_build_id(node, "old_build_id", 1, &module->old_build_id));
	HFX_TRY(get_build_id(node, "new_build_id", 0, &module->new_build_id));
	HFX_TRY(get_image(node, module));
	HFX_TRY(manifest_get_functions(node, module));
	HFX_TRY(manifest_get_old_code(node, module));
	HFX_TRY(get_flag(node, "needs_safe_point", &module->needs_safe_point));
	HFX_TRY(manifest_get_calls(node, module));
	HFX_TRY(get_imports(node, module));
	HFX_TRY(get_objects(node, module));
	HFX_TRY(get_accepted(node, module));
	HFX_TRY(get_shadow_table(node, module));
	HFX_TRY(get_hooks(node, module));
	HFX_TRY(get_unwinder(node, &module->unwinder));
	return get_warnings(node, module);
}

/** A module is known by its build: two entries would be for the same one. */
static struct hfx_error *check_builds_differ(const struct json_node *array,
                                             const struct manifest *manifest,
                                             size_t index)
{
	const struct build_id *build_id =
		&manifest->modules[index].old_build_id;

	for (size_t i = 0; i < index; i++) {
		const struct build_id *other =
			&manifest->modules[i].old_build_id;

		if (other->size == build_id->size &&
		    !memcmp(other->bytes, build_id->bytes, other->size))
			return node_refuse(array, "two are for one build");
	}
	return NULL;
}

static struct hfx_error *get_modules(const struct json_node *root,
                                     struct manifest *manifest)
{
	struct json_node array;
	size_t count;

	HFX_TRY(node_get_array(root, "modules", MANIFEST_MAX_MODULES, &array,
	                       &count));
	manifest->modules =
		manifest_create_items(count, sizeof(*manifest->modules));
	if (!manifest->modules)
		return hfx_error_no_memory();
	manifest->num_modules = count;
	if (!manifest->num_modules)
		return node_refuse(&array, "empty");
	for (size_t i = 0; i < manifest->num_modules; i++) {
		const struct json_node node = node_element(&array, i);

		HFX_TRY(parse_module(&node, &manifest->modules[i]));
		HFX_TRY(check_builds_differ(&array, manifest, i));
	}
	return NULL;
}

/* Before all else: a later format may have members that are unknown here. */
static struct hfx_error *check_format(const struct json_node *root)
{
	uint64_t format;

	if (!json_is_object(root->value))
		return node_refuse(root, "not an object");
	HFX_TRY(node_get_integer(root, "format", INT64_MAX, &format));
	if (format > MANIFEST_FORMAT)
		return node_refuse_as(
			HFX_ERROR_BUNDLE_VERSION, root,
			"format %llu is newer than this hfx reads "
			"(%d); update hfx",
			(unsigned long long)format, MANIFEST_FORMAT);
	if (format < 1)
		return node_refuse(root, "there is no format 0");
	return NULL;
}

static struct hfx_error *parse_root(const struct json_node *root,
                                    struct manifest *manifest)
{
	static const char *const members[] = {
		"format",      "generator", "name",    "version",
		"description", "created",   "modules", NULL,
	};

	HFX_TRY(check_format(root));
	HFX_TRY(node_check_object(root, members));
	HFX_TRY(node_get_string(root, "generator", JSON_STRING_ANY,
	                        &manifest->generator));
	HFX_TRY(node_get_string(root, "name", JSON_STRING_ANY,
	                        &manifest->name));
	if (!manifest_name_is_valid(manifest->name))
		return node_refuse(root, "name does not match "
		                         "[A-Za-z0-9._+-]{1,128}");
	HFX_TRY(node_get_string(root, "version", JSON_STRING_ANY,
	                        &manifest->version));
	HFX_TRY(node_get_string(root, "description", JSON_STRING_TEXT,
	                        &manifest->description));
	HFX_TRY(node_get_integer(root, "created", MANIFEST_MAX_CREATED,
	                         &manifest->created));
	return get_modules(root, manifest);
}

static void put_json(json_t **json)
{
	json_decref(*json);
}

static struct hfx_error *parse(const char *text, size_t size,
                               struct manifest *manifest)
{
	static const struct json_limits limits = {
		.max_size = MANIFEST_MAX_SIZE,
		.max_depth = MANIFEST_MAX_DEPTH,
		.max_values = MANIFEST_MAX_VALUES,
	};
	HFX_CLEANUP(put_json) json_t *json = NULL;
	struct json_node root = {0};

	HFX_TRY(node_load(text, size, &limits, &json));
	root.value = json;
	return parse_root(&root, manifest);
}

struct hfx_error *manifest_parse(const void *text, size_t size,
                                 struct manifest **ret)
{
	struct manifest *manifest = calloc(1, sizeof(*manifest));
	struct hfx_error *err;

	if (!manifest)
		return hfx_error_no_memory();
	err = parse(size ? text : "", size, manifest);
	if (err) {
		manifest_destroy(manifest);
		return hfx_error_wrap(err, BUNDLE_MANIFEST_MEMBER);
	}
	*ret = manifest;
	return NULL;
}
