/* SPDX-License-Identifier: MIT */
/*
 * A .eh_frame is a chain of records: a CIE holds what many functions share, an
 * FDE describes one range of code and points back to its CIE. Records are read
 * into structures whose addresses are absolute, and written again from these,
 * so that no field has to be patched in place and every pointer encoding that
 * can be read comes out as the same one: PC-relative, 32 bits.
 */
#include "unwind_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <dwarf.h>

#include "array.h"
#include "cleanup.h"
#include "cursor.h"
#include "unwind_records.h"

/** One record: its body begins behind the CIE id or pointer. */
struct record {
	size_t off;
	/** Where the id stands, which a CIE pointer is relative to. */
	size_t id_off;
	uint32_t id;
	/** Offset behind the record. */
	size_t end;
};

struct hfx_error *unwind_bad_record(size_t off, const char *format, ...)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		text = NULL;
		return hfx_error_no_memory();
	}
	return hfx_error_create(HFX_ERROR_BAD_ELF,
	                        ".eh_frame is malformed at offset 0x%zx: %s",
	                        off, text);
}

static struct hfx_error *truncated(size_t off)
{
	return unwind_bad_record(off, "a record ends too early");
}

/** Cursor over a record's body whose offsets are those of the section. */
static struct cursor record_cursor(const struct unwind_table *table,
                                   const struct record *record)
{
	struct cursor cursor = cursor_init(table->data, record->end);

	cursor_seek(&cursor, record->id_off + 4);
	return cursor;
}

/**
 * The record at @p cursor, which moves behind it. `end` is 0 for the zero word
 * that ends a list; the linker may leave some inside.
 */
static struct hfx_error *next_record(struct cursor *cursor,
                                     struct record *record)
{
	uint32_t length;

	*record = (struct record){.off = cursor->off};
	length = cursor_u32(cursor);
	if (cursor->failed)
		return truncated(record->off);
	if (!length)
		return NULL;
	if (length == UINT32_MAX)
		return unwind_bad_record(record->off,
		                         "records of the 64-bit format are not "
		                         "supported");
	record->id_off = cursor->off;
	if (length < 4 || length > cursor_left(cursor))
		return unwind_bad_record(
			record->off,
			"the length %u does not fit in the section", length);
	record->id = cursor_u32(cursor);
	record->end = record->id_off + length;
	cursor_seek(cursor, record->end);
	return NULL;
}

static bool read_format(struct cursor *cursor, uint8_t format, uint64_t *ret)
{
	switch (format) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		*ret = cursor_u64(cursor);
		return true;
	case DW_EH_PE_udata4:
		*ret = cursor_u32(cursor);
		return true;
	case DW_EH_PE_sdata4:
		*ret = (int64_t)(int32_t)cursor_u32(cursor);
		return true;
	case DW_EH_PE_udata2:
		*ret = cursor_u16(cursor);
		return true;
	case DW_EH_PE_sdata2:
		*ret = (int64_t)(int16_t)cursor_u16(cursor);
		return true;
	case DW_EH_PE_uleb128:
		*ret = cursor_uleb128(cursor);
		return true;
	case DW_EH_PE_sleb128:
		*ret = cursor_sleb128(cursor);
		return true;
	default:
		return false;
	}
}

/** An encoded pointer as an address of the file; 0 stays 0. */
static struct hfx_error *read_pointer(const struct unwind_table *table,
                                      struct cursor *cursor, uint8_t encoding,
                                      uint64_t *ret)
{
	uint8_t application = encoding & ENCODING_APPLICATION;
	uint64_t place = table->addr + cursor->off;
	size_t off = cursor->off;
	uint64_t value;

	if ((application != DW_EH_PE_absptr && application != DW_EH_PE_pcrel) ||
	    !read_format(cursor, encoding & ENCODING_FORMAT, &value))
		return unwind_bad_record(
			off, "pointer encoding 0x%02x is not supported",
			encoding);
	if (cursor->failed)
		return truncated(off);
	if (value && application == DW_EH_PE_pcrel)
		value += place;
	*ret = value;
	return NULL;
}

/** The augmentation data that @p letters announce. */
static struct hfx_error *read_augmentation(const struct unwind_table *table,
                                           struct cursor *cursor,
                                           const char *letters, struct cie *cie)
{
	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			cie->pc_encoding = cursor_u8(cursor);
			break;
		case 'L':
			cie->lsda_encoding = cursor_u8(cursor);
			break;
		case 'P':
			cie->personality_encoding = cursor_u8(cursor);
			HFX_TRY(read_pointer(table, cursor,
			                     cie->personality_encoding,
			                     &cie->personality));
			break;
		case 'S':
			cie->is_signal_frame = true;
			break;
		case 'B':
			cie->has_key_b = true;
			break;
		default:
			return unwind_bad_record(
				cie->off, "augmentation '%c' is not supported",
				*letters);
		}
	}
	return NULL;
}

