/* SPDX-License-Identifier: MIT */
/**
 * @file unwind_records.h
 *
 * The records of a `.eh_frame` between unwind_table.c, which reads them, and
 * unwind_write.c. For these two files only.
 */
#ifndef HFX_BUNDLER_UNWIND_RECORDS_H
#define HFX_BUNDLER_UNWIND_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/** DW_EH_PE_*: the parts of a pointer encoding. */
#define ENCODING_FORMAT      0x0f
#define ENCODING_APPLICATION 0x70
#define ENCODING_INDIRECT    0x80

/** A Common Information Entry. */
struct cie {
	/** Of the record in the section. */
	size_t off;
	uint8_t version;
	/** "S": a signal frame; "B": return address signed with key B. */
	bool is_signal_frame;
	bool has_key_b;
	uint64_t code_align;
	int64_t data_align;
	uint64_t return_register;
	uint8_t pc_encoding;
	/** DW_EH_PE_omit when there is none. */
	uint8_t lsda_encoding;
	uint8_t personality_encoding;
	/** Whether FDEs have the length of their augmentation data. */
	bool has_augmentation_size;
	uint64_t personality;
	const uint8_t *instructions;
	size_t instructions_size;
};

/** A Frame Description Entry. */
struct fde {
	size_t off;
	uint64_t addr;
	uint64_t size;
	/** 0 for none. */
	uint64_t lsda;
	/** Index into `cies`. */
	size_t cie;
	const uint8_t *instructions;
	size_t instructions_size;
};

struct unwind_table {
	uint64_t addr;
	const uint8_t *data;
	size_t size;
	/** By offset, as they come. */
	struct cie *cies;
	size_t num_cies;
	size_t cap_cies;
	/** By address of the code. */
	struct fde *fdes;
	size_t num_fdes;
	size_t cap_fdes;
};

/** An error about the record at @p off in the section. */
HFX_MUST_CHECK HFX_PRINTF(2, 3) struct hfx_error *unwind_bad_record(
	size_t off, const char *format, ...);

/** First FDE that ends behind @p addr: an index, perhaps the count. */
size_t unwind_fde_from(const struct unwind_table *table, uint64_t addr);

#endif /* HFX_BUNDLER_UNWIND_RECORDS_H */
