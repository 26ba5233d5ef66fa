/* SPDX-License-Identifier: MIT */
/*
 * Two functions are compared by their bytes outside the reference fields, then
 * reference by reference (compare_data.c).
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "compare_private.h"
#include "debug_info.h"

static bool same_shape(const struct reference *o, const struct reference *n)
{
	return o->insn_off == n->insn_off && o->field_off == n->field_off &&
	       o->field_size == n->field_size && o->kind == n->kind &&
	       o->relocation == n->relocation;
}

/*
 * Offset of the first byte that differs outside the reference fields, or the
 * smaller size. `reference_ret` is how many references before it have the same
 * shape.
 */
static uint64_t first_difference(const struct function *o,
                                 const struct function *n,
                                 size_t *references_ret)
{
	uint64_t size = o->size < n->size ? o->size : n->size, off = 0;
	size_t count = o->num_references < n->num_references
	                       ? o->num_references
	                       : n->num_references;
	size_t r = 0;

	for (;;) {
		bool is_shared = r < count && same_shape(&o->references[r],
		                                         &n->references[r]);
		uint64_t end = is_shared ? o->references[r].insn_off +
		                                   o->references[r].field_off
		                         : size;
		while (off < end && off < size && o->code[off] == n->code[off])
			off++;
		if (off < end || off >= size || !is_shared)
			break;
		off += o->references[r++].field_size;
	}
	*references_ret = r;
	return off;
}

/* The first reference among `count` that differs, or `count`. */
static size_t first_reference(struct comparison *c, size_t count)
{
	size_t i = 0;

	while (i < count &&
	       comparison_same_reference(c, &c->old_function->references[i],
	                                 &c->new_function->references[i]))
		i++;
	return i;
}

/* Whether bytes are the same but for [skip, skip + skip_size). */
static bool same_but(const uint8_t *a, const uint8_t *b, size_t end,
                     size_t skip, size_t skip_size)
{
	for (size_t i = 0; i < end; i++)
		if (a[i] != b[i] && i - skip >= skip_size)
			return false;
	return true;
}

static uint64_t constant_of(const uint8_t *code, const struct instruction *insn)
{
	uint64_t value = 0;

	memcpy(&value, code + insn->constant_off, insn->constant_size);
	return value;
}

/*
 * Whether two instructions differ in nothing but a constant that is, in both
 * builds, the number of the line they come from: `__LINE__`.
 */
static struct hfx_error *differ_by_line(struct comparison *c,
                                        const struct instruction *o,
                                        const struct instruction *n, bool *ret)
{
	const uint8_t *a = c->old_function->code + o->off;
	const uint8_t *b = c->new_function->code + n->off;

	*ret = false;
	if (o->size != n->size || o->constant_off != n->constant_off ||
	    o->constant_size != n->constant_size || o->constant_size < 2 ||
	    o->has_reference != n->has_reference)
		return NULL;
	uint8_t x[16], y[16];
	memcpy(x, a, o->size);
	memcpy(y, b, n->size);
	if (o->has_reference) {
		memset(x + o->reference.field_off, 0, o->reference.field_size);
		memset(y + n->reference.field_off, 0, n->reference.field_size);
	}
	if (!same_but(x, y, o->size, o->constant_off, o->constant_size))
		return NULL;
	HFX_TRY(debug_info_is_of_line(c->old_program->debug,
	                              c->old_function->addr + o->off,
	                              constant_of(a, o), ret));
	if (*ret)
		HFX_TRY(debug_info_is_of_line(c->new_program->debug,
		                              c->new_function->addr + n->off,
		                              constant_of(b, n), ret));
	return NULL;
}

/* No reference that is kept: its bytes say where in the function it leads. */
static bool is_own_branch(const struct function *function,
                          const struct reference *reference)
{
	return (reference->kind == REFERENCE_CALL ||
	        reference->kind == REFERENCE_JUMP) &&
	       reference->target - function->addr < function->size;
}

/* Whether the bytes that differ outside of references are line numbers. */
static struct hfx_error *differ_by_lines(struct comparison *c, bool *ret)
{
	const struct function *f = c->old_function, *g = c->new_function;
	struct instruction o, n;
	bool same = f->size == g->size;

