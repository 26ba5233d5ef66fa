/* SPDX-License-Identifier: MIT */
#include "image_layout.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "image.h"

/* Filler between pieces of code: int3. */
#define CODE_FILLER 0xcc

/** The pieces in order, and the protection of each page that they span. */
struct page_map {
	struct image_piece *pieces;
	size_t num_pieces;
	/** Page of the first piece. */
	uint64_t start;
	/** PF_* of all pieces in a page; 0 for a hole. */
	uint8_t *flags;
	size_t num_pages;
};

static void page_map_deinit(struct page_map *map)
{
	free(map->pieces);
	free(map->flags);
}

static uint64_t page_down(uint64_t addr)
{
	return addr & ~(IMAGE_PAGE - 1);
}

static uint64_t page_up(uint64_t addr)
{
	return page_down(addr + IMAGE_PAGE - 1);
}

static int compare_pieces(const void *left, const void *right)
{
	const struct image_piece *a = left, *b = right;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return a->size < b->size ? -1 : a->size > b->size;
}

static struct hfx_error *check_piece(const struct image_piece *piece)
{
	uint64_t end;

	if (__builtin_add_overflow(piece->addr, piece->size, &end) ||
	    end > UINT64_MAX - IMAGE_PAGE)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "a piece at 0x%" PRIx64 " of 0x%" PRIx64
		                        " bytes leaves the address space",
		                        piece->addr, piece->size);
	if (piece->flags != PF_R && piece->flags != (PF_R | PF_X) &&
	    piece->flags != (PF_R | PF_W))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the piece at 0x%" PRIx64
		                        " has flags 0x%x, which no image has",
		                        piece->addr, piece->flags);
	return NULL;
}

/** A sorted copy of the pieces, without empty ones. */
static struct hfx_error *sort_pieces(const struct image_description *image,
                                     struct page_map *map)
{
	map->pieces = calloc(image->num_pieces + 1, sizeof(*map->pieces));
	if (!map->pieces)
		return hfx_error_no_memory();
	for (size_t i = 0; i < image->num_pieces; i++) {
		HFX_TRY(check_piece(&image->pieces[i]));
		if (image->pieces[i].size)
			map->pieces[map->num_pieces++] = image->pieces[i];
	}
	hfx_array_sort(map->pieces, map->num_pieces, sizeof(*map->pieces),
	               compare_pieces);
	return NULL;
}

static struct hfx_error *mark_piece(struct page_map *map,
                                    const struct image_piece *piece)
{
	uint64_t last = piece->addr + piece->size - 1;

	for (uint64_t page = page_down(piece->addr); page <= last;
	     page += IMAGE_PAGE) {
		uint8_t *flags = &map->flags[(page - map->start) / IMAGE_PAGE];

		*flags |= piece->flags;
		if ((*flags & PF_W) && (*flags & PF_X))
			return hfx_error_create(
				HFX_ERROR_UNSUPPORTED,
				"the page at 0x%" PRIx64
				" would have to be writable and executable: "
				"link with -z separate-code",
				page);
	}
	return NULL;
}

static struct hfx_error *mark_pages(struct page_map *map)
{
	uint64_t end = 0;

	if (!map->num_pieces)
		return NULL;
	map->start = page_down(map->pieces[0].addr);
	for (size_t i = 0; i < map->num_pieces; i++) {
		const struct image_piece *piece = &map->pieces[i];

		if (piece->addr + piece->size > end)
			end = piece->addr + piece->size;
	}
	if (end - map->start > IMAGE_MAX_SPAN)
		return hfx_error_create(
			HFX_ERROR_UNSUPPORTED,
			"the image would span 0x%" PRIx64
			" bytes, more than the limit of 0x%" PRIx64,
			end - map->start, IMAGE_MAX_SPAN);
	map->num_pages = page_up(end - map->start) / IMAGE_PAGE;
	map->flags = calloc(map->num_pages, 1);
	if (!map->flags)
		return hfx_error_no_memory();
	for (size_t i = 0; i < map->num_pieces; i++)
		HFX_TRY(mark_piece(map, &map->pieces[i]));
	return NULL;
}

/** One run for each stretch of pages with the same flags. */
static struct hfx_error *add_runs(struct image_layout *layout,
                                  const struct page_map *map)
{
	size_t end;

	for (size_t i = 0; i < map->num_pages; i = end) {
		uint64_t addr = map->start + i * IMAGE_PAGE;

		for (end = i + 1; end < map->num_pages; end++)
			if (map->flags[end] != map->flags[i])
				break;
		if (!map->flags[i])
			continue;
		if (layout->num_runs == IMAGE_MAX_RUNS)
			return hfx_error_create(
				HFX_ERROR_UNSUPPORTED,
				"the image would have more than %u segments: "
				"select fewer functions",
				IMAGE_MAX_RUNS);
		if (!HFX_ARRAY_PUSH(layout, runs,
		                    ((struct image_run){
					    .addr = addr,
					    .size = (end - i) * IMAGE_PAGE,
					    .flags = map->flags[i],
					    .kept_start = UINT64_MAX,
					    .data_end = addr,
				    })))
			return hfx_error_no_memory();
	}
	return NULL;
}

