/* SPDX-License-Identifier: MIT */
/*
 * Data. Variables of OLD are alive in the process and shared, never copied.
 * Constants are taken from OLD when it has the same under the same name, so
 * that their addresses stay what they were, else from NEW.
 */
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include "array.h"
#include "cleanup.h"
#include "closure_private.h"
#include "debug_info.h"
#include "match.h"
#include "namesakes.h"

#define REMEDY_DEBUG                                                           \
	"Give debug information for both builds (-g), and a new variable a "   \
	"name of its own, so that they can be told apart"
#define REMEDY_OBJECT "Keep its size and type, and add a new variable instead"
#define REMEDY_SKIP   "Leave the function out with --skip"

static struct target target_old(uint64_t old_addr)
{
	return (struct target){TARGET_OLD, old_addr};
}

static bool is_own_offset(uint32_t type)
{
	return type == R_X86_64_DTPOFF64 || type == R_X86_64_TPOFF64 ||
	       type == R_X86_64_TLSDESC;
}

static struct hfx_error *
keep_pointer(struct closure *closure,
             const struct dynamic_relocation *relocation)
{
	const struct use use = {.kind = REFERENCE_ADDRESS, .is_pointer = true};
	uint64_t addr = relocation->symbol_addr + relocation->addend;
	struct target target;

	HFX_TRY(closure_resolve(closure, addr, &use, &target));
	if (target.kind == TARGET_REFUSED)
		return NULL;
	if (target.kind == TARGET_OLD)
		return closure_relocate(closure, relocation->addr, R_X86_64_64,
		                        IMAGE_SYMBOL_MODULE, target.old_addr);
	return closure_relocate(closure, relocation->addr, R_X86_64_RELATIVE,
	                        IMAGE_SYMBOL_NONE, addr);
}

static struct hfx_error *
keep_relocation(struct closure *closure,
                const struct dynamic_relocation *relocation)
{
	struct target target;
	uint32_t import;

	if (relocation->type == R_X86_64_DTPMOD64 && !relocation->is_import &&
	    closure->same_tls)
		return closure_relocate(closure, relocation->addr,
		                        R_X86_64_DTPMOD64, IMAGE_SYMBOL_MODULE,
		                        0);
	if (is_own_offset(relocation->type) ||
	    relocation->type == R_X86_64_DTPMOD64 ||
	    relocation->type == R_X86_64_IRELATIVE ||
	    relocation->type == R_X86_64_COPY)
		return closure_refuse(
			closure, &target, REMEDY_SKIP,
			"needs a relocation of type %u for %s, which only the "
			"dynamic linker can make",
			relocation->type,
			*relocation->symbol ? relocation->symbol
					    : "this module");
	if (!relocation->is_import)
		return keep_pointer(closure, relocation);
	HFX_TRY(closure_import(closure, relocation, &import));
	return closure_relocate(
		closure, relocation->addr,
		relocation->type == R_X86_64_64 ? R_X86_64_64
						: R_X86_64_GLOB_DAT,
		import,
		relocation->type == R_X86_64_64 ? relocation->addend : 0);
}

/* A pointer of 32 bits in the data of a program for a fixed address. */
static struct hfx_error *keep_low_pointer(struct closure *closure,
                                          const struct kept_relocation *kept)
{
	const struct use use = {.kind = REFERENCE_ADDRESS, .is_pointer = true};
	struct target target;

	HFX_TRY(closure_resolve(closure, kept->target, &use, &target));
	if (target.kind == TARGET_REFUSED)
		return NULL;
	if (target.kind == TARGET_OLD)
		return closure_relocate(closure, kept->addr, kept->type,
		                        IMAGE_SYMBOL_MODULE, target.old_addr);
	return closure_relocate(closure, kept->addr, kept->type,
	                        IMAGE_SYMBOL_NONE, kept->target);
}

/*
 * What a relative table leads to must keep its distance: all in the image.
 * Where it is no such table, that costs a few bytes.
 */
static struct hfx_error *keep_relative_targets(struct closure *closure,
                                               uint64_t addr)
{
	const struct program *program = closure->new_program;
	uint64_t count = relative_table_perhaps(program, addr);

	for (uint64_t i = 0; i < count; i++) {
		struct place place =
			place_at(program, table_target(program, addr, i));
		bool is_object = place.kind == PLACE_OBJECT;

		HFX_TRY(closure_keep(
			closure, is_object ? place.symbol->addr : place.addr,
			is_object ? place.symbol->size
				  : text_size(program, place.addr),
			PF_R));
	}
	return NULL;
}