	for (size_t off = 0; same && off < f->size; off += o.size) {
		same = decoder_next(c->decoder, f->code, f->size, f->addr, off,
		                    &o) &&
		       decoder_next(c->decoder, g->code, g->size, g->addr, off,
		                    &n) &&
		       o.size == n.size;
		if (!same || !memcmp(f->code + off, g->code + off, o.size))
			continue;
		/* References are compared by what they mean. */
		if (o.has_reference && n.has_reference &&
		    !is_own_branch(f, &o.reference) &&
		    same_shape(&o.reference, &n.reference) &&
		    same_but(f->code + off, g->code + off, o.size,
		             o.reference.field_off, o.reference.field_size))
			continue;
		HFX_TRY(differ_by_line(c, &o, &n, &same));
	}
	*ret = same;
	return NULL;
}

static bool same_shapes(const struct function *o, const struct function *n)
{
	if (o->num_references != n->num_references)
		return false;
	for (size_t i = 0; i < o->num_references; i++)
		if (!same_shape(&o->references[i], &n->references[i]))
			return false;
	return true;
}

static void begin_pair(struct comparison *c, const struct function *o,
                       const struct function *n)
{
	c->old_function = o;
	c->new_function = n;
	c->old_folder = c->new_folder = NULL;
	c->passed = 0;
}

/* Explain a difference at `off`, or at reference `r` of `count`. */
static void explain(struct comparison *c, struct function *o,
                    struct function *n, uint64_t off, size_t r, size_t count,
                    bool same_bytes)
{
	n->reason = r < count && same_bytes
	                    ? explain_reference(c, &o->references[r],
	                                        &n->references[r])
	                    : explain_bytes(c, o, n, off);
	/* Where to look for what was inlined. */
	n->difference_off = r < count && n->references[r].insn_off < off
	                            ? n->references[r].insn_off
	                            : off;
}

static struct hfx_error *compare_pair(struct comparison *c, struct function *o,
                                      struct function *n)
{
	size_t count;
	uint64_t off = first_difference(o, n, &count);
	bool same_bytes =
		o->size == n->size && off >= n->size && same_shapes(o, n);

	begin_pair(c, o, n);
	if (!same_bytes && c->old_program->debug && c->new_program->debug &&
	    o->size == n->size && !o->is_opaque && !n->is_opaque &&
	    same_shapes(o, n)) {
		HFX_TRY(differ_by_lines(c, &same_bytes));
		if (same_bytes) {
			c->passed |= PASSED_LINE;
			count = n->num_references;
		}
	}
	size_t r = first_reference(c, count);
	if (c->error)
		return HFX_TAKE(c->error);
	bool same_code = same_bytes && r == count;
	bool is_same = same_code && comparison_same_exceptions(c, o, n);
	n->verdict = is_same ? VERDICT_SAME : VERDICT_CHANGED;
	o->verdict = n->verdict;
	if (is_same)
		n->passed = c->passed;
	else if (same_code)
		n->reason = strdup("exception table");
	else
		explain(c, o, n, off, r, count, same_bytes);
	return is_same || n->reason ? NULL : hfx_error_no_memory();
}

struct hfx_error *comparison_run(struct comparison *comparison)
{
	struct program *old = comparison->old_program;
	struct program *new = comparison->new_program;

	for (size_t i = 0; i < old->num_functions; i++)
		if (old->functions[i].peer == NO_INDEX)
			old->functions[i].verdict = VERDICT_ONLY_HERE;
	for (size_t i = 0; i < new->num_functions; i++) {
		struct function *n = &new->functions[i];

		if (n->peer == NO_INDEX)
			n->verdict = VERDICT_ONLY_HERE;
		else
			HFX_TRY(compare_pair(comparison,
			                     &old->functions[n->peer], n));
	}
	return explain_inlining(comparison);
}

struct hfx_error *comparison_create(struct program *old_program,
                                    struct program *new_program,
                                    const struct unwind_table *old_unwind,
                                    const struct unwind_table *new_unwind,
                                    struct decoder *decoder,
                                    struct comparison **ret)
{
	struct comparison *comparison = calloc(1, sizeof(*comparison));

	if (!comparison)
		return hfx_error_no_memory();
	comparison->old_program = old_program;
	comparison->new_program = new_program;
	comparison->old_unwind = old_unwind;
	comparison->new_unwind = new_unwind;
	comparison->decoder = decoder;
	*ret = comparison;
	return NULL;
}

void comparison_destroy(struct comparison *comparison)
{
	if (!comparison)
		return;
	pair_set_deinit(&comparison->equal);
	pair_set_deinit(&comparison->walk);
	free(comparison);
}
