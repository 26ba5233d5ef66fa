/* SPDX-License-Identifier: MIT */
/*
 * Whether two addresses mean the same. Named things are the same when match.c
 * says so; things without a name when their content is. Content may hold
 * pointers, so comparing it is a walk over a graph that may have cycles: a pair
 * that is being compared counts as equal until shown otherwise, and what was
 * concluded under that assumption is kept only if the whole walk ends well.
 */
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include "cleanup.h"
#include "compare_private.h"
#include "debug_info.h"
#include "decode.h"
#include "match.h"
#include "place.h"

#define MAX_DEPTH 200

void comparison_fail(struct comparison *comparison, struct hfx_error *err)
{
	if (comparison->error)
		hfx_error_destroy(err);
	else
		comparison->error = err;
}

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
		/* Relocations that overlap, as none do in a sound file. */
		if (end < off || memcmp(a + off, b + off, end - off))
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
		comparison_fail(c, hfx_error_no_memory());
		return false;
	}
	c->depth++;
	bool same = same_range(c, old_addr, new_addr, size);
	c->depth--;
	if (is_outermost) {
		if (same && !pair_set_add_all(&c->equal, &c->walk))
			comparison_fail(c, hfx_error_no_memory());
		pair_set_clear(&c->walk);
	}
	return same;
}

/*
 * What stands behind a text or table, up to the next thing that something
 * refers to. Numbers may look like a text ({'A', 310, 5}), or like a table of
 * distances, and a text may go on behind a NUL: "a\0b".
 */
