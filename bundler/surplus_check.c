/* SPDX-License-Identifier: MIT */
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "data_check.h"
#include "elf_file.h"

#define REMEDY_LIBRARY                                                         \
	"Load the library in the program before (dlopen, LD_PRELOAD), or "     \
	"leave the functions that need it out with --skip"

#define MAX_NAMED 4

struct libraries {
	const char **items;
	size_t num_items;
	size_t cap_items;
};

static void libraries_deinit(struct libraries *libraries)
{
	free(libraries->items);
}

static struct hfx_error *read_libraries(const struct program *program,
                                        struct libraries *ret)
{
	Elf *elf = program->elf->elf;
	GElf_Shdr shdr;
	Elf_Scn *scn = elf_find_section(elf, SHT_DYNAMIC, NULL, &shdr);
	Elf_Data *data = scn ? elf_getdata(scn, NULL) : NULL;
	GElf_Dyn dynamic;

	for (int i = 0; data && gelf_getdyn(data, i, &dynamic); i++) {
		const char *name;

		if (dynamic.d_tag == DT_NULL)
			break;
		if (dynamic.d_tag != DT_NEEDED)
			continue;
		name = elf_strptr(elf, shdr.sh_link, dynamic.d_un.d_val);
		if (!name)
			return elf_file_error(program->elf, ".dynstr");
		if (!HFX_ARRAY_PUSH(ret, items, name))
			return hfx_error_no_memory();
	}
	return NULL;
}

static bool has(const struct libraries *libraries, const char *name)
{
	for (size_t i = 0; i < libraries->num_items; i++)
		if (!strcmp(libraries->items[i], name))
			return true;
	return false;
}

/** Refuse the imports that may be of a library that OLD does not need. */
static struct hfx_error *check_imports(struct selection *selection,
                                       const char *library, size_t *count)
{
	const struct image_description *image = &selection->closure.image;

	*count = 0;
	for (size_t i = 0; i < image->num_imports; i++) {
		const struct image_import *import = &image->imports[i];
		bool is_known = import->library && *import->library;

		if (is_known && strcmp(import->library, library) != 0)
			continue;
		++*count;
		HFX_TRY(refusals_add_at(
			&selection->closure.refusals, "", import->name,
			REMEDY_LIBRARY,
			"new code imports it, %s %s, which the old build does "
			"not need and the process may not have loaded",
			is_known ? "from" : "perhaps from", library));
	}
	return NULL;
}

static struct hfx_error *check_libraries(struct selection *selection,
                                         struct warnings *warnings)
{
	HFX_CLEANUP(libraries_deinit) struct libraries old_libraries = {0};
	HFX_CLEANUP(libraries_deinit) struct libraries new_libraries = {0};

	HFX_TRY(read_libraries(selection->old_program, &old_libraries));
	HFX_TRY(read_libraries(selection->new_program, &new_libraries));
	for (size_t i = 0; i < new_libraries.num_items; i++) {
		const char *name = new_libraries.items[i];
		size_t count;

		if (has(&old_libraries, name))
			continue;
		HFX_TRY(check_imports(selection, name, &count));
		if (!count)
			HFX_TRY(warnings_add(warnings,
			                     "the new build needs %s, which "
			                     "the patch does not use",
			                     name));
	}
	return NULL;
}

/* ---- Functions that only OLD has ---------------------------------------- */

static bool still_runs(const struct selection *selection, uint32_t function)
{
	uint32_t peer = selection->old_program->functions[function].peer;

	return peer != NO_INDEX &&
	       !function_is_replaced(&selection->new_program->functions[peer]);
}

static struct hfx_error *callers_of(const struct selection *selection,
                                    uint32_t function, char **ret)
{
	const struct program *old = selection->old_program;
	size_t size, num_callers, count = 0;
	const uint32_t *callers = call_graph_callers(selection->old_calls,
	                                             function, &num_callers);
	FILE *out = open_memstream(ret, &size);

	if (!out)
		return hfx_error_no_memory();
	for (size_t i = 0; i < num_callers; i++)
		if (still_runs(selection, callers[i]) && count++ < MAX_NAMED)
			fprintf(out, "%s%s", count > 1 ? ", " : "",
			        function_name(old,
			                      &old->functions[callers[i]]));
	return fclose(out) ? hfx_error_no_memory() : NULL;
}

static struct hfx_error *check_removed(struct selection *selection,
                                       struct warnings *warnings)
{
	const struct program *old = selection->old_program;

	for (uint32_t i = 0; i < old->num_functions; i++) {
		const struct function *function = &old->functions[i];
		HFX_CLEANUP(hfx_free) char *callers = NULL;

		if (function->peer != NO_INDEX || function->parent != NO_INDEX)
			continue;
		HFX_TRY(callers_of(selection, i, &callers));
		if (*callers)
			HFX_TRY(warnings_add(
				warnings,
				"%s is not in the new build, but code that is "
				"not replaced still calls it: %s",
				function_name(old, function), callers));
	}
	return NULL;
}

struct hfx_error *surplus_check_run(struct selection *selection,
                                    struct warnings *warnings)
{
	HFX_TRY(check_libraries(selection, warnings));
	return check_removed(selection, warnings);
}
