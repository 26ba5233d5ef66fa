/* SPDX-License-Identifier: MIT */
/*
 * Why things changed, as trees: each function under what it changed for, which
 * is a function that it inlines, a table that it reads, the function that it is
 * a part of, or for a new one the first function that needs it.
 *
 * Causes are read from the reasons, the sentences of explain.c.
 */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "html_private.h"

struct node {
	/** Borrowed if it is a function of the report, else owned. */
	char *name;
	/** Index into the report's functions, or NO_INDEX. */
	uint32_t function;
	/** Index of a node, or NO_INDEX. */
	uint32_t cause;
	/** What ties it to its cause: "inlines it". */
	const char *tie;
	bool is_in_graph;
	bool has_effects;
};

struct graph {
	const struct html_page *page;
	/** Those of the report's functions, in their order, then others. */
	struct node *nodes;
	size_t num_nodes;
	size_t cap_nodes;
	/** Node of each function of NEW, or NO_INDEX. */
	uint32_t *node_of;
};

static void graph_deinit(struct graph *graph)
{
	for (size_t i = 0; i < graph->num_nodes; i++)
		if (graph->nodes[i].function == NO_INDEX)
			free(graph->nodes[i].name);
	free(graph->nodes);
	free(graph->node_of);
}

static const struct report_function *function_of(const struct graph *graph,
                                                 const struct node *node)
{
	return &graph->page->input->report->functions[node->function];
}

static const struct program *new_program(const struct graph *graph)
{
	return graph->page->input->selection->new_program;
}

static struct hfx_error *add_functions(struct graph *graph)
{
	const struct report *report = graph->page->input->report;
	const struct program *program = new_program(graph);
	size_t size = (program->num_functions + 1) * sizeof(*graph->node_of);

	graph->node_of = malloc(size);
	if (!graph->node_of)
		return hfx_error_no_memory();
	memset(graph->node_of, 0xff, size);
	for (size_t i = 0; i < report->num_functions; i++) {
		const struct report_function *function = &report->functions[i];
		struct node node = {function->name, i,    NO_INDEX, "",
		                    false,          false};

		if (function->kind != REPORT_REMOVED) {
			const struct function *code = program_function_at(
				program, function->new_addr);

			node.is_in_graph = code->verdict != VERDICT_SAME;
			graph->node_of[code - program->functions] = i;
		}
		if (!HFX_ARRAY_PUSH(graph, nodes, node))
			return hfx_error_no_memory();
	}
	return NULL;
}

/* Node of a cause by its name, which is made if there is none. */
static struct hfx_error *node_named(struct graph *graph, const char *name,
                                    size_t size, uint32_t *ret)
{
	struct node node = {NULL, NO_INDEX, NO_INDEX, "", true, false};

	for (size_t i = 0; i < graph->num_nodes; i++) {
		const struct node *other = &graph->nodes[i];
		const char *symbol =
			other->function == NO_INDEX
				? other->name
				: function_of(graph, other)->linkage_name;

		if (other->is_in_graph && !strncmp(symbol, name, size) &&
		    !symbol[size]) {
			*ret = i;
			return NULL;
		}
	}
	node.name = strndup(name, size);
	if (!node.name || !HFX_ARRAY_PUSH(graph, nodes, node)) {
		free(node.name);
		return hfx_error_no_memory();
	}
	*ret = graph->num_nodes - 1;
	return NULL;
}

static const struct {
	const char *before;
	const char *behind;
	const char *tie;
} sentences[] = {
	{"inlines ", ", which changed", "inlines it"},
	{"reads table ", ", whose content changed", "reads it"},
};

/* The name in a reason, and what it is to the function. */
static const char *name_in(const char *reason, size_t *size_ret,
                           const char **tie_ret)
{
	for (size_t i = 0; i < sizeof(sentences) / sizeof(*sentences); i++) {
		size_t before = strlen(sentences[i].before);
		size_t behind = strlen(sentences[i].behind);
		size_t size = strlen(reason);

		if (size <= before + behind ||
		    strncmp(reason, sentences[i].before, before) ||
		    strcmp(reason + size - behind, sentences[i].behind))
			continue;
		*size_ret = size - before - behind;
		*tie_ret = sentences[i].tie;
		return reason + before;
	}
	return NULL;
}

/* Whether @p node is @p below or above it: it cannot be below then. */
static bool is_above(const struct graph *graph, uint32_t node, uint32_t below)
{
	while (below != NO_INDEX && below != node)
		below = graph->nodes[below].cause;
	return below == node;
}

static void tie(struct graph *graph, uint32_t node, uint32_t cause,
                const char *text)
{
	if (cause == NO_INDEX || !graph->nodes[cause].is_in_graph ||
	    graph->nodes[node].cause != NO_INDEX ||
	    is_above(graph, node, cause))
		return;
	graph->nodes[node].cause = cause;
	graph->nodes[node].tie = text;
	graph->nodes[cause].has_effects = true;
}

static struct hfx_error *tie_by_reasons(struct graph *graph)
{
	size_t count = graph->num_nodes;

	for (size_t i = 0; i < count; i++) {
		const char *name, *text;
		uint32_t cause = NO_INDEX;
		size_t size;

		if (!graph->nodes[i].is_in_graph)
			continue;
		name = name_in(function_of(graph, &graph->nodes[i])->reason,
		               &size, &text);
		if (!name)
			continue;
		HFX_TRY(node_named(graph, name, size, &cause));
		tie(graph, i, cause, text);
	}
	return NULL;
}

static void tie_parts(struct graph *graph)
{
	const struct program *program = new_program(graph);

	for (size_t i = 0; i < program->num_functions; i++)
		if (graph->node_of[i] != NO_INDEX &&
		    program->functions[i].parent != NO_INDEX)
			tie(graph, graph->node_of[i],
			    graph->node_of[program->functions[i].parent],
			    "is a part of it");
}

