/* SPDX-License-Identifier: MIT */
/* A table of frame descriptions is found among other bytes, or none is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unwind_search.h"

#define LIVE_ADDR 0x401000u
#define CODE_ADDR 0x500000u
#define TABLE_OFF 64
#define CIE_SIZE  24
#define FDE_SIZE  24
/** Of the second description's pointer to its CIE. */
#define SECOND_OFF (TABLE_OFF + CIE_SIZE + FDE_SIZE)

struct bytes {
	uint8_t data[256];
	size_t size;
};

static void put(struct bytes *bytes, uint32_t word)
{
	memcpy(bytes->data + bytes->size, &word, sizeof(word));
	bytes->size += sizeof(word);
}

static void put_cie(struct bytes *bytes)
{
	static const uint8_t body[CIE_SIZE - 8] = {
		1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1,
	};

	put(bytes, CIE_SIZE - 4);
	put(bytes, 0);
	memcpy(bytes->data + bytes->size, body, sizeof(body));
	bytes->size += sizeof(body);
}

static void put_fde(struct bytes *bytes, uint64_t code_addr)
{
	put(bytes, FDE_SIZE - 4);
	put(bytes, bytes->size - TABLE_OFF);
	put(bytes, code_addr - (LIVE_ADDR + bytes->size));
	put(bytes, 16);
	put(bytes, 0);
	put(bytes, 0);
}

/** Text and zeros, a CIE, two descriptions, the end, and more. */
static struct bytes make(void)
{
	struct bytes bytes = {.size = TABLE_OFF};

	memset(bytes.data, 'x', 40);
	put_cie(&bytes);
	put_fde(&bytes, CODE_ADDR + 32);
	put_fde(&bytes, CODE_ADDR);
	put(&bytes, 0);
	put(&bytes, 0x78787878);
	return bytes;
}

/** Of a copy with nothing behind it. */
static bool search(const struct bytes *bytes, struct unwind_entries *ret)
{
	uint8_t *copy = malloc(bytes->size + !bytes->size);
	const struct unwind_memory memory = {
		.data = copy,
		.size = bytes->size,
		.live_addr = LIVE_ADDR,
		.code_start_addr = CODE_ADDR,
		.code_end_addr = CODE_ADDR + 0x1000,
	};

	assert_non_null(copy);
	memcpy(copy, bytes->data, bytes->size);
	bool found = unwind_search(&memory, ret);
	free(copy);
	return found;
}

static void assert_none(const struct bytes *bytes)
{
	struct unwind_entries entries;

	assert_false(search(bytes, &entries));
}

static void a_table_is_found_and_sorted(void **state)
{
	struct bytes bytes = make();
	struct unwind_entries entries;

	(void)state;
	assert_true(search(&bytes, &entries));
	assert_int_equal(entries.table_addr, LIVE_ADDR + TABLE_OFF);
	assert_int_equal(entries.num_items, 2);
	assert_int_equal(entries.items[0].code_addr, CODE_ADDR);
	assert_int_equal(entries.items[0].entry_addr, LIVE_ADDR + SECOND_OFF);
	assert_int_equal(entries.items[1].code_addr, CODE_ADDR + 32);
	assert_int_equal(entries.items[1].entry_addr,
	                 LIVE_ADDR + TABLE_OFF + CIE_SIZE);
	unwind_entries_deinit(&entries);
}

static void a_table_without_an_end_is_none(void **state)
{
	struct bytes bytes = make();

	(void)state;
	bytes.size -= 8;
	assert_none(&bytes);
	put(&bytes, 0x78787878);
	put(&bytes, 0x78787878);
	assert_none(&bytes);
}

static void a_description_of_other_code_spoils_the_table(void **state)
{
	struct bytes bytes = make();

	(void)state;
	bytes.data[SECOND_OFF + 11] ^= 0x40;
	assert_none(&bytes);
}

static void a_description_must_lead_to_a_cie_of_the_table(void **state)
{
	(void)state;
	for (uint32_t distance = 1; distance < 256; distance++) {
		struct bytes bytes = make();
		struct unwind_entries entries = {0};
		bool is_right = distance == SECOND_OFF + 4 - TABLE_OFF;

		memcpy(bytes.data + SECOND_OFF + 4, &distance,
		       sizeof(distance));
		assert_int_equal(search(&bytes, &entries), is_right);
		unwind_entries_deinit(&entries);
	}
}

static void no_length_leads_out_of_the_memory(void **state)
{
	(void)state;
	for (size_t size = 0; size < make().size; size++) {
		struct bytes bytes = make();
		struct unwind_entries entries = {0};

		bytes.size = size;
		(void)search(&bytes, &entries);
		unwind_entries_deinit(&entries);
		for (size_t off = TABLE_OFF; off + 4 <= size; off += 4) {
			bytes = make();
			memset(bytes.data + off, 0xff, 4);
			entries = (struct unwind_entries){0};
			(void)search(&bytes, &entries);
			unwind_entries_deinit(&entries);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_found_and_sorted),
		cmocka_unit_test(a_table_without_an_end_is_none),
		cmocka_unit_test(a_description_of_other_code_spoils_the_table),
		cmocka_unit_test(a_description_must_lead_to_a_cie_of_the_table),
		cmocka_unit_test(no_length_leads_out_of_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
