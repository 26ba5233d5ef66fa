/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bundle.h"
#include "cleanup.h"
#include "image.h"
#include "manifest.h"

/* A value and the way to it, so that an error can name the place. */
struct node {
	const struct node *parent;
	/** Member of an object; `NULL` for an element and for the root. */
	const char *key;
	size_t index;
	json_t *value;
};

/* Texts from the bundle go into messages: one line, nothing for terminals. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* Write `modules[0].functions[3].name`; returns the length so far. */
static size_t format_path(const struct node *node, char *text, size_t size)
{
	size_t length;

	if (!node->parent) {
		text[0] = '\0';
		return 0;
	}
	length = format_path(node->parent, text, size);
	if (node->key)
		snprintf(text + length, size - length, "%s%.80s",
		         length ? "." : "", node->key);
	else
		snprintf(text + length, size - length, "[%zu]", node->index);
	return strlen(text);
}

static HFX_PRINTF(3, 4) struct hfx_error *refuse_as(enum hfx_error_code code,
                                                    const struct node *node,
                                                    const char *format, ...)
{
	char path[512], text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	format_path(node, path, sizeof(path));
	make_printable(path);
	make_printable(text);
	return hfx_error_create(code, "%s: %s",
	                        *path ? path : BUNDLE_MANIFEST_MEMBER, text);
}

#define refuse(node, ...) refuse_as(HFX_ERROR_BAD_BUNDLE, node, __VA_ARGS__)

static struct hfx_error *get(const struct node *object, const char *key,
                             struct node *ret)
{
	*ret = (struct node){.parent = object,
	                     .key = key,
	                     .value = json_object_get(object->value, key)};
	return ret->value ? NULL : refuse(ret, "missing");
}

static struct hfx_error *check_object(const struct node *node,
                                      const char *const *members)
{
	const char *key;
	json_t *value;

	if (!json_is_object(node->value))
		return refuse(node, "not an object");
	json_object_foreach(node->value, key, value)
	{
		const struct node child = {.parent = node, .key = key};
		size_t i = 0;

		while (members[i] && strcmp(members[i], key) != 0)
			i++;
		if (!members[i])
			return refuse(&child, "unknown member");
	}
	return NULL;
}

static struct hfx_error *get_object(const struct node *object, const char *key,
                                    const char *const *members,
                                    struct node *ret)
{
	HFX_TRY(get(object, key, ret));
	return check_object(ret, members);
}

static struct hfx_error *get_array(const struct node *object, const char *key,
                                   size_t max_count, struct node *ret,
                                   size_t *count_ret)
{
	HFX_TRY(get(object, key, ret));
	if (!json_is_array(ret->value))
		return refuse(ret, "not an array");
	*count_ret = json_array_size(ret->value);
	if (*count_ret > max_count)
		return refuse(ret, "more than %zu elements", max_count);
	return NULL;
}

/* Zeroed memory for @p count items; never `NULL` for none. */
static void *create_items(size_t count, size_t item_size)
{
	return calloc(count ? count : 1, item_size);
}

static struct node element(const struct node *array, size_t index)
{
	return (struct node){.parent = array,
	                     .index = index,
	                     .value = json_array_get(array->value, index)};
}

enum string_rule {
	STRING_ANY,
	STRING_NOT_EMPTY,
	/** Newlines and tabs are allowed. */
	STRING_TEXT,
};

static bool has_control_character(const char *text, enum string_rule rule)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (rule == STRING_TEXT && (c == '\n' || c == '\t'))
			continue;
		if (c < ' ' || c == 0x7f)
			return true;
	}
	return false;
}

static struct hfx_error *take_string(const struct node *node,
                                     enum string_rule rule, char **ret)
{
	const char *text = json_string_value(node->value);

	if (!text)
		return refuse(node, "not a string");
	if (json_string_length(node->value) > MANIFEST_MAX_STRING)
		return refuse(node, "longer than %d bytes",
		              MANIFEST_MAX_STRING);
	if (rule == STRING_NOT_EMPTY && !*text)
		return refuse(node, "empty");
	if (has_control_character(text, rule))
		return refuse(node, "holds a control character");
	*ret = strdup(text);
	return *ret ? NULL : hfx_error_no_memory();
}

