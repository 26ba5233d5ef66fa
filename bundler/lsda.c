/* SPDX-License-Identifier: MIT */
#include "lsda.h"

#include <dwarf.h>

#include "cursor.h"

#define TYPE_ENCODING_INDIRECT                                                 \
	(DW_EH_PE_indirect | DW_EH_PE_pcrel | DW_EH_PE_sdata4)

/* A program for a fixed address says where a type is. */
#define TYPE_ENCODING_FIXED DW_EH_PE_udata4

bool lsda_has_type_addrs(const struct lsda *lsda)
{
	return lsda->type_encoding == TYPE_ENCODING_FIXED;
}

static bool is_known_form(const struct program *program,
                          const struct lsda *lsda)
{
	return !lsda->types_end ||
	       lsda->type_encoding == TYPE_ENCODING_INDIRECT ||
	       (lsda_has_type_addrs(lsda) && program->is_fixed);
}

bool lsda_read(const struct program *program, uint64_t addr, struct lsda *ret)
{
	const struct section *section = program_section_at(program, addr);

	if (!section || !section->data)
		return false;
	*ret = (struct lsda){
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
	if (cursor.failed || start_encoding != DW_EH_PE_omit ||
	    sites_size > cursor_left(&cursor))
		return false;
	ret->sites_off = cursor.off;
	ret->actions_off = cursor.off + sites_size;
	return (!ret->types_end || ret->types_end >= ret->actions_off) &&
	       is_known_form(program, ret);
}
