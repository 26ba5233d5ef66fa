/* SPDX-License-Identifier: MIT */
/*
 * Ends of tables. `table + n` is the address of whatever the linker put behind
 * the table: a variable, a label of its own, another section, nothing.
 */
#include <elf.h>
#include <string.h>

#include "closure_private.h"
#include "debug_info.h"
#include "image.h"

#define REMEDY_END                                                             \
	"Keep the order of these variables, or leave the function out with "   \
	"--skip"

/* Larger objects are tables that code may run to the end of. */
#define MAX_SCALAR_SIZE 16

static struct target target_old(uint64_t old_addr)
{
	return (struct target){TARGET_OLD, old_addr};
}

/* Object that ends exactly at `addr`, or NULL; hfx_patch.h's is no array. */
const struct symbol *closure_table_before(const struct closure *closure,
                                          uint64_t addr)
{
	const struct symbol *table =
		place_object_ending_at(closure->new_program, addr);

	return table && table->addr + table->size == addr &&
	                       strcmp(table->name, IMAGE_SHADOW_TABLE) != 0
	               ? table
	               : NULL;
}

/* The same, if the function refers to that object otherwise too, or may. */
const struct symbol *closure_used_table(const struct closure *closure,
                                        uint64_t addr)
{
	const struct symbol *table = closure_table_before(closure, addr);

	return table && (place_is_vtable(table) ||
	                 function_refers_to(closure->function, table->addr,
	                                    table->size) ||
	                 closure_counts_to(closure, table))
	               ? table
	               : NULL;
}

/*
 * Whether OLD's code of the same function uses the table, but never its end:
 * then what stands behind the table is meant.
 */
static bool old_never_uses_end(const struct closure *closure,
                               const struct symbol *table)
{
	const struct program *old = closure->old_program;

	if (closure->function->peer == NO_INDEX || table->peer == NO_INDEX)
		return false;
	const struct function *function =
		&old->functions[closure->function->peer];
	const struct symbol *symbol = &old->symbols[table->peer];

	return function_refers_to(function, symbol->addr, symbol->size) &&
	       !function_refers_to(function, symbol->addr + symbol->size, 1);
}

/* Whether table and neighbour are both OLD's, and as close there. */
static struct hfx_error *stay_together(struct closure *closure,
                                       struct place table, uint64_t addr,
                                       bool *ret)
{
	struct place next = place_at(closure->new_program, addr);
	struct target end, start;

	*ret = false;
	if (next.kind != PLACE_OBJECT || next.off || !place_is_constant(&next))
		return NULL;
	table.off = table.symbol->size;
	HFX_TRY(closure_resolve_object(closure, &table, &end));
	HFX_TRY(closure_resolve_object(closure, &next, &start));
	*ret = end.kind == TARGET_OLD && start.kind == TARGET_OLD &&
	       end.old_addr == start.old_addr;
	return NULL;
}

static bool is_anchored(const struct closure *closure,
                        const struct reference *reference)
{
	return program_anchor_at(closure->new_program,
	                         closure->function->addr + reference->insn_off +
	                                 reference->field_off);
}

struct hfx_error *closure_keep_tables(struct closure *closure)
{
	const struct function *function = closure->function;
	bool stay;

	for (size_t i = 0; i < function->num_references; i++) {
		uint64_t addr = function->references[i].target;
		if (function->references[i].kind != REFERENCE_ADDRESS ||
		    is_anchored(closure, &function->references[i]))
			continue;
		const struct symbol *table = closure_used_table(closure, addr);
		if (!table || old_never_uses_end(closure, table))
			continue;
		struct place place =
			place_at(closure->new_program, table->addr);
		if (place.symbol != table || !place_is_constant(&place))
			continue;
		HFX_TRY(stay_together(closure, place, addr, &stay));
		if (!stay)
			HFX_TRY(closure_keep(closure, table->addr, table->size,
			                     PF_R));
	}
	return NULL;
}

struct hfx_error *closure_resolve_end(struct closure *closure,
                                      const struct symbol *table,
                                      struct target *ret)
{
	struct place place = place_at(closure->new_program, table->addr);

	if (place.symbol != table)
		return closure_refuse(closure, ret, REMEDY_END,
		                      "refers to the end of %s, which overlaps "
		                      "other data",
		                      table->name);
	place.off = table->size;
	return closure_resolve_object(closure, &place, ret);
}

static struct hfx_error *refuse_end(struct closure *closure,
                                    const struct symbol *table,
                                    const struct place *place,
                                    struct target *ret)
{
	return closure_refuse(closure, ret, REMEDY_END,
	                      "refers to the end of %s or to %s behind it, and "
	                      "these moved apart",
	                      table->name, place->symbol->name);
}

/* Whether code may count to the end of the object: of a small one, an array. */
static struct hfx_error *may_have_end(const struct closure *closure,
                                      const struct symbol *table, bool *ret)
{
	struct debug_info *debug = closure->new_program->debug;

	*ret = table->size > MAX_SCALAR_SIZE;
	return *ret || !debug ? NULL
	                      : debug_info_is_array(debug, table->addr, ret);
}

