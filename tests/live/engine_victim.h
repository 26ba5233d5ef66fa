/* SPDX-License-Identifier: MIT */
#ifndef HFX_TESTS_LIVE_ENGINE_VICTIM_H
#define HFX_TESTS_LIVE_ENGINE_VICTIM_H

/* In a library, too, the program sees these. */
#pragma GCC visibility push(default)

int victim_f(void);
int victim_g(void);
int victim_sum(void);
extern int victim_data;

/** What __tls_get_addr() calls the module of these functions. */
int victim_tls_index(void);

#pragma GCC visibility pop

#endif /* HFX_TESTS_LIVE_ENGINE_VICTIM_H */
