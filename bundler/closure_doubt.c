/* SPDX-License-Identifier: MIT */
/*
 * References that may count from an object elsewhere. For `counts[c - 'a']`
 * compilers load the address `counts - 97 * 4`, and for a loop that counts up
 * to zero the address of the table's end; what stands there is something else.
 * Without the linker's relocations nothing says which object is meant. So all
 * that are near enough are asked what the address would become:
 *
 * - where all of them went the same way from OLD to NEW, it does not matter;
 * - what is stored is no address to count from: the object around it is meant;
 * - else, what OLD's code of the same function refers to, NEW's does, unless
 *   another object begins there;
 * - else, what any of OLD's code or data refers to is a place that has a use;
 * - constants, and what only NEW has, may all be in the image, at one distance,
 *   and then any meaning is right;
 * - inside an object, the code may do no more with the address than to use it
 *   as it is, or none of the others is one to count from;
 * - all else is refused.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_flow.h"
#include "array.h"
#include "cleanup.h"
#include "closure_private.h"
#include "debug_info.h"
#include "decode.h"

#define REMEDY_APART                                                           \
	"Keep the order of these variables, or leave the function out with "   \
	"--skip"

/* Farther than PLACE_MAX_BIAS only tables of some size are counted to. */
#define MAX_BIAS     1024
#define MIN_FAR_SIZE 16

/** An object that an address may be meant for. */
struct reading {
	const struct symbol *object;
	/** What the address would become in OLD; 0 if that has no such. */
	uint64_t old_addr;
	/** The same; 0 as well when new code is not to use OLD's. */
	uint64_t shared_addr;
	bool is_constant;
	/** In OLD, another object begins there that the code could mean. */
	bool is_other_start;
};

struct readings {
	struct reading *items;
	size_t num_items;
	size_t cap_items;
};

static void readings_deinit(struct readings *readings)
{
	free(readings->items);
}

/* ---- Readings ----------------------------------------------------------- */

/* OLD may refer there for the sake of another object, which begins there. */
static struct hfx_error *is_other_start(struct closure *closure,
                                        const struct reading *reading,
                                        bool *ret)
{
	const struct program *old = closure->old_program;
	struct place place = place_at(old, reading->old_addr);

	*ret = reading->old_addr && place.kind == PLACE_OBJECT && !place.off &&
	       place.symbol != &old->symbols[reading->object->peer];
	return *ret ? closure_could_mean(closure, place.symbol, ret) : NULL;
}

static struct hfx_error *add_reading(struct closure *closure,
                                     const struct symbol *object, uint64_t addr,
                                     struct readings *readings)
{
	struct place place = place_at(closure->new_program, object->addr);
	struct reading reading = {
		.object = object,
		.is_constant = place_is_constant(&place),
	};

	if (object->peer != NO_INDEX)
		reading.old_addr =
			closure->old_program->symbols[object->peer].addr +
			(addr - object->addr);
	HFX_TRY(is_other_start(closure, &reading, &reading.is_other_start));
	HFX_TRY(closure_old_object(closure, object, &reading.shared_addr));
	if (reading.shared_addr)
		reading.shared_addr += addr - object->addr;
	return HFX_ARRAY_PUSH(readings, items, reading) ? NULL
	                                                : hfx_error_no_memory();
}

/* Whether code may count to the object from `addr`, before or behind it. */
static bool is_near(const struct symbol *object, uint64_t addr, bool counts_up)
{
	uint64_t end = object->addr + object->size;
	uint64_t before = object->addr - addr, behind = addr - end;

	if (addr - object->addr < object->size)
		return true;
	if (object->addr > addr)
		return before <= PLACE_MAX_BIAS ||
		       (before <= MAX_BIAS && object->size >= MIN_FAR_SIZE);
	return counts_up && object->size >= MIN_FAR_SIZE &&
	       behind <= PLACE_MAX_BIAS;
}

