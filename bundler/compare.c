/* SPDX-License-Identifier: MIT */
/*
 * Two functions are compared by their bytes outside the reference fields, then
 * reference by reference. Named things are the same when match.c says so;
 * things without a name when their content is. Content may hold pointers, so
 * comparing it is a walk over a graph that may have cycles: a pair that is
 * being compared counts as equal until shown otherwise, and what was concluded
 * under that assumption is kept only if the whole walk ends well.
 */
#include "compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include "array.h"
#include "debug_info.h"
#include "match.h"
#include "pair_set.h"
#include "place.h"

#define MAX_DEPTH 200

struct comparison {
	struct program *old_program;
	struct program *new_program;
	struct decoder *decoder;
	/** Pairs of data known equal, and those of the walk under way. */
	struct pair_set equal;
	struct pair_set walk;
	unsigned int depth;
	/** Functions whose references are being compared, or NULL. */
	const struct function *old_function;
	const struct function *new_function;
	bool out_of_memory;
};

static bool same_target(struct comparison *c, uint64_t old_addr,
                        uint64_t new_addr);

static bool same_import(const struct dynamic_relocation *a,
                        const struct dynamic_relocation *b)
{
	return !strcmp(a->symbol, b->symbol) && !strcmp(a->version, b->version);
}

/* TLS slots of this module's own variables hold offsets, not addresses. */
static bool is_tls_type(uint32_t type)
{
	return type == R_X86_64_DTPMOD64 || type == R_X86_64_DTPOFF64 ||
	       type == R_X86_64_TPOFF64 || type == R_X86_64_TLSDESC;
}

static bool same_tls_slot(struct comparison *c,
                          const struct dynamic_relocation *o,
                          const struct dynamic_relocation *n)
{
	const uint8_t *a = program_bytes(c->old_program, o->addr, 16);
	const uint8_t *b = program_bytes(c->new_program, n->addr, 16);

	if (o->addend != n->addend || o->symbol_addr != n->symbol_addr)
		return false;
	/* A pair of slots: the offset may stand in the second one. */
	return o->type != R_X86_64_DTPMOD64 || *o->symbol ||
	       (a && b && !memcmp(a + 8, b + 8, 8));
}

static bool same_relocation(struct comparison *c,
                            const struct dynamic_relocation *o,
                            const struct dynamic_relocation *n)
{
	if (o->type != n->type || !same_import(o, n))
		return false;
	if (is_tls_type(o->type))
		return same_tls_slot(c, o, n);
	if (o->is_import != n->is_import)
		return false;
	if (o->is_import)
		return o->addend == n->addend;
	return same_target(c, o->symbol_addr + o->addend,
	                   n->symbol_addr + n->addend);
}

/* Bytes and pointers of two ranges; the caller keeps the walk's books. */
static bool same_range(struct comparison *c, uint64_t old_addr,
                       uint64_t new_addr, uint64_t size)
{
	const struct program *old = c->old_program, *new = c->new_program;
	const uint8_t *a = program_bytes(old, old_addr, size);
	const uint8_t *b = program_bytes(new, new_addr, size);
	size_t o = program_relocation_from(old, old_addr);
	size_t n = program_relocation_from(new, new_addr);

	if (!a || !b)
		return false;
	for (uint64_t off = 0; off < size;) {
		uint64_t o_off = o < old->num_relocations
		                         ? old->relocations[o].addr - old_addr
		                         : size;
		uint64_t n_off = n < new->num_relocations
		                         ? new->relocations[n].addr - new_addr
		                         : size;
		uint64_t end = o_off < n_off ? o_off : n_off;

		if (end > size)
			end = size;
		if (memcmp(a + off, b + off, end - off))
			return false;
		if (end == size)
			return true;
		if (o_off != n_off || !same_relocation(c, &old->relocations[o],
		                                       &new->relocations[n]))
			return false;
		o++;
		n++;
		off = end + 8;
	}
	return true;
}

static bool same_data(struct comparison *c, uint64_t old_addr,
                      uint64_t new_addr, uint64_t size)
{
	if (pair_set_has(&c->equal, old_addr, new_addr, size) ||
	    pair_set_has(&c->walk, old_addr, new_addr, size))
		return true;
	if (c->depth >= MAX_DEPTH)
		return false;
	bool is_outermost = !c->depth;
	if (!pair_set_add(&c->walk, old_addr, new_addr, size)) {
		c->out_of_memory = true;
		return false;
	}
	c->depth++;
	bool same = same_range(c, old_addr, new_addr, size);
	c->depth--;
	if (is_outermost) {
		if (same && !pair_set_add_all(&c->equal, &c->walk))
			c->out_of_memory = true;
		pair_set_clear(&c->walk);
	}
	return same;
}

