/* SPDX-License-Identifier: MIT */
#include "listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "debug_info.h"
#include "place.h"

/* Of a string that code refers to. */
#define MAX_STRING 60
#define MAX_VALUE  16
#define MAX_TEXT   256

void listing_deinit(struct listing *listing)
{
	for (size_t i = 0; i < listing->num_lines; i++)
		free(listing->lines[i].text);
	for (size_t i = 0; i < listing->num_places; i++) {
		free(listing->places[i].name);
		free(listing->places[i].text);
	}
	free(listing->lines);
	free(listing->places);
	*listing = (struct listing){0};
}

bool listing_same(const struct listing_line *a, const struct listing_line *b)
{
	return a->key_size == b->key_size &&
	       (a->jump_off == NO_INDEX) == (b->jump_off == NO_INDEX) &&
	       !memcmp(a->text, b->text, a->key_size);
}

/* ---- What code refers to ------------------------------------------------ */

static void put_named(FILE *out, const char *name, uint64_t off)
{
	fputs(name, out);
	if (off)
		fprintf(out, "+0x%" PRIx64, off);
}

/* A slot that leads to the program itself is named by what it leads to. */
static void put_slot(FILE *out, const struct program *program,
                     const struct dynamic_relocation *relocation)
{
	const struct function *function;
	const struct symbol *object;

	if (*relocation->symbol) {
		fputs(relocation->symbol, out);
		return;
	}
	function = program_function_at(program, relocation->addend);
	object = program_object_at(program, relocation->addend);
	if (function)
		fputs(function_name(program, function), out);
	else
		fputs(object ? object->name : "slot", out);
}

static void put_string(FILE *out, const char *text)
{
	size_t size = strnlen(text, MAX_STRING);

	fputc('"', out);
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n')
			fputs("\\n", out);
		else if (text[i] == '\t')
			fputs("\\t", out);
		else
			fputc(text[i], out);
	}
	fputs(text[size] ? "\"..." : "\"", out);
}

static void put_anonymous(FILE *out, const struct program *program,
                          const struct reference *reference)
{
	size_t size = reference->access_size;
	const uint8_t *bytes =
		size && size <= MAX_VALUE && reference->kind == REFERENCE_ACCESS
			? program_bytes(program, reference->target, size)
			: NULL;

	if (bytes) {
		fputs("constant 0x", out);
		while (size-- > 0)
			fprintf(out, "%02x", bytes[size]);
	} else if (text_size(program, reference->target) > 1) {
		put_string(out, (const char *)program_bytes(
					program, reference->target, 1));
	} else {
		fputs("constant data", out);
	}
}

static void put_reference(FILE *out, const struct program *program,
                          const struct reference *reference)
{
	struct place place = place_at(program, reference->target);

	switch (place.kind) {
	case PLACE_FUNCTION:
		put_named(out, function_name(program, place.function),
		          place.off);
		return;
	case PLACE_STUB:
	case PLACE_SLOT:
		if (place.relocation)
			put_slot(out, program, place.relocation);
		fputs(place.kind == PLACE_STUB ? "@plt" : "@got", out);
		return;
	case PLACE_ANONYMOUS:
		put_anonymous(out, program, reference);
		return;
	default:
		if (place.symbol)
			put_named(out, place.symbol->name,
			          reference->target - place.symbol->addr);
		else
			fprintf(out, "0x%" PRIx64, reference->target);
	}
}

/* ---- Lines -------------------------------------------------------------- */

struct maker {
	const struct program *program;
	const struct function *function;
	struct decoder *decoder;
	struct source_texts *sources;
	struct listing *listing;
	/** First reference that is not behind the current instruction. */
	size_t reference;
};

/* The reference of an instruction, or NULL. */
static const struct reference *reference_of(struct maker *maker,
                                            const struct instruction *insn)
{
	const struct function *function = maker->function;
	const struct reference *references = function->references;

	while (maker->reference < function->num_references &&
	       references[maker->reference].insn_off < insn->off)
		maker->reference++;
	if (maker->reference < function->num_references &&
	    references[maker->reference].insn_off == insn->off)
		return &references[maker->reference];
	return insn->has_reference ? &insn->reference : NULL;
}

/*
 * Where the text of an instruction has the address that it refers to, which is
 * the last operand of a jump, `[rip + 0x10]`, or with an absolute address the
 * number itself.
 */
static bool find_address(const char *text, const struct instruction *insn,
                         const struct reference *reference, size_t *start_ret,
                         size_t *end_ret)
{
	const char *start = strstr(text, "[rip ");
	const char *end = start ? strchr(start, ']') : NULL;
	char number[32];

	if (end) {
		*start_ret = start + 1 - text;
		*end_ret = end - text;
		return true;
	}
	snprintf(number, sizeof(number), "0x%" PRIx64, reference->target);
	start = strstr(text, number);
	if (!start && (insn->is_call || insn->is_jump))
		start = strchr(text, ' ') ? strchr(text, ' ') + 1 : NULL;
	if (!start)
		return false;
	*start_ret = start - text;
	*end_ret = *start_ret + strspn(start, "0123456789abcdefx");
	return true;
}

