/* SPDX-License-Identifier: MIT */
/**
 * @file manifest_private.h
 *
 * What the parts of the manifest's parser share.
 */
#ifndef HFX_COMMON_MANIFEST_PRIVATE_H
#define HFX_COMMON_MANIFEST_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "error.h"
#include "json_node.h"
#include "manifest.h"

/** Zeroed memory for @p count items; never `NULL` for none. */
void *manifest_create_items(size_t count, size_t item_size);

HFX_MUST_CHECK struct hfx_error *
manifest_get_digest(const struct json_node *object, const char *key,
                    struct digest *ret);

/** Address and size, which together do not wrap. */
HFX_MUST_CHECK struct hfx_error *
manifest_get_range(const struct json_node *object, uint64_t *addr_ret,
                   uint64_t *size_ret);

/** The functions of a module; what follows refers to them by index. */
HFX_MUST_CHECK struct hfx_error *
manifest_get_functions(const struct json_node *object,
                       struct manifest_module *module);

/** Old code of functions, if there is some. */
HFX_MUST_CHECK struct hfx_error *
manifest_get_old_code(const struct json_node *object,
                      struct manifest_module *module);

/** Calls to functions, if there are some. */
HFX_MUST_CHECK struct hfx_error *
manifest_get_calls(const struct json_node *object,
                   struct manifest_module *module);

#endif /* HFX_COMMON_MANIFEST_PRIVATE_H */
