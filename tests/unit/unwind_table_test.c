/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dwarf.h>

#include "bytes.h"
#include "unwind_table.h"

/* Where the hand-made sections stand. */
#define ADDR        UINT64_C(0x10000)
#define PERSONALITY UINT64_C(0x20000)
#define LSDA        UINT64_C(0x30000)

static void put_pcrel(struct bytes *frame, uint64_t target)
{
	bytes_u32(frame, target - (ADDR + frame->size));
}

static void end_record(struct bytes *frame, size_t off)
{
	bytes_align(frame, 8);
	bytes_set_u32(frame, off, frame->size - off - 4);
}

/** A CIE as gcc writes it for code without exceptions; gives its offset. */
static size_t put_plain_cie(struct bytes *frame)
{
	size_t off = frame->size;

	bytes_put(frame, "\0\0\0\0\0\0\0\0\1zR\0\1\x78\x10\1\x1b", 17);
	/* DW_CFA_def_cfa rsp 8, DW_CFA_offset rip -8 */
	bytes_put(frame, "\x0c\7\x08\x90\1", 5);
	end_record(frame, off);
	return off;
}

/** A CIE for C++: personality by a pointer, LSDA relative. */
static size_t put_cxx_cie(struct bytes *frame)
{
	size_t off = frame->size;

	bytes_put(frame, "\0\0\0\0\0\0\0\0\1zPLR\0\1\x78\x10\7\x9b", 19);
	put_pcrel(frame, PERSONALITY);
	bytes_put(frame, "\x1b\x1b\x0c\7\x08\x90\1", 7);
	end_record(frame, off);
	return off;
}

static size_t put_fde(struct bytes *frame, size_t cie, uint64_t addr,
                      uint32_t size, const uint64_t *lsda)
{
	size_t off = frame->size;

	bytes_u32(frame, 0);
	bytes_u32(frame, frame->size - cie);
	put_pcrel(frame, addr);
	bytes_u32(frame, size);
	bytes_u8(frame, lsda ? 4 : 0);
	if (lsda && *lsda)
		put_pcrel(frame, *lsda);
	else if (lsda)
		bytes_u32(frame, 0);
	/* DW_CFA_advance_loc 1, DW_CFA_def_cfa_offset 16 */
	bytes_put(frame, "\x41\x0e\x10", 3);
	end_record(frame, off);
	return off;
}

static struct unwind_table *create(const struct bytes *frame)
{
	struct unwind_table *table = NULL;
	struct hfx_error *err =
		unwind_table_create(ADDR, frame->data, frame->size, &table);

	if (err)
		fail_msg("%s", hfx_error_message(err));
	return table;
}

static void assert_refused(const struct bytes *frame, const char *text)
{
	struct unwind_table *table = NULL;
	struct hfx_error *err =
		unwind_table_create(ADDR, frame->data, frame->size, &table);

	assert_non_null(err);
	assert_null(table);
	assert_int_equal(hfx_error_code(err), HFX_ERROR_BAD_ELF);
	if (!strstr(hfx_error_message(err), text))
		fail_msg("\"%s\" does not say \"%s\"", hfx_error_message(err),
		         text);
	hfx_error_destroy(err);
}

static void assert_references(const struct unwind_table *table, uint64_t addr,
                              uint64_t lsda, uint64_t personality)
{
	uint64_t found_lsda = 1, found_personality = 1;

	unwind_table_references(table, addr, &found_lsda, &found_personality);
	assert_true(found_lsda == lsda);
	assert_true(found_personality == personality);
}