/** Leave the augmentation data of @p size bytes from @p off, checked. */
static struct hfx_error *end_augmentation(struct cursor *cursor, size_t off,
                                          uint64_t size, size_t record_off)
{
	if (cursor->failed || !range_fits(off, size, cursor->size))
		return truncated(record_off);
	if (cursor->off > off + size)
		return unwind_bad_record(
			record_off, "the augmentation data is longer than its "
				    "length says");
	cursor_seek(cursor, off + size);
	return NULL;
}

/**
 * Refuse instructions that hold an address: these are copied as they are.
 *
 * Only DW_CFA_set_loc does (DWARF 5, 6.4.2); no compiler or assembler for
 * x86-64 writes it.
 */
static struct hfx_error *check_instructions(const uint8_t *instructions,
                                            size_t size, size_t record_off)
{
	struct cursor cursor = cursor_init(instructions, size);

	while (cursor_left(&cursor)) {
		uint8_t opcode = cursor_u8(&cursor);

		if ((opcode & 0xc0) == DW_CFA_offset) {
			cursor_uleb128(&cursor);
			continue;
		}
		if (opcode & 0xc0)
			continue;
		switch (opcode) {
		case DW_CFA_set_loc:
			return unwind_bad_record(
				record_off, "DW_CFA_set_loc is not supported");
		case DW_CFA_nop:
		case DW_CFA_remember_state:
		case DW_CFA_restore_state:
		case DW_CFA_GNU_window_save:
			break;
		case DW_CFA_advance_loc1:
			cursor_u8(&cursor);
			break;
		case DW_CFA_advance_loc2:
			cursor_u16(&cursor);
			break;
		case DW_CFA_advance_loc4:
			cursor_u32(&cursor);
			break;
		case DW_CFA_MIPS_advance_loc8:
			cursor_u64(&cursor);
			break;
		case DW_CFA_restore_extended:
		case DW_CFA_undefined:
		case DW_CFA_same_value:
		case DW_CFA_def_cfa_register:
		case DW_CFA_def_cfa_offset:
		case DW_CFA_def_cfa_offset_sf:
		case DW_CFA_GNU_args_size:
			cursor_uleb128(&cursor);
			break;
		case DW_CFA_offset_extended:
		case DW_CFA_register:
		case DW_CFA_def_cfa:
		case DW_CFA_offset_extended_sf:
		case DW_CFA_def_cfa_sf:
		case DW_CFA_val_offset:
		case DW_CFA_val_offset_sf:
		case DW_CFA_GNU_negative_offset_extended:
			cursor_uleb128(&cursor);
			cursor_uleb128(&cursor);
			break;
		case DW_CFA_expression:
		case DW_CFA_val_expression:
			cursor_uleb128(&cursor);
			/* fallthrough */
		case DW_CFA_def_cfa_expression:
			cursor_bytes(&cursor, cursor_uleb128(&cursor));
			break;
		default:
			return unwind_bad_record(record_off,
			                         "unknown instruction 0x%02x",
			                         opcode);
		}
	}
	return cursor.failed ? truncated(record_off) : NULL;
}

/** What is left of the record are its instructions. */
static struct hfx_error *read_instructions(struct cursor *cursor, size_t off,
                                           const uint8_t **data_ret,
                                           size_t *size_ret)
{
	size_t size = cursor_left(cursor);

	if (cursor->failed)
		return truncated(off);
	*size_ret = size;
	*data_ret = cursor_bytes(cursor, size);
	return check_instructions(*data_ret, size, off);
}

static struct hfx_error *read_cie(const struct unwind_table *table,
                                  const struct record *record, struct cie *cie)
{
	struct cursor cursor = record_cursor(table, record);
	const char *augmentation;

	*cie = (struct cie){
		.off = record->off,
		.pc_encoding = DW_EH_PE_absptr,
		.lsda_encoding = DW_EH_PE_omit,
		.personality_encoding = DW_EH_PE_omit,
	};
	cie->version = cursor_u8(&cursor);
	if (cie->version != 1 && cie->version != 3)
		return unwind_bad_record(record->off,
		                         "CIE version %u is not supported",
		                         cie->version);
	augmentation = cursor_string(&cursor);
	cie->code_align = cursor_uleb128(&cursor);
	cie->data_align = cursor_sleb128(&cursor);
	cie->return_register = cie->version == 1 ? cursor_u8(&cursor)
	                                         : cursor_uleb128(&cursor);
	if (cursor.failed)
		return truncated(record->off);
	if (*augmentation == 'z') {
		uint64_t size = cursor_uleb128(&cursor);
		size_t off = cursor.off;

		cie->has_augmentation_size = true;
		HFX_TRY(read_augmentation(table, &cursor, augmentation + 1,
		                          cie));
		HFX_TRY(end_augmentation(&cursor, off, size, record->off));
	} else if (*augmentation) {
		return unwind_bad_record(record->off,
		                         "augmentation \"%s\" is not supported",
		                         augmentation);
	}
	return read_instructions(&cursor, record->off, &cie->instructions,
	                         &cie->instructions_size);
}

