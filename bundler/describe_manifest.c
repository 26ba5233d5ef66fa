/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "describe_calls.h"
#include "hooks.h"
#include "image.h"
#include "own_unwinder.h"
#include "place.h"

/* The largest time that the header of an archive's member holds. */
#define MAX_CREATED 077777777777

static bool copy_texts(const struct report_function *from,
                       struct manifest_function *to)
{
	to->name = strdup(from->name);
	to->linkage_name = strdup(from->linkage_name);
	to->unit = strdup(from->unit);
	to->signature = strdup(from->signature);
	to->source = strdup(from->source);
	to->reason = strdup(from->reason);
	return to->name && to->linkage_name && to->unit && to->signature &&
	       to->source && to->reason;
}

static enum manifest_function_kind manifest_kind(enum report_kind kind)
{
	switch (kind) {
	case REPORT_NEW:
		return MANIFEST_FUNCTION_NEW;
	case REPORT_PART:
		return MANIFEST_FUNCTION_PART;
	default:
		return MANIFEST_FUNCTION_CHANGED;
	}
}

static struct hfx_error *describe_old(const struct selection *selection,
                                      const struct function *function,
                                      struct manifest_function *ret)
{
	const struct function *old =
		&selection->old_program->functions[function->peer];
	struct entry entry = entry_check(selection->old_entries, old);
	const uint8_t *code =
		program_bytes(selection->old_program, old->addr, entry.size);

	if (!code)
		return hfx_error_create(HFX_ERROR_BAD_ELF,
		                        "%s: the code of %s is not in the file",
		                        selection->old_program->path,
		                        ret->linkage_name);
	ret->old_addr = old->addr;
	ret->old_size = entry.size;
	ret->old_entry = entry.off;
	ret->old_digest = digest_of(code, entry.size);
	return NULL;
}

static struct hfx_error *describe_function(const struct selection *selection,
                                           const struct report_function *from,
                                           struct manifest_function *ret)
{
	const struct function *function =
		program_function_at(selection->new_program, from->new_addr);

	if (!copy_texts(from, ret))
		return hfx_error_no_memory();
	ret->signature_digest =
		digest_of(ret->signature, strlen(ret->signature));
	ret->kind = function->keeps_entry && from->kind == REPORT_CHANGED
	                    ? MANIFEST_FUNCTION_NEW
	                    : manifest_kind(from->kind);
	ret->new_addr = from->new_addr;
	ret->new_size = from->new_size;
	ret->new_entry = MANIFEST_NO_ENTRY;
	ret->whole = MANIFEST_NO_WHOLE;
	if (ret->kind == MANIFEST_FUNCTION_PART)
		return NULL;
	struct entry entry = entry_check(selection->new_entries, function);
	if (!entry.refusal && entry.size == function->size)
		ret->new_entry = entry.off;
	return ret->kind == MANIFEST_FUNCTION_CHANGED
	               ? describe_old(selection, function, ret)
	               : NULL;
}

static struct hfx_error *describe_functions(const struct selection *selection,
                                            const struct report *report,
                                            struct manifest_module *module)
{
	module->functions =
		calloc(report->num_functions + 1, sizeof(*module->functions));
	if (!module->functions)
		return hfx_error_no_memory();
	for (size_t i = 0; i < report->num_functions; i++)
		if (report->functions[i].kind != REPORT_REMOVED)
			HFX_TRY(describe_function(
				selection, &report->functions[i],
				&module->functions[module->num_functions++]));
	return NULL;
}

/* Where each function of NEW stands in the manifest, or NO_INDEX. */
static uint32_t *index_functions(const struct program *program,
                                 const struct manifest_module *module)
{
	uint32_t *indexes =
		malloc((program->num_functions + 1) * sizeof(*indexes));

	if (!indexes)
		return NULL;
	for (size_t i = 0; i < program->num_functions; i++)
		indexes[i] = NO_INDEX;
	for (size_t i = 0; i < module->num_functions; i++) {
		const struct function *function = program_function_at(
			program, module->functions[i].new_addr);

		indexes[function - program->functions] = i;
	}
	return indexes;
}