/* Whether a loop of the function begins below zero: mov $-n, %reg. */
static bool counts_up_to_zero(const struct function *function)
{
	const uint8_t *code = function->code;

	for (size_t i = 0; i + 7 <= function->size; i++)
		if ((code[i] & 0xfe) == 0x48 && code[i + 1] == 0xc7 &&
		    (code[i + 2] & 0xf8) == 0xc0 && code[i + 6] & 0x80)
			return true;
	return false;
}

/* Tells whether a static variable of a function is initialized. */
static bool is_guard(const struct symbol *object)
{
	return !strncmp(object->name, "_ZGV", 4);
}

static struct hfx_error *add_if_near(struct closure *closure,
                                     const struct symbol *object, uint64_t addr,
                                     bool counts_up, struct readings *readings)
{
	const struct program *program = closure->new_program;
	const struct dynamic_relocation *relocation =
		program_relocation_at(program, object->addr);
	struct place place = place_at(program, object->addr);
	bool can = false;

	/* Nobody counts to a copy of a library's object, or to a guard. */
	if (addr - object->addr >= object->size &&
	    (place_is_of_class(object) || is_guard(object) ||
	     (relocation && relocation->type == R_X86_64_COPY)))
		return NULL;
	/* Of several names for one object, and of parts, the one that counts.
	 */
	if (place.symbol != object || !is_near(object, addr, counts_up))
		return NULL;
	HFX_TRY(closure_can_mean(closure, object, &can));
	/* Equal constants of several files are one. */
	can |= object->addr == addr && place_is_constant(&place);
	return can ? add_reading(closure, object, addr, readings) : NULL;
}

static struct hfx_error *find_readings(struct closure *closure, uint64_t addr,
                                       const struct use *use,
                                       struct readings *readings)
{
	const struct program *program = closure->new_program;
	const struct symbol *object;
	uint64_t limit = addr > MAX_BIAS ? addr - MAX_BIAS : 0;
	bool counts_up =
		use->is_indexed && counts_up_to_zero(closure->function);

	for (object = program_object_before(program, addr + 1);
	     object && object->addr + object->size >= limit;
	     object = program_object_before(program, object->addr))
		HFX_TRY(add_if_near(closure, object, addr, counts_up,
		                    readings));
	for (object = program_object_after(program, addr);
	     object && object->addr - addr <= MAX_BIAS;
	     object = program_object_after(program, object->addr))
		HFX_TRY(add_if_near(closure, object, addr, counts_up,
		                    readings));
	return NULL;
}

static bool has_reading(const struct readings *readings,
                        const struct symbol *object)
{
	for (size_t i = 0; i < readings->num_items; i++)
		if (readings->items[i].object == object)
			return true;
	return false;
}

/* What begins at `addr` is not meant: perhaps the end of what ends there is. */
static struct hfx_error *add_end(struct closure *closure, uint64_t addr,
                                 struct readings *readings)
{
	const struct symbol *table = closure_used_table(closure, addr);
	bool can;

	if (!table && !readings->num_items)
		table = closure_table_before(closure, addr);
	if (!table || has_reading(readings, table))
		return NULL;
	HFX_TRY(closure_can_mean(closure, table, &can));
	return can ? add_reading(closure, table, addr, readings) : NULL;
}

/* ---- Choosing ----------------------------------------------------------- */

static bool all_alike(const struct readings *readings)
{
	uint64_t first = readings->items[0].shared_addr;

	for (size_t i = 0; i < readings->num_items; i++)
		if (readings->items[i].shared_addr != first)
			return false;
	return first;
}

static bool is_landmark(const struct program *program, uint64_t addr)
{
	return addr &&
	       program_landmark_after(program, addr - 1, addr + 1) == addr;
}

/*
 * OLD refers there for the sake of another object, which is around the place,
 * and NEW still refers to that place of it, which is not `addr`.
 */
