/* SPDX-License-Identifier: MIT */
#include "register_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "array.h"
#include "pair_set.h"

#define REMEDY_RETURN                                                          \
	"Keep the old function and add a new one beside it, for callers that " \
	"change"
#define REMEDY_REGISTERS REMEDY_RETURN "; builds with -fno-ipa-ra never need it"

/* A function as it runs after the patch. */
struct node {
	uint32_t index;
	bool is_new;
};

/* What may run after the patch when old code calls a function. */
struct tree {
	struct node *nodes;
	size_t num_nodes;
	size_t cap_nodes;
	struct pair_set seen;
	/** Functions of NEW that are entered from old code. */
	uint32_t *entered;
	size_t num_entered;
	size_t cap_entered;
};

static void tree_deinit(struct tree *tree)
{
	free(tree->nodes);
	free(tree->entered);
	pair_set_deinit(&tree->seen);
}

static bool is_redirected(const struct function *function)
{
	return function->is_selected && function->peer != NO_INDEX &&
	       function->parent == NO_INDEX && !function->keeps_entry;
}

static struct hfx_error *add_node(struct tree *tree, struct node node)
{
	if (pair_set_has(&tree->seen, node.index, node.is_new, 0))
		return NULL;
	return pair_set_add(&tree->seen, node.index, node.is_new, 0) &&
	                       HFX_ARRAY_PUSH(tree, nodes, node)
	               ? NULL
	               : hfx_error_no_memory();
}

/* Through OLD's entry of its function `index`. */
static struct hfx_error *enter(const struct register_check *check,
                               struct tree *tree, uint32_t index)
{
	uint32_t peer = check->old_program->functions[index].peer;

	if (peer == NO_INDEX ||
	    !is_redirected(&check->new_program->functions[peer]))
		return add_node(tree, (struct node){index, false});
	if (!pair_set_has(&tree->seen, peer, true, 0) &&
	    !HFX_ARRAY_PUSH(tree, entered, peer))
		return hfx_error_no_memory();
	return add_node(tree, (struct node){peer, true});
}

static struct hfx_error *follow(const struct register_check *check,
                                struct tree *tree, struct node from,
                                const struct reference *reference)
{
	const struct program *program =
		from.is_new ? check->new_program : check->old_program;
	const struct function *target =
		program_function_at(program, reference->target);

	if (!target || (reference->kind != REFERENCE_CALL &&
	                reference->kind != REFERENCE_JUMP))
		return NULL;
	struct node node = {target - program->functions, from.is_new};
	if (!from.is_new && reference->target == target->addr)
		return enter(check, tree, node.index);
	if (from.is_new && !target->is_selected && target->peer != NO_INDEX)
		return enter(check, tree, target->peer);
	return add_node(tree, node);
}

/* What the functions write that run when old code calls `callee`. */
static struct hfx_error *collect(const struct register_check *check,
                                 struct tree *tree, uint32_t callee,
                                 register_set *ret)
{
	*ret = 0;
	HFX_TRY(enter(check, tree, callee));
	for (size_t i = 0; i < tree->num_nodes; i++) {
		struct node node = tree->nodes[i];
		const struct program *program =
			node.is_new ? check->new_program : check->old_program;
		const struct function *function =
			&program->functions[node.index];

		*ret |= registers_written(node.is_new ? check->new_registers
		                                      : check->old_registers,
		                          node.index);
		for (size_t k = 0; k < function->num_references; k++)
			HFX_TRY(follow(check, tree, node,
			               &function->references[k]));
	}
	return NULL;
}

/* ---- Keeping an entry ---------------------------------------------------- */

struct conflict {
	/** Of OLD. */
	uint32_t caller;
	uint32_t callee;
	/** None: the trouble is that the new function returns. */
	register_set registers;
};

static const char *old_name(const struct register_check *check, uint32_t index)
{
	return function_name(check->old_program,
	                     &check->old_program->functions[index]);
}

static const char *new_name(const struct register_check *check, uint32_t index)
{
	return function_name(check->new_program,
	                     &check->new_program->functions[index]);
}

/* What becomes of calls that are under way, as text. */
static void describe(const struct register_check *check,
                     const struct conflict *conflict, char *ret, size_t size)
{
	const char *caller = old_name(check, conflict->caller);
	char names[160];

	registers_text(conflict->registers, names, sizeof(names));
	if (!conflict->registers)
		snprintf(ret, size,
		         "it may return, which the old one never did, and old "
		         "code of %s has nothing behind its call",
		         caller);
	else
		snprintf(ret, size,
		         "it overwrites registers (%s) in which old code of %s "
		         "keeps values while it calls %s",
		         names, caller, old_name(check, conflict->callee));
}

