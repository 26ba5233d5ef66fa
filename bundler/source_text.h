/* SPDX-License-Identifier: MIT */
/**
 * @file source_text.h
 *
 * Lines of source files, as far as they are still where the build found them.
 */
#ifndef HFX_BUNDLER_SOURCE_TEXT_H
#define HFX_BUNDLER_SOURCE_TEXT_H

#include <time.h>

#include "error.h"

struct source_texts;

/**
 * @param[in] built When the program was linked: files that are younger are not
 * what it was made from, and have no lines.
 */
HFX_MUST_CHECK struct hfx_error *source_texts_create(time_t built,
                                                     struct source_texts **ret);

void source_texts_destroy(struct source_texts *texts);

/**
 * @param[in] folder Of compilation.
 * @param[in] place "file:line", the file absolute or as seen from @p folder.
 * @param[out] ret Owned; `NULL` if there is no such line, or no such file, or
 * it is not a regular file of moderate size.
 */
HFX_MUST_CHECK struct hfx_error *source_texts_line(struct source_texts *texts,
                                                   const char *folder,
                                                   const char *place,
                                                   char **ret);

#endif /* HFX_BUNDLER_SOURCE_TEXT_H */
