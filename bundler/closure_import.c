/* SPDX-License-Identifier: MIT */
/*
 * Calls and addresses that go through the PLT and the GOT. OLD's stub or slot
 * of the same symbol serves where there is one; else NEW's is taken along, and
 * the loader of the image binds it.
 */
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include "array.h"
#include "closure_private.h"

#define REMEDY_TLS                                                             \
	"Keep the thread-local variables that the function uses as they are"

struct hfx_error *closure_import(struct closure *closure,
                                 const struct dynamic_relocation *relocation,
                                 uint32_t *ret)
{
	struct image_description *image = &closure->image;
	struct image_import import = {
		.name = relocation->symbol,
		.version = relocation->version,
		.library = relocation->library,
		.is_weak = relocation->is_weak,
	};

	for (size_t i = 0; i < image->num_imports; i++)
		if (!strcmp(image->imports[i].name, import.name) &&
		    !strcmp(image->imports[i].version, import.version)) {
			image->imports[i].is_weak &= import.is_weak;
			*ret = i;
			return NULL;
		}
	if (!HFX_ARRAY_PUSH(image, imports, import))
		return hfx_error_no_memory();
	*ret = image->num_imports - 1;
	return NULL;
}

/* What a slot holds, as something to sort and compare by. */
struct slot_key {
	uint32_t type;
	bool is_import;
	const char *symbol;
	const char *version;
	/** Without a symbol: OLD's address or the addend. */
	uint64_t value;
	/** OLD's place for what has this key. */
	uint64_t addr;
};

/*
 * Without a symbol a slot holds an address of the program itself: NEW's is
 * said in terms of OLD. UINT64_MAX stands for one that OLD does not have.
 */
static uint64_t slot_value(const struct closure *closure,
                           const struct dynamic_relocation *relocation,
                           bool is_new)
{
	uint64_t addr = relocation->addend;

	if (*relocation->symbol || !is_new ||
	    (relocation->type != R_X86_64_IRELATIVE &&
	     relocation->type != R_X86_64_RELATIVE))
		return addr;
	struct place place = place_at(closure->new_program, addr);
	if (place.kind == PLACE_FUNCTION && !place.off &&
	    place.function->peer != NO_INDEX)
		return closure->old_program->functions[place.function->peer]
		        .addr;
	if (place.kind == PLACE_OBJECT && place.symbol->peer != NO_INDEX)
		return closure->old_program->symbols[place.symbol->peer].addr +
		       place.off;
	return UINT64_MAX;
}

static struct slot_key slot_key(const struct closure *closure,
                                const struct dynamic_relocation *relocation,
                                bool is_new, uint64_t addr)
{
	return (struct slot_key){
		.type = relocation->type,
		.is_import = relocation->is_import,
		.symbol = relocation->symbol,
		.version = relocation->version,
		.value = slot_value(closure, relocation, is_new),
		.addr = addr,
	};
}

static int compare_keys(const void *a, const void *b)
{
	const struct slot_key *x = a, *y = b;
	int order = strcmp(x->symbol, y->symbol);

	if (!order)
		order = strcmp(x->version, y->version);
	if (order)
		return order;
	if (x->is_import != y->is_import)
		return x->is_import ? 1 : -1;
	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return x->value < y->value ? -1 : x->value > y->value;
}

/* For each of NEW's keys, the place of the same key of OLD, or 0. */
static struct hfx_error *look_up(struct slot_key *olds, size_t num_olds,
                                 const struct slot_key *news, size_t num_news,
                                 uint64_t **ret)
{
	uint64_t *found = calloc(num_news + 1, sizeof(*found));

	if (!found)
		return hfx_error_no_memory();
	hfx_array_sort(olds, num_olds, sizeof(*olds), compare_keys);
	for (size_t i = 0; i < num_news; i++) {
		const struct slot_key *key = hfx_array_search(
			&news[i], olds, num_olds, sizeof(*olds), compare_keys);

		found[i] = key ? key->addr : 0;
	}
	*ret = found;
	return NULL;
}

static struct slot_key *stub_keys(const struct closure *closure, bool is_new)
{
	const struct program *program =
		is_new ? closure->new_program : closure->old_program;
	struct slot_key *keys = calloc(program->num_stubs + 1, sizeof(*keys));

	for (size_t i = 0; keys && i < program->num_stubs; i++) {
		const struct plt_stub *stub = &program->stubs[i];
		const struct dynamic_relocation *relocation =
			program_relocation_at(program, stub->slot_addr);

		if (!relocation) {
			keys[i] =
				(struct slot_key){.symbol = "", .version = ""};
			continue;
		}
		keys[i] = slot_key(closure, relocation, is_new, stub->addr);
		/* A call does not see how its slot is bound. */
		if (*keys[i].symbol)
			keys[i].type = R_X86_64_JUMP_SLOT;
	}
	return keys;
}

static struct slot_key *relocation_keys(const struct closure *closure,
                                        bool is_new)
{
	const struct program *program =
		is_new ? closure->new_program : closure->old_program;
	struct slot_key *keys =
		calloc(program->num_relocations + 1, sizeof(*keys));

	for (size_t i = 0; keys && i < program->num_relocations; i++)
		keys[i] = slot_key(closure, &program->relocations[i], is_new,
		                   program->relocations[i].addr);
	return keys;
}

