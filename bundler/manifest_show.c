/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "cleanup.h"
#include "manifest_show.h"
#include "utc_day.h"

static void show_digest(FILE *out, const char *label,
                        const struct digest *digest)
{
	char text[2 * DIGEST_SIZE + 1];

	hex_encode(digest->bytes, DIGEST_SIZE, text);
	fprintf(out, "  %-13s %s\n", label, text);
}

static void show_build_id(FILE *out, const char *label,
                          const struct build_id *id)
{
	char text[2 * BUILD_ID_MAX + 1];

	hex_encode(id->bytes, id->size, text);
	fprintf(out, "  %-13s %s\n", label, id->size ? text : "none");
}

/* Further lines stand below the first, so that they cannot pass for others. */
static void show_text(FILE *out, const char *label, const char *text)
{
	while (*text) {
		int length = (int)strcspn(text, "\n");

		fprintf(out, "  %-13s %.*s\n", label, length, text);
		text += length;
		text += *text == '\n';
		label = "";
	}
}

static void show_created(FILE *out, uint64_t created)
{
	time_t seconds = (time_t)created;
	char text[64];
	struct tm date;

	if (!created || !gmtime_r(&seconds, &date))
		return;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &date);
	show_text(out, "created", text);
}

static void show_sizes(FILE *out, const struct manifest_function *function)
{
	if (function->kind == MANIFEST_FUNCTION_CHANGED)
		fprintf(out, ", %" PRIu64 " -> %" PRIu64 " bytes",
		        function->old_size, function->new_size);
	else
		fprintf(out, ", %" PRIu64 " bytes", function->new_size);
}

static void show_function(FILE *out, const struct manifest_function *function)
{
	static const char *const kinds[] = {
		[MANIFEST_FUNCTION_CHANGED] = "changed",
		[MANIFEST_FUNCTION_NEW] = "new",
		[MANIFEST_FUNCTION_PART] = "part",
	};
	const char *place =
		*function->source ? function->source : function->unit;

	fprintf(out, "    %-8s %s", kinds[function->kind],
	        *function->signature ? function->signature : function->name);
	if (*place)
		fprintf(out, ", %s", place);
	show_sizes(out, function);
	if (*function->reason)
		fprintf(out, ": %s", function->reason);
	fputc('\n', out);
}

static void show_import(FILE *out, const struct manifest_import *import)
{
	fprintf(out, "    %s", import->name);
	if (*import->version)
		fprintf(out, "@%s", import->version);
	if (*import->library)
		fprintf(out, ", %s", import->library);
	fputc('\n', out);
}

static void show_object(FILE *out, const struct manifest_object *object)
{
	fprintf(out, "    %s", object->name);
	if (*object->unit)
		fprintf(out, ", %s", object->unit);
	fprintf(out, ", %" PRIu64 " bytes\n", object->new_size);
}

static void show_heading(FILE *out, const char *text, size_t count)
{
	if (count)
		fprintf(out, "  %s\n", text);
}

static void show_accepted(FILE *out, const char *what, char *const *names,
                          size_t count)
{
	show_heading(out, what, count);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "    %s\n", names[i]);
}

static void show_hooks(FILE *out, const struct manifest_module *module)
{
	if (!module->hook_starter_addr)
		return;
	fprintf(out, "  %-13s", "hooks");
	for (size_t i = 0; i < MANIFEST_NUM_HOOKS; i++)
		if (module->hook_addrs[i])
			fprintf(out, " %s", manifest_hook_names[i]);
	fprintf(out, "\n");
}

static void show_module(FILE *out, const struct manifest_module *module)
{
	fprintf(out, "module %s\n", module->name);
	show_build_id(out, "old build-id", &module->old_build_id);
	show_build_id(out, "new build-id", &module->new_build_id);
	fprintf(out, "  %-13s %s, %" PRIu64 " bytes\n", "image",
	        module->image_member, module->image_size);
	if (module->needs_safe_point)
		fprintf(out, "  %-13s %s\n", "apply",
		        "at a safe point only, without --allow-active");
	if (module->unwinder.old_size)
		fprintf(out, "  %-13s %s\n", "unwinder", "the module's own");
	show_hooks(out, module);
	show_heading(out, "functions", module->num_functions);
	for (size_t i = 0; i < module->num_functions; i++)
		show_function(out, &module->functions[i]);
	show_heading(out, "imports", module->num_imports);
	for (size_t i = 0; i < module->num_imports; i++)
		show_import(out, &module->imports[i]);
	show_heading(out, "new objects", module->num_objects);
	for (size_t i = 0; i < module->num_objects; i++)
		show_object(out, &module->objects[i]);
	show_accepted(out, "accepted types", module->accepted_types,
	              module->num_accepted_types);
	show_accepted(out, "accepted data", module->accepted_data,
	              module->num_accepted_data);
	show_heading(out, "warnings", module->num_warnings);
	for (size_t i = 0; i < module->num_warnings; i++)
		fprintf(out, "    %s\n", module->warnings[i]);
}

