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
#include "place.h"

#define TYPE_SIZE 4
/* Of one chain of actions, or one exception specification. */
#define MAX_CHAIN 4096

struct lsda {
	const struct program *program;
	uint64_t addr;
	const uint8_t *bytes;
	uint64_t size;
	uint8_t type_encoding;
	uint8_t site_encoding;
	uint64_t types_end;
	uint64_t sites_off;
	uint64_t actions_off;
};

/* As closure_unwind.c can keep it. */
static bool is_known_form(const struct lsda *lsda, uint8_t start_encoding)
{
	uint8_t site = lsda->site_encoding;

	return start_encoding == DW_EH_PE_omit &&
	       (site == DW_EH_PE_uleb128 || site == DW_EH_PE_udata4) &&
	       (!lsda->types_end ||
	        lsda->type_encoding == (DW_EH_PE_indirect | DW_EH_PE_pcrel |
	                                DW_EH_PE_sdata4) ||
	        (lsda->type_encoding == DW_EH_PE_udata4 &&
	         lsda->program->is_fixed));
}

static bool read_lsda(const struct program *program, uint64_t addr,
                      struct lsda *ret)
{
	const struct section *section = program_section_at(program, addr);

	if (!section || !section->data)
		return false;
	*ret = (struct lsda){
		.program = program,
		.addr = addr,
		.bytes = section->data + (addr - section->addr),
		.size = section->size - (addr - section->addr),
	};
	struct cursor cursor = cursor_init(ret->bytes, ret->size);
	uint8_t start_encoding = cursor_u8(&cursor);
	ret->type_encoding = cursor_u8(&cursor);
	if (ret->type_encoding != DW_EH_PE_omit) {
		uint64_t distance = cursor_uleb128(&cursor);

		if (distance > cursor_left(&cursor))
			return false;
		ret->types_end = cursor.off + distance;
	}
	ret->site_encoding = cursor_u8(&cursor);
	uint64_t sites_size = cursor_uleb128(&cursor);
	if (cursor.failed || sites_size > cursor_left(&cursor))
		return false;
	ret->sites_off = cursor.off;
	ret->actions_off = cursor.off + sites_size;
	return is_known_form(ret, start_encoding);
}

/* The address that a type's entry leads to; 0 for all types. */
static bool type_at(const struct lsda *lsda, uint64_t index, uint64_t *ret,
                    const struct dynamic_relocation **import_ret)
{
	uint64_t off = lsda->types_end - index * TYPE_SIZE;
	int32_t value;
	const uint8_t *slot;

	*import_ret = NULL;
	if (!index || index > lsda->types_end / TYPE_SIZE ||
	    off < lsda->actions_off)
		return false;
	memcpy(&value, lsda->bytes + off, sizeof(value));
	*ret = (uint32_t)value;
	if (!value || lsda->type_encoding == DW_EH_PE_udata4)
		return true;
	uint64_t addr = lsda->addr + off + (int64_t)value;
	const struct dynamic_relocation *relocation =
		program_relocation_at(lsda->program, addr);
	if (relocation && relocation->is_import)
		*import_ret = relocation;
	if (relocation) {
		*ret = relocation->symbol_addr + relocation->addend;
		return true;
	}
	slot = program_bytes(lsda->program, addr, sizeof(*ret));
	if (slot)
		memcpy(ret, slot, sizeof(*ret));
	return slot;
}

static bool same_type(struct comparison *c, const struct lsda *o,
                      const struct lsda *n, uint64_t index)
{
	const struct dynamic_relocation *p, *q;
	uint64_t a, b;

	if (!type_at(o, index, &a, &p) || !type_at(n, index, &b, &q))
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

static struct hfx_error *load(const struct program *program,
                              struct unwind_table **ret)
{
	const struct section *frames = NULL;

	for (size_t i = 0; i < program->num_sections; i++)
		if (!strcmp(program->sections[i].name, ".eh_frame"))
			frames = &program->sections[i];
	return hfx_error_wrap(
		unwind_table_create(
			frames ? frames->addr : 0, frames ? frames->data : NULL,
			frames && frames->data ? frames->size : 0, ret),
		"%s", program->path);
}

struct hfx_error *comparison_load_unwind(struct comparison *c)
{
	HFX_TRY(load(c->old_program, &c->old_unwind));
	return load(c->new_program, &c->new_unwind);
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
	return read_lsda(c->old_program, a, &old_lsda) &&
	       read_lsda(c->new_program, b, &new_lsda) &&
	       same_lsda(c, &old_lsda, &new_lsda);
}
