/* SPDX-License-Identifier: MIT */
/**
 * @file call_graph.h
 *
 * Who calls a function of a program, and whether its address is known to more
 * than that: functions are indices, and cold parts count as their wholes.
 */
#ifndef HFX_BUNDLER_CALL_GRAPH_H
#define HFX_BUNDLER_CALL_GRAPH_H

#include "error.h"
#include "model.h"

struct call_graph;

/** @param[in] program Scanned; borrowed. */
HFX_MUST_CHECK struct hfx_error *
call_graph_create(const struct program *program, struct call_graph **ret);

void call_graph_destroy(struct call_graph *graph);

/** Callers of @p function, each once. Borrowed. */
const uint32_t *call_graph_callers(const struct call_graph *graph,
                                   uint32_t function, size_t *count_ret);

/** How code that is not known may reach a function. */
enum call_openness {
	CALL_CLOSED,
	/** Its address is stored or passed. */
	CALL_ADDRESS_TAKEN,
	/** Other modules can call it. */
	CALL_EXPORTED,
};

enum call_openness call_graph_openness(const struct call_graph *graph,
                                       uint32_t function);

#endif /* HFX_BUNDLER_CALL_GRAPH_H */
