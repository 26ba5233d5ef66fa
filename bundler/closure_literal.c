/* SPDX-License-Identifier: MIT */
/*
 * String literals. They have no names, but programs compare their addresses
 * with ones that OLD has stored: new code is to use OLD's literal of the same
 * content, if there is one, and not NEW's copy.
 *
 * What code loads need not be a literal: it may count from there, or mean the
 * end of what stands before. So all that a function refers to is looked at
 * together. What follows upon each other goes to OLD as one piece, or not at
 * all, unless OLD's code of the function or the number of references shows
 * that each stands for itself.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "address_flow.h"
#include "array.h"
#include "closure_private.h"

/* Shorter ones may be numbers, characters of 16 bits, or ends of others. */
#define MIN_SIZE 3

/** A text of OLD that something refers to. */
struct old_text {
	uint64_t hash;
	uint64_t addr;
};

/** What the current function refers to. */
struct aim {
	uint64_t addr;
	/** Where the next thing begins. */
	uint64_t end;
	/** OLD's text of the same content; 0: none, or not to be used. */
	uint64_t old_addr;
	/** It is a text, and nobody counts from it. */
	bool is_text;
	/** Passed, stored or read through, not only compared. */
	bool is_used;
};

struct literals {
	bool is_ready;
	/** By hash. */
	struct old_text *items;
	size_t num_items;
	size_t cap_items;
	/** Texts of NEW that tables of distances lead to, sorted. */
	uint64_t *tabled;
	size_t num_tabled;
	size_t cap_tabled;
	/** How often something refers to each landmark of NEW, up to 2. */
	unsigned char *uses;
	/** By address, of `function`. */
	struct aim *aims;
	size_t num_aims;
	size_t cap_aims;
	const struct function *function;
};

struct hfx_error *literals_create(struct literals **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? NULL : hfx_error_no_memory();
}

void literals_destroy(struct literals *literals)
{
	if (!literals)
		return;
	free(literals->items);
	free(literals->tabled);
	free(literals->uses);
	free(literals->aims);
	free(literals);
}

/* ---- Index -------------------------------------------------------------- */

/* Size of the text at `addr`; 0 if none, or too short to tell. */
static uint64_t literal_size(const struct program *program, uint64_t addr)
{
	struct place place = place_at(program, addr);
	uint64_t size;

	if (place.kind != PLACE_ANONYMOUS || !place_is_constant(&place) ||
	    place.section->flags & SHF_WRITE)
		return 0;
	size = text_size(program, addr);
	return size >= MIN_SIZE ? size : 0;
}

/* FNV-1a. */
static uint64_t hash_of(const uint8_t *bytes, uint64_t size)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (uint64_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}

static int compare_texts(const void *a, const void *b)
{
	const struct old_text *left = a, *right = b;

	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	return (left->addr > right->addr) - (left->addr < right->addr);
}