/** First run that ends behind @p addr: an index, perhaps the count. */
static size_t run_from(const struct image_layout *layout, uint64_t addr)
{
	size_t low = 0, high = layout->num_runs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct image_run *run = &layout->runs[middle];

		if (run->addr + run->size <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/** The part of @p piece that lies in @p run; pieces may span several. */
static struct image_piece clip_piece(const struct image_piece *piece,
                                     const struct image_run *run)
{
	struct image_piece part = *piece;
	uint64_t end = piece->addr + piece->size;

	if (part.addr < run->addr)
		part.addr = run->addr;
	if (end > run->addr + run->size)
		end = run->addr + run->size;
	part.size = end - part.addr;
	if (part.data)
		part.data += part.addr - piece->addr;
	return part;
}

/** Call @p visit for each piece and run that it touches, by address. */
static struct hfx_error *
for_each_part(struct image_layout *layout, const struct page_map *map,
              struct hfx_error *(*visit)(struct image_run *run,
                                         const struct image_piece *part))
{
	for (size_t i = 0; i < map->num_pieces; i++) {
		const struct image_piece *piece = &map->pieces[i];
		uint64_t end = piece->addr + piece->size;

		for (size_t j = run_from(layout, piece->addr);
		     j < layout->num_runs && layout->runs[j].addr < end; j++) {
			struct image_piece part =
				clip_piece(piece, &layout->runs[j]);

			HFX_TRY(visit(&layout->runs[j], &part));
		}
	}
	return NULL;
}

static struct hfx_error *measure_part(struct image_run *run,
                                      const struct image_piece *part)
{
	uint64_t end = part->addr + part->size;

	if (part->addr < run->kept_start)
		run->kept_start = part->addr;
	if (end > run->kept_end)
		run->kept_end = end;
	if (end > run->data_end && (part->data || !(run->flags & PF_W)))
		run->data_end = end;
	return NULL;
}

static struct hfx_error *allocate_runs(struct image_layout *layout)
{
	for (size_t i = 0; i < layout->num_runs; i++) {
		struct image_run *run = &layout->runs[i];

		run->file_size = run->flags & PF_W ? run->data_end - run->addr
		                                   : run->size;
		run->bytes = malloc(run->file_size + 1);
		if (!run->bytes)
			return hfx_error_no_memory();
		memset(run->bytes, run->flags & PF_X ? CODE_FILLER : 0,
		       run->file_size);
		/* From here on it says how far pieces have been copied. */
		run->kept_end = run->addr;
	}
	return NULL;
}

static uint8_t part_byte(const struct image_piece *part, size_t index)
{
	return part->data ? part->data[index] : 0;
}

/**
 * Copy what no earlier piece has written, and compare the rest.
 *
 * Pieces come by address, so what is written at or behind this one's start is
 * exactly what lies before the furthest end so far.
 */
static struct hfx_error *copy_part(struct image_run *run,
                                   const struct image_piece *part)
{
	uint64_t off = part->addr - run->addr;
	uint64_t written = run->kept_end - run->addr;

	for (uint64_t i = 0; i < part->size && off + i < run->file_size; i++) {
		uint8_t value = part_byte(part, i);

		if (off + i >= written)
			run->bytes[off + i] = value;
		else if (run->bytes[off + i] != value)
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"two pieces give different bytes for the "
				"address 0x%" PRIx64,
				part->addr + i);
	}
	if (part->addr + part->size > run->kept_end)
		run->kept_end = part->addr + part->size;
	return NULL;
}

static struct hfx_error *build(struct image_layout *layout,
                               const struct image_description *description)
{
	HFX_CLEANUP(page_map_deinit) struct page_map map = {0};

	HFX_TRY(sort_pieces(description, &map));
	HFX_TRY(mark_pages(&map));
	HFX_TRY(add_runs(layout, &map));
	HFX_TRY(for_each_part(layout, &map, measure_part));
	HFX_TRY(allocate_runs(layout));
	return for_each_part(layout, &map, copy_part);
}

struct hfx_error *image_layout_init(struct image_layout *layout,
                                    const struct image_description *description)
{
	HFX_CLEANUP(image_layout_deinit) struct image_layout built = {0};

	HFX_TRY(build(&built, description));
	*layout = built;
	built = (struct image_layout){0};
	return NULL;
}

void image_layout_deinit(struct image_layout *layout)
{
	for (size_t i = 0; i < layout->num_runs; i++)
		free(layout->runs[i].bytes);
	free(layout->runs);
	*layout = (struct image_layout){0};
}

struct image_run *image_layout_find(const struct image_layout *layout,
                                    uint64_t addr, uint64_t size)
{
	size_t i = run_from(layout, addr);
	struct image_run *run = &layout->runs[i];

	if (i == layout->num_runs || addr < run->kept_start ||
	    addr >= run->kept_end || size > run->kept_end - addr)
		return NULL;
	return run;
}

uint64_t image_layout_end(const struct image_layout *layout)
{
	const struct image_run *last;

	if (!layout->num_runs)
		return 0;
	last = &layout->runs[layout->num_runs - 1];
	return last->addr + last->size;
}