/* 0: neither is a jump table; 1: the same one; -1: they differ. */
static int compare_jump_tables(struct comparison *c, uint64_t old_addr,
                               uint64_t new_addr)
{
	const struct program *old = c->old_program, *new = c->new_program;
	uint64_t count = jump_table_length(old, c->old_function, old_addr);

	if (count != jump_table_length(new, c->new_function, new_addr))
		return -1;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t a = table_target(old, old_addr, i);
		uint64_t b = table_target(new, new_addr, i);
		const struct function *f = program_function_at(old, a);
		const struct function *g = program_function_at(new, b);

		if ((f == c->old_function) != (g == c->new_function) ||
		    a - f->addr != b - g->addr)
			return -1;
	}
	return count ? 1 : 0;
}

/* As compare_jump_tables(), for tables of constants. */
static int compare_relative_tables(struct comparison *c, uint64_t old_addr,
                                   uint64_t new_addr)
{
	const struct program *old = c->old_program, *new = c->new_program;
	uint64_t count = relative_table_length(old, old_addr);

	if (count != relative_table_length(new, new_addr))
		return -1;
	for (uint64_t i = 0; i < count; i++)
		if (!same_target(c, table_target(old, old_addr, i),
		                 table_target(new, new_addr, i)))
			return -1;
	return count ? 1 : 0;
}

static bool same_anonymous(struct comparison *c, uint64_t old_addr,
                           uint64_t new_addr, uint64_t access_size)
{
	if (access_size)
		return same_data(c, old_addr, new_addr, access_size);
	if (c->old_function && !c->depth) {
		int order = compare_jump_tables(c, old_addr, new_addr);

		if (!order)
			order = compare_relative_tables(c, old_addr, new_addr);
		if (order)
			return order > 0;
	}
	uint64_t old_text = text_size(c->old_program, old_addr);
	uint64_t new_text = text_size(c->new_program, new_addr);
	uint64_t old_size = anonymous_size(c->old_program, old_addr);
	uint64_t new_size = anonymous_size(c->new_program, new_addr);
	uint64_t size = old_size < new_size ? old_size : new_size;

	/* Text ends at its NUL; the space behind it is somebody else's. */
	if (old_text != new_text && old_text > 1 && new_text > 1)
		return false;
	return same_data(c, old_addr, new_addr,
	                 old_text > size ? old_text : size);
}

static bool same_base_name(const struct symbol *a, const struct symbol *b)
{
	size_t length = match_base_length(a->name);

	return length == match_base_length(b->name) &&
	       !memcmp(a->name, b->name, length);
}

static bool same_object(struct comparison *c, const struct place *o,
                        const struct place *n)
{
	bool is_peer = o->symbol->peer ==
	               (uint32_t)(n->symbol - c->new_program->symbols);

	if (o->off != n->off || place_is_constant(o) != place_is_constant(n))
		return false;
	if (!place_is_constant(o))
		return is_peer;
	if (!is_peer && !same_base_name(o->symbol, n->symbol))
		return false;
	return o->symbol->size == n->symbol->size &&
	       same_data(c, o->symbol->addr, n->symbol->addr, o->symbol->size);
}

/* Constant data, of which one or both sides have no name. */
static bool same_constant(struct comparison *c, const struct place *o,
                          const struct place *n, uint64_t access_size)
{
	bool has_content =
		(o->kind == PLACE_OBJECT || o->kind == PLACE_ANONYMOUS) &&
		(n->kind == PLACE_OBJECT || n->kind == PLACE_ANONYMOUS);

	if (!has_content ||
	    (o->kind == PLACE_OBJECT && !place_is_constant(o)) ||
	    (n->kind == PLACE_OBJECT && !place_is_constant(n)))
		return false;
	return same_anonymous(c, o->addr, n->addr, access_size);
}

static bool same_place(struct comparison *c, uint64_t old_addr,
                       uint64_t new_addr, uint64_t access_size)
{
	struct place o = place_at(c->old_program, old_addr);
	struct place n = place_at(c->new_program, new_addr);

	if (o.kind != n.kind)
		return same_constant(c, &o, &n, access_size);
	switch (o.kind) {
	case PLACE_FUNCTION:
		return o.off == n.off &&
		       o.function->peer ==
		               (uint32_t)(n.function -
		                          c->new_program->functions);
	case PLACE_STUB:
	case PLACE_SLOT:
		return same_relocation(c, o.relocation, n.relocation);
	case PLACE_OBJECT:
		return same_object(c, &o, &n);
	case PLACE_LABEL:
		return !strcmp(o.symbol->name, n.symbol->name);
	case PLACE_ANONYMOUS:
		return same_anonymous(c, old_addr, new_addr, access_size);
	case PLACE_NONE:
		return !o.section && !n.section && old_addr == new_addr;
	}
	return false;
}