/* Relocations that are of GOT slots come first; their number is returned. */
static size_t only_slots(const struct program *program, struct slot_key *keys)
{
	size_t count = 0;

	for (size_t i = 0; i < program->num_relocations; i++) {
		const struct section *section =
			program_section_at(program, keys[i].addr);

		/* Lazily bound slots hold no address before the first call. */
		if (section && section->kind == SECTION_GOT &&
		    keys[i].type != R_X86_64_JUMP_SLOT)
			keys[count++] = keys[i];
	}
	return count;
}

struct hfx_error *closure_match_imports(struct closure *closure)
{
	const struct program *old = closure->old_program;
	const struct program *new = closure->new_program;
	struct slot_key *olds = stub_keys(closure, false);
	struct slot_key *news = stub_keys(closure, true);
	struct slot_key *old_slots = relocation_keys(closure, false);
	struct slot_key *new_slots = relocation_keys(closure, true);
	struct hfx_error *err = NULL;

	if (!olds || !news || !old_slots || !new_slots)
		err = hfx_error_no_memory();
	if (!err)
		err = look_up(olds, old->num_stubs, news, new->num_stubs,
		              &closure->old_stubs);
	if (!err)
		err = look_up(old_slots, only_slots(old, old_slots), new_slots,
		              new->num_relocations, &closure->old_slots);
	free(olds);
	free(news);
	free(old_slots);
	free(new_slots);
	return err;
}

struct hfx_error *closure_keep_stub(struct closure *closure,
                                    const struct plt_stub *stub)
{
	HFX_TRY(closure_keep(closure, stub->addr, stub->size, PF_R | PF_X));
	return closure_keep(closure, stub->slot_addr, 8, PF_R);
}

struct hfx_error *closure_resolve_stub(struct closure *closure,
                                       const struct place *place,
                                       struct target *ret)
{
	const struct plt_stub *stub = place->stub;
	uint64_t old_addr =
		closure->old_stubs[stub - closure->new_program->stubs];

	if (old_addr) {
		*ret = (struct target){TARGET_OLD, old_addr};
		return NULL;
	}
	ret->kind = TARGET_INSIDE;
	return closure_keep_stub(closure, stub);
}

static bool is_offset(uint32_t type)
{
	return type == R_X86_64_TPOFF64 || type == R_X86_64_DTPMOD64 ||
	       type == R_X86_64_DTPOFF64 || type == R_X86_64_TLSDESC;
}

/*
 * A slot for data of this module. What the slot leads to is resolved as if the
 * code named it, for the content of a constant, or the size, may be another.
 */
static struct hfx_error *
resolve_own_data(struct closure *closure,
                 const struct dynamic_relocation *relocation, uint64_t old_addr,
                 struct target *ret)
{
	struct place place =
		place_at(closure->new_program,
	                 relocation->symbol_addr + relocation->addend);

	if (place.kind == PLACE_OBJECT) {
		HFX_TRY(closure_resolve_object(closure, &place, ret));
		if (ret->kind == TARGET_REFUSED)
			return NULL;
		if (ret->kind == TARGET_INSIDE)
			old_addr = 0;
	}
	if (old_addr) {
		*ret = (struct target){TARGET_OLD, old_addr};
		return NULL;
	}
	ret->kind = TARGET_INSIDE;
	return closure_keep(closure, relocation->addr, 8, PF_R);
}

struct hfx_error *closure_resolve_slot(struct closure *closure,
                                       const struct place *place,
                                       struct target *ret)
{
	const struct dynamic_relocation *relocation = place->relocation;
	uint64_t old_addr =
		closure->old_slots[relocation -
	                           closure->new_program->relocations];

	/* What follows a nameless module is any offset in it. */
	if (is_offset(relocation->type) &&
	    (!closure->same_tls ||
	     (relocation->type == R_X86_64_DTPMOD64 && !*relocation->symbol)))
		old_addr = 0;
	if (!is_offset(relocation->type) && !relocation->is_import &&
	    relocation->type != R_X86_64_IRELATIVE)
		return resolve_own_data(closure, relocation, old_addr, ret);
	if (old_addr) {
		*ret = (struct target){TARGET_OLD, old_addr};
		return NULL;
	}
	ret->kind = TARGET_INSIDE;
	if (relocation->type == R_X86_64_DTPMOD64 && closure->same_tls &&
	    !relocation->is_import)
		/* Module and offset stand in a pair. */
		return closure_keep(closure, relocation->addr, 16, PF_R);
	if (is_offset(relocation->type) && *relocation->symbol)
		return closure_refuse(closure, ret, REMEDY_TLS,
		                      "refers to thread-local variable %s, "
		                      "which moved or is new",
		                      relocation->symbol);
	if (is_offset(relocation->type) && closure->same_tls)
		return closure_refuse(closure, ret, REMEDY_TLS,
		                      "refers to a thread-local variable "
		                      "through a slot that the old build does "
		                      "not have");
	if (is_offset(relocation->type))
		return closure_refuse(
			closure, ret, REMEDY_TLS,
			"refers to thread-local variables of this "
			"module, and %s",
			closure->moved_tls);
	return closure_keep(closure, relocation->addr, 8, PF_R);
}
