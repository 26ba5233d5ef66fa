/* SPDX-License-Identifier: MIT */
/*
 * Linkers that fold identical code give one address to functions of several
 * names. gold leaves that address in the debug information of each; lld and
 * mold leave it in one and have the others begin at 0, as what was dropped.
 * Which one is by chance, so a function is compared with one of its own name.
 */
#include "debug_private.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"

/** The functions that begin at one address. */
struct functions {
	struct debug_subprogram *items;
	size_t num_items;
	size_t cap_items;
};

static void functions_deinit(struct functions *functions)
{
	free(functions->items);
}

static struct hfx_error *add_of_unit(struct debug_info *debug,
                                     struct debug_unit *unit, uint64_t addr,
                                     struct functions *functions)
{
	const struct debug_range *items = unit->ranges.items;
	size_t first = debug_ranges_first(&unit->ranges, addr);

	for (size_t i = first; i < unit->ranges.num_items &&
	                       items[i].low_addr == items[first].low_addr;
	     i++) {
		struct debug_subprogram function;

		if (addr >= items[i].high_addr)
			continue;
		HFX_TRY(debug_subprogram_get(
			debug, &unit->functions[items[i].index], &function));
		if (!HFX_ARRAY_PUSH(functions, items, function))
			return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *find_functions(struct debug_info *debug, uint64_t addr,
                                        struct functions *functions)
{
	HFX_TRY(debug_units_list(debug));
	const struct debug_ranges *ranges = &debug->ranges;
	size_t first = debug_ranges_first(ranges, addr);

	for (size_t i = first;
	     i < ranges->num_items &&
	     ranges->items[i].low_addr == ranges->items[first].low_addr;
	     i++) {
		uint32_t index = ranges->items[i].index;
		struct debug_unit *unit;

		if (addr >= ranges->items[i].high_addr)
			continue;
		HFX_TRY(debug_unit_of(debug, debug->listed[index]->cu, &unit));
		HFX_TRY(add_of_unit(debug, unit, addr, functions));
	}
	return NULL;
}

static bool has_namesake(const struct functions *functions, const char *name)
{
	for (size_t i = 0; i < functions->num_items; i++)
		if (!strcmp(debug_linkage_name(&functions->items[i].die), name))
			return true;
	return false;
}

static struct hfx_error *add_dropped_of_unit(struct debug_info *debug,
                                             struct debug_unit *unit,
                                             const char *name,
                                             struct functions *functions)
{
	for (size_t i = 0; i < unit->num_functions; i++) {
		struct debug_subprogram function;
		Dwarf_Addr addr;

		if (dwarf_lowpc(&unit->functions[i], &addr) || addr > 1 ||
		    strcmp(debug_linkage_name(&unit->functions[i]), name) != 0)
			continue;
		HFX_TRY(debug_subprogram_get(debug, &unit->functions[i],
		                             &function));
		if (!HFX_ARRAY_PUSH(functions, items, function))
			return hfx_error_no_memory();
	}
	return NULL;
}

/** Add the functions of names that only @p others has, without an address. */
static struct hfx_error *add_dropped(struct debug_info *debug,
                                     const struct functions *others,
                                     struct functions *functions)
{
	for (size_t i = 0; i < others->num_items; i++) {
		const char *name = debug_linkage_name(&others->items[i].die);

		if (has_namesake(functions, name))
			continue;
		for (size_t u = 0; u < debug->num_listed; u++) {
			struct debug_unit *unit;

			HFX_TRY(debug_unit_of(debug, debug->listed[u]->cu,
			                      &unit));
			HFX_TRY(add_dropped_of_unit(debug, unit, name,
			                            functions));
		}
	}
	return NULL;
}

static struct hfx_error *tell(struct debug_pair *pair,
                              struct debug_subprogram *old_function,
                              struct debug_subprogram *new_function, char **ret)
{
	HFX_CLEANUP(hfx_free) char *old_name = NULL;
	HFX_CLEANUP(hfx_free) char *new_name = NULL;
	HFX_CLEANUP(hfx_free) char *old_text = NULL;
	HFX_CLEANUP(hfx_free) char *new_text = NULL;

	HFX_TRY(debug_signature(pair->old_debug, old_function, &old_name,
	                        &old_text));
	HFX_TRY(debug_signature(pair->new_debug, new_function, &new_name,
	                        &new_text));
	return debug_text_set(ret, "from \"%s\" to \"%s\"", old_text, new_text);
}

/**
 * Compare a function with those of its name.
 *
 * @param[out] ret Text if there are some and none is called like it.
 */
static struct hfx_error *compare_namesakes(struct debug_pair *pair,
                                           struct debug_subprogram *function,
                                           const struct functions *others,
                                           bool *found_ret, char **ret)
{
	const char *name = debug_linkage_name(&function->die);
	struct debug_subprogram *differs = NULL;

	for (size_t i = 0; i < others->num_items; i++) {
		struct debug_subprogram *other = &others->items[i];
		bool same;

		if (strcmp(debug_linkage_name(&other->die), name) != 0)
			continue;
		*found_ret = true;
		HFX_TRY(debug_functions_equal(pair, function, other, &same));
		if (same)
			return NULL;
		differs = other;
	}
	return differs ? tell(pair, function, differs, ret) : NULL;
}

static struct hfx_error *compare(struct debug_pair *pair,
                                 struct functions *old_functions,
                                 const struct functions *new_functions,
                                 char **ret)
{
	bool found = false, same;

	for (size_t i = 0; i < old_functions->num_items && !*ret; i++)
		HFX_TRY(compare_namesakes(pair, &old_functions->items[i],
		                          new_functions, &found, ret));
	if (found)
		return NULL;
	HFX_TRY(debug_functions_equal(pair, &old_functions->items[0],
	                              &new_functions->items[0], &same));
	return same ? NULL
	            : tell(pair, &old_functions->items[0],
	                   &new_functions->items[0], ret);
}

struct hfx_error *debug_info_call_differs(struct debug_info *old_debug,
                                          struct debug_info *new_debug,
                                          const struct debug_call_pair *calls,
                                          char **ret)
{
	HFX_CLEANUP(debug_pair_deinit)
	struct debug_pair pair = {.old_debug = old_debug,
	                          .new_debug = new_debug};
	HFX_CLEANUP(functions_deinit) struct functions old_functions = {0};
	HFX_CLEANUP(functions_deinit) struct functions new_functions = {0};

	*ret = NULL;
	HFX_TRY(find_functions(old_debug, calls->old_addr, &old_functions));
	HFX_TRY(find_functions(new_debug, calls->new_addr, &new_functions));
	if (!old_functions.num_items || !new_functions.num_items)
		return NULL;
	if (calls->are_folded) {
		HFX_TRY(add_dropped(old_debug, &new_functions, &old_functions));
		HFX_TRY(add_dropped(new_debug, &old_functions, &new_functions));
	}
	return compare(&pair, &old_functions, &new_functions, ret);
}
