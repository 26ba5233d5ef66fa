/* SPDX-License-Identifier: MIT */
/** @file type_source.h Pieces of programs whose types change. */
#ifndef HFX_TESTS_BUNDLER_TYPE_SOURCE_H
#define HFX_TESTS_BUNDLER_TYPE_SOURCE_H

#define HEAD                                                                   \
	"#include <stdio.h>\n#include <stdlib.h>\n#include <stdarg.h>\n"       \
	"#define NOINLINE __attribute__((noinline, noclone, noipa))\n"
#define MAIN                                                                   \
	"int main(int argc, char **argv)\n"                                    \
	"{ (void)argv; return work(argc) & 1; }\n"

/** A structure on the heap that gets a member. */
#define HEAP_ITEM                                                              \
	HEAD "struct item { int a; V(, long b;) int c; };\n"                   \
	     "struct list { struct item *first; } list;\n"                     \
	     "NOINLINE int use(struct item *i) { return i->c + i->a; }\n"      \
	     "NOINLINE int work(int n)\n"                                      \
	     "{ if (!list.first) list.first = calloc(1, sizeof(*list.first));" \
	     "\n  list.first->c = n; return use(list.first); }\n" MAIN

#endif /* HFX_TESTS_BUNDLER_TYPE_SOURCE_H */