static void describe_wholes(const struct program *program,
                            const uint32_t *indexes,
                            struct manifest_module *module)
{
	for (size_t i = 0; i < program->num_functions; i++) {
		uint32_t parent = program->functions[i].parent;

		if (indexes[i] != NO_INDEX && parent != NO_INDEX &&
		    indexes[parent] != NO_INDEX)
			module->functions[indexes[i]].whole = indexes[parent];
	}
}

/*
 * The function of NEW that takes the place of code of OLD for which no function
 * of the manifest has `old`: cold parts, and functions that keep their entry.
 */
static uint32_t taken_by(const struct selection *selection,
                         const struct function *old)
{
	const struct program *program = selection->old_program;
	bool is_part = old->parent != NO_INDEX;
	uint32_t peer =
		is_part ? program->functions[old->parent].peer : old->peer;

	if (peer == NO_INDEX)
		return NO_INDEX;
	return is_part || selection->new_program->functions[peer].keeps_entry
	               ? peer
	               : NO_INDEX;
}

static struct hfx_error *describe_old_code(const struct selection *selection,
                                           const uint32_t *indexes,
                                           struct manifest_module *module)
{
	const struct program *program = selection->old_program;

	module->old_code =
		calloc(program->num_functions + 1, sizeof(*module->old_code));
	if (!module->old_code)
		return hfx_error_no_memory();
	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *old = &program->functions[i];
		uint32_t function = taken_by(selection, old);

		if (function == NO_INDEX || indexes[function] == NO_INDEX)
			continue;
		module->old_code[module->num_old_code++] =
			(struct manifest_old_code){indexes[function], old->addr,
		                                   old->size};
	}
	return NULL;
}

static struct hfx_error *describe_places(const struct selection *selection,
                                         struct manifest_module *module)
{
	const struct program *program = selection->new_program;
	uint32_t *indexes = index_functions(program, module);

	if (!indexes)
		return hfx_error_no_memory();
	describe_wholes(program, indexes, module);
	struct hfx_error *err = describe_old_code(selection, indexes, module);
	if (!err)
		err = describe_calls(selection, indexes, module);
	free(indexes);
	return err;
}

static struct hfx_error *describe_imports(const struct selection *selection,
                                          struct manifest_module *module)
{
	const struct image_description *image = &selection->closure.image;