static void references_are_found_for_each_address_of_a_function(void **state)
{
	const uint64_t lsda = LSDA, none = 0;
	struct bytes frame = {0};
	struct unwind_table *table;
	size_t plain, cxx;

	(void)state;
	plain = put_plain_cie(&frame);
	put_fde(&frame, plain, 0x5000, 0x10, NULL);
	cxx = put_cxx_cie(&frame);
	put_fde(&frame, cxx, 0x4000, 0x20, &lsda);
	put_fde(&frame, cxx, 0x4020, 0x20, &none);
	bytes_u32(&frame, 0);
	table = create(&frame);
	assert_references(table, 0x3fff, 0, 0);
	assert_references(table, 0x4000, LSDA, PERSONALITY);
	assert_references(table, 0x401f, LSDA, PERSONALITY);
	assert_references(table, 0x4020, 0, PERSONALITY);
	assert_references(table, 0x4040, 0, 0);
	assert_references(table, 0x5000, 0, 0);
	assert_references(table, 0x5010, 0, 0);
	unwind_table_destroy(table);
	bytes_deinit(&frame);
}

static uint32_t word_at(const struct bytes *bytes, size_t off)
{
	uint32_t value;

	assert_true(off + 4 <= bytes->size);
	memcpy(&value, bytes->data + off, sizeof(value));
	return value;
}

static void header_is_sorted_and_leads_to_the_descriptions(void **state)
{
	const struct image_unwind wanted[] = {
		{.addr = 0x6008, .size = 4},
		{.addr = 0x4000, .size = 0x10},
		{.addr = 0x6000, .size = 0x10},
		{.addr = 0x7000, .size = 0x10},
	};
	const uint64_t to = 0x80004;
	struct unwind_frames frames;
	struct bytes frame = {0};
	struct unwind_table *table;
	size_t plain;

	(void)state;
	plain = put_plain_cie(&frame);
	put_fde(&frame, plain, 0x6000, 0x10, NULL);
	put_fde(&frame, plain, 0x5000, 0x10, NULL);
	put_fde(&frame, plain, 0x4000, 0x10, NULL);
	table = create(&frame);
	assert_null(unwind_table_write(table, wanted, 4, to, &frames));
	/* Two descriptions: 12 bytes, two rows, then the next 8. */
	assert_int_equal(frames.header.size, 12 + 16);
	assert_true(frames.frame_addr == 0x80020);
	assert_memory_equal(frames.header.data, "\1\x1b\3\x3b", 4);
	assert_true(to + 4 + word_at(&frames.header, 4) == frames.frame_addr);
	assert_int_equal(word_at(&frames.header, 8), 2);
	assert_true(to + (int32_t)word_at(&frames.header, 12) == 0x4000);
	assert_true(to + (int32_t)word_at(&frames.header, 20) == 0x6000);
	for (size_t i = 0; i < 2; i++) {
		uint64_t fde = to + word_at(&frames.header, 16 + 8 * i) -
		               frames.frame_addr;
		uint64_t place = frames.frame_addr + fde + 8;

		assert_true(place + (int32_t)word_at(&frames.frame, fde + 8) ==
		            (i ? 0x6000 : 0x4000));
		/* Both share the one CIE, at the start. */
		assert_int_equal(word_at(&frames.frame, fde + 4), fde + 4);
	}
	assert_int_equal(word_at(&frames.frame, frames.frame.size - 4), 0);
	unwind_frames_deinit(&frames);
	unwind_table_destroy(table);
	bytes_deinit(&frame);
}

static void written_records_refer_to_the_same_places(void **state)
{
	const struct image_unwind wanted = {.addr = 0x4000, .size = 0x20};
	const uint64_t lsda = LSDA;
	struct unwind_frames frames;
	struct bytes frame = {0};
	struct unwind_table *table, *written = NULL;

	(void)state;
	put_fde(&frame, put_cxx_cie(&frame), 0x4000, 0x20, &lsda);
	table = create(&frame);
	assert_null(unwind_table_write(table, &wanted, 1, 0x90000, &frames));
	assert_null(unwind_table_create(frames.frame_addr, frames.frame.data,
	                                frames.frame.size, &written));
	assert_references(written, 0x4000, LSDA, PERSONALITY);
	assert_references(written, 0x401f, LSDA, PERSONALITY);
	assert_references(written, 0x4020, 0, 0);
	unwind_table_destroy(written);
	unwind_frames_deinit(&frames);
	unwind_table_destroy(table);
	bytes_deinit(&frame);
}

