/* SPDX-License-Identifier: MIT */
#include "place.h"

#include <string.h>

/* Gap that alignment may leave between an object and the next. */
#define MAX_PADDING 64

/* How far back a text is followed to its start. */
#define MAX_TEXT_BEFORE 4096

static struct place place_in_code(const struct program *program,
                                  struct place place)
{
	place.function = program_function_at(program, place.addr);
	if (place.function) {
		place.kind = PLACE_FUNCTION;
		place.off = place.addr - place.function->addr;
		return place;
	}
	place.symbol = program_label_at(program, place.addr);
	place.kind = place.symbol ? PLACE_LABEL : PLACE_NONE;
	return place;
}

static struct place place_in_data(const struct program *program,
                                  struct place place)
{
	place.symbol = program_object_at(program, place.addr);
	if (place.symbol) {
		place.kind = PLACE_OBJECT;
		place.off = place.addr - place.symbol->addr;
		return place;
	}
	place.kind = PLACE_ANONYMOUS;
	if (place.section->kind == SECTION_CONST)
		return place;
	place.symbol = program_label_at(program, place.addr);
	if (place.symbol)
		place.kind = PLACE_LABEL;
	else if (place.section->kind == SECTION_BSS)
		place.kind = PLACE_NONE;
	return place;
}

static struct place place_elsewhere(const struct program *program,
                                    struct place place)
{
	place.symbol = program_label_at(program, place.addr);
	if (place.symbol)
		place.kind = PLACE_LABEL;
	return place;
}

static struct place place_in_got(const struct program *program,
                                 struct place place)
{
	place.relocation = program_relocation_at(program, place.addr);
	if (place.relocation) {
		place.kind = PLACE_SLOT;
		return place;
	}
	place = place_elsewhere(program, place);
	if (place.kind == PLACE_NONE && place.section->data)
		place.kind = PLACE_CONSTANT_SLOT;
	return place;
}

struct place place_at(const struct program *program, uint64_t addr)
{
	struct place place = {.kind = PLACE_NONE, .addr = addr};

	place.section = program_section_at(program, addr);
	if (!place.section)
		return place_elsewhere(program, place);
	switch (place.section->kind) {
	case SECTION_CODE:
		return place_in_code(program, place);
	case SECTION_PLT:
		place.stub = program_stub_at(program, addr);
		place.relocation =
			place.stub ? program_relocation_at(
					     program, place.stub->slot_addr)
				   : NULL;
		if (place.stub)
			place.kind = place.relocation ? PLACE_STUB
			                              : PLACE_CONSTANT_STUB;
		return place;
	case SECTION_GOT:
		return place_in_got(program, place);
	case SECTION_CONST:
	case SECTION_DATA:
	case SECTION_BSS:
		return place_in_data(program, place);
	default:
		return place_elsewhere(program, place);
	}
}

bool place_is_constant(const struct place *place)
{
	return place->section && place->section->kind == SECTION_CONST;
}

const struct symbol *place_object_ending_at(const struct program *program,
                                            uint64_t addr)
{
	const struct symbol *symbol = program_object_before(program, addr);

	if (!symbol || symbol->addr + symbol->size > addr ||
	    addr - symbol->addr - symbol->size >= MAX_PADDING)
		return NULL;
	return symbol;
}

bool place_is_vtable(const struct symbol *symbol)
{
	return !strncmp(symbol->name, "_ZTV", 4) ||
	       !strncmp(symbol->name, "_ZTC", 4);
}

bool place_is_of_class(const struct symbol *symbol)
{
	return place_is_vtable(symbol) || !strncmp(symbol->name, "_ZTT", 4) ||
	       !strncmp(symbol->name, "_ZTI", 4) ||
	       !strncmp(symbol->name, "_ZTS", 4);
}

const struct symbol *place_object_starting_after(const struct program *program,
                                                 uint64_t addr)
{
	const struct symbol *symbol = program_object_after(program, addr);

	return symbol && symbol->addr - addr <= PLACE_MAX_BIAS ? symbol : NULL;
}

static const struct section *set_at(const struct program *program,
                                    uint64_t section_addr, const char *prefix,
                                    uint64_t addr)
{
	const struct section *set = program_section_at(program, section_addr);

	if (!set || (set->addr != addr && set->addr + set->size != addr))
		return NULL;
	return program_has_label(program, addr, prefix, set->name) ? set : NULL;
}