	module->imports =
		calloc(image->num_imports + 1, sizeof(*module->imports));
	if (!module->imports)
		return hfx_error_no_memory();
	for (size_t i = 0; i < image->num_imports; i++) {
		const struct image_import *from = &image->imports[i];
		struct manifest_import *to = &module->imports[i];

		module->num_imports++;
		to->name = strdup(from->name);
		to->version = strdup(from->version);
		to->library = strdup(from->library);
		if (!to->name || !to->version || !to->library)
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *describe_objects(const struct selection *selection,
                                          struct manifest_module *module)
{
	const struct closure *closure = &selection->closure;

	module->objects =
		calloc(closure->num_new_objects + 1, sizeof(*module->objects));
	if (!module->objects)
		return hfx_error_no_memory();
	for (size_t i = 0; i < closure->num_new_objects; i++) {
		const struct symbol *from =
			&selection->new_program
				 ->symbols[closure->new_objects[i]];
		struct manifest_object *to = &module->objects[i];

		module->num_objects++;
		to->name = strdup(from->name);
		to->unit = strdup(from->file);
		to->new_addr = from->addr;
		to->new_size = from->size;
		if (!to->name || !to->unit)
			return hfx_error_no_memory();
		if (!strcmp(from->name, IMAGE_SHADOW_TABLE))
			module->shadow_table_addr = from->addr;
	}
	return NULL;
}

static struct hfx_error *describe_warnings(const struct report *report,
                                           struct manifest_module *module)
{
	module->warnings =
		calloc(report->num_warnings + 1, sizeof(*module->warnings));
	if (!module->warnings)
		return hfx_error_no_memory();
	for (size_t i = 0; i < report->num_warnings; i++) {
		module->warnings[i] = strdup(report->warnings[i]);
		module->num_warnings++;
		if (!module->warnings[i])
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *copy_names(char *const *names, size_t count,
                                    char ***names_ret, size_t *count_ret)
{
	*names_ret = calloc(count + 1, sizeof(**names_ret));
	if (!*names_ret)
		return hfx_error_no_memory();
	for (size_t i = 0; i < count; i++) {
		(*names_ret)[i] = strdup(names[i]);
		++*count_ret;
		if (!(*names_ret)[i])
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *describe_accepted(const struct report *report,
                                           struct manifest_module *module)
{
	HFX_TRY(copy_names(report->accepted_types, report->num_accepted_types,
	                   &module->accepted_types,
	                   &module->num_accepted_types));
	return copy_names(report->accepted_data, report->num_accepted_data,
	                  &module->accepted_data, &module->num_accepted_data);
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct hfx_error *describe_module(const struct selection *selection,
                                  const struct report *report,
                                  struct manifest_module *module)
{
	module->name = strdup(file_name(selection->old_program->path));
	module->image_member = strdup("modules/0.so");
	if (!module->name || !module->image_member)
		return hfx_error_no_memory();
	module->old_build_id = selection->old_program->build_id;
	module->new_build_id = selection->new_program->build_id;
	module->needs_safe_point = selection_needs_safe_point(selection);
	HFX_TRY(describe_functions(selection, report, module));
	HFX_TRY(hooks_describe(selection->new_program, module));
	HFX_TRY(own_unwinder_describe(selection->old_program, module));
	HFX_TRY(describe_places(selection, module));
	HFX_TRY(describe_imports(selection, module));
	HFX_TRY(describe_objects(selection, module));
	HFX_TRY(describe_accepted(report, module));
	return describe_warnings(report, module);
}

/* "fix" of "some/where/fix.hfx". */
static char *name_from_path(const char *path)
{
	const char *name = file_name(path);
	size_t length = strlen(name);

	if (length > 4 && !strcmp(name + length - 4, ".hfx"))
		length -= 4;
	return strndup(name, length);
}

struct hfx_error *describe_source_date(uint64_t *ret)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;

	*ret = 0;
	if (!text || !*text)
		return NULL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (*end || errno || *text < '0' || *text > '9' || *ret > MAX_CREATED)
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"SOURCE_DATE_EPOCH is \"%s\": give seconds since 1970, "
			"or do not set it",
			text);
	return NULL;
}

static struct hfx_error *fill_patch(const struct diff_options *options,
                                    size_t max_modules,
                                    struct manifest *manifest)
{
	manifest->name = options->name ? strdup(options->name)
	                               : name_from_path(options->output_path);
	manifest->version = strdup(options->version ? options->version : "");
	manifest->description =
		strdup(options->description ? options->description : "");
	manifest->generator = strdup("hfx-bundle " HFX_VERSION);
	manifest->modules = calloc(max_modules, sizeof(*manifest->modules));
	if (!manifest->name || !manifest->version || !manifest->description ||
	    !manifest->generator || !manifest->modules)
		return hfx_error_no_memory();
	HFX_TRY(describe_source_date(&manifest->created));
	/* What hfx takes for an option could only be reverted behind "--". */
	if (manifest_name_is_valid(manifest->name) && *manifest->name != '-')
		return NULL;
	return hfx_error_create(
		HFX_ERROR_INVALID_ARGUMENT,
		"\"%s\" cannot be the name of a patch; give one of letters, "
		"digits and ._+- that does not begin with - by --name",
		manifest->name);
}

struct hfx_error *describe_patch(const struct diff_options *options,
                                 size_t max_modules, struct manifest **ret)
{
	struct manifest *manifest = calloc(1, sizeof(*manifest));
	struct hfx_error *err;

	if (!manifest)
		return hfx_error_no_memory();
	err = fill_patch(options, max_modules, manifest);
	if (err) {
		manifest_destroy(manifest);
		return err;
	}
	*ret = manifest;
	return NULL;
}
