/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

bool hfx_array_reserve(void *items, size_t count, size_t *capacity,
                       size_t item_size)
{
	size_t wanted, bytes;
	void *old, *grown;

	if (count < *capacity)
		return true;
	wanted = *capacity ? *capacity : 4;
	if (__builtin_mul_overflow(wanted, (size_t)2, &wanted) ||
	    __builtin_mul_overflow(wanted, item_size, &bytes))
		return false;
	/* Any pointer type hides behind `items`: copy its bytes. */
	memcpy(&old, items, sizeof(old));
	grown = realloc(old, bytes);
	if (!grown)
		return false;
	memcpy(items, &grown, sizeof(grown));
	*capacity = wanted;
	return true;
}

void hfx_array_sort(void *items, size_t count, size_t item_size,
                    int (*compare)(const void *, const void *))
{
	if (count)
		qsort(items, count, item_size, compare);
}

void *hfx_array_search(const void *key, const void *items, size_t count,
                       size_t item_size,
                       int (*compare)(const void *, const void *))
{
	if (!count)
		return NULL;
	return bsearch(key, items, count, item_size, compare);
}

static size_t find_bound(const void *key, const void *items, size_t count,
                         size_t item_size,
                         int (*compare)(const void *, const void *),
                         bool is_behind_equal)
{
	const char *bytes = items;
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		/* As bsearch(), which may be given a key of another type. */
		int order = compare(key, bytes + middle * item_size);

		if (order > 0 || (is_behind_equal && !order))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t hfx_array_lower_bound(const void *key, const void *items, size_t count,
                             size_t item_size,
                             int (*compare)(const void *, const void *))
{
	return find_bound(key, items, count, item_size, compare, false);
}

size_t hfx_array_upper_bound(const void *key, const void *items, size_t count,
                             size_t item_size,
                             int (*compare)(const void *, const void *))
{
	return find_bound(key, items, count, item_size, compare, true);
}