static bool is_inside(const struct function *function, uint64_t addr)
{
	return addr >= function->addr && addr - function->addr < function->size;
}

static void put_line(FILE *out, struct maker *maker,
                     const struct instruction *insn, struct listing_line *line)
{
	const struct function *function = maker->function;
	const struct reference *reference = reference_of(maker, insn);
	char text[MAX_TEXT];
	size_t start, end;

	decoder_text(maker->decoder, function->code + insn->off, insn->size,
	             function->addr + insn->off, text, sizeof(text));
	if (!reference || !find_address(text, insn, reference, &start, &end)) {
		fputs(text, out);
		return;
	}
	fprintf(out, "%.*s", (int)start, text);
	if (insn->is_jump && is_inside(function, reference->target)) {
		line->jump_off = reference->target - function->addr;
		line->key_size = start;
		fprintf(out, "+0x%x", line->jump_off);
	} else {
		put_reference(out, maker->program, reference);
	}
	fputs(text + end, out);
}

static struct hfx_error *make_text(struct maker *maker,
                                   const struct instruction *insn,
                                   struct listing_line *line)
{
	size_t size;
	FILE *out = open_memstream(&line->text, &size);

	if (!out)
		return hfx_error_no_memory();
	line->jump_off = line->key_size = NO_INDEX;
	if (insn)
		put_line(out, maker, insn, line);
	else
		fprintf(out, ".byte 0x%02x", maker->function->code[line->off]);
	bool failed = ferror(out);
	if (fclose(out) || failed)
		return hfx_error_no_memory();
	/* Padding, such as a nop, has no operand but the blank before it. */
	while (size && line->text[size - 1] == ' ')
		line->text[--size] = '\0';
	if (line->key_size > size)
		line->key_size = size;
	return NULL;
}

static struct hfx_error *add_place(struct maker *maker, uint64_t addr,
                                   struct listing_place *place)
{
	struct debug_info *debug = maker->program->debug;
	const char *folder;

	if (maker->sources) {
		HFX_TRY(debug_info_folder_at(debug, addr, &folder));
		HFX_TRY(source_texts_line(maker->sources, folder, place->name,
		                          &place->text));
	}
	return HFX_ARRAY_PUSH(maker->listing, places, *place)
	               ? NULL
	               : hfx_error_no_memory();
}

static struct hfx_error *find_place(struct maker *maker, uint64_t addr,
                                    uint32_t *ret)
{
	struct listing *listing = maker->listing;
	struct listing_place place = {0};

	*ret = NO_INDEX;
	if (!maker->program->debug)
		return NULL;
	HFX_TRY(debug_info_line_at(maker->program->debug, addr, &place.name));
	size_t i = listing->num_places;
	/* From the end: most lines are those of the instruction before. */
	while (i > 0 && strcmp(listing->places[i - 1].name, place.name))
		i--;
	*ret = i ? i - 1 : listing->num_places;
	if (!*place.name)
		*ret = NO_INDEX;
	struct hfx_error *err =
		i || !*place.name ? NULL : add_place(maker, addr, &place);
	if (err || i || !*place.name) {
		free(place.name);
		free(place.text);
	}
	return err;
}

static struct hfx_error *make_line(struct maker *maker, size_t off,
                                   size_t *size_ret)
{
	const struct function *function = maker->function;
	struct listing_line line = {.off = off};
	struct instruction insn;
	bool is_known =
		decoder_next(maker->decoder, function->code, function->size,
	                     function->addr, off, &insn);

	HFX_TRY(find_place(maker, function->addr + off, &line.place));
	struct hfx_error *err =
		make_text(maker, is_known ? &insn : NULL, &line);
	if (!err && !HFX_ARRAY_PUSH(maker->listing, lines, line))
		err = hfx_error_no_memory();
	if (err)
		free(line.text);
	*size_ret = is_known ? insn.size : 1;
	return err;
}

struct hfx_error *listing_make(const struct program *program,
                               const struct function *function,
                               struct decoder *decoder,
                               struct source_texts *sources,
                               struct listing *ret)
{
	struct maker maker = {
		.program = program,
		.function = function,
		.decoder = decoder,
		.sources = sources,
		.listing = ret,
	};
	size_t size;

	for (size_t off = 0; off < function->size; off += size) {
		if (ret->num_lines == LISTING_MAX_LINES) {
			ret->is_cut = true;
			break;
		}
		HFX_TRY(make_line(&maker, off, &size));
	}
	return NULL;
}