const struct section *place_set_at(const struct program *program, uint64_t addr)
{
	const struct section *set = set_at(program, addr, "__start_", addr);

	return set || !addr ? set : set_at(program, addr - 1, "__stop_", addr);
}

/* Tables of pointers for the dynamic linker alone. */
static bool is_linkers(const struct section *section)
{
	return !strcmp(section->name, ".init_array") ||
	       !strcmp(section->name, ".fini_array") ||
	       !strcmp(section->name, ".preinit_array");
}

static bool is_blank_byte(const struct program *program, uint64_t addr)
{
	struct place place = place_at(program, addr);

	if (!place.section)
		return place.kind == PLACE_NONE;
	if (is_linkers(place.section))
		return true;
	if (place.kind == PLACE_NONE)
		return place.section->kind == SECTION_BSS;
	return place.kind == PLACE_ANONYMOUS &&
	       !program_relocation_at(program, addr) && place.section->data &&
	       !place.section->data[addr - place.section->addr];
}

bool place_is_blank(const struct program *program, uint64_t addr, uint64_t end)
{
	while (addr < end && is_blank_byte(program, addr))
		addr++;
	return addr >= end;
}

const uint8_t *program_bytes(const struct program *program, uint64_t addr,
                             uint64_t size)
{
	const struct section *section = program_section_at(program, addr);

	if (!section || !section->data ||
	    size > section->size - (addr - section->addr))
		return NULL;
	return section->data + (addr - section->addr);
}

bool function_refers_to(const struct function *function, uint64_t start,
                        uint64_t size)
{
	for (size_t i = 0; i < function->num_references; i++)
		if (function->references[i].target - start < size)
			return true;
	return false;
}

bool function_is_family(const struct program *program, const struct function *a,
                        const struct function *b)
{
	uint32_t a_index = a - program->functions;
	uint32_t b_index = b - program->functions;

	return a == b || a->parent == b_index || b->parent == a_index ||
	       (a->parent != NO_INDEX && a->parent == b->parent);
}

uint64_t table_target(const struct program *program, uint64_t addr,
                      uint64_t index)
{
	const uint8_t *bytes = program_bytes(program, addr + index * 4, 4);
	int32_t distance;

	if (!bytes)
		return 0;
	memcpy(&distance, bytes, sizeof(distance));
	return addr + distance;
}

uint64_t jump_table_length(const struct program *program,
                           const struct function *function, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);

	if (!section || section->kind != SECTION_CONST || addr % 4)
		return 0;
	uint64_t limit = program_landmark_after(program, addr,
	                                        section->addr + section->size);
	uint64_t count = 0;
	for (; count < (limit - addr) / 4; count++) {
		const struct function *target = program_function_at(
			program, table_target(program, addr, count));

		if (!target || !function_is_family(program, function, target))
			break;
	}
	return count;
}

static bool is_text(uint8_t byte)
{
	return byte >= ' ' || (byte >= '\a' && byte <= '\r') || byte == 0x1b;
}

uint64_t text_size(const struct program *program, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);
	size_t i = program_relocation_from(program, addr);

	if (!section || !section->data)
		return 0;
	/* The bytes of a pointer may look like text. */
	uint64_t end = section->addr + section->size;
	if (i < program->num_relocations && program->relocations[i].addr < end)
		end = program->relocations[i].addr;
	for (uint64_t at = addr; at < end; at++) {
		uint8_t byte = section->data[at - section->addr];

		if (!byte)
			return at + 1 - addr;
		if (!is_text(byte))
			break;
	}
	return 0;
}

/* The first byte before `addr` that may be of the same piece of plain data. */
static uint64_t plain_start(const struct program *program, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);
	const struct symbol *object = program_object_before(program, addr);
	uint64_t start = section->addr;

	if (addr - start > MAX_TEXT_BEFORE)
		start = addr - MAX_TEXT_BEFORE;
	if (object && object->addr + object->size > start)
		start = object->addr + object->size;
	for (size_t i = program_relocation_from(program, start);
	     i < program->num_relocations &&
	     program->relocations[i].addr < addr;
	     i++)
		start = program->relocations[i].addr + sizeof(uint64_t);
	for (size_t i = program_kept_from(program, start);
	     i < program->num_kept && program->kept[i].addr < addr; i++)
		start = program->kept[i].addr + sizeof(uint64_t);
	return start < addr ? start : addr;
}