static struct hfx_error *get_string(const struct node *object, const char *key,
                                    enum string_rule rule, char **ret)
{
	struct node node;

	HFX_TRY(get(object, key, &node));
	return take_string(&node, rule, ret);
}

static struct hfx_error *get_integer(const struct node *object, const char *key,
                                     uint64_t max, uint64_t *ret)
{
	struct node node;

	HFX_TRY(get(object, key, &node));
	if (!json_is_integer(node.value))
		return refuse(&node, "not an integer");
	if (json_integer_value(node.value) < 0)
		return refuse(&node, "negative");
	*ret = (uint64_t)json_integer_value(node.value);
	if (*ret > max)
		return refuse(&node, "%llu is more than %llu",
		              (unsigned long long)*ret,
		              (unsigned long long)max);
	return NULL;
}

/* Digits in lower case only, so that there is one text for a value. */
static bool is_hex(const char *text)
{
	return text[strspn(text, "0123456789abcdef")] == '\0';
}

static struct hfx_error *get_digest(const struct node *object, const char *key,
                                    struct digest *ret)
{
	struct node node;
	const char *text;

	HFX_TRY(get(object, key, &node));
	text = json_string_value(node.value);
	if (!text || !is_hex(text) ||
	    !hex_decode(text, DIGEST_SIZE, ret->bytes))
		return refuse(&node, "not a digest of %d hexadecimal digits",
		              2 * DIGEST_SIZE);
	return NULL;
}

static struct hfx_error *get_build_id(const struct node *object,
                                      const char *key, size_t min_size,
                                      struct build_id *ret)
{
	struct node node;
	const char *text;
	size_t size;

	HFX_TRY(get(object, key, &node));
	text = json_string_value(node.value);
	size = text ? strlen(text) / 2 : 0;
	if (!text || size < min_size || size > BUILD_ID_MAX || !is_hex(text) ||
	    !hex_decode(text, size, ret->bytes))
		return refuse(&node,
		              "not a build-id of %zu to %d bytes in "
		              "hexadecimal digits",
		              min_size, BUILD_ID_MAX);
	ret->size = size;
	return NULL;
}

/* Address and size, which together do not wrap. */
static struct hfx_error *get_range(const struct node *object,
                                   uint64_t *addr_ret, uint64_t *size_ret)
{
	HFX_TRY(get_integer(object, "address", INT64_MAX, addr_ret));
	return get_integer(object, "size", INT64_MAX, size_ret);
}

/* Offset of the jump's bytes in code of @p size bytes. */
static struct hfx_error *get_entry(const struct node *object, uint64_t size,
                                   uint32_t *ret)
{
	uint64_t entry;

	HFX_TRY(get_integer(object, "entry", 4, &entry));
	if (entry != 0 && entry != 4)
		return refuse(object, "entry %llu is neither 0 nor 4",
		              (unsigned long long)entry);
	if (size < entry + JUMP_SIZE)
		return refuse(
			object, "%llu bytes are too short for a jump at %llu",
			(unsigned long long)size, (unsigned long long)entry);
	*ret = (uint32_t)entry;
	return NULL;
}

static struct hfx_error *get_kind(const struct node *object,
                                  enum manifest_function_kind *ret)
{
	static const char *const kinds[] = {
		[MANIFEST_FUNCTION_CHANGED] = "changed",
		[MANIFEST_FUNCTION_NEW] = "new",
		[MANIFEST_FUNCTION_PART] = "part",
	};
	struct node node;
	const char *text;

	HFX_TRY(get(object, "kind", &node));
	text = json_string_value(node.value);
	for (size_t i = 0; text && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(text, kinds[i]) == 0) {
			*ret = (enum manifest_function_kind)i;
			return NULL;
		}
	}
	return refuse(&node, "not one of changed, new, part");
}

static struct hfx_error *get_old(const struct node *object,
                                 struct manifest_function *function)
{
	static const char *const members[] = {"address", "size", "sha256",
	                                      "entry", NULL};
	struct node old;

