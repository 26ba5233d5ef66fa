/* SPDX-License-Identifier: MIT */
#include "call_graph.h"

#include <stdlib.h>

#include "array.h"

struct call {
	uint32_t callee;
	uint32_t caller;
};

struct call_graph {
	const struct program *program;
	struct call *calls;
	size_t num_calls;
	size_t cap_calls;
	/** Callers in the order of `calls`. */
	uint32_t *callers;
	/** Where the callers of each function begin; one more at the end. */
	size_t *starts;
	bool *is_taken;
};

static uint32_t whole_of(const struct program *program, uint32_t function)
{
	uint32_t parent = program->functions[function].parent;

	return parent == NO_INDEX ? function : parent;
}

static struct hfx_error *add_reference(struct call_graph *graph,
                                       uint32_t caller,
                                       const struct reference *reference)
{
	const struct program *program = graph->program;
	const struct function *target =
		program_function_at(program, reference->target);
	struct call call;

	if (!target)
		return NULL;
	call.callee = whole_of(program, target - program->functions);
	call.caller = whole_of(program, caller);
	if (reference->kind != REFERENCE_CALL &&
	    reference->kind != REFERENCE_JUMP) {
		/* Also from inside: it is then known to others. */
		if (reference->target == target->addr)
			graph->is_taken[call.callee] = true;
		return NULL;
	}
	if (call.callee == call.caller)
		return NULL;
	return HFX_ARRAY_PUSH(graph, calls, call) ? NULL
	                                          : hfx_error_no_memory();
}

/* Pointers in data, and GOT slots through which an address is loaded. */
static void note_relocations(struct call_graph *graph)
{
	const struct program *program = graph->program;

	for (size_t i = 0; i < program->num_relocations; i++) {
		const struct dynamic_relocation *relocation =
			&program->relocations[i];
		uint64_t addr = relocation->symbol_addr + relocation->addend;
		const struct function *target =
			relocation->is_import
				? NULL
				: program_function_at(program, addr);

		if (target && target->addr == addr)
			graph->is_taken[target - program->functions] = true;
	}
}

static int compare_calls(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	if (x->callee != y->callee)
		return x->callee < y->callee ? -1 : 1;
	return x->caller < y->caller ? -1 : x->caller > y->caller;
}

static void sort_calls(struct call_graph *graph)
{
	size_t count = 0, callee = 0;

	hfx_array_sort(graph->calls, graph->num_calls, sizeof(*graph->calls),
	               compare_calls);
	for (size_t i = 0; i < graph->num_calls; i++) {
		const struct call *call = &graph->calls[i];

		if (i && !compare_calls(call - 1, call))
			continue;
		while (callee <= call->callee)
			graph->starts[callee++] = count;
		graph->callers[count++] = call->caller;
	}
	while (callee <= graph->program->num_functions)
		graph->starts[callee++] = count;
}

static struct hfx_error *fill(struct call_graph *graph)
{
	const struct program *program = graph->program;

	graph->is_taken = calloc(program->num_functions + 1, sizeof(bool));
	graph->starts = calloc(program->num_functions + 1, sizeof(size_t));
	if (!graph->is_taken || !graph->starts)
		return hfx_error_no_memory();
	for (uint32_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];

		for (size_t k = 0; k < function->num_references; k++)
			HFX_TRY(add_reference(graph, i,
			                      &function->references[k]));
	}
	note_relocations(graph);
	graph->callers = calloc(graph->num_calls + 1, sizeof(uint32_t));
	if (!graph->callers)
		return hfx_error_no_memory();
	sort_calls(graph);
	return NULL;
}

struct hfx_error *call_graph_create(const struct program *program,
                                    struct call_graph **ret)
{
	struct call_graph *graph = calloc(1, sizeof(*graph));

	if (!graph)
		return hfx_error_no_memory();
	graph->program = program;
	struct hfx_error *err = fill(graph);
	if (err) {
		call_graph_destroy(graph);
		return err;
	}
	*ret = graph;
	return NULL;
}

void call_graph_destroy(struct call_graph *graph)
{
	if (!graph)
		return;
	free(graph->calls);
	free(graph->callers);
	free(graph->starts);
	free(graph->is_taken);
	free(graph);
}

const uint32_t *call_graph_callers(const struct call_graph *graph,
                                   uint32_t function, size_t *count_ret)
{
	size_t start = graph->starts[function];

	*count_ret = graph->starts[function + 1] - start;
	return graph->callers + start;
}

enum call_openness call_graph_openness(const struct call_graph *graph,
                                       uint32_t function)
{
	if (graph->program->functions[function].is_exported)
		return CALL_EXPORTED;
	return graph->is_taken[function] ? CALL_ADDRESS_TAKEN : CALL_CLOSED;
}