static bool is_use_of_another(const struct closure *closure, uint64_t addr,
                              const struct reading *reading, bool by_function)
{
	const struct program *program = closure->new_program;
	struct place place = place_at(closure->old_program, reading->old_addr);

	if (place.kind != PLACE_OBJECT || place.symbol->peer == NO_INDEX ||
	    place.symbol->peer == reading->object - program->symbols)
		return false;
	uint64_t there = program->symbols[place.symbol->peer].addr + place.off;
	if (there == addr)
		return false;
	return by_function ? function_refers_to(closure->function, there, 1)
	                   : is_landmark(program, there);
}

static bool has_use_in_old(const struct closure *closure, uint64_t addr,
                           const struct reading *reading, bool by_function)
{
	const struct program *old = closure->old_program;
	uint64_t old_addr = reading->old_addr;
	uint32_t peer = closure->function->peer;

	if (!old_addr || reading->is_other_start ||
	    is_use_of_another(closure, addr, reading, by_function))
		return false;
	if (!by_function)
		return is_landmark(old, old_addr);
	return peer != NO_INDEX &&
	       function_refers_to(&old->functions[peer], old_addr, 1);
}

/*
 * Which constant of OLD is which of NEW is a guess where the compiler named
 * them: nothing in OLD speaks against such a reading.
 */
static bool is_guess(const struct reading *reading)
{
	return reading->is_constant &&
	       (!reading->old_addr || strchr(reading->object->name, '.'));
}

/* Leave only the readings for which OLD speaks, if it does for any. */
static void keep_used(const struct closure *closure, uint64_t addr,
                      bool by_function, struct readings *readings)
{
	struct reading *items = readings->items;
	size_t kept = 0;

	for (size_t i = 0; i < readings->num_items; i++)
		kept += has_use_in_old(closure, addr, &items[i], by_function);
	if (!kept)
		return;
	kept = 0;
	for (size_t i = 0; i < readings->num_items; i++)
		if (is_guess(&items[i]) ||
		    has_use_in_old(closure, addr, &items[i], by_function))
			items[kept++] = items[i];
	readings->num_items = kept;
}

static bool all_constant(const struct readings *readings)
{
	for (size_t i = 0; i < readings->num_items; i++)
		if (!readings->items[i].is_constant)
			return false;
	return true;
}

/* What only NEW has is in the image, at NEW's distances, like constants. */
static bool all_inside(const struct readings *readings)
{
	for (size_t i = 0; i < readings->num_items; i++)
		if (!readings->items[i].is_constant &&
		    (readings->items[i].old_addr ||
		     readings->items[i].shared_addr))
			return false;
	return true;
}

static struct hfx_error *keep_all(struct closure *closure,
                                  const struct readings *readings,
                                  struct target *ret)
{
	ret->kind = TARGET_INSIDE;
	for (size_t i = 0; i < readings->num_items; i++) {
		const struct symbol *object = readings->items[i].object;
		struct place place =
			place_at(closure->new_program, object->addr);

		if (!readings->items[i].is_constant) {
			HFX_TRY(closure_resolve_object(closure, &place, ret));
			if (ret->kind == TARGET_REFUSED)
				return NULL;
			continue;
		}
		closure->has_kept_late |= !pair_set_has(
			&closure->kept, object->addr, object->size, PF_R);
		HFX_TRY(closure_keep(closure, object->addr, object->size,
		                     PF_R));
	}
	return NULL;
}

static void tell(const struct reading *reading, uint64_t addr, char *text,
                 size_t size)
{
	int64_t off = (int64_t)(addr - reading->object->addr);

	snprintf(text, size, "%s%c0x%lx", reading->object->name,
	         off < 0 ? '-' : '+', off < 0 ? -off : off);
}

static struct hfx_error *refuse(struct closure *closure, uint64_t addr,
                                const struct readings *readings,
                                struct target *ret)
{
	char first[128], second[128] = "something else";
	size_t i = 1;

	while (i < readings->num_items &&
	       readings->items[i].shared_addr == readings->items[0].shared_addr)
		i++;
	tell(&readings->items[0], addr, first, sizeof(first));
	if (i < readings->num_items)
		tell(&readings->items[i], addr, second, sizeof(second));
	return closure_refuse(closure, ret, REMEDY_APART,
	                      "refers to %s or to %s, and these moved apart",
	                      first, second);
}