	if (function->kind != MANIFEST_FUNCTION_CHANGED) {
		if (!json_object_get(object->value, "old"))
			return NULL;
		return refuse(object, "only a changed function has \"old\"");
	}
	HFX_TRY(get_object(object, "old", members, &old));
	HFX_TRY(get_range(&old, &function->old_addr, &function->old_size));
	HFX_TRY(get_digest(&old, "sha256", &function->old_digest));
	return get_entry(&old, function->old_size, &function->old_entry);
}

static struct hfx_error *get_new(const struct node *object,
                                 struct manifest_function *function)
{
	static const char *const members[] = {"address", "size", "entry", NULL};
	struct node new;

	HFX_TRY(get_object(object, "new", members, &new));
	HFX_TRY(get_range(&new, &function->new_addr, &function->new_size));
	function->new_entry = MANIFEST_NO_ENTRY;
	if (!json_object_get(new.value, "entry"))
		return NULL;
	return get_entry(&new, function->new_size, &function->new_entry);
}

static struct hfx_error *get_signature(const struct node *object,
                                       struct manifest_function *function)
{
	struct digest digest;

	HFX_TRY(get_string(object, "signature", STRING_ANY,
	                   &function->signature));
	HFX_TRY(get_digest(object, "signature_sha256",
	                   &function->signature_digest));
	digest = digest_of(function->signature, strlen(function->signature));
	if (!digest_equal(&digest, &function->signature_digest))
		return refuse_as(HFX_ERROR_BAD_DIGEST, object,
		                 "signature_sha256 is not the digest of "
		                 "signature");
	return NULL;
}

static struct hfx_error *parse_function(const struct node *node,
                                        struct manifest_function *function)
{
	static const char *const members[] = {
		"name",   "linkage_name", "unit",
		"kind",   "signature",    "signature_sha256",
		"source", "reason",       "old",
		"new",    NULL,
	};

	HFX_TRY(check_object(node, members));
	HFX_TRY(get_string(node, "name", STRING_NOT_EMPTY, &function->name));
	HFX_TRY(get_string(node, "linkage_name", STRING_NOT_EMPTY,
	                   &function->linkage_name));
	HFX_TRY(get_string(node, "unit", STRING_ANY, &function->unit));
	HFX_TRY(get_kind(node, &function->kind));
	HFX_TRY(get_signature(node, function));
	HFX_TRY(get_string(node, "source", STRING_ANY, &function->source));
	HFX_TRY(get_string(node, "reason", STRING_ANY, &function->reason));
	HFX_TRY(get_old(node, function));
	return get_new(node, function);
}

static struct hfx_error *parse_import(const struct node *node,
                                      struct manifest_import *import)
{
	static const char *const members[] = {"name", "version", "library",
	                                      NULL};

	HFX_TRY(check_object(node, members));
	HFX_TRY(get_string(node, "name", STRING_NOT_EMPTY, &import->name));
	HFX_TRY(get_string(node, "version", STRING_ANY, &import->version));
	return get_string(node, "library", STRING_ANY, &import->library);
}

static struct hfx_error *parse_object(const struct node *node,
                                      struct manifest_object *object)
{
	static const char *const members[] = {"name", "unit", "address", "size",
	                                      NULL};

	HFX_TRY(check_object(node, members));
	HFX_TRY(get_string(node, "name", STRING_NOT_EMPTY, &object->name));
	HFX_TRY(get_string(node, "unit", STRING_ANY, &object->unit));
	return get_range(node, &object->new_addr, &object->new_size);
}

static struct hfx_error *get_functions(const struct node *object,
                                       struct manifest_module *module)
{
	struct node array;
	size_t count;

	HFX_TRY(get_array(object, "functions", MANIFEST_MAX_FUNCTIONS, &array,
	                  &count));
	module->functions = create_items(count, sizeof(*module->functions));
	if (!module->functions)
		return hfx_error_no_memory();
	module->num_functions = count;
	for (size_t i = 0; i < module->num_functions; i++) {
		const struct node node = element(&array, i);

		HFX_TRY(parse_function(&node, &module->functions[i]));
	}
	return NULL;
}

