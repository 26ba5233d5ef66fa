/* SPDX-License-Identifier: MIT */
/**
 * @file html_text.h
 *
 * Text of unknown origin, made harmless: names come from the files that are
 * compared, and may hold anything.
 *
 * In all of these, what is not UTF-8, control characters and those that reorder
 * text (Unicode, UAX 9) become U+FFFD. `NULL` is an empty text. The caller asks
 * ferror() of @p out.
 */
#ifndef HFX_BUNDLER_HTML_TEXT_H
#define HFX_BUNDLER_HTML_TEXT_H

#include <stdio.h>

/** As content of an element, or of an attribute in quotes. */
void html_put_text(FILE *out, const char *text);

/** The same, with names of C++ as people write them (demangle.h). */
void html_put_names(FILE *out, const char *text);

/** As a JSON string, quotes included, that can stand in a script element. */
void html_put_json(FILE *out, const char *text);

/**
 * Like fprintf(), where each `%s` is given to html_put_text(), `%zu` is a
 * size_t and `%lx` and `%lu` a uint64_t. There is no other conversion but `%%`.
 */
void html_put(FILE *out, const char *format, ...);

#endif /* HFX_BUNDLER_HTML_TEXT_H */