static void absolute_pointers_become_relative(void **state)
{
	const struct image_unwind wanted = {.addr = 0x4000, .size = 1};
	struct unwind_frames frames;
	struct bytes frame = {0};
	struct unwind_table *table, *written = NULL;
	size_t off;

	(void)state;
	/* "zPLRS": personality udata4, LSDA absptr, code udata8. */
	bytes_put(&frame, "\0\0\0\0\0\0\0\0\1zPLRS\0\1\x78\x10\7\3", 20);
	bytes_u32(&frame, PERSONALITY);
	bytes_put(&frame, "\0\4", 2);
	end_record(&frame, 0);
	off = frame.size;
	bytes_u32(&frame, 0);
	bytes_u32(&frame, frame.size);
	bytes_u64(&frame, 0x4000);
	bytes_u64(&frame, 0x40);
	bytes_u8(&frame, 8);
	bytes_u64(&frame, LSDA);
	end_record(&frame, off);

	table = create(&frame);
	assert_references(table, 0x403f, LSDA, PERSONALITY);
	assert_null(unwind_table_write(table, &wanted, 1, 0x90000, &frames));
	assert_string_equal((char *)frames.frame.data + 9, "zPLRS");
	/* Not indirect: the routine itself. */
	assert_int_equal(frames.frame.data[19], 0x1b);
	assert_null(unwind_table_create(frames.frame_addr, frames.frame.data,
	                                frames.frame.size, &written));
	assert_references(written, 0x403f, LSDA, PERSONALITY);
	unwind_table_destroy(written);
	unwind_frames_deinit(&frames);
	unwind_table_destroy(table);
	bytes_deinit(&frame);
}

static void nothing_wanted_gives_nothing(void **state)
{
	const struct image_unwind wanted = {.addr = 0x9000, .size = 8};
	struct unwind_frames frames;
	struct unwind_table *table = NULL;

	(void)state;
	assert_null(unwind_table_create(ADDR, NULL, 0, &table));
	assert_references(table, 0x9000, 0, 0);
	assert_null(unwind_table_write(table, &wanted, 1, ADDR, &frames));
	assert_int_equal(frames.header.size, 0);
	assert_int_equal(frames.frame.size, 0);
	unwind_frames_deinit(&frames);
	unwind_table_destroy(table);
}

static void zero_word_inside_does_not_end_the_section(void **state)
{
	struct bytes frame = {0};
	struct unwind_table *table;
	size_t cie;

	(void)state;
	bytes_u64(&frame, 0);
	cie = put_cxx_cie(&frame);
	bytes_u32(&frame, 0);
	put_fde(&frame, cie, 0x4000, 0x10, (uint64_t[]){LSDA});
	table = create(&frame);
	assert_references(table, 0x4000, LSDA, PERSONALITY);
	unwind_table_destroy(table);
	bytes_deinit(&frame);
}

static void distance_over_2_gib_is_refused(void **state)
{
	const struct image_unwind wanted = {.addr = 0x4000, .size = 1};
	struct unwind_frames frames = {.frame_addr = 42};
	struct bytes frame = {0};
	struct unwind_table *table;
	struct hfx_error *err;

	(void)state;
	put_fde(&frame, put_plain_cie(&frame), 0x4000, 0x10, NULL);
	table = create(&frame);
	err = unwind_table_write(table, &wanted, 1, UINT64_C(1) << 32, &frames);
	assert_non_null(err);
	assert_non_null(strstr(hfx_error_message(err), "too far"));
	assert_true(frames.frame_addr == 42);
	hfx_error_destroy(err);
	unwind_table_destroy(table);
	bytes_deinit(&frame);
}