static bool same_rest(struct comparison *c, uint64_t old_addr,
                      uint64_t old_size, uint64_t new_addr, uint64_t new_size)
{
	uint64_t old_rest = anonymous_size(c->old_program, old_addr) - old_size;
	uint64_t new_rest = anonymous_size(c->new_program, new_addr) - new_size;
	uint64_t size = old_rest < new_rest ? old_rest : new_rest;

	old_addr += old_size;
	new_addr += new_size;
	return !size || same_data(c, old_addr, new_addr, size) ||
	       (rest_is_of_others(c->old_program, c->new_program, old_addr,
	                          old_addr + size) &&
	        rest_is_of_others(c->new_program, c->old_program, new_addr,
	                          new_addr + size));
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

static const char *folder_of(struct comparison *c,
                             const struct program *program,
                             const struct function *function)
{
	const char *folder = "";

	if (program->debug && function)
		comparison_fail(c,
		                debug_info_folder_at(program->debug,
		                                     function->addr, &folder));
	return folder;
}

/* Texts of two functions: equal, but for what the build wrote into them. */
static bool same_text(struct comparison *c, uint64_t old_addr,
                      uint64_t new_addr)
{
	const char *a =
		(const char *)program_bytes(c->old_program, old_addr, 1);
	const char *b =
		(const char *)program_bytes(c->new_program, new_addr, 1);

	if (!strcmp(a, b))
		return true;
	if (!c->old_folder) {
		c->old_folder = folder_of(c, c->old_program, c->old_function);
		c->new_folder = folder_of(c, c->new_program, c->new_function);
	}
	switch (build_text_compare(a, b, c->old_folder, c->new_folder)) {
	case BUILD_TEXT_DATE:
		c->passed |= PASSED_DATE;
		return true;
	case BUILD_TEXT_FOLDER:
		c->passed |= PASSED_FOLDER;
		return true;
	default:
		return false;
	}
}

/* Whether the NUL at `addr` ends a text: "" is merged with such. */
static bool ends_text(const struct program *program, uint64_t addr)
{
	return text_size(program, addr - 1) == 2;
}

/* Whether what may be distances in both builds leads to other texts. */
static bool lead_apart(struct comparison *c, uint64_t old_addr,
                       uint64_t new_addr)
{
	uint64_t count = relative_table_perhaps(c->old_program, old_addr);
	uint64_t new_count = relative_table_perhaps(c->new_program, new_addr);

	if (new_count < count)
		count = new_count;
	for (uint64_t i = 0; count > 1 && i < count; i++)
		if (!same_target(c, table_target(c->old_program, old_addr, i),
		                 table_target(c->new_program, new_addr, i)))
			return true;
	return false;
}

/* As these: tables of distances, or of what may be some. */
static int compare_tables(struct comparison *c, uint64_t old_addr,
                          uint64_t new_addr)
{
	uint64_t size = relative_table_length(c->old_program, old_addr) * 4;
	int order = compare_jump_tables(c, old_addr, new_addr);

	if (order)
		return order;
	order = compare_relative_tables(c, old_addr, new_addr);
	if (order > 0 && !same_rest(c, old_addr, size, new_addr, size))
		return -1;
	return !order && lead_apart(c, old_addr, new_addr) ? -1 : order;
}

static bool same_anonymous(struct comparison *c, uint64_t old_addr,
                           uint64_t new_addr, uint64_t access_size)
{
	if (access_size)
		return same_data(c, old_addr, new_addr, access_size);
	if (c->old_function && !c->depth) {
		int order = compare_tables(c, old_addr, new_addr);

		if (order)
			return order > 0;
	}
	uint64_t old_text = text_size(c->old_program, old_addr);
	uint64_t new_text = text_size(c->new_program, new_addr);
	uint64_t old_size = anonymous_size(c->old_program, old_addr);
	uint64_t new_size = anonymous_size(c->new_program, new_addr);
	uint64_t size = old_size < new_size ? old_size : new_size;

	if (old_text == 1 && new_text == 1 &&
	    (ends_text(c->old_program, old_addr) ||
	     ends_text(c->new_program, new_addr)))
		return true;
	if (old_text > 1 && new_text > 1)
		return same_text(c, old_addr, new_addr) &&
		       same_rest(c, old_addr, old_text, new_addr, new_text);
	return same_data(c, old_addr, new_addr,
	                 old_text > size ? old_text : size);
}

bool comparison_same_base_name(const struct symbol *a, const struct symbol *b)
{
	size_t length = match_base_length(a->name);

	return length == match_base_length(b->name) &&
	       !memcmp(a->name, b->name, length);
}

/* Data of a known size: a relative table by where it leads, else by content. */
static bool same_named(struct comparison *c, uint64_t old_addr,
                       uint64_t new_addr, uint64_t size)
{
	if (relative_table_length(c->old_program, old_addr) * 4 == size &&
	    relative_table_length(c->new_program, new_addr) * 4 == size)
		return compare_relative_tables(c, old_addr, new_addr) > 0;
	return same_data(c, old_addr, new_addr, size);
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
	if (!is_peer && !comparison_same_base_name(o->symbol, n->symbol))
		return false;
	return o->symbol->size == n->symbol->size &&
	       same_named(c, o->symbol->addr, n->symbol->addr, o->symbol->size);
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

/* Zeros without a name: as far behind the same object. */
static bool same_nameless(const struct comparison *c, uint64_t old_addr,
                          uint64_t new_addr)
{
	const struct symbol *o =
		program_object_before(c->old_program, old_addr);
	const struct symbol *n =
		program_object_before(c->new_program, new_addr);

	return o && n && o->peer == (uint32_t)(n - c->new_program->symbols) &&
	       old_addr - o->addr == new_addr - n->addr;
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
	case PLACE_CONSTANT_STUB:
		return true;
	case PLACE_CONSTANT_SLOT:
		return same_data(c, old_addr, new_addr, sizeof(uint64_t));
	case PLACE_OBJECT:
		return same_object(c, &o, &n);
	case PLACE_LABEL:
		/* There may be several, in any order. */
		return program_has_label(c->new_program, n.addr, "",
		                         o.symbol->name);
	case PLACE_ANONYMOUS:
		return same_anonymous(c, old_addr, new_addr, access_size);
	case PLACE_NONE:
		return o.section && n.section
		               ? same_nameless(c, old_addr, new_addr)
		               : !o.section && !n.section &&
		                         old_addr == new_addr;
	}
	return false;
}

static const struct symbol *constant_at(const struct program *program,
                                        uint64_t addr)
{
	struct place place = place_at(program, addr);

	return place.kind == PLACE_OBJECT && !place.off &&
	                       place_is_constant(&place)
	               ? place.symbol
	               : NULL;
}

/* A constant that begins there in both builds, and that the code can name. */
static bool may_be_start(struct comparison *c, uint64_t old_addr,
                         uint64_t new_addr)
{
	const struct program *old = c->old_program;
	const struct symbol *o = constant_at(old, old_addr);
	const struct symbol *n = constant_at(c->new_program, new_addr);

	return o && n && comparison_same_base_name(o, n) &&
	       (!o->is_local ||
	        !strcmp(o->file, old->symbols[c->old_function->symbol].file) ||
	        !*old->symbols[c->old_function->symbol].file);
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
	       !may_be_start(c, old_addr, new_addr) &&
	       function_refers_to(c->old_function, o->addr, o->size) &&
	       function_refers_to(c->new_function, n->addr, n->size);
}

/*
 * Padding is never meant: both count to the object behind it, from as far
 * (closure_bias.c). Then that object must be the same. `is_done_ret` says
 * whether it is so.
 */
static bool same_start(struct comparison *c, uint64_t old_addr,
                       uint64_t new_addr, bool *is_done_ret)
{
	const struct program *old = c->old_program, *new = c->new_program;
	const struct symbol *o = place_object_starting_after(old, old_addr);
	const struct symbol *n = place_object_starting_after(new, new_addr);

	*is_done_ret = o && n && o->addr - old_addr == n->addr - new_addr &&
	               comparison_same_base_name(o, n) &&
	               place_is_blank(old, old_addr, o->addr) &&
	               place_is_blank(new, new_addr, n->addr);
	return *is_done_ret && same_place(c, o->addr, n->addr, 0);
}

static bool same_target(struct comparison *c, uint64_t old_addr,
                        uint64_t new_addr)
{
	return same_place(c, old_addr, new_addr, 0);
}

static const struct symbol *anchor_of(const struct program *program,
                                      const struct function *function,
                                      const struct reference *reference)
{
	return program_anchor_at(program, function->addr + reference->insn_off +
	                                          reference->field_off);
}

/* Where both builds say of which object a reference counts: nothing to guess.
 */
static bool same_anchor(struct comparison *c, const struct reference *o,
                        const struct reference *n, bool *is_done_ret)
{
	const struct symbol *a = anchor_of(c->old_program, c->old_function, o);
	const struct symbol *b = anchor_of(c->new_program, c->new_function, n);

	*is_done_ret = a && b;
	return *is_done_ret && o->target - a->addr == n->target - b->addr &&
	       same_place(c, a->addr, b->addr, 0);
}

/*
 * The end of a linker set stands for all of it, if the functions have its
 * start, too: their code does not say how much it is.
 */
static bool same_set(struct comparison *c, const struct reference *o,
                     const struct reference *n, bool *is_done_ret)
{
	const struct section *a = place_set_at(c->old_program, o->target);
	const struct section *b = place_set_at(c->new_program, n->target);

	*is_done_ret = a && b && !strcmp(a->name, b->name) &&
	               o->target - a->addr == a->size &&
	               n->target - b->addr == b->size &&
	               function_refers_to(c->old_function, a->addr, 1) &&
	               function_refers_to(c->new_function, b->addr, 1);
	return *is_done_ret && a->size == b->size &&
	       same_data(c, a->addr, b->addr, a->size);
}

static bool passes_on(struct comparison *c, const struct function *function,
                      const struct reference *reference)
{
	return decoder_passes_on(c->decoder, function->code, function->size,
	                         reference->insn_off);
}

/*
 * An address inside a text, or of its NUL, is that of a shorter text with the
 * same end, since linkers merge them; or code counts from it, also backwards:
 * then the whole text must be the same.
 */
static bool same_before(struct comparison *c, const struct reference *o,
                        const struct reference *n)
{
	struct place place = place_at(c->old_program, o->target);
	uint64_t a = o->target, b = n->target;

	if (place.kind != PLACE_ANONYMOUS || !text_size(c->old_program, a) ||
	    place_at(c->new_program, b).kind != PLACE_ANONYMOUS ||
	    jump_table_length(c->old_program, c->old_function, a) ||
	    relative_table_length(c->old_program, a))
		return true;
	uint64_t old_start = text_start(c->old_program, a);
	uint64_t new_start = text_start(c->new_program, b);
	if (old_start == a || new_start == b ||
	    (a - old_start == b - new_start &&
	     same_text(c, old_start, new_start)))
		return true;
	return passes_on(c, c->old_function, o) &&
	       passes_on(c, c->new_function, n);
}

/* The end of a vtable is its own, or what stands behind it: both count. */
static bool same_vtable_end(struct comparison *c, uint64_t old_addr,
                            uint64_t new_addr)
{
	const struct symbol *o =
		place_object_ending_at(c->old_program, old_addr);
	const struct symbol *n =
		place_object_ending_at(c->new_program, new_addr);
	bool is_old = o && place_is_vtable(o) && o->addr + o->size == old_addr;
	bool is_new = n && place_is_vtable(n) && n->addr + n->size == new_addr;

	return (!is_old && !is_new) ||
	       (is_old && is_new && same_place(c, o->addr, n->addr, 0));
}

/*
 * An address inside a constant may be counted from to the next one: for
 * `days[month - 1]` it is that of `days - 2`. Then the next one counts, too.
 */
static bool same_followed(struct comparison *c, uint64_t old_addr,
                          uint64_t new_addr)
{
	const struct symbol *a =
		place_object_starting_after(c->old_program, old_addr);
	const struct symbol *b =
		place_object_starting_after(c->new_program, new_addr);
	struct place o = place_at(c->old_program, old_addr);
	struct place next;

	if (o.kind != PLACE_OBJECT || !o.off || !place_is_constant(&o) || !a ||
	    !b || a->addr - old_addr != b->addr - new_addr ||
	    !comparison_same_base_name(a, b))
		return true;
	next = place_at(c->old_program, a->addr);
	return !place_is_constant(&next) || same_place(c, a->addr, b->addr, 0);
}

bool comparison_same_reference(struct comparison *c, const struct reference *o,
                               const struct reference *n)
{
	uint64_t width = o->kind == REFERENCE_ACCESS ? o->access_size : 0;
	bool is_address = o->kind == REFERENCE_ADDRESS, is_done = false;
	bool same = same_anchor(c, o, n, &is_done);

	if (is_done)
		return same;
	same = is_address && same_set(c, o, n, &is_done);
	if (is_done)
		return same;
	if (is_address && comparison_same_bound(c, o->target, n->target))
		return true;
	same = is_address && same_start(c, o->target, n->target, &is_done);
	if (!is_done)
		same = same_place(c, o->target, n->target, width);
	if (same)
		return !is_address ||
		       (same_before(c, o, n) &&
		        same_followed(c, o->target, n->target) &&
		        same_vtable_end(c, o->target, n->target));
	return is_address && same_end(c, o->target, n->target);
}

struct hfx_error *comparison_of_data(struct comparison *comparison,
                                     uint64_t old_addr, uint64_t new_addr,
                                     uint64_t size, bool *same_ret)
{
	comparison->old_function = comparison->new_function = NULL;
	*same_ret = same_named(comparison, old_addr, new_addr, size);
	return HFX_TAKE(comparison->error);
}

struct hfx_error *
comparison_of_pointers(struct comparison *comparison,
                       const struct dynamic_relocation *old_pointer,
                       const struct dynamic_relocation *new_pointer,
                       bool *same_ret)
{
	comparison->old_function = comparison->new_function = NULL;
	*same_ret = same_relocation(comparison, old_pointer, new_pointer);
	return HFX_TAKE(comparison->error);
}
