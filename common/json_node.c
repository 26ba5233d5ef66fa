/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "json_node.h"
#include "manifest.h"

/* Texts from the bundle go into messages: one line, nothing for terminals. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* Write `modules[0].functions[3].name`; returns the length so far. */
static size_t format_path(const struct json_node *node, char *text, size_t size)
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

struct hfx_error *node_refuse_as(enum hfx_error_code code,
                                 const struct json_node *node,
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
	return hfx_error_create(code, "%s: %s", *path ? path : "top level",
	                        text);
}

struct hfx_error *node_get(const struct json_node *object, const char *key,
                           struct json_node *ret)
{
	*ret = (struct json_node){.parent = object,
	                          .key = key,
	                          .value = json_object_get(object->value, key)};
	return ret->value ? NULL : node_refuse(ret, "missing");
}

struct hfx_error *node_check_object(const struct json_node *node,
                                    const char *const *members)
{
	const char *key;
	json_t *value;

	if (!json_is_object(node->value))
		return node_refuse(node, "not an object");
	json_object_foreach(node->value, key, value)
	{
		const struct json_node child = {.parent = node, .key = key};
		size_t i = 0;

		while (members[i] && strcmp(members[i], key) != 0)
			i++;
		if (!members[i])
			return node_refuse(&child, "unknown member");
	}
	return NULL;
}

struct hfx_error *node_get_object(const struct json_node *object,
                                  const char *key, const char *const *members,
                                  struct json_node *ret)
{
	HFX_TRY(node_get(object, key, ret));
	return node_check_object(ret, members);
}

struct hfx_error *node_get_array(const struct json_node *object,
                                 const char *key, size_t max_count,
                                 struct json_node *ret, size_t *count_ret)
{
	size_t count;

	HFX_TRY(node_get(object, key, ret));
	if (!json_is_array(ret->value))
		return node_refuse(ret, "not an array");
	count = json_array_size(ret->value);
	if (count > max_count)
		return node_refuse(ret, "more than %zu elements", max_count);
	*count_ret = count;
	return NULL;
}

struct json_node node_element(const struct json_node *array, size_t index)
{
	return (struct json_node){.parent = array,
	                          .index = index,
	                          .value = json_array_get(array->value, index)};
}

static bool has_control_character(const char *text, enum json_string_rule rule)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (rule == JSON_STRING_TEXT && (c == '\n' || c == '\t'))
			continue;
		if (c < ' ' || c == 0x7f)
			return true;
	}
	return false;
}

struct hfx_error *node_copy_string(const struct json_node *node,
                                   enum json_string_rule rule, char **ret)
{
	const char *text = json_string_value(node->value);

	if (!text)
		return node_refuse(node, "not a string");
	if (json_string_length(node->value) > MANIFEST_MAX_STRING)
		return node_refuse(node, "longer than %d bytes",
		                   MANIFEST_MAX_STRING);
	if (rule == JSON_STRING_NOT_EMPTY && !*text)
		return node_refuse(node, "empty");
	if (has_control_character(text, rule))
		return node_refuse(node, "holds a control character");
	*ret = strdup(text);
	return *ret ? NULL : hfx_error_no_memory();
}

struct hfx_error *node_get_string(const struct json_node *object,
                                  const char *key, enum json_string_rule rule,
                                  char **ret)
{
	struct json_node node;

	HFX_TRY(node_get(object, key, &node));
	return node_copy_string(&node, rule, ret);
}

struct hfx_error *node_get_integer(const struct json_node *object,
                                   const char *key, uint64_t max, uint64_t *ret)
{
	struct json_node node;
	json_int_t value;

	HFX_TRY(node_get(object, key, &node));
	if (!json_is_integer(node.value))
		return node_refuse(&node, "not an integer");
	value = json_integer_value(node.value);
	if (value < 0)
		return node_refuse(&node, "negative");
	if ((uint64_t)value > max)
		return node_refuse(&node, "%lld is more than %llu",
		                   (long long)value, (unsigned long long)max);
	*ret = (uint64_t)value;
	return NULL;
}

/* Digits in lower case only, so that there is one text for a value. */
static bool is_hex(const char *text)
{
	return text[strspn(text, "0123456789abcdef")] == '\0';
}

struct hfx_error *node_get_bytes(const struct json_node *object,
                                 const char *key, const char *what,
                                 size_t min_size, size_t max_size,
                                 uint8_t *bytes_ret, size_t *size_ret)
{
	struct json_node node;
	const char *text;
	size_t size;

	HFX_TRY(node_get(object, key, &node));
	text = json_string_value(node.value);
	size = text ? strlen(text) / 2 : 0;
	if (!text || size < min_size || size > max_size || !is_hex(text) ||
	    !hex_decode(text, size, bytes_ret))
		return node_refuse(
			&node, "not a %s of %s%zu hexadecimal digits", what,
			min_size < max_size ? "up to " : "", 2 * max_size);
	*size_ret = size;
	return NULL;
}

/** What has been seen of a text. */
struct structure {
	size_t depth;
	size_t num_values;
	bool in_string;
	/** The character before was a backslash in a string. */
	bool is_escaped;
};

static void add_string_character(struct structure *structure, char c)
{
	if (structure->is_escaped)
		structure->is_escaped = false;
	else if (c == '\\')
		structure->is_escaped = true;
	else if (c == '"')
		structure->in_string = false;
}

static void add_character(struct structure *structure, char c)
{
	if (structure->in_string) {
		add_string_character(structure, c);
		return;
	}
	if (c == '"')
		structure->in_string = true;
	if (c == '[' || c == '{')
		structure->depth++;
	if ((c == ']' || c == '}') && structure->depth)
		structure->depth--;
	structure->num_values += c == '[' || c == '{' || c == ',';
}

/*
 * Limit what the JSON library will build before it builds it: a value takes two
 * bytes of text and some hundred of memory.
 */
static struct hfx_error *check_structure(const char *text, size_t size,
                                         const struct json_limits *limits)
{
	struct structure structure = {.num_values = 1};

	for (size_t i = 0; i < size; i++) {
		add_character(&structure, text[i]);
		if (structure.depth > limits->max_depth)
			return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
			                        "nested deeper than %zu",
			                        limits->max_depth);
		if (structure.num_values > limits->max_values)
			return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
			                        "more than %zu values",
			                        limits->max_values);
	}
	return NULL;
}

struct hfx_error *node_load(const char *text, size_t size,
                            const struct json_limits *limits, json_t **ret)
{
	json_error_t error;
	json_t *json;

	if (size > limits->max_size)
		return hfx_error_create(HFX_ERROR_BAD_BUNDLE,
		                        "larger than %zu bytes",
		                        limits->max_size);
	HFX_TRY(check_structure(text, size, limits));
	json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (json) {
		*ret = json;
		return NULL;
	}
	if (json_error_code(&error) == json_error_out_of_memory)
		return hfx_error_no_memory();
	make_printable(error.text);
	return hfx_error_create(HFX_ERROR_BAD_BUNDLE, "line %d, column %d: %s",
	                        error.line, error.column, error.text);
}
