/* SPDX-License-Identifier: MIT */
/**
 * @file array.h
 *
 * Growing arrays that are a plain pointer, a count and a capacity.
 */
#ifndef HFX_COMMON_ARRAY_H
#define HFX_COMMON_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Make room for one more element.
 *
 * @param[in,out] items Address of the array's pointer.
 * @param[in] count Elements in use.
 * @param[in,out] capacity Elements allocated.
 * @param[in] item_size Bytes of one element.
 * @return False when memory is short; the array is then as it was.
 */
bool hfx_array_reserve(void *items, size_t count, size_t *capacity,
                       size_t item_size);

/**
 * Append @p item; the names are `items`, `num_items` and `cap_items` with the
 * array's own name in place of `items`, in the structure @p holder points to.
 * Evaluates to false when memory is short.
 */
#define HFX_ARRAY_PUSH(holder, items, item)                                    \
	(hfx_array_reserve(&(holder)->items, (holder)->num_##items,            \
	                   &(holder)->cap_##items,                             \
	                   sizeof(*(holder)->items)) &&                        \
	 ((holder)->items[(holder)->num_##items++] = (item), true))

/**
 * qsort() and bsearch() for arrays that may be empty, whose pointer is then
 * often `NULL`; C11 (7.22.5) allows that to neither function.
 */
void hfx_array_sort(void *items, size_t count, size_t item_size,
                    int (*compare)(const void *, const void *));
void *hfx_array_search(const void *key, const void *items, size_t count,
                       size_t item_size,
                       int (*compare)(const void *, const void *));

/**
 * Index of the first element of a sorted array that is not before @p key, or
 * that is behind all that are equal to it; @p count if there is none.
 */
size_t hfx_array_lower_bound(const void *key, const void *items, size_t count,
                             size_t item_size,
                             int (*compare)(const void *, const void *));
size_t hfx_array_upper_bound(const void *key, const void *items, size_t count,
                             size_t item_size,
                             int (*compare)(const void *, const void *));

#endif /* HFX_COMMON_ARRAY_H */