/* A safe point is looked for in the code that the patch replaces. */
static bool is_guarded(const struct register_check *check,
                       uint32_t old_function)
{
	const struct function *functions = check->old_program->functions;
	uint32_t parent = functions[old_function].parent;
	uint32_t peer =
		functions[parent == NO_INDEX ? old_function : parent].peer;

	return peer != NO_INDEX &&
	       check->new_program->functions[peer].is_selected;
}

/* The old entry of `function` cannot stay. */
static struct hfx_error *refuse(const struct register_check *check,
                                const struct conflict *conflict,
                                uint32_t function, const char *why)
{
	char text[512];

	describe(check, conflict, text, sizeof(text));
	if (!is_guarded(check, conflict->caller))
		return refusals_add(
			check->refusals, function, new_name(check, function),
			conflict->registers ? REMEDY_REGISTERS : REMEDY_RETURN,
			"%s. The old one cannot stay for it, since "
			"%s",
			text, why);
	if (check->needs_safe_point[function])
		return NULL;
	check->needs_safe_point[function] = true;
	return warnings_add(check->warnings,
	                    "%s must be applied at a safe point, without "
	                    "--allow-active: %s; %s",
	                    new_name(check, function), text, why);
}

/* Of the callers for which a function is refused, one is named. */
static bool is_refused(const struct register_check *check, uint32_t function)
{
	for (size_t i = 0; i < check->refusals->num_items; i++)
		if (check->refusals->items[i].function == function)
			return true;
	return false;
}

static struct hfx_error *warn(const struct register_check *check,
                              const struct conflict *conflict,
                              uint32_t function)
{
	const char *caller = old_name(check, conflict->caller);
	char names[160];

	registers_text(conflict->registers, names, sizeof(names));
	if (!conflict->registers)
		return warnings_add(
			check->warnings,
			"%s stays old for calls of the old %s that are under "
			"way: they do not expect it to return",
			new_name(check, function), caller);
	return warnings_add(
		check->warnings,
		"%s stays old for calls of the old %s that are under way, "
		"until they return: they keep values in registers (%s) that "
		"the new one overwrites",
		new_name(check, function), caller, names);
}

/* Select the callers of a function whose entry stays, to call the new one. */
static struct hfx_error *take_callers(const struct register_check *check,
                                      const struct conflict *conflict,
                                      uint32_t function, bool *can_ret)
{
	size_t count;
	const uint32_t *callers = call_graph_callers(
		check->old_calls, check->new_program->functions[function].peer,
		&count);

	*can_ret = false;
	for (size_t i = 0; i < count; i++) {
		uint32_t peer = check->old_program->functions[callers[i]].peer;

		if (peer == NO_INDEX && check->stays[callers[i]])
			return refuse(check, conflict, function,
			              "code that the new build does not have "
			              "calls it, too");
		if (peer != NO_INDEX && check->exclusions[peer])
			return refuse(check, conflict, function,
			              "code that is left out calls it, too");
	}
	for (size_t i = 0; i < count; i++) {
		uint32_t peer = check->old_program->functions[callers[i]].peer;

		if (peer != NO_INDEX)
			check->takes[peer] = true;
	}
	*can_ret = true;
	return NULL;
}

static struct hfx_error *keep_entry(const struct register_check *check,
                                    const struct conflict *conflict,
                                    uint32_t function, bool *again)
{
	const struct function *new_function =
		&check->new_program->functions[function];
	bool can_keep;

	if (check->keeps[function] || is_refused(check, function))
		return NULL;
	switch (call_graph_openness(check->old_calls, new_function->peer)) {
	case CALL_EXPORTED:
		return refuse(check, conflict, function,
		              "other modules may call it");
	case CALL_ADDRESS_TAKEN:
		return refuse(check, conflict, function,
		              "its address is taken");
	default:
		break;
	}
	HFX_TRY(take_callers(check, conflict, function, &can_keep));
	if (!can_keep)
		return NULL;
	check->keeps[function] = true;
	*again = true;
	return warn(check, conflict, function);
}

/* ---- Finding conflicts --------------------------------------------------- */

/* With what it calls, inside the image, it writes some of `registers`. */
static struct hfx_error *check_entered(const struct register_check *check,
                                       const struct conflict *conflict,
                                       uint32_t function, bool *again)
{
	register_set written;

	HFX_TRY(registers_written_in_all(check->new_registers, function,
	                                 &written));
	return written & conflict->registers
	               ? keep_entry(check, conflict, function, again)
	               : NULL;
}