static struct hfx_error *get_imports(const struct node *object,
                                     struct manifest_module *module)
{
	struct node array;
	size_t count;

	HFX_TRY(get_array(object, "imports", MANIFEST_MAX_IMPORTS, &array,
	                  &count));
	module->imports = create_items(count, sizeof(*module->imports));
	if (!module->imports)
		return hfx_error_no_memory();
	module->num_imports = count;
	for (size_t i = 0; i < module->num_imports; i++) {
		const struct node node = element(&array, i);

		HFX_TRY(parse_import(&node, &module->imports[i]));
	}
	return NULL;
}

static struct hfx_error *get_objects(const struct node *object,
                                     struct manifest_module *module)
{
	struct node array;
	size_t count;

	HFX_TRY(get_array(object, "objects", MANIFEST_MAX_OBJECTS, &array,
	                  &count));
	module->objects = create_items(count, sizeof(*module->objects));
	if (!module->objects)
		return hfx_error_no_memory();
	module->num_objects = count;
	for (size_t i = 0; i < module->num_objects; i++) {
		const struct node node = element(&array, i);

		HFX_TRY(parse_object(&node, &module->objects[i]));
	}
	return NULL;
}

static struct hfx_error *get_warnings(const struct node *object,
                                      struct manifest_module *module)
{
	struct node array;
	size_t count;

	HFX_TRY(get_array(object, "warnings", MANIFEST_MAX_WARNINGS, &array,
	                  &count));
	module->warnings = create_items(count, sizeof(*module->warnings));
	if (!module->warnings)
		return hfx_error_no_memory();
	module->num_warnings = count;
	for (size_t i = 0; i < module->num_warnings; i++) {
		const struct node node = element(&array, i);

		HFX_TRY(take_string(&node, STRING_ANY, &module->warnings[i]));
	}
	return NULL;
}

static struct hfx_error *get_image(const struct node *object,
                                   struct manifest_module *module)
{
	static const char *const members[] = {"member", "size", "sha256", NULL};
	char expected[64];
	struct node image;

	HFX_TRY(get_object(object, "image", members, &image));
	HFX_TRY(get_string(&image, "member", STRING_ANY,
	                   &module->image_member));
	HFX_TRY(get_integer(&image, "size", BUNDLE_MAX_UNPACKED,
	                    &module->image_size));
	HFX_TRY(get_digest(&image, "sha256", &module->image_digest));
	snprintf(expected, sizeof(expected), "modules/%zu.so", object->index);
	if (strcmp(module->image_member, expected) != 0)
		return refuse(&image, "member is not %s", expected);
	return NULL;
}

static struct hfx_error *parse_module(const struct node *node,
                                      struct manifest_module *module)
{
	static const char *const members[] = {
		"name",    "old_build_id", "new_build_id", "image", "functions",
		"imports", "objects",      "warnings",     NULL,
	};

	HFX_TRY(check_object(node, members));
	HFX_TRY(get_string(node, "name", STRING_NOT_EMPTY, &module->name));
	HFX_TRY(get_build_id(node, "old_build_id", 1, &module->old_build_id));
	HFX_TRY(get_build_id(node, "new_build_id", 0, &module->new_build_id));
	HFX_TRY(get_image(node, module));
	HFX_TRY(get_functions(node, module));
	HFX_TRY(get_imports(node, module));
	HFX_TRY(get_objects(node, module));
	return get_warnings(node, module);
}

static struct hfx_error *get_modules(const struct node *root,
                                     struct manifest *manifest)
{
	struct node array;
	size_t count;

	HFX_TRY(get_array(root, "modules", MANIFEST_MAX_MODULES, &array,
	                  &count));
	manifest->modules = create_items(count, sizeof(*manifest->modules));
	if (!manifest->modules)
		return hfx_error_no_memory();
	manifest->num_modules = count;
	if (!manifest->num_modules)
		return refuse(&array, "empty");
	for (size_t i = 0; i < manifest->num_modules; i++) {
		const struct node node = element(&array, i);

		HFX_TRY(parse_module(&node, &manifest->modules[i]));
	}
	return NULL;
}

