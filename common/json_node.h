/* SPDX-License-Identifier: MIT */
/**
 * @file json_node.h
 *
 * Strict reading of JSON that nobody vouches for: each value knows its place,
 * so that an error can name it (`modules[0].functions[3].name: missing`).
 *
 * Errors are #HFX_ERROR_BAD_BUNDLE unless said otherwise. Outputs are not
 * written on failure, except for a `struct json_node`, which is for messages.
 */
#ifndef HFX_COMMON_JSON_NODE_H
#define HFX_COMMON_JSON_NODE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "error.h"

/** A value and the way to it. All is borrowed. */
struct json_node {
	const struct json_node *parent;
	/** Member of an object; `NULL` for an element and for the root. */
	const char *key;
	size_t index;
	json_t *value;
};

/** Limits of a text. */
struct json_limits {
	size_t max_size;
	size_t max_depth;
	size_t max_values;
};

enum json_string_rule {
	JSON_STRING_ANY,
	JSON_STRING_NOT_EMPTY,
	/** Newlines and tabs are allowed, other control characters are not. */
	JSON_STRING_TEXT,
};

/**
 * Parse a text, after a look at its limits. Members that are given twice are
 * refused.
 *
 * @param[out] ret Reference that the caller owns.
 */
HFX_MUST_CHECK struct hfx_error *node_load(const char *text, size_t size,
                                           const struct json_limits *limits,
                                           json_t **ret);

/** An error that names the place of @p node; control characters become `?`. */
HFX_MUST_CHECK HFX_PRINTF(3, 4) struct hfx_error *node_refuse_as(
	enum hfx_error_code code, const struct json_node *node,
	const char *format, ...);

#define node_refuse(node, ...)                                                 \
	node_refuse_as(HFX_ERROR_BAD_BUNDLE, node, __VA_ARGS__)

/** A member, of any type, that must be there. */
HFX_MUST_CHECK struct hfx_error *node_get(const struct json_node *object,
                                          const char *key,
                                          struct json_node *ret);

/** Check that @p node is an object without members other than these. */
HFX_MUST_CHECK struct hfx_error *node_check_object(const struct json_node *node,
                                                   const char *const *members);

/** node_get(), then node_check_object(). */
HFX_MUST_CHECK struct hfx_error *node_get_object(const struct json_node *object,
                                                 const char *key,
                                                 const char *const *members,
                                                 struct json_node *ret);

/** A member that is an array, and the number of its elements. */
HFX_MUST_CHECK struct hfx_error *
node_get_array(const struct json_node *object, const char *key,
               size_t max_count, struct json_node *ret, size_t *count_ret);

struct json_node node_element(const struct json_node *array, size_t index);

/** A copy of a string of at most #MANIFEST_MAX_STRING bytes, owned. */
HFX_MUST_CHECK struct hfx_error *node_copy_string(const struct json_node *node,
                                                  enum json_string_rule rule,
                                                  char **ret);

/** node_get(), then node_copy_string(). */
HFX_MUST_CHECK struct hfx_error *node_get_string(const struct json_node *object,
                                                 const char *key,
                                                 enum json_string_rule rule,
                                                 char **ret);

/** An integer from 0 to @p max. */
HFX_MUST_CHECK struct hfx_error *
node_get_integer(const struct json_node *object, const char *key, uint64_t max,
                 uint64_t *ret);

/**
 * @p min_size to @p max_size bytes as lower-case hexadecimal digits.
 *
 * @param[in] what Name of such bytes, for messages.
 */
HFX_MUST_CHECK struct hfx_error *
node_get_bytes(const struct json_node *object, const char *key,
               const char *what, size_t min_size, size_t max_size,
               uint8_t *bytes_ret, size_t *size_ret);

#endif /* HFX_COMMON_JSON_NODE_H */
