/* SPDX-License-Identifier: MIT */
#include "debug_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

struct hfx_error *debug_text_set(char **text, const char *format, ...)
{
	va_list args;
	char *made;
	int length;

	va_start(args, format);
	length = vasprintf(&made, format, args);
	va_end(args);
	if (length < 0)
		return hfx_error_no_memory();
	free(*text);
	*text = made;
	return NULL;
}

const char *debug_name(Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);

	return name ? name : "";
}

const char *debug_linkage_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = dwarf_formstring(
		dwarf_attr_integrate(die, DW_AT_linkage_name, &attr));

	if (!name)
		name = dwarf_formstring(dwarf_attr_integrate(
			die, DW_AT_MIPS_linkage_name, &attr));
	return name ? name : debug_name(die);
}

bool debug_flag(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;
	bool flag = false;

	if (dwarf_formflag(dwarf_attr_integrate(die, name, &attr), &flag))
		return false;
	return flag;
}

bool debug_number(Dwarf_Die *die, unsigned name, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (dwarf_formudata(dwarf_attr(die, name, &attr), &value))
		return false;
	*ret = value;
	return true;
}

/** Length of the folders that both begin with, up to a '/' in @p path. */
static size_t common_length(const char *path, const char *folder)
{
	size_t common = 0;
	size_t i;

	for (i = 0; path[i] && folder[i] && path[i] == folder[i]; i++) {
		if (path[i] == '/')
			common = i;
	}
	return path[i] == '/' && !folder[i] ? i : common;
}

static size_t count_folders(const char *path)
{
	size_t count = 0;

	for (; *path; path++)
		count += path[0] == '/' && path[1] && path[1] != '/';
	return count;
}

/*
 * Two builds of one source in two folders must give one text: what lies
 * beside the folder of the build is told from there too ("../src/main.c").
 */
struct hfx_error *debug_path_relative(const char *path, const char *folder,
                                      char **ret)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	size_t common;

	while (path[0] == '.' && path[1] == '/')
		path += 2;
	common = folder && path[0] == '/' ? common_length(path, folder) : 0;
	if (common > 0) {
		size_t up = count_folders(folder + common);

		path += common;
		path += strspn(path, "/");
		HFX_TRY(debug_text_set(&text, "%s", path));
		while (up-- > 0)
			HFX_TRY(debug_text_set(&text, "../%s", text));
	} else {
		HFX_TRY(debug_text_set(&text, "%s", path));
	}
	*ret = HFX_TAKE(text);
	return NULL;
}

struct hfx_error *debug_place_text(const char *file, const char *folder,
                                   int line, char **ret)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;

	if (!file || line <= 0)
		return debug_text_set(ret, "%s", "");
	HFX_TRY(debug_path_relative(file, folder, &text));
	HFX_TRY(debug_text_set(&text, "%s:%d", text, line));
	*ret = HFX_TAKE(text);
	return NULL;
}

/**
 * File of DW_AT_decl_file, and the build folder of the line table that lists
 * it: type units have no DW_AT_comp_dir.
 */
static const char *declaration_file(Dwarf_Die *die, const char **folder_ret)
{
	const char *const *folders;
	size_t num_folders;
	Dwarf_Attribute attr;
	Dwarf_Word index;
	Dwarf_Die unit;
	Dwarf_Files *files;
	size_t num_files;

	if (!dwarf_attr_integrate(die, DW_AT_decl_file, &attr) ||
	    dwarf_formudata(&attr, &index) ||
	    dwarf_cu_info(attr.cu, NULL, NULL, &unit, NULL, NULL, NULL, NULL) ||
	    dwarf_getsrcfiles(&unit, &files, &num_files) ||
	    dwarf_getsrcdirs(files, &folders, &num_folders))
		return NULL;
	*folder_ret = num_folders > 0 ? folders[0] : NULL;
	return dwarf_filesrc(files, index, NULL, NULL);
}

/*
 * For people, who look into the sources from a folder that holds the build's,
 * too: "src/main.c:3" says more than "../../src/main.c:3".
 */
/* dwarf_decl_file() aborts where the unit's file names cannot be read. */
const char *debug_declaration_file(Dwarf_Die *die)
{
	const char *folder;

	return declaration_file(die, &folder);
}

struct hfx_error *debug_declaration_place(Dwarf_Die *die, char **ret)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	const char *folder = NULL;
	const char *file = declaration_file(die, &folder);
	const char *shown;
	int line = 0;

	if (dwarf_decl_line(die, &line))
		line = 0;
	HFX_TRY(debug_place_text(file, folder, line, &text));
	for (shown = text; !strncmp(shown, "../", 3);)
		shown += 3;
	*ret = NULL;
	return debug_text_set(ret, "%s", shown);
}
