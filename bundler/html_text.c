/* SPDX-License-Identifier: MIT */
#include "html_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cleanup.h"
#include "demangle.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* Length of the UTF-8 character at the start of a text, 0 if there is none. */
static size_t next_character(const uint8_t *text, uint32_t *ret)
{
	static const struct {
		uint8_t mask, mark;
		uint32_t min;
	} forms[] = {
		{0x80, 0x00, 0},
		{0xe0, 0xc0, 0x80},
		{0xf0, 0xe0, 0x800},
		{0xf8, 0xf0, 0x10000},
	};

	for (size_t more = 0; more < 4; more++) {
		if ((*text & forms[more].mask) != forms[more].mark)
			continue;
		*ret = *text & ~forms[more].mask;
		for (size_t i = 1; i <= more; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return 0;
			*ret = *ret << 6 | (text[i] & 0x3f);
		}
		bool is_surrogate = *ret >= 0xd800 && *ret < 0xe000;
		return *ret < forms[more].min || is_surrogate || *ret > 0x10ffff
		               ? 0
		               : more + 1;
	}
	return 0;
}

static bool is_harmless(uint32_t character)
{
	if (character < 0x20)
		return character == '\t' || character == '\n';
	if (character >= 0x7f && character < 0xa0)
		return false;
	return character != 0x61c && character != 0x200e &&
	       character != 0x200f &&
	       !(character >= 0x202a && character <= 0x202e) &&
	       !(character >= 0x2066 && character <= 0x2069);
}

static void put(FILE *out, const char *text,
                bool (*escape)(FILE *out, uint32_t character))
{
	const uint8_t *at = (const uint8_t *)(text ? text : "");
	uint32_t character;

	while (*at) {
		size_t size = next_character(at, &character);

		if (!size || !is_harmless(character))
			fputs(REPLACEMENT, out);
		else if (!escape(out, character))
			fwrite(at, size, 1, out);
		at += size ? size : 1;
	}
}

static bool escape_text(FILE *out, uint32_t character)
{
	if (character >= 0x80 || !strchr("<>&\"'", (int)character))
		return false;
	fprintf(out, "&#%" PRIu32 ";", character);
	return true;
}

static bool escape_json(FILE *out, uint32_t character)
{
	if (character >= 0x80 || !strchr("<>&\"'\\\t\n", (int)character))
		return false;
	fprintf(out, "\\u%04" PRIx32, character);
	return true;
}

void html_put_text(FILE *out, const char *text)
{
	put(out, text, escape_text);
}

void html_put_names(FILE *out, const char *text)
{
	HFX_CLEANUP(hfx_free) char *names = demangle_names(text ? text : "");

	html_put_text(out, names ? names : text);
}

void html_put_json(FILE *out, const char *text)
{
	fputc('"', out);
	put(out, text, escape_json);
	fputc('"', out);
}

/* Length of the conversion at the start of a format. */
static size_t put_conversion(FILE *out, const char *format, va_list *args)
{
	if (!strncmp(format, "%s", 2)) {
		html_put_text(out, va_arg(*args, const char *));
	} else if (!strncmp(format, "%zu", 3)) {
		fprintf(out, "%zu", va_arg(*args, size_t));
		return 3;
	} else if (!strncmp(format, "%lu", 3)) {
		fprintf(out, "%" PRIu64, va_arg(*args, uint64_t));
		return 3;
	} else if (!strncmp(format, "%lx", 3)) {
		fprintf(out, "%" PRIx64, va_arg(*args, uint64_t));
		return 3;
	} else {
		fputc('%', out);
	}
	return 2;
}

void html_put(FILE *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	while (*format) {
		size_t plain = strcspn(format, "%");

		fwrite(format, 1, plain, out);
		format += plain;
		if (*format)
			format += put_conversion(out, format, &args);
	}
	va_end(args);
}