/* New functions that @p index refers to; whether one of them is tied now. */
static bool tie_needed(struct graph *graph, size_t index)
{
	const struct program *program = new_program(graph);
	const struct function *function = &program->functions[index];
	bool is_tied = false;

	for (size_t i = 0; i < function->num_references; i++) {
		const struct function *needed = program_function_at(
			program, function->references[i].target);
		uint32_t node =
			needed ? graph->node_of[needed - program->functions]
			       : NO_INDEX;

		if (node == NO_INDEX ||
		    function_of(graph, &graph->nodes[node])->kind !=
		            REPORT_NEW ||
		    graph->nodes[node].cause != NO_INDEX)
			continue;
		tie(graph, node, graph->node_of[index], "is needed by it");
		is_tied |= graph->nodes[node].cause != NO_INDEX;
	}
	return is_tied;
}

/* New functions may need each other, so begin with those that are not new. */
static void tie_new(struct graph *graph)
{
	const struct program *program = new_program(graph);
	bool goes_on = true;

	while (goes_on) {
		goes_on = false;
		for (size_t i = 0; i < program->num_functions; i++) {
			uint32_t node = graph->node_of[i];

			if (node == NO_INDEX)
				continue;
			bool is_new =
				function_of(graph, &graph->nodes[node])->kind ==
				REPORT_NEW;
			if (!is_new || graph->nodes[node].cause != NO_INDEX)
				goes_on |= tie_needed(graph, i);
		}
	}
}

static void put_node(const struct graph *graph, uint32_t index)
{
	const struct node *node = &graph->nodes[index];
	FILE *out = graph->page->out;

	if (node->function == NO_INDEX)
		html_put(out, "<b>%s</b> changed", node->name);
	else
		html_put(out, "<a href=\"#%sf%zu\">%s</a>",
		         graph->page->input->prefix, (size_t)node->function,
		         node->name);
	if (*node->tie)
		html_put(out, " <span class=\"tie\">%s</span>", node->tie);
}

/* Deeper than this, the names follow each other in one list. */
#define MAX_DEPTH 16

static void put_tree(const struct graph *graph, const uint32_t *first,
                     const uint32_t *next, uint32_t root, int depth)
{
	FILE *out = graph->page->out;

	fputs("<li>", out);
	put_node(graph, root);
	if (first[root] != NO_INDEX && depth < MAX_DEPTH) {
		fputs("\n<ul>\n", out);
		for (uint32_t i = first[root]; i != NO_INDEX; i = next[i])
			put_tree(graph, first, next, i, depth + 1);
		fputs("</ul>\n", out);
	}
	fputs("</li>\n", out);
}

/* Effects of each node as a list, in the report's order. */
static void link_effects(const struct graph *graph, uint32_t *first,
                         uint32_t *next)
{
	memset(first, 0xff, graph->num_nodes * sizeof(*first));
	memset(next, 0xff, graph->num_nodes * sizeof(*next));
	for (size_t i = graph->num_nodes; i-- > 0;) {
		uint32_t cause = graph->nodes[i].cause;

		if (cause == NO_INDEX)
			continue;
		next[i] = first[cause];
		first[cause] = i;
	}
}

static void put_alone(const struct graph *graph, size_t count)
{
	FILE *out = graph->page->out;
	bool is_first = true;

	if (!count)
		return;
	html_put(out,
	         "<details%s><summary>Not because of another: %zu</summary>"
	         "<p class=\"names\">",
	         count <= 50 ? " open" : "", count);
	for (size_t i = 0; i < graph->num_nodes; i++) {
		const struct node *node = &graph->nodes[i];

		if (!node->is_in_graph || node->cause != NO_INDEX ||
		    node->has_effects)
			continue;
		fputs(is_first ? "" : ", ", out);
		is_first = false;
		put_node(graph, i);
	}
	fputs("</p></details>\n", out);
}

static struct hfx_error *put_graph(const struct graph *graph)
{
	HFX_CLEANUP(hfx_free)
	uint32_t *first = malloc((graph->num_nodes + 1) * sizeof(*first));
	HFX_CLEANUP(hfx_free)
	uint32_t *next = malloc((graph->num_nodes + 1) * sizeof(*next));
	size_t count = 0, alone = 0;

	if (!first || !next)
		return hfx_error_no_memory();
	link_effects(graph, first, next);
	for (size_t i = 0; i < graph->num_nodes; i++) {
		const struct node *node = &graph->nodes[i];

		count += node->is_in_graph;
		alone += node->is_in_graph && node->cause == NO_INDEX &&
		         !node->has_effects;
	}
	if (!count || count == alone)
		return NULL;
	html_put(
		graph->page->out,
		"<section id=\"%scauses\" aria-labelledby=\"%scauses-title\">\n"
		"<h2 id=\"%scauses-title\">Why</h2>\n<ul class=\"tree\">\n",
		graph->page->input->prefix, graph->page->input->prefix,
		graph->page->input->prefix);
	for (size_t i = 0; i < graph->num_nodes; i++)
		if (graph->nodes[i].cause == NO_INDEX &&
		    graph->nodes[i].has_effects)
			put_tree(graph, first, next, i, 0);
	fputs("</ul>\n", graph->page->out);
	put_alone(graph, alone);
	fputs("</section>\n", graph->page->out);
	return NULL;
}

struct hfx_error *html_causes(struct html_page *page)
{
	HFX_CLEANUP(graph_deinit) struct graph graph = {.page = page};

	HFX_TRY(add_functions(&graph));
	HFX_TRY(tie_by_reasons(&graph));
	tie_parts(&graph);
	tie_new(&graph);
	return put_graph(&graph);
}