/*
 * `&next` and `table + n` are one address when `next` stands right behind the
 * table. As long as both did the same way from OLD to NEW, it does not matter;
 * else OLD's code tells which one it means.
 */
struct hfx_error *closure_resolve_doubt(struct closure *closure,
                                        const struct place *place,
                                        const struct symbol *table,
                                        struct target *ret)
{
	uint32_t function = closure->function->peer;
	uint64_t old_end, old_next;
	bool can_mean, has_end;

	HFX_TRY(closure_old_object(closure, table, &old_end));
	HFX_TRY(closure_old_object(closure, place->symbol, &old_next));
	if (old_end)
		old_end += table->size;
	if (old_end && old_end == old_next)
		return closure_resolve_object(closure, place, ret);
	HFX_TRY(closure_can_mean(closure, place->symbol, &can_mean));
	if (!can_mean)
		return closure_resolve_end(closure, table, ret);
	if (!old_end && !old_next) {
		HFX_TRY(closure_resolve_end(closure, table, ret));
		return closure_resolve_object(closure, place, ret);
	}
	if (function != NO_INDEX) {
		const struct function *old =
			&closure->old_program->functions[function];
		bool means_next =
			old_next && function_refers_to(old, old_next, 1);
		bool means_end = old_end && function_refers_to(old, old_end, 1);

		if (means_end && !means_next)
			return closure_resolve_end(closure, table, ret);
		if (means_next && !means_end)
			return closure_resolve_object(closure, place, ret);
	}
	HFX_TRY(may_have_end(closure, table, &has_end));
	if (!has_end)
		return closure_resolve_object(closure, place, ret);
	return refuse_end(closure, table, place, ret);
}

/* Code that calls for a slot by its address: thread-local variables. */
static bool is_tls_slot(const struct place *place)
{
	uint32_t type = place->relocation ? place->relocation->type : 0;

	return type == R_X86_64_DTPMOD64 || type == R_X86_64_DTPOFF64 ||
	       type == R_X86_64_TPOFF64 || type == R_X86_64_TLSDESC;
}

/* Names of the linker's that ordinary code does not use. */
static bool is_linkers_name(const char *name)
{
	return !strcmp(name, "_DYNAMIC") ||
	       !strcmp(name, "_GLOBAL_OFFSET_TABLE_") ||
	       !strcmp(name, "__GNU_EH_FRAME_HDR") ||
	       strstr(name, "_array_start") || strstr(name, "_array_end");
}

/* The table's end, or the label there: OLD's code tells, if they differ. */
static struct hfx_error *resolve_end_or_label(struct closure *closure,
                                              const struct symbol *table,
                                              const struct place *place,
                                              struct target *ret)
{
	const struct closure *c = closure;
	uint32_t function = closure->function->peer;
	uint32_t label = place->symbol->peer;

	bool can_mean;

	HFX_TRY(closure_resolve_end(closure, table, ret));
	HFX_TRY(closure_can_mean(closure, place->symbol, &can_mean));
	if (ret->kind == TARGET_REFUSED || !can_mean ||
	    is_linkers_name(place->symbol->name))
		return NULL;
	if (label == NO_INDEX || function == NO_INDEX ||
	    table->peer == NO_INDEX)
		return refuse_end(closure, table, place, ret);
	const struct symbol *old = &c->old_program->symbols[table->peer];
	uint64_t old_label = c->old_program->symbols[label].addr;
	uint64_t old_end = old->addr + old->size;
	if (ret->kind == TARGET_OLD && ret->old_addr == old_label)
		return NULL;
	const struct function *code = &c->old_program->functions[function];
	bool means_label = function_refers_to(code, old_label, 1);
	bool means_end = function_refers_to(code, old_end, 1);
	if (means_label == means_end)
		return refuse_end(closure, table, place, ret);
	if (means_label)
		*ret = target_old(old_label);
	return NULL;
}

struct hfx_error *closure_resolve_table_end(struct closure *closure,
                                            const struct place *place,
                                            const struct use *use,
                                            struct target *ret,
                                            bool *is_done_ret)
{
	const struct symbol *table;

	*is_done_ret = false;
	if (use->kind != REFERENCE_ADDRESS || use->is_pointer ||
	    (place->kind != PLACE_LABEL && place->kind != PLACE_SLOT &&
	     place->kind != PLACE_CONSTANT_SLOT &&
	     place->kind != PLACE_CONSTANT_STUB) ||
	    is_tls_slot(place))
		return NULL;
	table = closure_used_table(closure, place->addr);
	if (!table)
		return NULL;
	*is_done_ret = true;
	return place->kind == PLACE_LABEL
	               ? resolve_end_or_label(closure, table, place, ret)
	               : closure_resolve_end(closure, table, ret);
}
