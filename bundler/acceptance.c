/* SPDX-License-Identifier: MIT */
#include "acceptance.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

void acceptances_deinit(struct acceptances *accepted)
{
	for (size_t i = 0; i < accepted->num_types; i++)
		free(accepted->types[i]);
	for (size_t i = 0; i < accepted->num_data; i++)
		free(accepted->data[i]);
	free(accepted->types);
	free(accepted->data);
	*accepted = (struct acceptances){0};
}

static bool is_there(char **names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

struct hfx_error *acceptances_add_type(struct acceptances *accepted,
                                       const char *name)
{
	if (is_there(accepted->types, accepted->num_types, name))
		return NULL;
	char *copy = strdup(name);
	if (copy && HFX_ARRAY_PUSH(accepted, types, copy))
		return NULL;
	free(copy);
	return hfx_error_no_memory();
}

struct hfx_error *acceptances_add_data(struct acceptances *accepted,
                                       const char *name)
{
	if (is_there(accepted->data, accepted->num_data, name))
		return NULL;
	char *copy = strdup(name);
	if (copy && HFX_ARRAY_PUSH(accepted, data, copy))
		return NULL;
	free(copy);
	return hfx_error_no_memory();
}

static bool matches(const struct patterns *patterns, const char *name)
{
	for (size_t i = 0; i < patterns->num_items; i++)
		if (!fnmatch(patterns->items[i], name, 0))
			return true;
	return false;
}

/* "in" of "struct in"; of a C++ name, which has no keyword, all of it. */
static const char *without_keyword(const char *name)
{
	static const char *const keywords[] = {"struct ", "union ", "enum "};

	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++)
		if (!strncmp(name, keywords[i], strlen(keywords[i])))
			return name + strlen(keywords[i]);
	return name;
}

bool acceptance_of_type(const struct patterns *patterns, const char *name)
{
	return matches(patterns, name) ||
	       matches(patterns, without_keyword(name));
}

bool acceptance_of_data(const struct patterns *patterns, const char *name)
{
	return matches(patterns, name);
}