/** A section with one CIE whose byte at @p off is @p value. */
static void assert_cie_refused(size_t off, uint8_t value, const char *text)
{
	struct bytes frame = {0};

	put_fde(&frame, put_cxx_cie(&frame), 0x4000, 0x10, (uint64_t[]){0});
	frame.data[off] = value;
	assert_refused(&frame, text);
	bytes_deinit(&frame);
}

static void malformed_records_are_refused_with_their_place(void **state)
{
	(void)state;
	/* Length, version, augmentation, its size, encodings, instructions. */
	assert_cie_refused(3, 0x70, "offset 0x0: the length");
	assert_cie_refused(0, 3, "offset 0x0: the length 3");
	assert_cie_refused(8, 4, "offset 0x0: CIE version 4");
	assert_cie_refused(9, 'e', "offset 0x0: augmentation \"ePLR\"");
	assert_cie_refused(11, 'Q', "offset 0x0: augmentation 'Q'");
	assert_cie_refused(17, 3, "offset 0x0: the augmentation data");
	assert_cie_refused(17, 0x70, "offset 0x0: a record ends too early");
	assert_cie_refused(18, 0xab, "encoding 0xab");
	assert_cie_refused(24, 0x1d, "encoding 0x1d");
	assert_cie_refused(25, DW_CFA_set_loc, "DW_CFA_set_loc");
	assert_cie_refused(25, 0x3f, "unknown instruction 0x3f");
}

static void description_without_its_cie_is_refused(void **state)
{
	struct bytes frame = {0};
	size_t cie = put_plain_cie(&frame), fde;

	(void)state;
	fde = put_fde(&frame, cie, 0x4000, 0x10, NULL);
	bytes_set_u32(&frame, fde + 4, 4);
	assert_refused(&frame, "offset 0x18: an FDE points to no CIE");
	bytes_set_u32(&frame, fde + 4, 0x7fffffff);
	assert_refused(&frame, "offset 0x18: an FDE points to no CIE");
	bytes_deinit(&frame);
}

static void records_of_64_bits_are_refused(void **state)
{
	struct bytes frame = {0};

	(void)state;
	bytes_u32(&frame, UINT32_MAX);
	bytes_u64(&frame, 0x20);
	bytes_fill(&frame, 0, 0x20);
	assert_refused(&frame, "64-bit");
	bytes_deinit(&frame);
}

static void cut_sections_are_refused_at_every_length(void **state)
{
	struct bytes frame = {0};
	size_t fde;

	(void)state;
	fde = put_fde(&frame, put_cxx_cie(&frame), 0x4000, 0x10,
	              (uint64_t[]){LSDA});
	for (size_t size = 1; size < frame.size; size++) {
		/* Its own memory, so that the sanitizer sees its end. */
		uint8_t *copy = malloc(size);
		struct bytes cut = {.data = copy, .size = size};

		assert_non_null(copy);
		memcpy(copy, frame.data, size);
		if (size != fde)
			assert_refused(&cut, ".eh_frame is malformed");
		free(copy);
	}
	bytes_deinit(&frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			references_are_found_for_each_address_of_a_function),
		cmocka_unit_test(
			header_is_sorted_and_leads_to_the_descriptions),
		cmocka_unit_test(written_records_refer_to_the_same_places),
		cmocka_unit_test(absolute_pointers_become_relative),
		cmocka_unit_test(nothing_wanted_gives_nothing),
		cmocka_unit_test(zero_word_inside_does_not_end_the_section),
		cmocka_unit_test(distance_over_2_gib_is_refused),
		cmocka_unit_test(
			malformed_records_are_refused_with_their_place),
		cmocka_unit_test(description_without_its_cie_is_refused),
		cmocka_unit_test(records_of_64_bits_are_refused),
		cmocka_unit_test(cut_sections_are_refused_at_every_length),
	};

	return cmocka_run_group_tests_name("unwind_table", tests, NULL, NULL);
}
