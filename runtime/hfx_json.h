/* SPDX-License-Identifier: MIT */
/**
 * @file hfx_json.h
 *
 * JSON as `hfx` prints it: docs/hfx-json.md. All functions return a reference
 * that the caller owns, or `NULL` when memory is short.
 */
#ifndef HFX_RUNTIME_HFX_JSON_H
#define HFX_RUNTIME_HFX_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "error.h"

/** Strings of a process need not be UTF-8, those of JSON must. */
json_t *json_text(const char *text);

json_t *json_hex(const uint8_t *bytes, size_t size);

json_t *json_count(uint64_t number);

/** One of the patches of a process. */
json_t *json_patch(const struct engine_patches *patches,
                   const struct engine_patch *patch);

/** `"build-mismatch"`: the code of @p err as a word. */
json_t *json_code_of(const struct hfx_error *err);

/** Print @p document, taken, and return an exit code. */
int json_print(json_t *document);

#endif /* HFX_RUNTIME_HFX_JSON_H */
