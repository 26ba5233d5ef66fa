/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include <dwarf.h>

#include "cleanup.h"
#include "unwind_records.h"
#include "unwind_table.h"

/* What is written: PC-relative, signed 32 bits. */
#define ENCODING_WRITTEN (DW_EH_PE_pcrel | DW_EH_PE_sdata4)

void unwind_frames_deinit(struct unwind_frames *frames)
{
	bytes_deinit(&frames->header);
	bytes_deinit(&frames->frame);
}

/** A 32-bit distance from @p from to @p to. */
static struct hfx_error *put_distance(struct bytes *bytes, uint64_t to,
                                      uint64_t from)
{
	int64_t distance = to - from;

	if (distance != (int32_t)distance)
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"unwind information would refer from 0x%llx to "
			"0x%llx, which is too far",
			(unsigned long long)from, (unsigned long long)to);
	bytes_u32(bytes, distance);
	return NULL;
}

/** A pointer at the end of what is written; 0 stays 0. */
static struct hfx_error *put_pointer(struct unwind_frames *frames,
                                     uint64_t value)
{
	if (value)
		return put_distance(&frames->frame, value,
		                    frames->frame_addr + frames->frame.size);
	bytes_u32(&frames->frame, 0);
	return NULL;
}

/** Pad the record that begins at @p off and fill in its length. */
static void end_record(struct bytes *bytes, size_t off)
{
	/* The padding is DW_CFA_nop, which is 0. */
	bytes_align(bytes, 8);
	bytes_set_u32(bytes, off, bytes->size - off - 4);
}

static struct hfx_error *write_cie(struct unwind_frames *frames,
                                   const struct cie *cie)
{
	struct bytes *bytes = &frames->frame;
	bool has_personality = cie->personality_encoding != DW_EH_PE_omit;
	bool has_lsda = cie->lsda_encoding != DW_EH_PE_omit;
	char letters[8] = "z", *end = letters + 1;
	size_t off = bytes->size;

	if (has_personality)
		*end++ = 'P';
	if (has_lsda)
		*end++ = 'L';
	*end++ = 'R';
	if (cie->is_signal_frame)
		*end++ = 'S';
	if (cie->has_key_b)
		*end++ = 'B';
	*end = '\0';

	bytes_u32(bytes, 0);
	bytes_u32(bytes, 0);
	bytes_u8(bytes, cie->version);
	bytes_string(bytes, letters);
	bytes_uleb128(bytes, cie->code_align);
	bytes_sleb128(bytes, cie->data_align);
	if (cie->version == 1)
		bytes_u8(bytes, cie->return_register);
	else
		bytes_uleb128(bytes, cie->return_register);
	bytes_uleb128(bytes, 1 + 5 * has_personality + has_lsda);
	if (has_personality) {
		bytes_u8(bytes, ENCODING_WRITTEN | (cie->personality_encoding &
		                                    ENCODING_INDIRECT));
		HFX_TRY(put_pointer(frames, cie->personality));
	}
	if (has_lsda)
		bytes_u8(bytes, ENCODING_WRITTEN);
	bytes_u8(bytes, ENCODING_WRITTEN);
	bytes_put(bytes, cie->instructions, cie->instructions_size);
	end_record(bytes, off);
	return NULL;
}

static struct hfx_error *write_fde(struct unwind_frames *frames,
                                   const struct unwind_table *table,
                                   const struct fde *fde, size_t cie_off)
{
	struct bytes *bytes = &frames->frame;
	bool has_lsda = table->cies[fde->cie].lsda_encoding != DW_EH_PE_omit;
	size_t off = bytes->size;

	if (fde->size > INT32_MAX)
		return unwind_bad_record(fde->off,
		                         "an FDE covers more than 2 GiB");
	bytes_u32(bytes, 0);
	bytes_u32(bytes, bytes->size - cie_off);
	HFX_TRY(put_pointer(frames, fde->addr));
	bytes_u32(bytes, fde->size);
	bytes_uleb128(bytes, has_lsda ? 4 : 0);
	if (has_lsda)
		HFX_TRY(put_pointer(frames, fde->lsda));
	bytes_put(bytes, fde->instructions, fde->instructions_size);
	end_record(bytes, off);
	return NULL;
}

