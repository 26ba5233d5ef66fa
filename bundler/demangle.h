/* SPDX-License-Identifier: MIT */
/**
 * @file demangle.h
 *
 * Linkage names of C++ in texts for people.
 */
#ifndef HFX_BUNDLER_DEMANGLE_H
#define HFX_BUNDLER_DEMANGLE_H

/**
 * @p text with the linkage names in it as the source writes them (Itanium C++
 * ABI 5.1), like the names that DWARF gives: without `[abi:cxx11]`. What
 * follows a name, such as `.cold` or `+0x8`, stays.
 *
 * @return Owned; `NULL` without memory.
 */
char *demangle_names(const char *text);

#endif /* HFX_BUNDLER_DEMANGLE_H */
