/* SPDX-License-Identifier: MIT */
#include "build_text.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/*
 * Forms of ISO C 6.10.8.1 and of gcc's __TIMESTAMP__, longest first: 'M' is a
 * month and 'D' a day, with two dots for the rest of their three letters, '0' a
 * digit, '_' a digit or a blank, anything else itself.
 */
static const char *const forms[] = {
	"D.. M.. _0 00:00:00 0000",
	"M.. _0 0000",
	"00:00:00",
};

static bool is_among(const char *text, const char *names)
{
	for (; *names; names += 3)
		if (!strncmp(text, names, 3))
			return true;
	return false;
}

static bool fits(const char *text, char kind)
{
	switch (kind) {
	case 'M':
		return is_among(text, "JanFebMarAprMayJunJulAugSepOctNovDec");
	case 'D':
		return is_among(text, "SunMonTueWedThuFriSat");
	case '.':
		return isalpha((unsigned char)*text);
	case '0':
		return isdigit((unsigned char)*text);
	case '_':
		return *text == ' ' || isdigit((unsigned char)*text);
	default:
		return *text == kind;
	}
}

/* Length of `form` if the text begins with one of that form, else 0. */
static size_t form_length(const char *text, const char *form)
{
	size_t length = strlen(form);

	if (strnlen(text, length) < length)
		return 0;
	for (size_t i = 0; i < length; i++) {
		if (!fits(text + i, form[i]))
			return 0;
		if (form[i] == 'M' || form[i] == 'D')
			i += 2;
	}
	return length;
}

static size_t date_length(const char *text)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		size_t length = form_length(text, forms[i]);

		if (length)
			return length;
	}
	return 0;
}

static bool differ_by_date(const char *a, const char *b)
{
	while (*a && *b) {
		size_t length = date_length(a);

		if (length && length == date_length(b)) {
			a += length;
			b += length;
		} else if (*a++ != *b++) {
			return false;
		}
	}
	return *a == *b;
}

/* What follows the folder in a path below it, or NULL. */
static const char *below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return length > 1 && !strncmp(path, folder, length) &&
	                       path[length] == '/'
	               ? path + length
	               : NULL;
}

enum build_text build_text_compare(const char *old_text, const char *new_text,
                                   const char *old_folder,
                                   const char *new_folder)
{
	const char *a = below(old_text, old_folder);
	const char *b = below(new_text, new_folder);

	if (!strcmp(old_text, new_text))
		return BUILD_TEXT_NONE;
	if (a && b && !strcmp(a, b))
		return BUILD_TEXT_FOLDER;
	return differ_by_date(old_text, new_text) ? BUILD_TEXT_DATE
	                                          : BUILD_TEXT_NONE;
}
