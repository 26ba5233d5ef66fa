/* SPDX-License-Identifier: MIT */
/*
 * The greedy algorithm: for each number of differences d, how far one comes on
 * each diagonal k (place in OLD minus place in NEW). The frontiers of all d are
 * kept, and the way is read from them backwards.
 */
#include "align.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

/* The part between a common start and a common end. */
struct middle {
	const struct align_input *input;
	size_t start;
	ptrdiff_t num_old;
	ptrdiff_t num_new;
	/** Frontier of d: 2 * d + 1 places in OLD, for k = -d ... d. */
	ptrdiff_t **frontiers;
	size_t num_frontiers;
};

static void middle_deinit(struct middle *middle)
{
	for (size_t d = 0; d < middle->num_frontiers; d++)
		free(middle->frontiers[d]);
	free(middle->frontiers);
}

void alignment_deinit(struct alignment *alignment)
{
	free(alignment->items);
	*alignment = (struct alignment){0};
}

static struct hfx_error *add(struct alignment *alignment, char kind,
                             size_t count)
{
	struct align_run run = {kind, count};
	size_t last = alignment->num_items;

	if (!count)
		return NULL;
	if (last && alignment->items[last - 1].kind == kind) {
		alignment->items[last - 1].count += count;
		return NULL;
	}
	return HFX_ARRAY_PUSH(alignment, items, run) ? NULL
	                                             : hfx_error_no_memory();
}

/*
 * Whether the best way to diagonal k leaves an element of NEW behind, and not
 * one of OLD.
 */
static bool is_from_new(const ptrdiff_t *before, ptrdiff_t d, ptrdiff_t k)
{
	/* Diagonal k of d - 1 is at index k + d - 1. */
	return k == -d || (k != d && before[k + d - 2] < before[k + d]);
}

static ptrdiff_t follow(const struct middle *middle, ptrdiff_t o, ptrdiff_t k)
{
	const struct align_input *input = middle->input;

	while (o < middle->num_old && o - k < middle->num_new &&
	       input->is_same(input->context, middle->start + o,
	                      middle->start + o - k))
		o++;
	return o;
}

/* Fill the frontier of d; whether it reaches the end. */
static bool advance(struct middle *middle, ptrdiff_t d)
{
	ptrdiff_t *now = middle->frontiers[d];
	const ptrdiff_t *before = d ? middle->frontiers[d - 1] : NULL;

	for (ptrdiff_t k = -d; k <= d; k += 2) {
		ptrdiff_t o = 0;

		if (d)
			o = is_from_new(before, d, k) ? before[k + d]
			                              : before[k + d - 2] + 1;
		/* Outside of the sequences: no way goes on from there. */
		if (o <= middle->num_old && o - k <= middle->num_new)
			o = follow(middle, o, k);
		now[k + d] = o;
		if (k == middle->num_old - middle->num_new &&
		    o >= middle->num_old)
			return true;
	}
	return false;
}

/* Number of differences; -1 if there are too many. */
static struct hfx_error *search(struct middle *middle, ptrdiff_t *ret)
{
	middle->frontiers =
		calloc(ALIGN_MAX_DIFFERENCES + 1, sizeof(*middle->frontiers));
	if (!middle->frontiers)
		return hfx_error_no_memory();
	for (ptrdiff_t d = 0; d <= ALIGN_MAX_DIFFERENCES; d++) {
		middle->frontiers[d] = calloc(2 * d + 1, sizeof(ptrdiff_t));
		if (!middle->frontiers[d])
			return hfx_error_no_memory();
		middle->num_frontiers++;
		if (advance(middle, d)) {
			*ret = d;
			return NULL;
		}
	}
	*ret = -1;
	return NULL;
}

/* The way, backwards: one letter an element. */
static size_t trace(const struct middle *middle, ptrdiff_t d, char *way)
{
	ptrdiff_t o = middle->num_old, n = middle->num_new;
	size_t count = 0;

	for (; d > 0; d--) {
		const ptrdiff_t *before = middle->frontiers[d - 1];
		ptrdiff_t k = o - n;
		bool from_new = is_from_new(before, d, k);
		ptrdiff_t from =
			from_new ? before[k + d] : before[k + d - 2] + 1;

		for (; o > from; o--, n--)
			way[count++] = '=';
		way[count++] = from_new ? '+' : '-';
		*(from_new ? &n : &o) -= 1;
	}
	for (; o > 0; o--)
		way[count++] = '=';
	return count;
}

static struct hfx_error *add_way(const char *way, size_t count,
                                 struct alignment *ret)
{
	size_t num_old = 0, num_new = 0;

	while (count-- > 0) {
		num_old += way[count] == '-';
		num_new += way[count] == '+';
		if (way[count] != '=')
			continue;
		HFX_TRY(add(ret, '-', num_old));
		HFX_TRY(add(ret, '+', num_new));
		HFX_TRY(add(ret, '=', 1));
		num_old = num_new = 0;
	}
	HFX_TRY(add(ret, '-', num_old));
	return add(ret, '+', num_new);
}

static struct hfx_error *align_middle(struct middle *middle,
                                      struct alignment *ret)
{
	ptrdiff_t d = -1;

	HFX_TRY(search(middle, &d));
	if (d < 0) {
		HFX_TRY(add(ret, '-', middle->num_old));
		return add(ret, '+', middle->num_new);
	}
	HFX_CLEANUP(hfx_free)
	char *way = malloc(middle->num_old + middle->num_new + 1);
	if (!way)
		return hfx_error_no_memory();
	return add_way(way, trace(middle, d, way), ret);
}

struct hfx_error *align(const struct align_input *input, struct alignment *ret)
{
	size_t num_old = input->num_old, num_new = input->num_new;
	size_t shorter = num_old < num_new ? num_old : num_new;
	size_t start = 0, end = 0;

	while (start < shorter && input->is_same(input->context, start, start))
		start++;
	while (end < shorter - start &&
	       input->is_same(input->context, num_old - end - 1,
	                      num_new - end - 1))
		end++;
	HFX_CLEANUP(middle_deinit)
	struct middle middle = {
		.input = input,
		.start = start,
		.num_old = (ptrdiff_t)(num_old - start - end),
		.num_new = (ptrdiff_t)(num_new - start - end),
	};
	HFX_TRY(add(ret, '=', start));
	HFX_TRY(align_middle(&middle, ret));
	return add(ret, '=', end);
}