/** Mark the FDEs that overlap a wanted range, and count them. */
static size_t select_fdes(const struct unwind_table *table,
                          const struct image_unwind *wanted, size_t num_wanted,
                          bool *is_selected)
{
	size_t count = 0;

	for (size_t i = 0; i < num_wanted; i++) {
		uint64_t size = wanted[i].size ? wanted[i].size : 1;
		uint64_t end = wanted[i].addr + size;

		for (size_t j = unwind_fde_from(table, wanted[i].addr);
		     j < table->num_fdes && table->fdes[j].addr < end; j++) {
			count += !is_selected[j];
			is_selected[j] = true;
		}
	}
	return count;
}

/** `.eh_frame_hdr` up to its table (LSB Core, "The .eh_frame_hdr section"). */
static struct hfx_error *write_header(struct unwind_frames *frames,
                                      uint64_t addr, size_t count)
{
	struct bytes *header = &frames->header;

	bytes_u8(header, 1);
	bytes_u8(header, DW_EH_PE_pcrel | DW_EH_PE_sdata4);
	bytes_u8(header, DW_EH_PE_udata4);
	bytes_u8(header, DW_EH_PE_datarel | DW_EH_PE_sdata4);
	HFX_TRY(put_distance(header, frames->frame_addr, addr + header->size));
	bytes_u32(header, count);
	return NULL;
}

/** Records of the selected FDEs, each CIE before its first FDE. */
static struct hfx_error *write_frames(struct unwind_frames *frames,
                                      const struct unwind_table *table,
                                      const bool *is_selected, uint64_t addr)
{
	HFX_CLEANUP(hfx_free) size_t *cie_offs = NULL;

	cie_offs = malloc((table->num_cies + 1) * sizeof(*cie_offs));
	if (!cie_offs)
		return hfx_error_no_memory();
	for (size_t i = 0; i < table->num_cies; i++)
		cie_offs[i] = SIZE_MAX;
	for (size_t i = 0; i < table->num_fdes; i++) {
		const struct fde *fde = &table->fdes[i];

		if (!is_selected[i])
			continue;
		if (cie_offs[fde->cie] == SIZE_MAX) {
			cie_offs[fde->cie] = frames->frame.size;
			HFX_TRY(write_cie(frames, &table->cies[fde->cie]));
		}
		HFX_TRY(put_distance(&frames->header, fde->addr, addr));
		HFX_TRY(put_distance(&frames->header,
		                     frames->frame_addr + frames->frame.size,
		                     addr));
		HFX_TRY(write_fde(frames, table, fde, cie_offs[fde->cie]));
	}
	bytes_u32(&frames->frame, 0);
	return NULL;
}

struct hfx_error *unwind_table_write(const struct unwind_table *table,
                                     const struct image_unwind *wanted,
                                     size_t num_wanted, uint64_t addr,
                                     struct unwind_frames *ret)
{
	HFX_CLEANUP(unwind_frames_deinit) struct unwind_frames frames = {0};
	HFX_CLEANUP(hfx_free) bool *is_selected = NULL;
	size_t count;

	is_selected = calloc(table->num_fdes + 1, sizeof(*is_selected));
	if (!is_selected)
		return hfx_error_no_memory();
	count = select_fdes(table, wanted, num_wanted, is_selected);
	if (count) {
		/* 12 bytes and two words for each FDE. */
		frames.frame_addr = (addr + 12 + 8 * count + 7) & ~UINT64_C(7);
		HFX_TRY(write_header(&frames, addr, count));
		HFX_TRY(write_frames(&frames, table, is_selected, addr));
	}
	HFX_TRY(bytes_check(&frames.header));
	HFX_TRY(bytes_check(&frames.frame));
	*ret = frames;
	frames = (struct unwind_frames){0};
	return NULL;
}