static uint64_t text_start_from(const struct program *program, uint64_t start,
                                uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);

	/* Before a text may be a table of distances, which end in 0xff. */
	while (addr > start) {
		uint8_t before = section->data[addr - 1 - section->addr];

		if (before >= 0x80 || !is_text(before))
			break;
		addr--;
	}
	return addr;
}

uint64_t text_start(const struct program *program, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);

	return section && section->data
	               ? text_start_from(program, plain_start(program, addr),
	                                 addr)
	               : addr;
}

uint64_t anonymous_start(const struct program *program, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);

	if (!section || !section->data)
		return addr;
	uint64_t start = plain_start(program, addr);
	if (addr - start > PLACE_MAX_BIAS)
		addr -= PLACE_MAX_BIAS;
	else
		addr = start;
	return text_start_from(program, start, addr);
}

/*
 * Whether a string or a named constant begins at `addr`. Before a string is the
 * NUL of another, but for the first of all, which stands behind other data:
 * `first` is where that is, or 0.
 */
static bool is_constant_start(const struct program *program, uint64_t addr,
                              uint64_t *first)
{
	struct place place = place_at(program, addr);
	const uint8_t *before = program_bytes(program, addr - 1, 2);

	if (!place_is_constant(&place))
		return false;
	if (place.kind == PLACE_OBJECT)
		return !place.off;
	if (!text_size(program, addr))
		return false;
	if (before && !before[0])
		return true;
	if (addr % 4 || (*first && *first != addr))
		return false;
	*first = addr;
	return true;
}

static bool is_text_tail(const struct program *program, uint64_t addr)
{
	struct place place = place_at(program, addr);

	return place.kind == PLACE_ANONYMOUS && place_is_constant(&place) &&
	       text_size(program, addr) > 1;
}

/* Entries that lead to constants, and how many of these tell that they do. */
static uint64_t count_distances(const struct program *program, uint64_t addr,
                                uint64_t *num_telling_ret)
{
	const struct section *section = program_section_at(program, addr);
	uint64_t count = 0, first = 0;

	*num_telling_ret = 0;
	if (!section || section->kind != SECTION_CONST || addr % 4)
		return 0;
	uint64_t limit = program_landmark_after(program, addr,
	                                        section->addr + section->size);
	for (; count < (limit - addr) / 4; count++) {
		uint64_t target = table_target(program, addr, count);
		bool is_start = is_constant_start(program, target, &first);

		/* Linkers merge strings: one may be the tail of another. */
		if (target - addr < (count + 1) * 4 ||
		    (!is_start && !is_text_tail(program, target)))
			break;
		/* Empty strings are everywhere: they alone tell nothing. */
		*num_telling_ret += is_start &&
		                    text_size(program, target) != 1 &&
		                    target != first;
	}
	return count;
}

/* A table that clang has made of a variable is named so. */
static bool is_named_table(const struct program *program, uint64_t addr,
                           uint64_t count)
{
	const struct symbol *symbol = program_object_at(program, addr);

	return symbol && symbol->addr == addr && symbol->size == count * 4 &&
	       !strncmp(symbol->name, "reltable.", strlen("reltable."));
}

uint64_t relative_table_length(const struct program *program, uint64_t addr)
{
	uint64_t num_telling;
	uint64_t count = count_distances(program, addr, &num_telling);

	/* Other numbers lead to the middle of texts, if to text at all. */
	return (count >= 2 && num_telling * 2 >= count) ||
	                       is_named_table(program, addr, count)
	               ? count
	               : 0;
}

uint64_t relative_table_perhaps(const struct program *program, uint64_t addr)
{
	uint64_t num_telling;

	return count_distances(program, addr, &num_telling);
}

uint64_t anonymous_size(const struct program *program, uint64_t addr)
{
	const struct section *section = program_section_at(program, addr);
	uint64_t end = section->addr + section->size;
	uint64_t size = program_landmark_after(program, addr, end) - addr;
	uint64_t text = text_size(program, addr);

	return size > text ? size : text;
}
