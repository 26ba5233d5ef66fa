/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cursor.h"
#include "engine.h"
#include "image.h"
#include "maps.h"
#include "place.h"
#include "record.h"

_Static_assert(sizeof(struct record_header) == 328, "record_header is packed");
_Static_assert(offsetof(struct record_header, code_off) == RECORD_HEADER_LEAST,
               "what older records have ends there");
_Static_assert(sizeof(struct record_function) == 80, "record_function too");
_Static_assert(sizeof(struct record_site) == 24, "record_site too");
_Static_assert(sizeof(struct record_code) == 24, "record_code too");

/** Largest region: an image, its symbols, its record and their pages. */
#define REGION_MAX_SIZE (2 * IMAGE_MAX_SPAN + RECORD_MAX_SIZE + 4 * PAGE_BYTES)

void engine_patch_deinit(struct engine_patch *patch)
{
	for (size_t i = 0; patch->function_names && i < patch->num_functions;
	     i++)
		free(patch->function_names[i]);
	free(patch->function_names);
	free(patch->functions);
	for (size_t i = 0; patch->code_names && i < patch->num_code; i++)
		free(patch->code_names[i]);
	free(patch->code_names);
	free(patch->code);
	free(patch->sites);
	free(patch->name);
	free(patch->version);
	free(patch->description);
	free(patch->module_name);
	free(patch->reason);
	*patch = (struct engine_patch){0};
}

/* ---- Writing ----------------------------------------------------------- */

static uint64_t functions_size(const struct engine_patch *patch)
{
	return patch->num_functions * sizeof(struct record_function);
}

static uint64_t sites_size(const struct engine_patch *patch)
{
	return patch->num_sites * sizeof(struct record_site);
}

static uint64_t code_off(const struct engine_patch *patch)
{
	return sizeof(struct record_header) + functions_size(patch) +
	       sites_size(patch);
}

static uint64_t strings_off(const struct engine_patch *patch)
{
	return code_off(patch) + patch->num_code * sizeof(struct record_code);
}

static const char *reason_of(const struct engine_patch *patch)
{
	return patch->reason ? patch->reason : "";
}

uint64_t record_size(const struct engine_patch *patch)
{
	uint64_t size = strings_off(patch);

	size += strlen(patch->name) + 1;
	size += strlen(patch->version) + 1;
	size += strlen(patch->description) + 1;
	size += strlen(patch->module_name) + 1;
	size += strlen(reason_of(patch)) + 1;
	for (size_t i = 0; i < patch->num_functions; i++)
		size += strlen(patch->function_names[i]) + 1;
	for (size_t i = 0; i < patch->num_code; i++)
		size += strlen(patch->code_names[i]) + 1;
	return size;
}

/** Put @p text at @p off, step over it, and give where it was. */
static uint32_t put_string(uint8_t *record, uint64_t *off, const char *text)
{
	uint64_t at = *off;
	size_t size = strlen(text) + 1;

	memcpy(record + at, text, size);
	*off += size;
	return (uint32_t)at;
}

static struct record_header make_header(const struct engine_patch *patch)
{
	struct record_header header = {
		.magic = {0},
		.version = RECORD_VERSION,
		.state = patch->state,
		.self = patch->record_addr,
		.size = record_size(patch),
		.sequence = patch->sequence,
		.generation = patch->generation,
		.applied_ns = patch->applied_ns,
		.pause_ns = patch->pause_ns,
		.flags = patch->flags | RECORD_LAYOUT,
		.region_addr = patch->region_addr,
		.region_size = patch->region_size,
		.image_bias = patch->image_bias,
		.module_bias = patch->module_bias,
		.build_id_size = (uint32_t)patch->build_id.size,
		.functions_off = sizeof(header),
		.num_functions = (uint32_t)patch->num_functions,
		.sites_off = (uint32_t)(sizeof(header) + functions_size(patch)),
		.num_sites = (uint32_t)patch->num_sites,
		.code_off = (uint32_t)code_off(patch),
		.num_code = (uint32_t)patch->num_code,
		.eh_frame_addr = patch->eh_frame_addr,
		.symbols = patch->symbols,
		.shadow_table_addr = patch->shadow_table_addr,
		.hooks = patch->hooks,
	};

