/* SPDX-License-Identifier: MIT */
/*
 * A program with something of everything that compilers and linkers make, for
 * matrix_test.py. It is built twice: CHANGES is 0 in the old build, and a set
 * of bits in the new one. V(n, a, b) is `a`, or `b` where bit n is set.
 *
 * serve() prints a line or more for each thing. What it prints depends on V,
 * what it keeps in variables does not: so after any number of rounds, either
 * build can go on where the other one stopped.
 */
#ifndef HFX_TESTS_MATRIX_H
#define HFX_TESTS_MATRIX_H

#ifndef CHANGES
#define CHANGES 0ul
#endif
#define IS_NEW(n)  (CHANGES >> (n)&1)
#define V(n, a, b) (IS_NEW(n) ? (b) : (a))

/* Kept out of line, so that there is a function to patch. */
#define APART __attribute__((noinline))

#ifdef __cplusplus
extern "C" {
#endif

/* Called by the program around it, once for each line of its input. */
void serve(int round);

/* other.c: what main parts call in another file. */
int other_step(int n);
int other_twin(void);
void other_words(int n);
int overridden(int n);
int only_here(int n) __attribute__((weak));
int nobody_has_it(int n) __attribute__((weak));
__attribute__((visibility("hidden"))) int hidden_helper(int n);
extern __thread long other_thread_total;
extern __attribute__((visibility("hidden"))) int hidden_total;
extern const char *const other_names[4];
extern int common_table[8];

#ifdef __cplusplus
}
#endif

#endif /* HFX_TESTS_MATRIX_H */
