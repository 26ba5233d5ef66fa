/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cleanup.h"
#include "hfx_cli.h"
#include "hfx_json.h"

json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	HFX_CLEANUP(hfx_free)
	char *escaped = value ? NULL : output_escape(text);

	return value ? value : json_string(escaped ? escaped : "");
}

json_t *json_hex(const uint8_t *bytes, size_t size)
{
	char text[2 * BUILD_ID_MAX + 1];

	hex_encode(bytes, size, text);
	return json_string(text);
}

json_t *json_count(uint64_t number)
{
	return json_integer((json_int_t)number);
}

static json_t *json_functions(const struct engine_patch *patch)
{
	json_t *functions = json_array();

	for (size_t i = 0; i < patch->num_functions; i++) {
		const struct record_function *function = &patch->functions[i];

		json_array_append_new(
			functions,
			json_pack("{so so so so so}", "name",
		                  json_text(patch->function_names[i]),
		                  "old_address",
		                  json_count(function->old_live_addr),
		                  "old_size", json_count(function->old_size),
		                  "new_address",
		                  json_count(function->new_live_addr),
		                  "new_size", json_count(function->new_size)));
	}
	return functions;
}

/** What replaces nothing: new functions, and parts of functions. */
static json_t *json_other_code(const struct engine_patch *patch)
{
	json_t *list = json_array();

	for (size_t i = 0; i < patch->num_code; i++)
		json_array_append_new(
			list,
			json_pack("{so so so}", "name",
		                  json_text(patch->code_names[i]), "address",
		                  json_count(patch->code[i].live_addr), "size",
		                  json_count(patch->code[i].size)));
	return list;
}

json_t *json_patch(const struct engine_patches *patches,
                   const struct engine_patch *patch)
{
	return json_pack("{so so so so so so ss so so so so so so so so so so "
	                 "so so sb sb}",
	                 "name", json_text(patch->name), "version",
	                 json_text(patch->version), "description",
	                 json_text(patch->description), "id",
	                 json_hex(patch->id.bytes, DIGEST_SIZE), "module",
	                 json_text(patch->module_name), "build_id",
	                 json_hex(patch->build_id.bytes, patch->build_id.size),
	                 "state", output_state(patch->state), "reason",
	                 json_text(patch->reason ? patch->reason : ""),
	                 "sequence", json_count(patch->sequence), "applied_ns",
	                 json_count(patch->applied_ns), "pause_ns",
	                 json_count(patch->pause_ns), "region_address",
	                 json_count(patch->region_addr), "region_size",
	                 json_count(patch->region_size), "image_bias",
	                 json_count(patch->image_bias), "module_bias",
	                 json_count(patch->module_bias), "num_sites",
	                 json_count(patch->num_sites), "num_calls",
	                 json_count(engine_patch_num_calls(patches, patch)),
	                 "functions", json_functions(patch), "other_code",
	                 json_other_code(patch), "unwindable",
	                 (patch->flags & RECORD_UNWINDABLE) != 0, "symbols",
	                 patch->symbols.tail_size != 0);
}

int json_print(json_t *document)
{
	int rc = document ? json_dumpf(document, stdout, JSON_INDENT(2)) : -1;

	json_decref(document);
	if (rc)
		return output_error(hfx_error_no_memory(), HFX_EXIT_FAILED);
	putchar('\n');
	return HFX_EXIT_DONE;
}

/** hfx_error.h, without its prefix. */
static const struct {
	enum hfx_error_code code;
	const char *name;
} error_codes[] = {
	{HFX_ERROR_NONE, "none"},
	{HFX_ERROR_NO_MEMORY, "no-memory"},
	{HFX_ERROR_OS, "os"},
	{HFX_ERROR_INVALID_ARGUMENT, "invalid-argument"},
	{HFX_ERROR_BUSY, "busy"},
	{HFX_ERROR_UNSUPPORTED, "unsupported"},
	{HFX_ERROR_PERMISSION, "permission"},
	{HFX_ERROR_NO_PROCESS, "no-process"},
	{HFX_ERROR_BAD_BUNDLE, "bad-bundle"},
	{HFX_ERROR_BUNDLE_VERSION, "bundle-version"},
	{HFX_ERROR_BAD_DIGEST, "bad-digest"},
	{HFX_ERROR_BAD_ELF, "bad-elf"},
	{HFX_ERROR_UNTRUSTED, "untrusted"},
	{HFX_ERROR_WITHDRAWN, "withdrawn"},
	{HFX_ERROR_BUILD_MISMATCH, "build-mismatch"},
	{HFX_ERROR_CODE_MISMATCH, "code-mismatch"},
	{HFX_ERROR_UNRESOLVED, "unresolved"},
	{HFX_ERROR_NO_ADDRESS_SPACE, "no-address-space"},
	{HFX_ERROR_ALREADY_APPLIED, "already-applied"},
	{HFX_ERROR_NOT_APPLIED, "not-applied"},
	{HFX_ERROR_ORDER, "order"},
	{HFX_ERROR_BAD_RECORD, "bad-record"},
	{HFX_ERROR_VETOED, "vetoed"},
	{HFX_ERROR_NOT_QUIESCENT, "not-quiescent"},
	{HFX_ERROR_STOP, "stop"},
	{HFX_ERROR_POISONED, "poisoned"},
};

json_t *json_code_of(const struct hfx_error *err)
{
	enum hfx_error_code code = hfx_error_code(err);

	for (size_t i = 0; i < sizeof(error_codes) / sizeof(*error_codes); i++)
		if (error_codes[i].code == code)
			return json_string(error_codes[i].name);
	return json_integer(code);
}
