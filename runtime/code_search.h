/* SPDX-License-Identifier: MIT */
/**
 * @file code_search.h
 *
 * Finding instructions that a process has anyway.
 */
#ifndef HFX_RUNTIME_CODE_SEARCH_H
#define HFX_RUNTIME_CODE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "maps.h"

/**
 * Find bytes in the code of the process of thread @p tid: in the vDSO first,
 * which nobody unmaps.
 *
 * @param[out] addr_ret Live address; set if they are found.
 */
bool code_search(pid_t tid, const struct maps *maps, const uint8_t *code,
                 size_t code_size, uint64_t *addr_ret);

#endif /* HFX_RUNTIME_CODE_SEARCH_H */
