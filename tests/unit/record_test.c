/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_private.h"
#include "record.h"

#define REGION 0x7f0000000000u

static struct engine_patch sample(void)
{
	static struct record_function functions[] = {
		{
			.old_live_addr = 0x555555555000,
			.old_size = 40,
			.new_live_addr = REGION + 0x3000,
			.new_size = 50,
			.old_entry = 4,
			.new_entry = 4,
		},
		{
			.old_live_addr = 0x555555555100,
			.old_size = 5,
			.new_live_addr = REGION + 0x3100,
			.new_size = 3,
			.new_entry = MANIFEST_NO_ENTRY,
		},
	};
	static struct record_site sites[] = {
		{0x555555555004, {1, 2, 3, 4, 5}, {0xe9, 0, 0, 0, 1}},
	};
	static struct record_code code[] = {
		{.live_addr = REGION + 0x3200, .size = 7, .function = 1},
		{.live_addr = REGION + 0x3300,
	         .size = 9,
	         .function = RECORD_NO_FUNCTION},
	};
	static char *code_names[] = {(char *)"render(int) [.cold]",
	                             (char *)"helper"};
	static char *names[] = {(char *)"parse", (char *)"render(int)"};

	return (struct engine_patch){
		.id = {{1, 2, 3}},
		.name = (char *)"fix",
		.version = (char *)"1.2",
		.description = (char *)"",
		.module_name = (char *)"server",
		.reason = (char *)"it is busy",
		.state = RECORD_PREPARED,
		.build_id = {{9, 8, 7}, 20},
		.record_addr = REGION + RECORD_OFF,
		.sequence = 3,
		.generation = 4,
		.applied_ns = 5,
		.pause_ns = 6,
		.region_addr = REGION,
		.region_size = 0x8000,
		.image_bias = REGION,
		.module_bias = 0x555555554000,
		.functions = functions,
		.function_names = names,
		.num_functions = 2,
		.flags = RECORD_HAS_CODE,
		.code = code,
		.code_names = code_names,
		.num_code = 2,
		.eh_frame_addr = REGION + 0x4000,
		.symbols = {0x1000, 64, 0x200, 0x3000},
		.shadow_table_addr = REGION + 0x5000,
		.hooks = {{REGION + 0x3400, 0, 0, REGION + 0x3500},
	                  REGION + 0x3600},
		.sites = sites,
		.num_sites = 1,
	};
}

static struct buffer format(void)
{
	struct engine_patch patch = sample();
	struct buffer record;

	assert_null(record_format(&patch, &record));
	assert_int_equal(record.size, record_size(&patch));
	return record;
}

static enum hfx_error_code parse(const void *data, size_t size)
{
	struct engine_patch patch;
	struct hfx_error *err =
		record_parse(data, size, REGION + RECORD_OFF, &patch);
	enum hfx_error_code code = hfx_error_code(err);

	hfx_error_destroy(err);
	if (!err)
		engine_patch_deinit(&patch);
	return code;
}

static void what_is_written_is_read_back(void **state)
{
	struct engine_patch expected = sample(), patch;
	struct buffer record = format();

	(void)state;
	assert_null(record_parse(record.data, record.size, REGION + RECORD_OFF,
	                         &patch));
	assert_memory_equal(&patch.id, &expected.id, sizeof(patch.id));
	assert_string_equal(patch.name, "fix");
	assert_string_equal(patch.version, "1.2");
	assert_string_equal(patch.description, "");
	assert_string_equal(patch.module_name, "server");
	assert_string_equal(patch.reason, "it is busy");
	assert_int_equal(patch.state, RECORD_PREPARED);
	assert_int_equal(patch.build_id.size, 20);
	assert_memory_equal(patch.build_id.bytes, expected.build_id.bytes, 20);
	assert_int_equal(patch.sequence, 3);
	assert_int_equal(patch.generation, 4);
	assert_int_equal(patch.applied_ns, 5);
	assert_int_equal(patch.pause_ns, 6);
	assert_true(patch.region_addr == REGION);
	assert_int_equal(patch.region_size, 0x8000);
	assert_true(patch.image_bias == REGION);
	assert_true(patch.module_bias == expected.module_bias);
	assert_int_equal(patch.num_functions, 2);
	assert_string_equal(patch.function_names[1], "render(int)");
	assert_true(patch.functions[1].new_live_addr == REGION + 0x3100);
	assert_int_equal(patch.num_code, 2);
	assert_string_equal(patch.code_names[1], "helper");
	assert_true(patch.code[0].live_addr == REGION + 0x3200);
	assert_int_equal(patch.code[0].size, 7);
	assert_int_equal(patch.code[0].function, 1);
	assert_int_equal(patch.code[1].function, RECORD_NO_FUNCTION);
	assert_true(patch.eh_frame_addr == REGION + 0x4000);
	assert_memory_equal(&patch.symbols, &expected.symbols,
	                    sizeof(patch.symbols));
	assert_true(patch.shadow_table_addr == REGION + 0x5000);
	assert_memory_equal(&patch.hooks, &expected.hooks, sizeof(patch.hooks));
	assert_int_equal(patch.num_sites, 1);
	assert_memory_equal(patch.sites, expected.sites, sizeof(*patch.sites));
	engine_patch_deinit(&patch);
	buffer_deinit(&record);
}

