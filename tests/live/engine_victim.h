/* SPDX-License-Identifier: MIT */
#ifndef HFX_TESTS_LIVE_ENGINE_VICTIM_H
#define HFX_TESTS_LIVE_ENGINE_VICTIM_H

int victim_f(void);
int victim_g(void);
int victim_sum(void);
extern int victim_data;

#endif /* HFX_TESTS_LIVE_ENGINE_VICTIM_H */