static int compare_addrs(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static int compare_aims(const void *a, const void *b)
{
	const struct aim *left = a, *right = b;

	return compare_addrs(&left->addr, &right->addr);
}

static struct hfx_error *find_texts(const struct program *old,
                                    struct literals *literals)
{
	for (size_t i = 0; i < old->num_landmarks; i++) {
		struct old_text text = {.addr = old->landmarks[i]};
		uint64_t size = literal_size(old, text.addr);

		if (!size)
			continue;
		text.hash = hash_of(program_bytes(old, text.addr, size), size);
		if (!HFX_ARRAY_PUSH(literals, items, text))
			return hfx_error_no_memory();
	}
	hfx_array_sort(literals->items, literals->num_items,
	               sizeof(*literals->items), compare_texts);
	return NULL;
}

/* Their distances are in the image, and so must be what they lead to. */
static struct hfx_error *find_tabled(const struct program *new,
                                     struct literals *literals)
{
	for (size_t i = 0; i < new->num_landmarks; i++) {
		uint64_t table = new->landmarks[i];
		uint64_t count = relative_table_perhaps(new, table);

		for (uint64_t k = 0; k < count; k++) {
			uint64_t addr = table_target(new, table, k);

			if (!HFX_ARRAY_PUSH(literals, tabled, addr))
				return hfx_error_no_memory();
		}
	}
	hfx_array_sort(literals->tabled, literals->num_tabled,
	               sizeof(*literals->tabled), compare_addrs);
	return NULL;
}

static void count_use(const struct program *new, uint64_t addr,
                      struct literals *literals)
{
	const uint64_t *landmark =
		hfx_array_search(&addr, new->landmarks, new->num_landmarks,
	                         sizeof(*new->landmarks), compare_addrs);

	if (landmark && literals->uses[landmark - new->landmarks] < 2)
		literals->uses[landmark - new->landmarks]++;
}

static struct hfx_error *count_uses(const struct program *new,
                                    struct literals *literals)
{
	literals->uses = calloc(new->num_landmarks + 1, 1);
	if (!literals->uses)
		return hfx_error_no_memory();
	for (size_t i = 0; i < new->num_functions; i++)
		for (size_t k = 0; k < new->functions[i].num_references; k++)
			count_use(new, new->functions[i].references[k].target,
			          literals);
	for (size_t i = 0; i < new->num_relocations; i++)
		if (!new->relocations[i].is_import)
			count_use(new,
			          new->relocations[i].symbol_addr +
			                  new->relocations[i].addend,
			          literals);
	for (size_t i = 0; i < new->num_kept; i++)
		count_use(new, new->kept[i].target, literals);
	return NULL;
}

static struct hfx_error *prepare(struct closure *closure)
{
	struct literals *literals = closure->literals;

	if (literals->is_ready)
		return NULL;
	HFX_TRY(find_texts(closure->old_program, literals));
	HFX_TRY(find_tabled(closure->new_program, literals));
	HFX_TRY(count_uses(closure->new_program, literals));
	literals->is_ready = true;
	return NULL;
}

/* ---- OLD's -------------------------------------------------------------- */

static bool has_pointer(const struct program *program, uint64_t addr,
                        uint64_t size)
{
	size_t i = program_relocation_from(program, addr);
	size_t k = program_kept_from(program, addr);

	return (i < program->num_relocations &&
	        program->relocations[i].addr - addr < size) ||
	       (k < program->num_kept && program->kept[k].addr - addr < size);
}

/* Also what stands behind the NUL: it may belong to it ("a\0b"). */
static bool is_same(const struct closure *closure, uint64_t old_addr,
                    uint64_t new_addr, uint64_t size)
{
	const uint8_t *a = program_bytes(closure->old_program, old_addr, size);
	const uint8_t *b = program_bytes(closure->new_program, new_addr, size);

	return a && b && !memcmp(a, b, size) &&
	       !has_pointer(closure->old_program, old_addr, size);
}

static bool old_refers_to(const struct closure *closure, uint64_t old_addr)
{
	uint32_t peer = closure->function->peer;

	return peer != NO_INDEX &&
	       function_refers_to(&closure->old_program->functions[peer],
	                          old_addr, 1);
}

/* The one that OLD's code of the function refers to; 0 if none, or several. */
static uint64_t find_used(const struct closure *closure, uint64_t addr,
                          uint64_t size, uint64_t hash)
{
	const struct literals *literals = closure->literals;
	uint32_t peer = closure->function->peer;
	const struct function *function;
	uint64_t found = 0;

	if (peer == NO_INDEX)
		return 0;
	function = &closure->old_program->functions[peer];
	for (size_t i = 0; i < function->num_references; i++) {
		struct old_text key = {hash, function->references[i].target};

		if (key.addr == found ||
		    !hfx_array_search(&key, literals->items,
		                      literals->num_items, sizeof(key),
		                      compare_texts) ||
		    !is_same(closure, key.addr, addr, size))
			continue;
		if (found)
			return 0;
		found = key.addr;
	}
	return found;
}

/* The only one that OLD has; 0 if none, or several. */
static uint64_t find_only(const struct closure *closure, uint64_t addr,
                          uint64_t size, uint64_t hash)
{
	const struct literals *literals = closure->literals;
	const struct old_text key = {.hash = hash};
	uint64_t found = 0;

	for (size_t i = hfx_array_lower_bound(&key, literals->items,
	                                      literals->num_items, sizeof(key),
	                                      compare_texts);
	     i < literals->num_items && literals->items[i].hash == hash; i++) {
		if (!is_same(closure, literals->items[i].addr, addr, size))
			continue;
		if (found)
			return 0;
		found = literals->items[i].addr;
	}
	return found;
}

static uint64_t find_old(const struct closure *closure, uint64_t addr)
{
	const struct program *new = closure->new_program;
	const struct literals *literals = closure->literals;
	uint64_t text = literal_size(new, addr);

	if (!text ||
	    hfx_array_search(&addr, literals->tabled, literals->num_tabled,
	                     sizeof(addr), compare_addrs))
		return 0;
	uint64_t size = anonymous_size(new, addr);
	uint64_t hash = hash_of(program_bytes(new, addr, text), text);
	if (has_pointer(new, addr, size))
		return 0;
	uint64_t used = find_used(closure, addr, size, hash);
	return used ? used : find_only(closure, addr, size, hash);
}

/* ---- What a function refers to ------------------------------------------ */

static struct hfx_error *add_aim(struct closure *closure,
                                 const struct reference *reference)
{
	const struct program *new = closure->new_program;
	struct place place = place_at(new, reference->target);
	struct aim aim = {.addr = place.addr};
	enum address_fate fate;

	if (reference->kind != REFERENCE_ADDRESS || !place_is_constant(&place))
		return NULL;
	if (place.kind == PLACE_OBJECT) {
		aim.end = place.symbol->addr + place.symbol->size;
	} else if (place.kind == PLACE_ANONYMOUS) {
		aim.end = aim.addr + anonymous_size(new, aim.addr);
		aim.is_text = literal_size(new, aim.addr) != 0;
		aim.old_addr = find_old(closure, aim.addr);
	} else {
		return NULL;
	}
	if (aim.is_text) {
		HFX_TRY(address_flow_fate(closure->decoder, new,
		                          closure->function, reference, &fate));
		if (fate == ADDRESS_COUNTED)
			aim.old_addr = 0;
		aim.is_text = fate != ADDRESS_COUNTED;
		aim.is_used = fate == ADDRESS_USED;
	}
	return HFX_ARRAY_PUSH(closure->literals, aims, aim)
	               ? NULL
	               : hfx_error_no_memory();
}

/* Of several references to one place, all must be able to go to OLD. */
static void unite_equal(struct literals *literals)
{
	size_t count = 0;

	for (size_t i = 0; i < literals->num_aims; i++) {
		struct aim *aim = &literals->aims[i];
		struct aim *last = count ? &literals->aims[count - 1] : NULL;

		if (!last || last->addr != aim->addr) {
			literals->aims[count++] = *aim;
			continue;
		}
		if (!aim->old_addr)
			last->old_addr = 0;
		last->is_text &= aim->is_text;
		last->is_used |= aim->is_used;
	}
	literals->num_aims = count;
}

static bool is_used_once(const struct closure *closure, uint64_t addr)
{
	const struct program *new = closure->new_program;
	const uint64_t *landmark =
		hfx_array_search(&addr, new->landmarks, new->num_landmarks,
	                         sizeof(*new->landmarks), compare_addrs);

	return landmark &&
	       closure->literals->uses[landmark - new->landmarks] == 1;
}

/* Whether `b` is surely no place in `a`, nor its end. */
static bool are_apart(const struct closure *closure, const struct aim *a,
                      const struct aim *b)
{
	if (b->addr > a->end)
		return true;
	if (!a->is_text || !b->is_text)
		return false;
	/* In OLD's code it stands for itself. */
	if (!a->old_addr && b->old_addr)
		return old_refers_to(closure, b->old_addr);
	if (b->addr < a->end)
		return false;
	/* The end is passed together with the start. */
	if (!a->is_used || !b->is_used)
		return true;
	if (a->old_addr && b->old_addr)
		return old_refers_to(closure, a->old_addr) &&
		       old_refers_to(closure, b->old_addr) &&
		       !old_refers_to(closure,
		                      a->old_addr + (b->addr - a->addr));
	/* Somebody must mean the text itself. */
	return is_used_once(closure, b->addr);
}

/* What is not apart goes the same way. */
static void settle(const struct closure *closure)
{
	struct literals *literals = closure->literals;
	size_t first = 0;

	for (size_t end = 1; end <= literals->num_aims; end++) {
		struct aim *aims = literals->aims;
		bool same = true;

		if (end < literals->num_aims &&
		    !are_apart(closure, &aims[end - 1], &aims[end]))
			continue;
		for (size_t i = first; i < end; i++)
			same &= aims[i].old_addr &&
			        aims[i].old_addr - aims[i].addr ==
			                aims[first].old_addr - aims[first].addr;
		for (size_t i = first; i < end && !same; i++)
			aims[i].old_addr = 0;
		first = end;
	}
}

static struct hfx_error *find_aims(struct closure *closure)
{
	const struct function *function = closure->function;
	struct literals *literals = closure->literals;

	if (literals->function == function)
		return NULL;
	literals->function = NULL;
	literals->num_aims = 0;
	for (size_t i = 0; i < function->num_references; i++)
		HFX_TRY(add_aim(closure, &function->references[i]));
	hfx_array_sort(literals->aims, literals->num_aims,
	               sizeof(*literals->aims), compare_aims);
	unite_equal(literals);
	settle(closure);
	literals->function = function;
	return NULL;
}

/* ---- All ---------------------------------------------------------------- */

/* Whether a pointer in data may mean the end of something that is no text. */
static bool may_be_end(const struct closure *closure, uint64_t addr)
{
	const struct program *new = closure->new_program;
	const uint8_t *before = program_bytes(new, addr - 1, 1);
	const struct symbol *table = closure_table_before(closure, addr);
	uint64_t start;

	/* It stands first in every program, and no code knows it. */
	if (table)
		return strcmp(table->name, "_IO_stdin_used") != 0;
	if (!before || *before)
		return false;
	start = text_start(new, addr - 1);
	return start == addr - 1 || text_size(new, start) != addr - start;
}

struct hfx_error *closure_resolve_literal(struct closure *closure,
                                          uint64_t addr, const struct use *use,
                                          struct target *ret, bool *is_done_ret)
{
	uint64_t old_addr = 0;

	*is_done_ret = false;
	if (use->kind != REFERENCE_ADDRESS ||
	    !literal_size(closure->new_program, addr))
		return NULL;
	HFX_TRY(prepare(closure));
	if (use->is_pointer) {
		if (!may_be_end(closure, addr))
			old_addr = find_old(closure, addr);
	} else {
		const struct literals *literals = closure->literals;
		const struct aim *aim, key = {.addr = addr};

		HFX_TRY(find_aims(closure));
		aim = hfx_array_search(&key, literals->aims, literals->num_aims,
		                       sizeof(key), compare_aims);
		old_addr = aim ? aim->old_addr : 0;
	}
	*is_done_ret = old_addr != 0;
	if (old_addr)
		*ret = (struct target){TARGET_OLD, old_addr};
	return NULL;
}