struct hfx_error *closure_keep(struct closure *closure, uint64_t addr,
                               uint64_t size, uint32_t flags)
{
	const struct program *program = closure->new_program;
	struct image_piece piece = {
		.addr = addr,
		.size = size,
		.data = program_bytes(program, addr, size),
		.flags = flags,
	};

	if (pair_set_has(&closure->kept, addr, size, flags))
		return NULL;
	if (!pair_set_add(&closure->kept, addr, size, flags) ||
	    !HFX_ARRAY_PUSH(&closure->image, pieces, piece))
		return hfx_error_no_memory();
	for (size_t i = program_relocation_from(program, addr);
	     i < program->num_relocations &&
	     program->relocations[i].addr - addr < size;
	     i++)
		HFX_TRY(keep_relocation(closure, &program->relocations[i]));
	for (size_t i = program_kept_from(program, addr);
	     i < program->num_kept && program->kept[i].addr - addr < size; i++)
		HFX_TRY(keep_low_pointer(closure, &program->kept[i]));
	return flags == PF_R ? keep_relative_targets(closure, addr) : NULL;
}

/* ---- Variables ---------------------------------------------------------- */

/* OLD's variable for one of NEW: its index, or that there is none. */
struct live {
	uint32_t old_symbol;
	bool is_ambiguous;
};

static struct hfx_error *scope_of(const struct program *program,
                                  const struct symbol *symbol, char **ret)
{
	*ret = NULL;
	if (!program->debug)
		return NULL;
	return debug_info_variable_scope(program->debug, symbol->addr, ret);
}

static struct hfx_error *has_scope(struct closure *closure, uint32_t old_symbol,
                                   const char *scope, bool *ret)
{
	char *other = NULL;

	HFX_TRY(scope_of(closure->old_program,
	                 &closure->old_program->symbols[old_symbol], &other));
	*ret = other && !strcmp(other, scope);
	free(other);
	return NULL;
}

/* The local variable of OLD that DWARF puts in the same place of the source. */
static struct hfx_error *find_by_scope(struct closure *closure,
                                       const struct symbol *symbol,
                                       const char *scope, struct live *ret)
{
	bool found = false;

	if (symbol->peer != NO_INDEX)
		HFX_TRY(has_scope(closure, symbol->peer, scope, &found));
	*ret = (struct live){found ? symbol->peer : NO_INDEX, false};
	if (found)
		return NULL;
	return namesakes_find_old(closure->namesakes, symbol, scope,
	                          &ret->old_symbol);
}

/* Whether DWARF knows the current function, and so should its variables. */
static struct hfx_error *has_debug_info(const struct closure *closure,
                                        bool *ret)
{
	HFX_CLEANUP(hfx_free) char *unit = NULL;

	*ret = false;
	if (!closure->new_program->debug)
		return NULL;
	HFX_TRY(debug_info_unit_at(closure->new_program->debug,
	                           closure->function->addr, false, &unit));
	*ret = unit && *unit;
	return NULL;
}

/* Whether OLD's version of the current function uses OLD's variable. */
static bool is_used_alike(const struct closure *closure,
                          const struct symbol *symbol)
{
	const struct program *old = closure->old_program;
	const struct symbol *peer = &old->symbols[symbol->peer];
	uint32_t function = closure->function->peer;

	return function != NO_INDEX && peer->size == symbol->size &&
	       !strcmp(peer->file, symbol->file) &&
	       function_refers_to(&old->functions[function], peer->addr,
	                          peer->size);
}

/*
 * A name alone tells which variable it is only while it is global, or the one
 * of its file; what the compiler numbered is known by its scope alone.
 */
static struct hfx_error *find_live(struct closure *closure,
                                   const struct symbol *symbol,
                                   struct live *ret)
{
	const struct program *old = closure->old_program;
	bool is_numbered = symbol->name[match_base_length(symbol->name)];
	HFX_CLEANUP(hfx_free) char *scope = NULL;
	bool is_described;

