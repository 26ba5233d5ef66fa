/* SPDX-License-Identifier: MIT */
/**
 * @file build_text.h
 *
 * Texts that a compiler writes by itself: dates of the build, and the folder it
 * was made in. Two builds of one source differ in them.
 */
#ifndef HFX_BUNDLER_BUILD_TEXT_H
#define HFX_BUNDLER_BUILD_TEXT_H

#include <stdbool.h>

enum build_text {
	/** The texts are equal, or differ in more than what is below. */
	BUILD_TEXT_NONE = 0,
	/** They differ in `__DATE__`, `__TIME__` or `__TIMESTAMP__` only. */
	BUILD_TEXT_DATE,
	/** They are `__FILE__` of two build folders. */
	BUILD_TEXT_FOLDER,
};

/**
 * How two texts differ.
 *
 * @param[in] old_folder,new_folder Build folders (DW_AT_comp_dir); may be "".
 */
enum build_text build_text_compare(const char *old_text, const char *new_text,
                                   const char *old_folder,
                                   const char *new_folder);

#endif /* HFX_BUNDLER_BUILD_TEXT_H */