/* Before all else: a later format may have members that are unknown here. */
static struct hfx_error *check_format(const struct node *root)
{
	uint64_t format;

	if (!json_is_object(root->value))
		return refuse(root, "not an object");
	HFX_TRY(get_integer(root, "format", INT64_MAX, &format));
	if (format > MANIFEST_FORMAT)
		return refuse_as(HFX_ERROR_BUNDLE_VERSION, root,
		                 "format %llu is newer than this hfx reads "
		                 "(%d); update hfx",
		                 (unsigned long long)format, MANIFEST_FORMAT);
	if (format < 1)
		return refuse(root, "there is no format 0");
	return NULL;
}

static struct hfx_error *parse_root(const struct node *root,
                                    struct manifest *manifest)
{
	static const char *const members[] = {
		"format",      "generator", "name",    "version",
		"description", "created",   "modules", NULL,
	};

	HFX_TRY(check_format(root));
	HFX_TRY(check_object(root, members));
	HFX_TRY(get_string(root, "generator", STRING_ANY,
	                   &manifest->generator));
	HFX_TRY(get_string(root, "name", STRING_ANY, &manifest->name));
	if (!manifest_name_is_valid(manifest->name))
		return refuse(root, "name does not match "
		                    "[A-Za-z0-9._+-]{1,128}");
	HFX_TRY(get_string(root, "version", STRING_ANY, &manifest->version));
	HFX_TRY(get_string(root, "description", STRING_TEXT,
	                   &manifest->description));
	HFX_TRY(get_integer(root, "created", MANIFEST_MAX_CREATED,
	                    &manifest->created));
	return get_modules(root, manifest);
}

/*
 * Limit what the JSON library will build before it builds it: a value takes two
 * bytes of text and some hundred of memory.
 */
static struct hfx_error *check_structure(const char *text, size_t size)
{
	size_t depth = 0, num_values = 1;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else
				in_string = text[i] != '"';
			continue;
		}
		switch (text[i]) {
		case '"':
			in_string = true;
			break;
		case '[':
		case '{':
			depth++;
			num_values++;
			break;
		case ']':
		case '}':
			depth -= depth > 0;
			break;
		case ',':
			num_values++;
			break;
		default:
			break;
		}
		if (depth > MANIFEST_MAX_DEPTH)
			return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
			                        BUNDLE_MANIFEST_MEMBER
			                        ": nested deeper than %d",
			                        MANIFEST_MAX_DEPTH);
		if (num_values > MANIFEST_MAX_VALUES)
			return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
			                        BUNDLE_MANIFEST_MEMBER
			                        ": more than %d values",
			                        MANIFEST_MAX_VALUES);
	}
	return NULL;
}

static struct hfx_error *load(const char *text, size_t size, json_t **ret)
{
	json_error_t error;

	if (size > MANIFEST_MAX_SIZE)
		return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
		                        BUNDLE_MANIFEST_MEMBER
		                        ": larger than %u bytes",
		                        MANIFEST_MAX_SIZE);
	HFX_TRY(check_structure(text, size));
	*ret = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (*ret)
		return NULL;
	if (json_error_code(&error) == json_error_out_of_memory)
		return hfx_error_no_memory();
	make_printable(error.text);
	return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
	                        BUNDLE_MANIFEST_MEMBER
	                        ": line %d, column %d: %s",
	                        error.line, error.column, error.text);
}

static void put_json(json_t **json)
{
	json_decref(*json);
}

struct hfx_error *manifest_parse(const void *text, size_t size,
                                 struct manifest **ret)
{
	HFX_CLEANUP(put_json) json_t *json = NULL;
	struct manifest *manifest;
	struct hfx_error *err;
	struct node root = {0};

	HFX_TRY(load(size ? text : "", size, &json));
	manifest = calloc(1, sizeof(*manifest));
	if (!manifest)
		return hfx_error_no_memory();
	root.value = json;
	err = parse_root(&root, manifest);
	if (err) {
		manifest_destroy(manifest);
		return err;
	}
	*ret = manifest;
	return NULL;
}
