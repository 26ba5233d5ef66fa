/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "commit_check.h"

struct place {
	uint64_t live_addr;
	size_t index;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a;
	const struct place *y = b;

	if (x->live_addr != y->live_addr)
		return x->live_addr < y->live_addr ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

static struct hfx_error *sort_places(const struct commit_plan *plan,
                                     struct place **ret)
{
	struct place *places = calloc(plan->num_writes, sizeof(*places));

	if (!places)
		return hfx_error_no_memory();
	for (size_t i = 0; i < plan->num_writes; i++)
		places[i] = (struct place){plan->writes[i].live_addr, i};
	hfx_array_sort(places, plan->num_writes, sizeof(*places),
	               compare_places);
	*ret = places;
	return NULL;
}

static struct hfx_error *check_write(const struct commit_write *write)
{
	uint64_t end;

	if (write->size && write->size <= SITE_SIZE &&
	    !__builtin_add_overflow(write->live_addr, write->size, &end))
		return NULL;
	return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
	                        "commit plan: bad write of %u bytes at "
	                        "0x%" PRIx64,
	                        write->size, write->live_addr);
}

/** Whether @p write is at the place of @p previous, which comes before it. */
static struct hfx_error *check_neighbour(const struct commit_write *previous,
                                         const struct commit_write *write,
                                         bool *same_ret)
{
	*same_ret = false;
	if (previous->live_addr + previous->size <= write->live_addr)
		return NULL;
	if (previous->live_addr != write->live_addr ||
	    previous->size != write->size)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "commit plan: writes at 0x%" PRIx64
		                        " and 0x%" PRIx64 " overlap",
		                        previous->live_addr, write->live_addr);
	if (memcmp(previous->after, write->before, write->size))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "commit plan: two writes at 0x%" PRIx64
		                        " contradict each other",
		                        write->live_addr);
	*same_ret = true;
	return NULL;
}

static struct hfx_error *add_first(struct commit_check *check,
                                   const struct commit_plan *plan, size_t index)
{
	const struct commit_write *write = &plan->writes[index];
	struct code_range range = {write->live_addr,
	                           write->live_addr + write->size};

	if (!HFX_ARRAY_PUSH(check, firsts, index))
		return hfx_error_no_memory();
	if (write->is_code && !HFX_ARRAY_PUSH(check, ranges, range))
		return hfx_error_no_memory();
	return NULL;
}

static struct hfx_error *fill(struct commit_check *check,
                              const struct commit_plan *plan)
{
	HFX_CLEANUP(hfx_free) struct place *places = NULL;
	const struct commit_write *previous = NULL;

	HFX_TRY(sort_places(plan, &places));
	for (size_t i = 0; i < plan->num_writes; i++) {
		const struct commit_write *write =
			&plan->writes[places[i].index];
		bool same = false;

		HFX_TRY(check_write(write));
		if (previous)
			HFX_TRY(check_neighbour(previous, write, &same));
		if (!same)
			HFX_TRY(add_first(check, plan, places[i].index));
		previous = write;
	}
	return NULL;
}

struct hfx_error *commit_check_init(const struct commit_plan *plan,
                                    struct commit_check *ret)
{
	struct commit_check check = {0};
	struct hfx_error *err;

	if (!plan->num_writes)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "commit plan: nothing to write");
	err = fill(&check, plan);
	if (err) {
		commit_check_deinit(&check);
		return err;
	}
	*ret = check;
	return NULL;
}

void commit_check_deinit(struct commit_check *check)
{
	free(check->firsts);
	free(check->ranges);
	*check = (struct commit_check){0};
}

const struct code_range *commit_check_find(const struct commit_check *check,
                                           uint64_t live_addr)
{
	size_t low = 0;
	size_t high = check->num_ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct code_range *range = &check->ranges[middle];

		if (live_addr <= range->start_addr)
			high = middle;
		else if (live_addr >= range->end_addr)
			low = middle + 1;
		else
			return range;
	}
	return NULL;
}