static void a_copy_elsewhere_is_no_record(void **state)
{
	struct buffer record = format();
	struct record_header header;

	(void)state;
	memcpy(&header, record.data, sizeof(header));
	assert_true(record_is_header(&header, REGION + RECORD_OFF));
	assert_false(record_is_header(&header, REGION + 2 * RECORD_OFF));
	header.magic[7] = 'H';
	assert_false(record_is_header(&header, REGION + RECORD_OFF));
	buffer_deinit(&record);
}

/** Set one 64- or 32-bit member of the header, and parse. */
#define PARSE_WITH(member, value)                                              \
	({                                                                     \
		struct buffer record_ = format();                              \
		struct record_header header_;                                  \
		enum hfx_error_code code_;                                     \
                                                                               \
		memcpy(&header_, record_.data, sizeof(header_));               \
		header_.member = (value);                                      \
		memcpy(record_.data, &header_, sizeof(header_));               \
		code_ = parse(record_.data, record_.size);                     \
		buffer_deinit(&record_);                                       \
		code_;                                                         \
	})

static void impossible_headers_are_refused(void **state)
{
	(void)state;
	assert_int_equal(PARSE_WITH(state, 0), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(state, RECORD_WAITING + 1),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(self, 0), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(size, UINT64_MAX), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(region_addr, 0), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(region_size, 0), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(region_size, UINT64_MAX - 4095),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(build_id_size, 65), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(num_functions, UINT32_MAX),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(num_sites, UINT32_MAX),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(functions_off, 4), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(sites_off, UINT32_MAX & ~7u),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(name_off, UINT32_MAX),
	                 HFX_ERROR_BAD_RECORD);
	/* The magic as a name would end in the version, which no name has. */
	assert_int_equal(PARSE_WITH(name_off, 0), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(reason_off, UINT32_MAX),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(version, 2), HFX_ERROR_BUNDLE_VERSION);
	assert_int_equal(PARSE_WITH(num_code, UINT32_MAX),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(code_off, 4), HFX_ERROR_BAD_RECORD);
	/* Symbols in the record itself, behind the region. */
	assert_int_equal(PARSE_WITH(symbols.off, 8), HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(symbols.off, UINT64_MAX),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(PARSE_WITH(symbols.tail_size, UINT32_MAX),
	                 HFX_ERROR_BAD_RECORD);
}

/** As versions wrote it that did not list other code. */
static void a_header_without_other_code_is_read(void **state)
{
	struct buffer record = format();
	struct record_header header;
	struct engine_patch patch;

	(void)state;
	memcpy(&header, record.data, sizeof(header));
	header.flags = 0;
	/* Nobody looks at what is behind the shorter header. */
	header.code_off = header.num_code = UINT32_MAX;
	memcpy(record.data, &header, sizeof(header));
	assert_null(record_parse(record.data, record.size, REGION + RECORD_OFF,
	                         &patch));
	assert_int_equal(patch.num_code, 0);
	assert_int_equal(patch.num_functions, 2);
	assert_true(patch.eh_frame_addr == 0);
	engine_patch_deinit(&patch);
	buffer_deinit(&record);
}

/** As versions wrote it that kept no symbols. */
static void a_header_without_symbols_is_read(void **state)
{
	struct buffer record = format();
	struct record_header header;
	struct engine_patch patch;

	(void)state;
	memcpy(&header, record.data, sizeof(header));
	header.flags = RECORD_HAS_CODE;
	header.symbols.off = header.symbols.tail_size = UINT32_MAX;
	memcpy(record.data, &header, sizeof(header));
	assert_null(record_parse(record.data, record.size, REGION + RECORD_OFF,
	                         &patch));
	assert_int_equal(patch.num_code, 2);
	assert_int_equal(patch.symbols.tail_size, 0);
	engine_patch_deinit(&patch);
	buffer_deinit(&record);
}

static void strings_must_end_inside(void **state)
{
	struct buffer record = format();

	(void)state;
	assert_int_equal(record.data[record.size - 1], 0);
	record.data[record.size - 1] = 'x';
	assert_int_equal(parse(record.data, record.size), HFX_ERROR_BAD_RECORD);
	buffer_deinit(&record);
}

static void every_shorter_record_is_refused(void **state)
{
	struct buffer record = format();

	(void)state;
	for (size_t size = 0; size < record.size; size++) {
		/* A copy of its own, so that reading past it is seen. */
		uint8_t *copy = malloc(size + !size);

		memcpy(copy, record.data, size);
		assert_int_equal(parse(copy, size), HFX_ERROR_BAD_RECORD);
		free(copy);
	}
	buffer_deinit(&record);
}

static void functions_and_places_must_be_possible(void **state)
{
	size_t function = sizeof(struct record_header);
	size_t site = function + 2 * sizeof(struct record_function);
	size_t code = site + sizeof(struct record_site);
	/* Offsets of a byte to set, and to what. */
	const size_t changes[][2] = {
		{function + 6, 0xff},  /* old_live_addr: beyond user space */
		{function + 15, 0xff}, /* old_size: huge */
		{function + 16, 0xff}, /* new_live_addr: fine, see below */
		{function + 23, 0xff}, /* new_live_addr: beyond the region */
		{function + 29, 0xff}, /* new_size: huge */
		{function + 33, 1},    /* old_entry: behind the end */
		{function + 37, 1},    /* new_entry: behind the end */
		{site + 6, 0xff},      /* live_addr: beyond user space */
		{site + 15, 1},        /* before: sixth byte and on are 0 */
		{site + 16, 0xeb},     /* after: no jump */
		{site + 23, 1},        /* after: sixth byte and on are 0 */
		{code + 7, 0xff},      /* live_addr: beyond the region */
		{code + 13, 0xff},     /* size: huge */
		{code + 20, 2},        /* function: behind the end */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct buffer record = format();

		record.data[changes[i][0]] = (uint8_t)changes[i][1];
		assert_int_equal(parse(record.data, record.size),
		                 i == 2 ? HFX_ERROR_NONE
		                        : HFX_ERROR_BAD_RECORD);
		buffer_deinit(&record);
	}
}

static void no_changed_byte_makes_the_reader_stumble(void **state)
{
	struct buffer record = format();

	(void)state;
	for (size_t i = 0; i < record.size; i++) {
		for (int bit = 0; bit < 8; bit++) {
			record.data[i] ^= (uint8_t)(1 << bit);
			parse(record.data, record.size);
			record.data[i] ^= (uint8_t)(1 << bit);
		}
	}
	assert_int_equal(parse(record.data, record.size), HFX_ERROR_NONE);
	buffer_deinit(&record);
}

/* ---- Records of a process that makes them up --------------------------- */

/** 100,000 functions with one name of 60,000 bytes would be 6 GB. */
static void a_string_is_copied_once_and_not_for_each_who_names_it(void **state)
{
	struct engine_patch patch = sample();
	struct record_function *functions = calloc(1000, sizeof(*functions));
	char **names = calloc(1000, sizeof(*names));
	char *name = calloc(1, 60001);
	struct buffer record;
	uint32_t name_off;

	(void)state;
	memset(name, 'x', 60000);
	for (size_t i = 0; i < 1000; i++) {
		functions[i] = patch.functions[0];
		names[i] = i ? (char *)"" : name;
	}
	patch.functions = functions;
	patch.function_names = names;
	patch.num_functions = 1000;
	patch.region_size = 0x100000;
	patch.symbols = (struct record_symbols){0};
	assert_null(record_format(&patch, &record));
	assert_int_equal(parse(record.data, record.size), HFX_ERROR_NONE);
	memcpy(&functions[0], record.data + sizeof(struct record_header),
	       sizeof(functions[0]));
	name_off = functions[0].name_off;
	for (size_t i = 1; i < 1000; i++)
		memcpy(record.data + sizeof(struct record_header) +
		               i * sizeof(functions[0]) +
		               offsetof(struct record_function, name_off),
		       &name_off, sizeof(name_off));
	assert_int_equal(parse(record.data, record.size), HFX_ERROR_BAD_RECORD);
	buffer_deinit(&record);
	free(name);
	free(names);
	free(functions);
}

static void places_stand_in_order_and_apart(void **state)
{
	static const uint64_t second_addrs[] = {0x555555555004, 0x555555555008,
	                                        0x555555555003, 0};
	struct record_site sites[2];
	struct engine_patch patch = sample();

	(void)state;
	sites[0] = sites[1] = patch.sites[0];
	patch.sites = sites;
	patch.num_sites = 2;
	for (size_t i = 0; i < 4; i++) {
		struct buffer record;

		sites[1].live_addr = second_addrs[i];
		assert_null(record_format(&patch, &record));
		assert_int_equal(parse(record.data, record.size),
		                 HFX_ERROR_BAD_RECORD);
		buffer_deinit(&record);
	}
	sites[1].live_addr = sites[0].live_addr + 5;
	struct buffer record;

	assert_null(record_format(&patch, &record));
	assert_int_equal(parse(record.data, record.size), HFX_ERROR_NONE);
	buffer_deinit(&record);
}

static void a_place_may_be_of_a_call(void **state)
{
	struct record_site site = {
		0x555555555004, {0xe8, 1, 0, 0, 0}, {0xe8, 0, 0, 0, 1}};
	struct engine_patch patch = sample(), read;
	struct buffer record;

	(void)state;
	patch.sites = &site;
	assert_null(record_format(&patch, &record));
	assert_null(record_parse(record.data, record.size, patch.record_addr,
	                         &read));
	assert_int_equal(read.num_sites, 1);
	assert_memory_equal(&read.sites[0], &site, sizeof(site));
	engine_patch_deinit(&read);
	buffer_deinit(&record);
}

#define STEP UINT64_C(0x10000000)

/** A process with a record at each of its mappings. */
struct forger {
	struct target target;
	uint64_t size;
};

/** The record at @p self_addr, its end filled with zeros. */
static struct hfx_error *forge(struct target *target, uint64_t self_addr,
                               void *buffer, size_t size)
{
	const struct forger *forger = (const struct forger *)target;
	struct engine_patch patch = sample();
	struct record_header header;
	struct buffer record;
	uint8_t *bytes = calloc(1, size + sizeof(header));

	patch.record_addr = self_addr;
	patch.region_addr = self_addr - RECORD_OFF;
	patch.region_size = STEP;
	patch.num_functions = patch.num_code = 0;
	patch.symbols = (struct record_symbols){0};
	assert_null(record_format(&patch, &record));
	memcpy(&header, record.data, sizeof(header));
	header.size = forger->size;
	memcpy(record.data, &header, sizeof(header));
	memcpy(bytes, record.data, record.size < size ? record.size : size);
	memcpy(buffer, bytes, size);
	buffer_deinit(&record);
	free(bytes);
	return NULL;
}

static enum hfx_error_code list_forged(size_t count, uint64_t size)
{
	static const struct target_ops ops = {.read = forge};
	struct forger forger = {.target = {.ops = &ops}, .size = size};
	struct engine_patches patches = {0};
	struct maps maps;
	char *text;
	size_t text_size;
	FILE *out = open_memstream(&text, &text_size);
	struct hfx_error *err;
	enum hfx_error_code code;

	for (size_t i = 0; i < count; i++)
		fprintf(out, "%llx-%llx r--p 00000000 00:00 0 \n",
		        (unsigned long long)(REGION + i * STEP + RECORD_OFF),
		        (unsigned long long)(REGION + i * STEP + STEP));
	fclose(out);
	assert_null(maps_parse(text, text_size, &maps));
	err = engine_list_in(&forger.target, &maps, &patches);
	code = hfx_error_code(err);
	assert_int_equal(patches.num_patches, err ? 0 : count);
	hfx_error_destroy(err);
	engine_patches_deinit(&patches);
	maps_deinit(&maps);
	free(text);
	return code;
}

static void the_records_of_a_process_have_a_limit_in_all(void **state)
{
	(void)state;
	assert_int_equal(list_forged(RECORDS_MAX_COUNT, 4096), HFX_ERROR_NONE);
	assert_int_equal(list_forged(RECORDS_MAX_COUNT + 1, 4096),
	                 HFX_ERROR_BAD_RECORD);
	assert_int_equal(list_forged(4, RECORD_MAX_SIZE), HFX_ERROR_NONE);
	assert_int_equal(list_forged(5, RECORD_MAX_SIZE), HFX_ERROR_BAD_RECORD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(a_copy_elsewhere_is_no_record),
		cmocka_unit_test(impossible_headers_are_refused),
		cmocka_unit_test(a_header_without_other_code_is_read),
		cmocka_unit_test(a_header_without_symbols_is_read),
		cmocka_unit_test(strings_must_end_inside),
		cmocka_unit_test(every_shorter_record_is_refused),
		cmocka_unit_test(functions_and_places_must_be_possible),
		cmocka_unit_test(no_changed_byte_makes_the_reader_stumble),
		cmocka_unit_test(
			a_string_is_copied_once_and_not_for_each_who_names_it),
		cmocka_unit_test(places_stand_in_order_and_apart),
		cmocka_unit_test(a_place_may_be_of_a_call),
		cmocka_unit_test(the_records_of_a_process_have_a_limit_in_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