/* What counts from one object goes where the object goes. */
static struct hfx_error *take_one(struct closure *closure, uint64_t addr,
                                  const struct reading *reading,
                                  struct target *ret)
{
	struct place place =
		place_at(closure->new_program, reading->object->addr);

	HFX_TRY(closure_resolve_object(closure, &place, ret));
	if (ret->kind == TARGET_OLD)
		ret->old_addr += addr - place.addr;
	return NULL;
}

/*
 * The nearest reading, that is taken before all others: the start of an object,
 * or what stands a little before one. Only what counts up to zero means an
 * object that lies before the place.
 */
static const struct reading *find_natural(const struct readings *readings,
                                          uint64_t addr)
{
	const struct reading *nearest = NULL;

	for (size_t i = 0; i < readings->num_items; i++) {
		const struct reading *reading = &readings->items[i];
		uint64_t start = reading->object->addr;

		if (start < addr)
			return NULL;
		if (start - addr <= PLACE_MAX_BIAS &&
		    (!nearest || start < nearest->object->addr))
			nearest = reading;
	}
	return nearest;
}

/* The reading that takes the place for what it is, a part of an object. */
static const struct reading *find_around(const struct readings *readings,
                                         uint64_t addr)
{
	for (size_t i = 0; i < readings->num_items; i++) {
		const struct symbol *object = readings->items[i].object;

		if (addr - object->addr < object->size)
			return &readings->items[i];
	}
	return NULL;
}

/*
 * The object around the place, if the address is stored as it is. (A register
 * at a call proves less: callers may keep it across a function that they know.)
 */
static const struct reading *find_stored(const struct closure *closure,
                                         uint64_t addr, const struct use *use,
                                         const struct readings *readings)
{
	const struct function *function = closure->function;

	if (!use->reference ||
	    !decoder_stores(closure->decoder, function->code, function->size,
	                    use->reference->insn_off))
		return NULL;
	return find_around(readings, addr);
}

/*
 * Where the place is inside an object, leave only the others that the code may
 * count from.
 */
static struct hfx_error *drop_uncounted(struct closure *closure, uint64_t addr,
                                        const struct use *use,
                                        struct readings *readings)
{
	const struct reading *around = find_around(readings, addr);
	struct reading *items = readings->items;
	enum address_fate fate;
	size_t kept = 0;

	if (!around || around->object->addr == addr || use->is_indexed ||
	    !use->reference)
		return NULL;
	const struct symbol *object = around->object;
	HFX_TRY(address_flow_fate(closure->decoder, closure->new_program,
	                          closure->function, use->reference, &fate));
	for (size_t i = 0; i < readings->num_items; i++) {
		bool may = true;

		if (items[i].object != object)
			HFX_TRY(closure_may_count(closure, items[i].object,
			                          fate, &may));
		if (may)
			items[kept++] = items[i];
	}
	readings->num_items = kept;
	return NULL;
}

/* Nothing in OLD can speak for an object that only NEW has. */
static bool is_in_new_object(const struct readings *readings, uint64_t addr)
{
	const struct reading *around = find_around(readings, addr);

	return around && !around->old_addr;
}

/*
 * With @p is_strange the current function cannot name what begins at @p addr:
 * then only OLD's code of the same function speaks for it.
 */
static struct hfx_error *choose(struct closure *closure, uint64_t addr,
                                const struct use *use, bool is_strange,
                                struct readings *readings, struct target *ret)
{
	const struct reading *natural, *stored = NULL;