	*ret = (struct live){symbol->peer, false};
	if (!symbol->is_local)
		return NULL;
	bool is_named = symbol->peer != NO_INDEX && !is_numbered &&
	                !strcmp(symbol->file, old->symbols[symbol->peer].file);
	if (is_named && !namesakes_is_local_entity(symbol))
		return NULL;
	HFX_TRY(scope_of(closure->new_program, symbol, &scope));
	if (scope && *scope) {
		if (!is_named)
			HFX_TRY(find_by_scope(closure, symbol, scope, ret));
		return namesakes_differ(closure->namesakes, symbol, scope,
		                        &ret->is_ambiguous);
	}
	if (is_named)
		return NULL;
	if (symbol->peer == NO_INDEX) {
		ret->is_ambiguous = match_is_ambiguous(old, symbol);
		return NULL;
	}
	HFX_TRY(has_debug_info(closure, &is_described));
	ret->is_ambiguous = is_numbered &&
	                    (is_described || !is_used_alike(closure, symbol));
	return NULL;
}

static struct hfx_error *keep_new_object(struct closure *closure,
                                         const struct place *place,
                                         struct target *ret)
{
	const struct program *program = closure->new_program;
	const struct symbol *symbol = place->symbol;
	uint32_t index = symbol - program->symbols;
	const struct dynamic_relocation *relocation =
		program_relocation_at(program, symbol->addr);

	if (relocation && relocation->type == R_X86_64_COPY)
		return closure_refuse(
			closure, ret,
			"Build both versions with -fPIC, or refer to it where "
			"the old build does",
			"refers to %s of another library by a copy "
			"relocation, which the old build does not have",
			symbol->name);
	ret->kind = TARGET_INSIDE;
	if (pair_set_has(&closure->kept, symbol->addr, symbol->size,
	                 PF_R | PF_W))
		return NULL;
	if (!HFX_ARRAY_PUSH(closure, new_objects, index))
		return hfx_error_no_memory();
	return closure_keep(closure, symbol->addr, symbol->size, PF_R | PF_W);
}

static struct hfx_error *resolve_variable(struct closure *closure,
                                          const struct place *place,
                                          struct target *ret)
{
	const struct symbol *symbol = place->symbol;
	struct live live;

	HFX_TRY(find_live(closure, symbol, &live));
	if (live.is_ambiguous)
		return closure_refuse(closure, ret, REMEDY_DEBUG,
		                      "refers to variable %s, and the old "
		                      "build has several that may be it",
		                      symbol->name);
	if (live.old_symbol == NO_INDEX)
		return keep_new_object(closure, place, ret);
	const struct symbol *old =
		&closure->old_program->symbols[live.old_symbol];
	if (old->size != symbol->size)
		return closure_refuse(closure, ret, REMEDY_OBJECT,
		                      "refers to variable %s, whose size "
		                      "changed from %lu to %lu bytes",
		                      symbol->name, old->size, symbol->size);
	*ret = target_old(old->addr + place->off);
	return NULL;
}

/* ---- Constants ---------------------------------------------------------- */

static bool is_kept(const struct closure *closure, const struct symbol *symbol)
{
	return pair_set_has(&closure->kept, symbol->addr, symbol->size, PF_R);
}

/* Labels of computed gotos lead into the code of one build. */
static bool points_into_code(const struct program *program, uint64_t addr,
                             uint64_t size)
{
	for (size_t i = program_relocation_from(program, addr);
	     i < program->num_relocations &&
	     program->relocations[i].addr - addr < size;
	     i++) {
		struct place place =
			place_at(program, program->relocations[i].addend);

		if (program->relocations[i].type == R_X86_64_RELATIVE &&
		    place.kind == PLACE_FUNCTION && place.off)
			return true;
	}
	return false;
}

/* Whether new code is to read OLD's constant; that changes nothing. */
static struct hfx_error *has_old_constant(struct closure *closure,
                                          const struct symbol *symbol,
                                          bool *ret)
{
	const struct symbol *old;

	*ret = false;
	if (is_kept(closure, symbol) || symbol->peer == NO_INDEX ||
	    points_into_code(closure->new_program, symbol->addr, symbol->size))
		return NULL;
	old = &closure->old_program->symbols[symbol->peer];
	if (old->size != symbol->size)
		return NULL;
	return comparison_of_data(closure->comparison, old->addr, symbol->addr,
	                          symbol->size, ret);
}

struct hfx_error *closure_old_object(struct closure *closure,
                                     const struct symbol *symbol, uint64_t *ret)
{
	const struct program *old = closure->old_program;
	struct place place = place_at(closure->new_program, symbol->addr);
	struct live live = {symbol->peer, false};
	bool same = true;

	*ret = 0;
	if (place_is_constant(&place))
		HFX_TRY(has_old_constant(closure, symbol, &same));
	else
		HFX_TRY(find_live(closure, symbol, &live));
	if (same && !live.is_ambiguous && live.old_symbol != NO_INDEX &&
	    old->symbols[live.old_symbol].size == symbol->size)
		*ret = old->symbols[live.old_symbol].addr;
	return NULL;
}