static int cie_by_offset(const void *key, const void *item)
{
	size_t off = *(const size_t *)key;
	const struct cie *cie = item;

	return off < cie->off ? -1 : off > cie->off;
}

static struct hfx_error *find_cie(const struct unwind_table *table,
                                  const struct record *record, size_t *ret)
{
	const struct cie *cie = NULL;
	size_t off;

	if (record->id <= record->id_off) {
		off = record->id_off - record->id;
		cie = hfx_array_search(&off, table->cies, table->num_cies,
		                       sizeof(*table->cies), cie_by_offset);
	}
	if (!cie)
		return unwind_bad_record(record->off,
		                         "an FDE points to no CIE");
	*ret = cie - table->cies;
	return NULL;
}

static struct hfx_error *read_fde(const struct unwind_table *table,
                                  const struct record *record, struct fde *fde)
{
	struct cursor cursor = record_cursor(table, record);
	const struct cie *cie;
	uint64_t end;

	*fde = (struct fde){.off = record->off};
	HFX_TRY(find_cie(table, record, &fde->cie));
	cie = &table->cies[fde->cie];
	HFX_TRY(read_pointer(table, &cursor, cie->pc_encoding, &fde->addr));
	HFX_TRY(read_pointer(table, &cursor, cie->pc_encoding & ENCODING_FORMAT,
	                     &fde->size));
	if (__builtin_add_overflow(fde->addr, fde->size, &end))
		return unwind_bad_record(record->off,
		                         "an FDE's range overflows");
	if (cie->has_augmentation_size) {
		uint64_t size = cursor_uleb128(&cursor);
		size_t off = cursor.off;

		if (cie->lsda_encoding != DW_EH_PE_omit)
			HFX_TRY(read_pointer(table, &cursor, cie->lsda_encoding,
			                     &fde->lsda));
		HFX_TRY(end_augmentation(&cursor, off, size, record->off));
	}
	return read_instructions(&cursor, record->off, &fde->instructions,
	                         &fde->instructions_size);
}

static struct hfx_error *add_cie(struct unwind_table *table,
                                 const struct record *record)
{
	struct cie cie;

	if (record->id != 0)
		return NULL;
	HFX_TRY(read_cie(table, record, &cie));
	return HFX_ARRAY_PUSH(table, cies, cie) ? NULL : hfx_error_no_memory();
}

static struct hfx_error *add_fde(struct unwind_table *table,
                                 const struct record *record)
{
	struct fde fde;

	if (record->id == 0)
		return NULL;
	HFX_TRY(read_fde(table, record, &fde));
	/* Left by the linker of functions that it discarded. */
	if (!fde.size)
		return NULL;
	return HFX_ARRAY_PUSH(table, fdes, fde) ? NULL : hfx_error_no_memory();
}

static struct hfx_error *
for_each_record(struct unwind_table *table,
                struct hfx_error *(*visit)(struct unwind_table *table,
                                           const struct record *record))
{
	struct cursor cursor = cursor_init(table->data, table->size);
	struct record record;

	while (cursor_left(&cursor)) {
		HFX_TRY(next_record(&cursor, &record));
		if (record.end)
			HFX_TRY(visit(table, &record));
	}
	return NULL;
}

static int compare_fdes(const void *left, const void *right)
{
	const struct fde *a = left, *b = right;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return a->off < b->off ? -1 : a->off > b->off;
}

struct hfx_error *unwind_table_create(uint64_t addr, const uint8_t *data,
                                      size_t size, struct unwind_table **ret)
{
	HFX_CLEANUP(unwind_table_cleanup) struct unwind_table *table = NULL;

	table = calloc(1, sizeof(*table));
	if (!table)
		return hfx_error_no_memory();
	table->addr = addr;
	table->data = data;
	table->size = size;
	/* An FDE may stand before its CIE. */
	HFX_TRY(for_each_record(table, add_cie));
	HFX_TRY(for_each_record(table, add_fde));
	hfx_array_sort(table->fdes, table->num_fdes, sizeof(*table->fdes),
	               compare_fdes);
	*ret = HFX_TAKE(table);
	return NULL;
}

void unwind_table_destroy(struct unwind_table *table)
{
	if (!table)
		return;
	free(table->cies);
	free(table->fdes);
	free(table);
}

void unwind_table_cleanup(struct unwind_table **table)
{
	unwind_table_destroy(*table);
}

size_t unwind_fde_from(const struct unwind_table *table, uint64_t addr)
{
	size_t low = 0, high = table->num_fdes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct fde *fde = &table->fdes[middle];

		if (fde->addr + fde->size <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void unwind_table_references(const struct unwind_table *table, uint64_t addr,
                             uint64_t *lsda_ret, uint64_t *personality_ret)
{
	size_t i = unwind_fde_from(table, addr);

	*lsda_ret = 0;
	*personality_ret = 0;
	if (i == table->num_fdes || table->fdes[i].addr > addr)
		return;
	*lsda_ret = table->fdes[i].lsda;
	*personality_ret = table->cies[table->fdes[i].cie].personality;
}