	if (!all_alike(readings) && !is_strange)
		stored = find_stored(closure, addr, use, readings);
	if (stored)
		return take_one(closure, addr, stored, ret);
	if (!all_alike(readings))
		keep_used(closure, addr, true, readings);
	natural = is_strange ? NULL : find_natural(readings, addr);
	/* To count from a register is no use of the very place. */
	if (!all_alike(readings) && !natural && !use->is_indexed &&
	    !is_strange && !is_in_new_object(readings, addr))
		keep_used(closure, addr, false, readings);
	if (all_alike(readings)) {
		*ret = (struct target){TARGET_OLD,
		                       readings->items[0].shared_addr};
		return NULL;
	}
	if (readings->num_items > 1 && !all_inside(readings))
		HFX_TRY(drop_uncounted(closure, addr, use, readings));
	if (readings->num_items == 1)
		return take_one(closure, addr, &readings->items[0], ret);
	if (all_inside(readings))
		return keep_all(closure, readings, ret);
	return natural ? take_one(closure, addr, natural, ret)
	               : refuse(closure, addr, readings, ret);
}

/* Addresses of the current function's code: a table for a `switch`. */
static bool is_jump_table(const struct closure *closure, uint64_t addr)
{
	const struct program *program = closure->new_program;
	const struct dynamic_relocation *relocation =
		program_relocation_at(program, addr);
	const struct function *target =
		relocation ? program_function_at(program, relocation->addend)
			   : NULL;

	return target && function_is_family(program, closure->function, target);
}

/*
 * Whether the place is one that code may name. @p is_strange_ret says whether
 * it is the start of an object that the current function's code cannot.
 */
static struct hfx_error *is_plain(struct closure *closure,
                                  const struct place *place,
                                  const struct use *use, bool *is_strange_ret,
                                  bool *ret)
{
	*is_strange_ret = false;
	*ret = use->kind != REFERENCE_ADDRESS || use->is_pointer ||
	       place->kind == PLACE_FUNCTION;
	if (*ret)
		return NULL;
	if (use->is_indexed) {
		*ret = is_jump_table(closure, place->addr);
		return NULL;
	}
	*ret = place->kind != PLACE_OBJECT || !place->off;
	if (!*ret || place->kind != PLACE_OBJECT || !place->symbol)
		return NULL;
	HFX_TRY(closure_is_strange(closure, place->symbol, use->reference,
	                           is_strange_ret));
	*ret = !*is_strange_ret;
	return NULL;
}

/* Nothing but zeros up to the next object: never meant by itself. */
static bool is_padding(const struct closure *closure, const struct place *place)
{
	const struct program *program = closure->new_program;
	const struct symbol *next =
		place_object_starting_after(program, place->addr);

	return next && place_is_blank(program, place->addr, next->addr);
}

/* What has no name is a reading itself, and always NEW's. */
static struct hfx_error *choose_beside(struct closure *closure, uint64_t addr,
                                       const struct readings *readings,
                                       struct target *ret)
{
	return all_constant(readings) ? keep_all(closure, readings, ret)
	                              : refuse(closure, addr, readings, ret);
}

struct hfx_error *closure_resolve_far(struct closure *closure,
                                      const struct place *place,
                                      const struct use *use, struct target *ret,
                                      bool *is_done_ret)
{
	HFX_CLEANUP(readings_deinit) struct readings readings = {0};
	bool plain, is_strange;

	*is_done_ret = false;
	HFX_TRY(is_plain(closure, place, use, &is_strange, &plain));
	if (plain)
		return NULL;
	HFX_TRY(find_readings(closure, place->addr, use, &readings));
	if (is_strange)
		HFX_TRY(add_end(closure, place->addr, &readings));
	if (!readings.num_items || (readings.num_items == 1 &&
	                            readings.items[0].object == place->symbol))
		return NULL;
	if (place->kind == PLACE_ANONYMOUS &&
	    (!is_padding(closure, place) ||
	     closure_ends_data(closure->new_program, place->addr))) {
		HFX_TRY(choose_beside(closure, place->addr, &readings, ret));
		*is_done_ret = ret->kind == TARGET_REFUSED;
		return NULL;
	}
	*is_done_ret = true;
	return choose(closure, place->addr, use, is_strange, &readings, ret);
}