	memcpy(header.magic, RECORD_MAGIC, sizeof(header.magic));
	memcpy(header.id, patch->id.bytes, sizeof(header.id));
	memcpy(header.build_id, patch->build_id.bytes, patch->build_id.size);
	return header;
}

static void put_functions(const struct engine_patch *patch, uint8_t *record,
                          uint64_t *off)
{
	uint8_t *out = record + sizeof(struct record_header);

	for (size_t i = 0; i < patch->num_functions; i++) {
		struct record_function function = patch->functions[i];

		function.name_off =
			put_string(record, off, patch->function_names[i]);
		memcpy(out + i * sizeof(function), &function, sizeof(function));
	}
}

static void put_code(const struct engine_patch *patch, uint8_t *record,
                     uint64_t *off)
{
	uint8_t *out = record + code_off(patch);

	for (size_t i = 0; i < patch->num_code; i++) {
		struct record_code code = patch->code[i];

		code.name_off = put_string(record, off, patch->code_names[i]);
		memcpy(out + i * sizeof(code), &code, sizeof(code));
	}
}

struct hfx_error *record_format(const struct engine_patch *patch,
                                struct buffer *ret)
{
	struct record_header header = make_header(patch);
	uint64_t off = strings_off(patch);
	uint8_t *record;

	if (header.size > RECORD_MAX_SIZE)
		return hfx_error_create(
			HFX_ERROR_UNSUPPORTED,
			"the record of this patch would have %llu bytes, "
			"allowed are %u",
			(unsigned long long)header.size, RECORD_MAX_SIZE);
	record = calloc(1, header.size);
	if (!record)
		return hfx_error_no_memory();
	header.name_off = put_string(record, &off, patch->name);
	header.version_off = put_string(record, &off, patch->version);
	header.description_off = put_string(record, &off, patch->description);
	header.module_name_off = put_string(record, &off, patch->module_name);
	header.reason_off = put_string(record, &off, reason_of(patch));
	put_functions(patch, record, &off);
	put_code(patch, record, &off);
	if (patch->num_sites)
		memcpy(record + header.sites_off, patch->sites,
		       sites_size(patch));
	memcpy(record, &header, sizeof(header));
	*ret = (struct buffer){record, header.size};
	return NULL;
}

/* ---- Reading ----------------------------------------------------------- */

bool record_is_header(const struct record_header *header, uint64_t self_addr)
{
	return !memcmp(header->magic, RECORD_MAGIC, sizeof(header->magic)) &&
	       header->self == self_addr;
}

static struct hfx_error *bad_record(const char *what)
{
	return hfx_error_create(HFX_ERROR_BAD_RECORD,
	                        "the record of a patch in the process is "
	                        "damaged: its %s cannot be",
	                        what);
}

/**
 * The strings of a record. No two share bytes, so all of them together are not
 * longer than the record: one that says otherwise would be copied many times.
 */
struct strings {
	const uint8_t *data;
	size_t size;
	/** Bytes that strings may still take. */
	size_t left;
};

/** Copy out the string at @p off, which must end inside the record. */
static struct hfx_error *copy_string(struct strings *strings, uint32_t off,
                                     char **ret)
{
	struct cursor cursor = cursor_init(strings->data, strings->size);
	const char *text;
	size_t size;

	cursor_seek(&cursor, off);
	text = cursor_string(&cursor);
	size = text ? strlen(text) + 1 : 0;
	if (!text || size > MANIFEST_MAX_STRING + 1 || size > strings->left)
		return bad_record("text");
	strings->left -= size;
	*ret = strdup(text);
	return *ret ? NULL : hfx_error_no_memory();
}

