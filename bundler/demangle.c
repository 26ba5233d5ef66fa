/* SPDX-License-Identifier: MIT */
#include "demangle.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

#include "cleanup.h"

/** Longer names stay as they are: demangled, they could be without end. */
#define MAX_NAME 4096

static bool is_of_name(char character)
{
	return isalnum((unsigned char)character) || character == '_' ||
	       character == '$';
}

/** Length of the linkage name that @p at begins with; 0 if none does. */
static size_t name_length(const char *text, const char *at)
{
	size_t length = 0;

	if (strncmp(at, "_Z", 2) != 0 ||
	    (at > text && (is_of_name(at[-1]) || at[-1] == '.')))
		return 0;
	while (is_of_name(at[length]))
		length++;
	return length;
}

/* DWARF has no tags of the ABI, and patterns of --skip do not match them. */
static void put_without_tags(FILE *out, const char *name)
{
	static const char tag[] = "[abi:";

	while (*name) {
		const char *end = strncmp(name, tag, strlen(tag)) == 0
		                          ? strchr(name, ']')
		                          : NULL;

		if (end)
			name = end + 1;
		else
			fputc(*name++, out);
	}
}

static void put_name(FILE *out, const char *at, size_t length)
{
	HFX_CLEANUP(hfx_free) char *mangled = NULL;
	HFX_CLEANUP(hfx_free) char *name = NULL;

	if (length <= MAX_NAME)
		mangled = strndup(at, length);
	if (mangled)
		name = cplus_demangle_v3(mangled, DMGL_PARAMS | DMGL_ANSI);
	if (name)
		put_without_tags(out, name);
	else
		fwrite(at, 1, length, out);
}

char *demangle_names(const char *text)
{
	char *result = NULL;
	size_t size = 0;
	FILE *out = strstr(text, "_Z") ? open_memstream(&result, &size) : NULL;
	const char *at = text;

	if (!out)
		return strdup(text);
	while (*at) {
		size_t length = name_length(text, at);

		if (length)
			put_name(out, at, length);
		else
			fputc(*at, out);
		at += length ? length : 1;
	}
	if (fclose(out) == 0)
		return result;
	free(result);
	return NULL;
}