static void show_count(FILE *out, size_t count, const char *singular,
                       const char *plural, const char *end)
{
	fprintf(out, "%zu %s%s", count, count == 1 ? singular : plural, end);
}

static void show_totals(FILE *out, const struct manifest *manifest)
{
	size_t kinds[3] = {0}, num_imports = 0, num_objects = 0;
	uint64_t size = 0;

	for (size_t i = 0; i < manifest->num_modules; i++) {
		const struct manifest_module *module = &manifest->modules[i];

		for (size_t f = 0; f < module->num_functions; f++)
			kinds[module->functions[f].kind]++;
		num_imports += module->num_imports;
		num_objects += module->num_objects;
		size += module->image_size;
	}
	fputs("total: ", out);
	show_count(out, kinds[MANIFEST_FUNCTION_CHANGED], "function",
	           "functions", " changed, ");
	show_count(out, kinds[MANIFEST_FUNCTION_NEW], "new", "new", ", ");
	show_count(out, kinds[MANIFEST_FUNCTION_PART], "part", "parts", ", ");
	show_count(out, num_imports, "import", "imports", ", ");
	show_count(out, num_objects, "new object", "new objects", ", ");
	fprintf(out, "%" PRIu64 " bytes of code and data\n", size);
}

void manifest_show_signer(FILE *out, const struct bundle *bundle)
{
	const struct signer *signer = &bundle->signer;

	if (!bundle->signature) {
		fputs("nobody", out);
		return;
	}
	if (*signer->name)
		fprintf(out, "%s, ", signer->name);
	fprintf(out, "key %s", signer->key_id.text);
	if (signer->timestamp)
		fprintf(out, ", %s", utc_day_format(signer->timestamp).text);
	if (!*signer->name)
		fputs(" (not checked: give --trust)", out);
}

void manifest_show(FILE *out, const struct bundle *bundle)
{
	const struct manifest *manifest = bundle->manifest;

	fprintf(out, "patch %s\n", manifest->name);
	show_text(out, "version", manifest->version);
	show_text(out, "description", manifest->description);
	show_digest(out, "id", &bundle->id);
	fprintf(out, "  %-13s ", "signed by");
	manifest_show_signer(out, bundle);
	fputc('\n', out);
	show_created(out, manifest->created);
	show_text(out, "generator", manifest->generator);
	for (size_t i = 0; i < manifest->num_modules; i++)
		show_module(out, &manifest->modules[i]);
	show_totals(out, manifest);
}

static json_t *signature_json(const struct bundle *bundle)
{
	const struct signer *signer = &bundle->signer;

	if (!bundle->signature)
		return json_null();
	return json_pack(
		"{s:s, s:o, s:s, s:o}", "key_id", signer->key_id.text,
		"trusted_as",
		*signer->name ? json_string(signer->name) : json_null(),
		"trusted_comment", bundle->signature->trusted_comment,
		"timestamp",
		signer->timestamp ? json_integer((json_int_t)signer->timestamp)
				  : json_null());
}

static void put_json(json_t **json)
{
	json_decref(*json);
}

struct hfx_error *manifest_show_json(FILE *out, const struct bundle *bundle)
{
	HFX_CLEANUP(put_json) json_t *object = NULL;
	char id[2 * DIGEST_SIZE + 1];
	json_t *manifest;

	hex_encode(bundle->id.bytes, DIGEST_SIZE, id);
	manifest = json_loadb((const char *)bundle->manifest_text.data,
	                      bundle->manifest_text.size, 0, NULL);
	/* bundle_parse() has read this text already: only memory can lack. */
	object = json_pack("{s:s, s:o, s:o}", "id", id, "signature",
	                   signature_json(bundle), "manifest", manifest);
	if (!object)
		return hfx_error_no_memory();
	if (json_dumpf(object, out, JSON_INDENT(2)) < 0 ||
	    fputc('\n', out) == EOF)
		return hfx_error_os(errno ? errno : EIO,
		                    "cannot write the manifest");
	return NULL;
}