static bool refers_to_object(const struct function *function,
                             const struct symbol *symbol)
{
	for (size_t i = 0; i < function->num_references; i++)
		if (function->references[i].target - symbol->addr <
		    symbol->size)
			return true;
	return false;
}

/* Both point just behind the same object, which both functions use. */
static bool same_end(struct comparison *c, uint64_t old_addr, uint64_t new_addr)
{
	const struct symbol *o =
		place_object_ending_at(c->old_program, old_addr);
	const struct symbol *n =
		place_object_ending_at(c->new_program, new_addr);

	return o && n && o->peer == (uint32_t)(n - c->new_program->symbols) &&
	       old_addr - o->addr == new_addr - n->addr && c->old_function &&
	       refers_to_object(c->old_function, o) &&
	       refers_to_object(c->new_function, n);
}

static bool same_target(struct comparison *c, uint64_t old_addr,
                        uint64_t new_addr)
{
	return same_place(c, old_addr, new_addr, 0);
}

static bool same_reference(struct comparison *c, const struct reference *o,
                           const struct reference *n)
{
	uint64_t width = o->kind == REFERENCE_ACCESS ? o->access_size : 0;

	if (same_place(c, o->target, n->target, width))
		return true;
	return o->kind == REFERENCE_ADDRESS &&
	       same_end(c, o->target, n->target);
}

struct hfx_error *comparison_of_data(struct comparison *comparison,
                                     uint64_t old_addr, uint64_t new_addr,
                                     uint64_t size, bool *same_ret)
{
	comparison->old_function = comparison->new_function = NULL;
	*same_ret = same_data(comparison, old_addr, new_addr, size);
	return comparison->out_of_memory ? hfx_error_no_memory() : NULL;
}