static struct hfx_error *check_header(const struct record_header *header,
                                      size_t size, uint64_t self_addr)
{
	uint64_t region_end;

	if (!record_is_header(header, self_addr))
		return bad_record("place");
	if (header->version != RECORD_VERSION)
		return hfx_error_create(
			HFX_ERROR_BUNDLE_VERSION,
			"the process has a patch recorded in version %u, this "
			"is for %u; use a newer hfx",
			header->version, RECORD_VERSION);
	if (header->size != size || size > RECORD_MAX_SIZE)
		return bad_record("size");
	if (header->state < RECORD_PREPARED || header->state > RECORD_WAITING)
		return bad_record("state");
	if (header->build_id_size > BUILD_ID_MAX)
		return bad_record("build-id");
	if (header->region_addr != self_addr - RECORD_OFF ||
	    header->region_addr % PAGE_BYTES ||
	    header->region_size % PAGE_BYTES ||
	    header->region_size > REGION_MAX_SIZE ||
	    header->region_size < RECORD_OFF + size ||
	    __builtin_add_overflow(header->region_addr, header->region_size,
	                           &region_end) ||
	    region_end > PLACE_END_ADDR)
		return bad_record("region");
	if (header->functions_off % 8 ||
	    !range_fits(header->functions_off,
	                header->num_functions * sizeof(struct record_function),
	                size))
		return bad_record("list of functions");
	if (header->sites_off % 8 ||
	    !range_fits(header->sites_off,
	                header->num_sites * sizeof(struct record_site), size))
		return bad_record("list of places");
	if (header->code_off % 8 ||
	    !range_fits(header->code_off,
	                header->num_code * sizeof(struct record_code), size))
		return bad_record("list of code");
	return NULL;
}

static struct hfx_error *check_symbols(const struct record_header *header)
{
	const struct record_symbols *symbols = &header->symbols;

	if (!symbols->tail_size)
		return NULL;
	if (symbols->off < header->size ||
	    !range_fits(symbols->off,
	                (uint64_t)symbols->head_size + symbols->tail_size,
	                header->region_size - RECORD_OFF))
		return bad_record("list of symbols");
	return NULL;
}

static bool function_is_sane(const struct record_header *header,
                             const struct record_function *function)
{
	return function->old_live_addr < PLACE_END_ADDR &&
	       function->old_size < IMAGE_MAX_SPAN &&
	       range_fits(function->old_entry, JUMP_SIZE, function->old_size) &&
	       function->new_live_addr >= header->self &&
	       range_fits(function->new_live_addr - header->region_addr,
	                  function->new_size, header->region_size) &&
	       (function->new_entry == MANIFEST_NO_ENTRY ||
	        range_fits(function->new_entry, JUMP_SIZE, function->new_size));
}

static bool site_is_sane(const struct record_site *site)
{
	static const uint8_t zeros[SITE_SIZE - JUMP_SIZE];

	return site->live_addr < PLACE_END_ADDR &&
	       (site->after[0] == JUMP_OPCODE ||
	        site->after[0] == CALL_OPCODE) &&
	       memcmp(site->before, site->after, JUMP_SIZE) &&
	       !memcmp(site->before + JUMP_SIZE, zeros, sizeof(zeros)) &&
	       !memcmp(site->after + JUMP_SIZE, zeros, sizeof(zeros));
}

static struct hfx_error *copy_functions(struct strings *strings,
                                        const struct record_header *header,
                                        struct engine_patch *patch)
{
	size_t count = header->num_functions;

	patch->functions = calloc(count + 1, sizeof(*patch->functions));
	patch->function_names =
		calloc(count + 1, sizeof(*patch->function_names));
	if (!patch->functions || !patch->function_names)
		return hfx_error_no_memory();
	patch->num_functions = count;
	memcpy(patch->functions, strings->data + header->functions_off,
	       count * sizeof(*patch->functions));
	for (size_t i = 0; i < count; i++) {
		if (!function_is_sane(header, &patch->functions[i]))
			return bad_record("function");
		HFX_TRY(copy_string(strings, patch->functions[i].name_off,
		                    &patch->function_names[i]));
	}
	return NULL;
}

static bool code_is_sane(const struct record_header *header,
                         const struct record_code *code)
{
	return code->live_addr >= header->self &&
	       range_fits(code->live_addr - header->region_addr, code->size,
	                  header->region_size) &&
	       (code->function == RECORD_NO_FUNCTION ||
	        code->function < header->num_functions);
}

static struct hfx_error *copy_code(struct strings *strings,
                                   const struct record_header *header,
                                   struct engine_patch *patch)
{
	size_t count = header->num_code;

	patch->code = calloc(count + 1, sizeof(*patch->code));
	patch->code_names = calloc(count + 1, sizeof(*patch->code_names));
	if (!patch->code || !patch->code_names)
		return hfx_error_no_memory();
	patch->num_code = count;
	memcpy(patch->code, strings->data + header->code_off,
	       count * sizeof(*patch->code));
	for (size_t i = 0; i < count; i++) {
		if (!code_is_sane(header, &patch->code[i]))
			return bad_record("code");
		HFX_TRY(copy_string(strings, patch->code[i].name_off,
		                    &patch->code_names[i]));
	}
	return NULL;
}

