/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "image_load_private.h"

static uint64_t symbol_value(const struct image_load_relocation *relocation,
                             const struct image_load_values *values)
{
	switch (relocation->symbol) {
	case IMAGE_LOAD_NO_SYMBOL:
		return values->image_bias;
	case IMAGE_LOAD_MODULE:
		return values->module_bias;
	default:
		return values->imports[relocation->symbol];
	}
}

static struct hfx_error *
relocate_distance(const struct image_load_relocation *relocation,
                  const struct image_load_values *values, uint8_t *place)
{
	int64_t distance =
		(int64_t)(values->module_bias + (uint64_t)relocation->addend -
	                  (values->image_bias + relocation->addr));
	int32_t field = (int32_t)distance;

	if (field != distance)
		return hfx_error_create(
			HFX_ERROR_NO_ADDRESS_SPACE,
			"the new code at %#llx is too far from what it refers "
			"to",
			(unsigned long long)relocation->addr);
	memcpy(place, &field, sizeof(field));
	return NULL;
}

/** An address in 32 bits, as code that is linked for a fixed place has it. */
static struct hfx_error *
relocate_low(const struct image_load_relocation *relocation,
             const struct image_load_values *values, uint8_t *place)
{
	uint64_t value =
		symbol_value(relocation, values) + (uint64_t)relocation->addend;
	uint32_t field = (uint32_t)value;
	bool fits = relocation->type == R_X86_64_32
	                    ? value == field
	                    : value == (uint64_t)(int64_t)(int32_t)field;

	if (!fits)
		return hfx_error_create(
			HFX_ERROR_NO_ADDRESS_SPACE,
			"the new code at %#llx refers to an address that does "
			"not fit 32 bits",
			(unsigned long long)relocation->addr);
	memcpy(place, &field, sizeof(field));
	return NULL;
}

/** Value of an 8-byte place. */
static uint64_t word_value(const struct image_load_relocation *relocation,
                           const struct image_load_values *values)
{
	uint64_t value = symbol_value(relocation, values);

	switch (relocation->type) {
	case R_X86_64_DTPMOD64:
		return values->tls_index;
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
		return value;
	}
	return value + (uint64_t)relocation->addend;
}

struct hfx_error *image_load_relocate(struct image_load *image,
                                      const struct image_load_values *values)
{
	for (size_t i = 0; i < image->num_relocations; i++) {
		const struct image_load_relocation *relocation =
			&image->relocations[i];
		struct image_load_segment *segment =
			&image->segments[relocation->segment];
		uint8_t *place =
			segment->bytes + (relocation->addr - segment->addr);
		uint64_t value;

		if (relocation->type == R_X86_64_PC32) {
			HFX_TRY(relocate_distance(relocation, values, place));
			continue;
		}
		if (image_load_is_absolute_32(relocation->type)) {
			HFX_TRY(relocate_low(relocation, values, place));
			continue;
		}
		value = word_value(relocation, values);
		memcpy(place, &value, sizeof(value));
	}
	return NULL;
}
