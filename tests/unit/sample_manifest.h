/* SPDX-License-Identifier: MIT */
/**
 * @file sample_manifest.h
 *
 * A manifest with one of everything, for tests of what reads and writes it.
 */
#ifndef HFX_TESTS_SAMPLE_MANIFEST_H
#define HFX_TESTS_SAMPLE_MANIFEST_H

#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "manifest.h"

static inline void sample_function(struct manifest_function *function,
                                   const char *name, const char *signature)
{
	*function = (struct manifest_function){
		.name = strdup(name),
		.linkage_name = strdup(name),
		.unit = strdup("src/request.c"),
		.signature = strdup(signature),
		.signature_digest = digest_of(signature, strlen(signature)),
		.source = strdup("src/request.c:120"),
		.reason = strdup("size 362 -> 389"),
		.kind = MANIFEST_FUNCTION_NEW,
		.whole = MANIFEST_NO_WHOLE,
		.new_addr = 4704,
		.new_size = 389,
		.new_entry = 4,
	};
}

static inline void sample_functions(struct manifest_module *module)
{
	struct manifest_function *functions = calloc(3, sizeof(*functions));

	sample_function(&functions[0], "process_request",
	                "int process_request(parser_t *pr, const char *cmd)");
	functions[0].kind = MANIFEST_FUNCTION_CHANGED;
	functions[0].old_addr = 4660;
	functions[0].old_size = 362;
	functions[0].old_digest = digest_of("old", 3);
	functions[0].old_entry = 4;
	sample_function(&functions[1], "is_separator", "");
	functions[1].new_size = 3;
	functions[1].new_entry = MANIFEST_NO_ENTRY;
	sample_function(&functions[2], "process_request.cold", "");
	functions[2].kind = MANIFEST_FUNCTION_PART;
	functions[2].new_entry = MANIFEST_NO_ENTRY;
	functions[2].whole = 0;
	module->functions = functions;
	module->num_functions = 3;
}

static inline void sample_module(struct manifest_module *module)
{
	module->name = strdup("server");
	memset(module->old_build_id.bytes, 0xab, 20);
	module->old_build_id.size = 20;
	memset(module->new_build_id.bytes, 0xcd, 20);
	module->new_build_id.size = 20;
	module->image_member = strdup("modules/0.so");
	sample_functions(module);
	module->old_code = calloc(1, sizeof(*module->old_code));
	module->old_code[0] = (struct manifest_old_code){0, 1200, 17};
	module->num_old_code = 1;
	module->needs_safe_point = true;
	module->calls = calloc(2, sizeof(*module->calls));
	module->calls[0] = (struct manifest_call){0, 1300};
	module->calls[1] = (struct manifest_call){0, 1305};
	module->num_calls = 2;
	module->imports = calloc(1, sizeof(*module->imports));
	module->imports[0] = (struct manifest_import){
		strdup("memchr"), strdup("GLIBC_2.2.5"), strdup("libc.so.6")};
	module->num_imports = 1;
	module->objects = calloc(1, sizeof(*module->objects));
	module->objects[0] = (struct manifest_object){
		strdup("limit"), strdup("src/request.c"), 8192, 4};
	module->num_objects = 1;
	module->shadow_table_addr = 8256;
	module->hook_addrs[MANIFEST_POST_APPLY] = 4720;
	module->hook_starter_addr = 4800;
	module->unwinder =
		(struct manifest_unwinder){4096, 30, digest_of("unwinder", 8)};
	module->warnings = calloc(1, sizeof(*module->warnings));
	module->warnings[0] = strdup("struct parser grows from 40 to 48 bytes");
	module->num_warnings = 1;
	module->accepted_types = calloc(1, sizeof(*module->accepted_types));
	module->accepted_types[0] = strdup("struct parser");
	module->num_accepted_types = 1;
}

static inline struct manifest *sample_manifest(void)
{
	struct manifest *manifest = calloc(1, sizeof(*manifest));

	manifest->name = strdup("fix");
	manifest->version = strdup("1.2");
	manifest->description = strdup("Bounds check in the parser\nof \"é\"");
	manifest->generator = strdup("hfx-bundle 0.1.0");
	manifest->created = 1700000000;
	manifest->modules = calloc(1, sizeof(*manifest->modules));
	manifest->num_modules = 1;
	sample_module(&manifest->modules[0]);
	return manifest;
}

/** Put @p text in place of a string of the manifest. */
static inline void sample_set(char **string, const char *text)
{
	free(*string);
	*string = strdup(text);
}

#endif /* HFX_TESTS_SAMPLE_MANIFEST_H */
