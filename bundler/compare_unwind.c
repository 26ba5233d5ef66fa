/* SPDX-License-Identifier: MIT */
/*
 * Exception tables (Itanium C++ ABI, Exception Handling, "LSDA") of two
 * functions with the same code: which exception goes to which landing pad is
 * said nowhere else. Values of filters are constants of the code, too, so they
 * must be the same; the types that they stand for are compared by name.
 */
#include <string.h>

#include <dwarf.h>

#include "compare_private.h"
#include "cursor.h"
#include "lsda.h"
#include "place.h"

/* Of one chain of actions, or one exception specification. */
#define MAX_CHAIN 4096

/* The address that a type's entry leads to; 0 for all types. */
static bool type_at(const struct program *program, const struct lsda *lsda,
                    uint64_t index, uint64_t *ret,
                    const struct dynamic_relocation **import_ret)
{
	uint64_t off = lsda->types_end - index * LSDA_TYPE_SIZE;
	int32_t value;
	const uint8_t *slot;

	*import_ret = NULL;
	if (!index || index > lsda->types_end / LSDA_TYPE_SIZE ||
	    off < lsda->actions_off)
		return false;
	memcpy(&value, lsda->bytes + off, sizeof(value));
	*ret = (uint32_t)value;
	if (!value || lsda_has_type_addrs(lsda))
		return true;
	uint64_t addr = lsda->addr + off + (int64_t)value;
	const struct dynamic_relocation *relocation =
		program_relocation_at(program, addr);
	if (relocation && relocation->is_import)
		*import_ret = relocation;
	if (relocation) {
		*ret = relocation->symbol_addr + relocation->addend;
		return true;
	}
	slot = program_bytes(program, addr, sizeof(*ret));
	if (slot)
		memcpy(ret, slot, sizeof(*ret));
	return slot;
}

static bool same_type(struct comparison *c, const struct lsda *o,
                      const struct lsda *n, uint64_t index)
{
	const struct dynamic_relocation *p, *q;
	uint64_t a, b;

	if (!type_at(c->old_program, o, index, &a, &p) ||
	    !type_at(c->new_program, n, index, &b, &q))
		return false;
	if (p || q)
		return p && q && !strcmp(p->symbol, q->symbol) &&
		       !strcmp(p->version, q->version);
	if (!a || !b)
		return a == b;
	const struct symbol *s = program_object_at(c->old_program, a);
	const struct symbol *t = program_object_at(c->new_program, b);
	return s && t && a - s->addr == b - t->addr &&
	       comparison_same_base_name(s, t);
}

/* The types of an exception specification, to a zero. */
static bool same_specification(struct comparison *c, const struct lsda *o,
                               const struct lsda *n, uint64_t off)
{
	struct cursor a = cursor_init(o->bytes, o->size);
	struct cursor b = cursor_init(n->bytes, n->size);

	if (off > o->size - o->types_end || off > n->size - n->types_end)
		return false;
	cursor_seek(&a, o->types_end + off);
	cursor_seek(&b, n->types_end + off);
	for (unsigned int i = 0; i < MAX_CHAIN; i++) {
		uint64_t x = cursor_uleb128(&a), y = cursor_uleb128(&b);

		if (a.failed || b.failed || x != y)
			return false;
		if (!x)
			return true;
		if (!same_type(c, o, n, x))
			return false;
	}
	return false;
}

static bool same_filter(struct comparison *c, const struct lsda *o,
                        const struct lsda *n, int64_t filter)
{
	if (!filter)
		return true;
	return filter > 0
	               ? same_type(c, o, n, (uint64_t)filter)
	               : same_specification(c, o, n, -((uint64_t)filter + 1));
}

/* The chain from the offset, which counts from 1; 0 is a mere cleanup. */
static bool same_actions(struct comparison *c, const struct lsda *o,
                         const struct lsda *n, uint64_t action)
{
	struct cursor a = cursor_init(o->bytes, o->size);
	struct cursor b = cursor_init(n->bytes, n->size);

	if (!action)
		return true;
	if (action > o->size - o->actions_off ||
	    action > n->size - n->actions_off)
		return false;
	cursor_seek(&a, o->actions_off + action - 1);
	cursor_seek(&b, n->actions_off + action - 1);
	for (unsigned int i = 0; i < MAX_CHAIN; i++) {
		int64_t filter = cursor_sleb128(&a);
		bool same = filter == cursor_sleb128(&b);
		uint64_t from = a.off, new_from = b.off;
		int64_t next = cursor_sleb128(&a);

		if (!same || next != cursor_sleb128(&b) || a.failed ||
		    b.failed || !same_filter(c, o, n, filter))
			return false;
		if (!next)
			return true;
		if (from + (uint64_t)next >= o->size ||
		    new_from + (uint64_t)next >= n->size)
			return false;
		cursor_seek(&a, from + (uint64_t)next);
		cursor_seek(&b, new_from + (uint64_t)next);
	}
	return false;
}

static uint64_t read_site(struct cursor *cursor, uint8_t encoding)
{
	return encoding == DW_EH_PE_udata4 ? cursor_u32(cursor)
	                                   : cursor_uleb128(cursor);
}

static bool same_lsda(struct comparison *c, const struct lsda *o,
                      const struct lsda *n)
{
	struct cursor a = cursor_init(o->bytes, o->actions_off);
	struct cursor b = cursor_init(n->bytes, n->actions_off);

	cursor_seek(&a, o->sites_off);
	cursor_seek(&b, n->sites_off);
	while (cursor_left(&a) && cursor_left(&b)) {
		/* Start, length and landing pad. */
		for (unsigned int i = 0; i < 3; i++)
			if (read_site(&a, o->site_encoding) !=
			    read_site(&b, n->site_encoding))
				return false;
		uint64_t action = cursor_uleb128(&a);

		if (action != cursor_uleb128(&b) || a.failed || b.failed ||
		    !same_actions(c, o, n, action))
			return false;
	}
	return cursor_left(&a) == cursor_left(&b);
}

static bool is_site_encoding(uint8_t encoding)
{
	return encoding == DW_EH_PE_uleb128 || encoding == DW_EH_PE_udata4;
}

bool comparison_same_exceptions(struct comparison *c, const struct function *o,
                                const struct function *n)
{
	uint64_t a, b, personality;
	struct lsda old_lsda, new_lsda;

	unwind_table_references(c->old_unwind, o->addr, &a, &personality);
	unwind_table_references(c->new_unwind, n->addr, &b, &personality);
	if (!a || !b)
		return a == b;
	return lsda_read(c->old_program, a, &old_lsda) &&
	       lsda_read(c->new_program, b, &new_lsda) &&
	       is_site_encoding(old_lsda.site_encoding) &&
	       is_site_encoding(new_lsda.site_encoding) &&
	       same_lsda(c, &old_lsda, &new_lsda);
}
