/* SPDX-License-Identifier: MIT */
/*
 * The language-specific data of a function (Itanium C++ ABI, Exception
 * Handling, "LSDA"): which calls have a landing pad, and which types it
 * catches. It stands in NEW's .gcc_except_table, and its type table refers to
 * pointers elsewhere.
 */
#include <dwarf.h>
#include <elf.h>

#include "closure_private.h"
#include "cursor.h"

#define TYPE_ENCODING_INDIRECT                                                 \
	(DW_EH_PE_indirect | DW_EH_PE_pcrel | DW_EH_PE_sdata4)

/* A program for a fixed address says where a type is. */
#define TYPE_ENCODING_FIXED DW_EH_PE_udata4

struct lsda {
	uint64_t size;
	/** Offset just behind the type table; 0 when there is none. */
	uint64_t types_end;
	/** Offset of the first byte that may be of the type table. */
	uint64_t types_start;
	uint8_t type_encoding;
};

static struct lsda parse_lsda(const uint8_t *bytes, uint64_t size)
{
	struct cursor cursor = cursor_init(bytes, size);
	struct lsda lsda = {0};

	uint8_t start_encoding = cursor_u8(&cursor);
	lsda.type_encoding = cursor_u8(&cursor);
	if (lsda.type_encoding != DW_EH_PE_omit) {
		uint64_t distance = cursor_uleb128(&cursor);
		lsda.types_end = cursor.off + distance;
	}
	cursor_u8(&cursor);
	uint64_t call_sites = cursor_uleb128(&cursor);
	lsda.types_start = cursor.off + call_sites;
	lsda.size = lsda.types_end ? lsda.types_end : lsda.types_start;
	if (cursor.failed || start_encoding != DW_EH_PE_omit ||
	    lsda.size > size || lsda.types_start > lsda.size)
		return (struct lsda){0};
	return lsda;
}

static bool is_known_form(const struct program *program,
                          const struct lsda *lsda)
{
	return lsda->size && (!lsda->types_end ||
	                      lsda->type_encoding == TYPE_ENCODING_INDIRECT ||
	                      (lsda->type_encoding == TYPE_ENCODING_FIXED &&
	                       program->is_fixed));
}

/* Type entries grow down from the table's end; actions come before them. */
static struct hfx_error *keep_types(struct closure *closure, uint64_t addr,
                                    const uint8_t *bytes,
                                    const struct lsda *lsda)
{
	for (uint64_t end = lsda->types_end; end >= lsda->types_start + 4;
	     end -= 4) {
		struct cursor cursor = cursor_init(bytes + end - 4, 4);
		int32_t distance = (int32_t)cursor_u32(&cursor);
		uint64_t slot = addr + end - 4 + distance;

		if (!distance)
			continue;
		if (!program_relocation_at(closure->new_program, slot))
			break;
		HFX_TRY(closure_keep(closure, slot, 8, PF_R));
	}
	return NULL;
}

static struct hfx_error *keep_lsda(struct closure *closure, uint64_t addr)
{
	const struct section *section =
		program_section_at(closure->new_program, addr);
	struct target target;

	if (!section || !section->data)
		return NULL;
	uint64_t off = addr - section->addr;
	struct lsda lsda = parse_lsda(section->data + off, section->size - off);
	if (!is_known_form(closure->new_program, &lsda))
		return closure_refuse(closure, &target,
		                      "Leave the function out with --skip",
		                      "its exception table at 0x%lx is of an "
		                      "unknown form",
		                      addr);
	HFX_TRY(closure_keep(closure, addr, lsda.size, PF_R));
	/* Where the entries are addresses, they have been kept with it. */
	if (!lsda.types_end || lsda.type_encoding == TYPE_ENCODING_FIXED)
		return NULL;
	return keep_types(closure, addr, section->data + off, &lsda);
}

/*
 * The routine itself, where no slot leads to it, as in a program for a fixed
 * address: unwind information of the image can only refer to the image.
 */
static struct hfx_error *keep_personality(struct closure *closure,
                                          uint64_t addr)
{
	const struct use use = {.kind = REFERENCE_JUMP, .is_short = true};
	struct place place = place_at(closure->new_program, addr);
	struct target target = {.kind = TARGET_INSIDE};

	if (place.kind == PLACE_STUB)
		return closure_keep_stub(closure, place.stub);
	HFX_TRY(closure_resolve(closure, addr, &use, &target));
	if (target.kind != TARGET_OLD)
		return NULL;
	return closure_refuse(closure, &target,
	                      "Leave the function out with --skip",
	                      "its personality routine at 0x%lx is not the "
	                      "old build's",
	                      addr);
}

/* What cannot be told of new code ends the program there. */
static struct hfx_error *refuse_strange_unwinder(struct closure *closure)
{
	struct target target;

	return closure_refuse(
		closure, &target,
		"Link both builds with the shared libgcc_s, or with libgcc's "
		"own unwinder and its symbols; or leave the function out with "
		"--skip, if nothing is thrown through it",
		"exceptions that pass it would end the program: the old build "
		"has an unwinder of its own inside that cannot be told of new "
		"code");
}

struct hfx_error *closure_keep_unwind(struct closure *closure,
                                      const struct function *function)
{
	uint64_t lsda, personality;

	if (!closure->unwind)
		return NULL;
	unwind_table_references(closure->unwind, function->addr, &lsda,
	                        &personality);
	if (closure->has_strange_unwinder &&
	    (closure->has_exceptions || lsda || personality))
		HFX_TRY(refuse_strange_unwinder(closure));
	if (lsda)
		HFX_TRY(keep_lsda(closure, lsda));
	if (!personality)
		return NULL;
	if (program_relocation_at(closure->new_program, personality))
		return closure_keep(closure, personality, 8, PF_R);
	return keep_personality(closure, personality);
}