static bool same_shape(const struct reference *o, const struct reference *n)
{
	return o->insn_off == n->insn_off && o->field_off == n->field_off &&
	       o->field_size == n->field_size && o->kind == n->kind;
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

static const char *describe(const struct program *program,
                            const struct reference *reference, char *text,
                            size_t size)
{
	uint64_t addr = reference->target;
	struct place place = place_at(program, addr);
	const char *string = (const char *)program_bytes(program, addr, 1);
	/* What is read at once, such as a float, is no string. */
	bool is_text = place.kind == PLACE_ANONYMOUS &&
	               reference->kind == REFERENCE_ADDRESS;

	if (place.kind == PLACE_FUNCTION)
		snprintf(text, size, "%s",
		         function_name(program, place.function));
	else if (place.symbol)
		snprintf(text, size, "%s", place.symbol->name);
	else if (place.relocation && *place.relocation->symbol)
		snprintf(text, size, "%s", place.relocation->symbol);
	else if (is_text && text_size(program, addr) > 1)
		snprintf(text, size, "\"%.40s\"", string);
	else
		snprintf(text, size, "constant data");
	/* It may be cut within a character, or be in no known encoding. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
		else if ((unsigned char)*p > '~')
			*p = '?';
	return text;
}

static char *explain_reference(struct comparison *c, const struct reference *o,
                               const struct reference *n)
{
	struct place old_place = place_at(c->old_program, o->target);
	struct place new_place = place_at(c->new_program, n->target);
	char old_text[128], new_text[128];
	char *reason = NULL;
	int length;

	describe(c->old_program, o, old_text, sizeof(old_text));
	describe(c->new_program, n, new_text, sizeof(new_text));
	if (old_place.kind == PLACE_OBJECT && new_place.kind == PLACE_OBJECT &&
	    old_place.off == new_place.off && place_is_constant(&new_place) &&
	    same_base_name(old_place.symbol, new_place.symbol))
		length = asprintf(&reason,
		                  "reads table %s, whose content changed",
		                  new_text);
	else if (!strcmp(old_text, new_text))
		length = asprintf(&reason, "%s at +0x%x changed", new_text,
		                  n->insn_off);
	else
		length =
			asprintf(&reason, "refers to %s instead of %s at +0x%x",
		                 new_text, old_text, n->insn_off);
	return length < 0 ? NULL : reason;
}

/* The instruction that holds a byte. */
static uint64_t instruction_at(struct comparison *c,
                               const struct function *function, uint64_t byte)
{
	struct instruction insn;

	for (size_t off = 0; off < function->size; off += insn.size) {
		if (!decoder_next(c->decoder, function->code, function->size,
		                  function->addr, off, &insn))
			break;
		if (byte < off + insn.size)
			return off;
	}
	return byte;
}

/* Name of what is inlined where two functions begin to differ, or NULL. */
static struct hfx_error *inlined_in_both(struct comparison *c,
                                         const struct function *n, char **ret)
{
	const struct function *o = &c->old_program->functions[n->peer];
	uint64_t off = n->difference_off;
	char *old_name = NULL;

	*ret = NULL;
	if (!c->new_program->debug || !c->old_program->debug)
		return NULL;
	HFX_TRY(debug_info_inlined_at(c->new_program->debug, n->addr + off,
	                              ret));
	struct hfx_error *err = debug_info_inlined_at(c->old_program->debug,
	                                              o->addr + off, &old_name);
	if (err || !*ret || !old_name || strcmp(*ret, old_name)) {
		free(*ret);
		*ret = NULL;
	}
	free(old_name);
	return err;
}

/* "inlines f, which changed", if the difference stands in an inlined f. */
static struct hfx_error *explain_inlining(struct comparison *c,
                                          const struct function *n,
                                          char **reason_ret)
{
	char *name;

	*reason_ret = NULL;
	HFX_TRY(inlined_in_both(c, n, &name));
	if (!name)
		return NULL;
	for (size_t i = 0; i < c->new_program->num_functions; i++) {
		const struct function *f = &c->new_program->functions[i];

		/* Its own copy is as it was: the difference is the caller's. */
		if (f->verdict == VERDICT_SAME &&
		    !strcmp(function_name(c->new_program, f), name)) {
			free(name);
			return NULL;
		}
	}
	int length = asprintf(reason_ret, "inlines %s, which changed", name);
	free(name);
	if (length >= 0)
		return NULL;
	*reason_ret = NULL;
	return hfx_error_no_memory();
}

static char *explain_bytes(struct comparison *c, const struct function *o,
                           const struct function *n, uint64_t byte)
{
	char *reason = NULL;
	int length;

	if (o->size != n->size)
		length = asprintf(&reason, "size %lu -> %lu", o->size, n->size);
	else
		length = asprintf(&reason, "instruction at +0x%lx",
		                  instruction_at(c, n, byte));
	return length < 0 ? NULL : reason;
}

/* The first reference among `count` that differs, or `count`. */
static size_t first_reference(struct comparison *c, size_t count)
{
	size_t i = 0;

	while (i < count && same_reference(c, &c->old_function->references[i],
	                                   &c->new_function->references[i]))
		i++;
	return i;
}

static struct hfx_error *compare_pair(struct comparison *c, struct function *o,
                                      struct function *n)
{
	size_t count;
	uint64_t off = first_difference(o, n, &count);
	bool same_bytes = o->size == n->size && off >= n->size &&
	                  count == n->num_references &&
	                  count == o->num_references;

	c->old_function = o;
	c->new_function = n;
	size_t r = first_reference(c, count);
	n->verdict = same_bytes && r == count ? VERDICT_SAME : VERDICT_CHANGED;
	o->verdict = n->verdict;
	if (n->verdict == VERDICT_CHANGED) {
		n->reason = r < count && same_bytes
		                    ? explain_reference(c, &o->references[r],
		                                        &n->references[r])
		                    : explain_bytes(c, o, n, off);
		/* Where to look for what was inlined. */
		n->difference_off = r < count && n->references[r].insn_off < off
		                            ? n->references[r].insn_off
		                            : off;
		if (!n->reason)
			return hfx_error_no_memory();
	}
	return c->out_of_memory ? hfx_error_no_memory() : NULL;
}

static struct hfx_error *explain_all_inlining(struct comparison *c)
{
	for (size_t i = 0; i < c->new_program->num_functions; i++) {
		struct function *n = &c->new_program->functions[i];
		char *reason;

		if (n->verdict != VERDICT_CHANGED)
			continue;
		HFX_TRY(explain_inlining(c, n, &reason));
		if (reason) {
			free(n->reason);
			n->reason = reason;
		}
	}
	return NULL;
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
	return explain_all_inlining(comparison);
}

struct hfx_error *comparison_create(struct program *old_program,
                                    struct program *new_program,
                                    struct decoder *decoder,
                                    struct comparison **ret)
{
	struct comparison *comparison = calloc(1, sizeof(*comparison));

	if (!comparison)
		return hfx_error_no_memory();
	comparison->old_program = old_program;
	comparison->new_program = new_program;
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