/* Nothing useful stands behind a call of what never returns. */
static struct hfx_error *check_return(const struct register_check *check,
                                      const struct conflict *conflict,
                                      bool *again)
{
	uint32_t peer = check->old_program->functions[conflict->callee].peer;

	if (peer == NO_INDEX ||
	    !is_redirected(&check->new_program->functions[peer]) ||
	    !registers_never_returns(check->old_registers, conflict->callee) ||
	    registers_never_returns(check->new_registers, peer))
		return NULL;
	return keep_entry(check, conflict, peer, again);
}

static struct hfx_error *check_call(const struct register_check *check,
                                    uint32_t caller, uint32_t callee,
                                    bool *again)
{
	struct conflict conflict = {.caller = caller, .callee = callee};
	struct tree tree = {0};
	register_set before, after;

	HFX_TRY(check_return(check, &conflict, again));
	HFX_TRY(registers_written_in_all(check->old_registers, callee,
	                                 &before));
	if (before == REGISTERS_ALL)
		return NULL;
	struct hfx_error *err = collect(check, &tree, callee, &after);
	if (!err && after & ~before)
		err = registers_kept_across(check->old_registers, caller,
		                            callee, after & ~before,
		                            &conflict.registers);
	for (size_t i = 0; !err && conflict.registers && i < tree.num_entered;
	     i++)
		err = check_entered(check, &conflict, tree.entered[i], again);
	tree_deinit(&tree);
	return err;
}

/* Whether calls of OLD's code may be under way that NEW does not have. */
static bool is_obsolete(const struct register_check *check, uint32_t function)
{
	const struct function *functions = check->old_program->functions;
	uint32_t parent = functions[function].parent;
	uint32_t peer = functions[parent == NO_INDEX ? function : parent].peer;

	return peer == NO_INDEX ||
	       check->new_program->functions[peer].verdict != VERDICT_SAME;
}

static struct hfx_error *check_caller(const struct register_check *check,
                                      const bool *leads_to_new, uint32_t caller,
                                      bool *again)
{
	const struct program *program = check->old_program;
	const struct function *function = &program->functions[caller];
	struct pair_set seen = {0};
	struct hfx_error *err = NULL;

	for (size_t i = 0; !err && i < function->num_references; i++) {
		const struct reference *reference = &function->references[i];
		const struct function *target =
			program_function_at(program, reference->target);
		uint32_t callee = target ? target - program->functions : 0;

		if (!target || reference->kind != REFERENCE_CALL ||
		    target->addr != reference->target ||
		    !leads_to_new[callee] || pair_set_has(&seen, callee, 0, 0))
			continue;
		if (!pair_set_add(&seen, callee, 0, 0))
			err = hfx_error_no_memory();
		else
			err = check_call(check, caller, callee, again);
	}
	pair_set_deinit(&seen);
	return err;
}

struct marked {
	bool *is_marked;
	uint32_t *items;
	size_t num_items;
	size_t cap_items;
};

static struct hfx_error *mark(struct marked *marked, uint32_t function)
{
	if (marked->is_marked[function])
		return NULL;
	marked->is_marked[function] = true;
	return HFX_ARRAY_PUSH(marked, items, function) ? NULL
	                                               : hfx_error_no_memory();
}

/* Functions of OLD from which direct calls lead to new code that differs. */
static struct hfx_error *find_ways(const struct register_check *check,
                                   struct marked *marked)
{
	const struct program *new = check->new_program;

	for (size_t i = 0; i < new->num_functions; i++)
		if (is_redirected(&new->functions[i]) &&
		    (new->functions[i].verdict != VERDICT_SAME ||
		     check->takes[i]))
			HFX_TRY(mark(marked, new->functions[i].peer));
	for (size_t i = 0; i < marked->num_items; i++) {
		size_t count;
		const uint32_t *callers = call_graph_callers(
			check->old_calls, marked->items[i], &count);

		for (size_t k = 0; k < count; k++)
			HFX_TRY(mark(marked, callers[k]));
	}
	return NULL;
}

struct hfx_error *register_check_run(const struct register_check *check,
                                     bool *again_ret)
{
	const struct program *old = check->old_program;
	struct marked marked = {
		.is_marked = calloc(old->num_functions + 1, sizeof(bool)),
	};

	*again_ret = false;
	if (!marked.is_marked)
		return hfx_error_no_memory();
	struct hfx_error *err = find_ways(check, &marked);
	for (uint32_t i = 0; !err && i < old->num_functions; i++)
		if (is_obsolete(check, i))
			err = check_caller(check, marked.is_marked, i,
			                   again_ret);
	free(marked.is_marked);
	free(marked.items);
	return err;
}