static struct hfx_error *resolve_constant(struct closure *closure,
                                          const struct place *place,
                                          struct target *ret)
{
	const struct symbol *symbol = place->symbol;
	bool same = false;

	ret->kind = TARGET_INSIDE;
	if (is_kept(closure, symbol))
		return NULL;
	HFX_TRY(has_old_constant(closure, symbol, &same));
	if (same) {
		*ret = target_old(
			closure->old_program->symbols[symbol->peer].addr +
			place->off);
		return NULL;
	}
	return closure_keep(closure, symbol->addr, symbol->size, PF_R);
}

struct hfx_error *closure_resolve_object(struct closure *closure,
                                         const struct place *place,
                                         struct target *ret)
{
	return place_is_constant(place) ? resolve_constant(closure, place, ret)
	                                : resolve_variable(closure, place, ret);
}

static struct hfx_error *keep_anonymous(struct closure *closure,
                                        const struct place *place,
                                        const struct use *use,
                                        struct target *ret)
{
	const struct program *program = closure->new_program;
	const struct section *section = place->section;
	uint64_t room = section->addr + section->size - place->addr;
	uint64_t size = anonymous_size(program, place->addr);
	bool is_done;

	if (use->is_write)
		return closure_refuse(closure, ret, REMEDY_SKIP,
		                      "writes to data without a symbol at "
		                      "0x%lx",
		                      place->addr);
	HFX_TRY(closure_resolve_literal(closure, place->addr, use, ret,
	                                &is_done));
	if (is_done)
		return NULL;
	if (use->kind == REFERENCE_ADDRESS && !use->is_pointer) {
		uint64_t table =
			4 * jump_table_length(program, closure->function,
		                              place->addr);
		if (table > size)
			size = table;
	}
	if (use->size > size)
		size = use->size;
	ret->kind = TARGET_INSIDE;
	if (use->kind == REFERENCE_ADDRESS)
		HFX_TRY(closure_keep_before(closure, place->addr));
	return closure_keep(closure, place->addr, size < room ? size : room,
	                    PF_R);
}

/* ---- Data without a name ------------------------------------------------ */

/* Whether there is padding at `addr`, up to the next thing. */
static bool is_gap(const struct program *program, uint64_t addr)
{
	const struct symbol *next = program_object_after(program, addr);
	uint64_t end = addr + anonymous_size(program, addr);

	return place_is_blank(program, addr,
	                      next && next->addr < end ? next->addr : end);
}

static struct hfx_error *resolve_nameless(struct closure *closure,
                                          const struct place *place,
                                          const struct use *use,
                                          struct target *ret)
{
	const struct symbol *table = NULL;

	if (use->kind == REFERENCE_ADDRESS && !place_is_constant(place))
		table = closure_table_before(closure, place->addr);
	if (table && (place->kind != PLACE_ANONYMOUS ||
	              is_gap(closure->new_program, place->addr)))
		return closure_resolve_end(closure, table, ret);
	if (place->kind == PLACE_ANONYMOUS)
		return keep_anonymous(closure, place, use, ret);
	/* A call of a weak symbol that nobody defines: never made. */
	if (!place->section && !place->addr) {
		*ret = target_old(0);
		return NULL;
	}
	return closure_refuse(closure, ret, REMEDY_SKIP,
	                      "refers to 0x%lx, and nothing is known of what "
	                      "is there",
	                      place->addr);
}

struct hfx_error *closure_resolve_data(struct closure *closure,
                                       const struct place *place,
                                       const struct use *use,
                                       struct target *ret)
{
	const struct symbol *table = NULL;
	bool is_done;

	HFX_TRY(closure_resolve_bias(closure, place, use, ret, &is_done));
	if (is_done)
		return NULL;
	if (place->kind != PLACE_OBJECT)
		return resolve_nameless(closure, place, use, ret);
	if (use->kind == REFERENCE_ADDRESS && !use->is_pointer && !place->off)
		table = closure_used_table(closure, place->addr);
	if (!place_is_constant(place))
		return table ? closure_resolve_doubt(closure, place, table, ret)
		             : resolve_variable(closure, place, ret);
	if (!table || !is_kept(closure, table))
		return resolve_constant(closure, place, ret);
	/* The table is in the image, so its neighbour must be: one distance. */
	ret->kind = TARGET_INSIDE;
	return closure_keep(closure, place->symbol->addr, place->symbol->size,
	                    PF_R);
}