static struct hfx_error *copy_sites(const uint8_t *data,
                                    const struct record_header *header,
                                    struct engine_patch *patch)
{
	size_t count = header->num_sites;

	patch->sites = calloc(count + 1, sizeof(*patch->sites));
	if (!patch->sites)
		return hfx_error_no_memory();
	patch->num_sites = count;
	memcpy(patch->sites, data + header->sites_off,
	       count * sizeof(*patch->sites));
	/* In order, and apart: what looks for one need not look at all. */
	for (size_t i = 0; i < count; i++)
		if (!site_is_sane(&patch->sites[i]) ||
		    (i && (patch->sites[i].live_addr <
		                   patch->sites[i - 1].live_addr ||
		           patch->sites[i].live_addr -
		                           patch->sites[i - 1].live_addr <
		                   JUMP_SIZE)))
			return bad_record("place of a jump");
	return NULL;
}

static struct hfx_error *copy_strings(struct strings *strings,
                                      const struct record_header *header,
                                      struct engine_patch *patch)
{
	HFX_TRY(copy_string(strings, header->name_off, &patch->name));
	HFX_TRY(copy_string(strings, header->version_off, &patch->version));
	HFX_TRY(copy_string(strings, header->description_off,
	                    &patch->description));
	HFX_TRY(copy_string(strings, header->module_name_off,
	                    &patch->module_name));
	if (header->flags & RECORD_HAS_REASON)
		HFX_TRY(copy_string(strings, header->reason_off,
		                    &patch->reason));
	return manifest_name_is_valid(patch->name) ? NULL : bad_record("name");
}

static void copy_header(const struct record_header *header,
                        struct engine_patch *patch)
{
	patch->state = (enum record_state)header->state;
	patch->record_addr = header->self;
	patch->sequence = header->sequence;
	patch->generation = header->generation;
	patch->applied_ns = header->applied_ns;
	patch->pause_ns = header->pause_ns;
	patch->flags = header->flags;
	patch->eh_frame_addr = header->eh_frame_addr;
	patch->symbols = header->symbols;
	patch->shadow_table_addr = header->shadow_table_addr;
	patch->hooks = header->hooks;
	patch->region_addr = header->region_addr;
	patch->region_size = header->region_size;
	patch->image_bias = header->image_bias;
	patch->module_bias = header->module_bias;
	memcpy(patch->id.bytes, header->id, sizeof(patch->id.bytes));
	memcpy(patch->build_id.bytes, header->build_id, BUILD_ID_MAX);
	patch->build_id.size = header->build_id_size;
}

/** Bytes of a header that a record with @p flags has. */
static size_t header_size(uint32_t flags)
{
	if (flags & RECORD_HAS_REASON)
		return sizeof(struct record_header);
	if (flags & RECORD_HAS_HOOKS)
		return offsetof(struct record_header, reason_off);
	if (flags & RECORD_HAS_SHADOW)
		return offsetof(struct record_header, hooks);
	if (flags & RECORD_HAS_SYMBOLS)
		return offsetof(struct record_header, shadow_table_addr);
	return flags & RECORD_HAS_CODE ? offsetof(struct record_header, symbols)
	                               : RECORD_HEADER_LEAST;
}

struct hfx_error *record_parse(const void *data, size_t size,
                               uint64_t self_addr, struct engine_patch *ret)
{
	HFX_CLEANUP(engine_patch_deinit) struct engine_patch patch = {0};
	struct strings strings = {data, size, size};
	struct record_header header = {0};

	if (size < RECORD_HEADER_LEAST)
		return bad_record("size");
	memcpy(&header, data, RECORD_HEADER_LEAST);
	if (header_size(header.flags) > size)
		return bad_record("size");
	memcpy(&header, data, header_size(header.flags));
	HFX_TRY(check_header(&header, size, self_addr));
	HFX_TRY(check_symbols(&header));
	copy_header(&header, &patch);
	HFX_TRY(copy_strings(&strings, &header, &patch));
	HFX_TRY(copy_functions(&strings, &header, &patch));
	HFX_TRY(copy_sites(data, &header, &patch));
	HFX_TRY(copy_code(&strings, &header, &patch));
	*ret = patch;
	patch = (struct engine_patch){0};
	return NULL;
}
