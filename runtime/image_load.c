/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "cursor.h"
#include "image.h"
#include "image_load_private.h"
#include "maps.h"

/** Addresses of an image lie below this; keeps sums from overflowing. */
#define MAX_ADDR (UINT64_C(1) << 47)

struct hfx_error *image_load_bad(const char *format, ...)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	va_list args;
	int size;

	va_start(args, format);
	size = vasprintf(&text, format, args);
	va_end(args);
	if (size < 0) {
		text = NULL;
		return hfx_error_no_memory();
	}
	return hfx_error_create(HFX_ERROR_BAD_BUNDLE, "the patch image %s",
	                        text);
}

void image_load_deinit(struct image_load *image)
{
	for (size_t i = 0; i < image->num_segments; i++)
		free(image->segments[i].bytes);
	free(image->segments);
	free(image->imports);
	free(image->relocations);
	free(image->strings);
	*image = (struct image_load){0};
}

const struct image_load_segment *image_load_find(const struct image_load *image,
                                                 uint64_t addr, uint64_t size)
{
	size_t low = 0, high = image->num_segments;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct image_load_segment *segment =
			&image->segments[middle];

		if (addr < segment->addr)
			high = middle;
		else if (addr - segment->addr >= segment->mem_size)
			low = middle + 1;
		else
			return range_fits(addr - segment->addr, size,
			                  segment->mem_size)
			               ? segment
			               : NULL;
	}
	return NULL;
}

const uint8_t *image_load_table_at(const struct image_load *image,
                                   uint64_t addr, uint64_t size)
{
	const struct image_load_segment *segment =
		image_load_find(image, addr, size);

	if (!segment || segment->protection != PROT_READ ||
	    !range_fits(addr - segment->addr, size, segment->num_bytes))
		return NULL;
	return segment->bytes + (addr - segment->addr);
}

/* ---- Segments ---------------------------------------------------------- */

static struct hfx_error *check_header(const struct image_load_parse *parse,
                                      Elf64_Ehdr *ret)
{
	if (parse->size < sizeof(*ret))
		return image_load_bad("is cut short");
	memcpy(ret, parse->data, sizeof(*ret));
	if (memcmp(ret->e_ident, ELFMAG, SELFMAG) ||
	    ret->e_ident[EI_CLASS] != ELFCLASS64 ||
	    ret->e_ident[EI_DATA] != ELFDATA2LSB || ret->e_type != ET_DYN ||
	    ret->e_machine != EM_X86_64)
		return image_load_bad("is no x86-64 ELF shared object");
	if (ret->e_phentsize != sizeof(Elf64_Phdr) ||
	    !range_fits(ret->e_phoff, ret->e_phnum * sizeof(Elf64_Phdr),
	                parse->size))
		return image_load_bad("has no usable program headers");
	return NULL;
}

static bool protection_of(uint32_t flags, uint32_t *ret)
{
	switch (flags) {
	case PF_R:
		*ret = PROT_READ;
		return true;
	case PF_R | PF_X:
		*ret = PROT_READ | PROT_EXEC;
		return true;
	case PF_R | PF_W:
		*ret = PROT_READ | PROT_WRITE;
		return true;
	}
	return false;
}

static struct hfx_error *check_segment(const struct image_load_parse *parse,
                                       const Elf64_Phdr *header)
{
	const struct image_load *image = parse->image;

	if (!range_fits(header->p_offset, header->p_filesz, parse->size) ||
	    header->p_filesz > header->p_memsz)
		return image_load_bad("is cut short");
	if (!range_fits(header->p_vaddr, header->p_memsz, MAX_ADDR))
		return image_load_bad("has an address out of range");
	if (header->p_vaddr % PAGE_BYTES != header->p_offset % PAGE_BYTES)
		return image_load_bad(
			"has a segment that is not page-congruent");
	if (image->num_segments &&
	    page_floor(header->p_vaddr) < image->end_addr)
		return image_load_bad(
			"has segments that overlap or are unordered");
	if (image->num_segments &&
	    page_ceil(header->p_vaddr + header->p_memsz) - image->start_addr >
	            IMAGE_MAX_SPAN)
		return image_load_bad("spans more than 1 GiB");
	if (header->p_memsz > IMAGE_MAX_SPAN)
		return image_load_bad("spans more than 1 GiB");
	if (image->num_segments >= IMAGE_MAX_SEGMENTS)
		return image_load_bad("has too many segments");
	return NULL;
}

static struct hfx_error *add_segment(struct image_load_parse *parse,
                                     const Elf64_Phdr *header)
{
	struct image_load *image = parse->image;
	struct image_load_segment segment = {
		.start_addr = page_floor(header->p_vaddr),
		.addr = header->p_vaddr,
		.mem_size = header->p_memsz,
		.num_bytes = header->p_filesz,
	};

	if (!header->p_memsz)
		return NULL;
	if (!protection_of(header->p_flags, &segment.protection))
		return image_load_bad("has a segment that is not R, RX or RW");
	HFX_TRY(check_segment(parse, header));
	segment.size = page_ceil(header->p_vaddr + header->p_memsz) -
	               segment.start_addr;
	segment.bytes = malloc(header->p_filesz + 1);
	if (!segment.bytes)
		return hfx_error_no_memory();
	memcpy(segment.bytes, parse->data + header->p_offset, header->p_filesz);
	if (!HFX_ARRAY_PUSH(image, segments, segment)) {
		free(segment.bytes);
		return hfx_error_no_memory();
	}
	if (image->num_segments == 1)
		image->start_addr = segment.start_addr;
	image->end_addr = segment.start_addr + segment.size;
	if (header->p_offset + header->p_filesz > image->tail_off)
		image->tail_off = header->p_offset + header->p_filesz;
	return NULL;
}

static struct hfx_error *add_segments(struct image_load_parse *parse,
                                      const Elf64_Ehdr *header,
                                      Elf64_Phdr *dynamic_ret)
{
	bool has_dynamic = false;

	for (size_t i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;

		memcpy(&segment,
		       parse->data + header->e_phoff + i * sizeof(segment),
		       sizeof(segment));
		if (segment.p_type == PT_LOAD)
			HFX_TRY(add_segment(parse, &segment));
		if (segment.p_type == PT_TLS || segment.p_type == PT_INTERP)
			return image_load_bad(
				"has a segment of type %u, which is "
				"not supported",
				segment.p_type);
		if (segment.p_type == PT_GNU_EH_FRAME)
			parse->eh_frame_header_addr = segment.p_vaddr;
		if (segment.p_type == PT_DYNAMIC) {
			*dynamic_ret = segment;
			has_dynamic = true;
		}
	}
	if (!parse->image->num_segments || !has_dynamic)
		return image_load_bad("has nothing to load or no PT_DYNAMIC");
	return NULL;
}

static void measure_tail(struct image_load_parse *parse,
                         const Elf64_Ehdr *header)
{
	struct image_load *image = parse->image;
	size_t sections = header->e_shnum * sizeof(Elf64_Shdr);

	if (header->e_shoff < image->tail_off ||
	    header->e_shentsize != sizeof(Elf64_Shdr) || !sections ||
	    !range_fits(header->e_shoff, sections, parse->size))
		return;
	image->head_size =
		header->e_phoff + header->e_phnum * sizeof(Elf64_Phdr);
	image->tail_size = parse->size - image->tail_off;
}

static struct hfx_error *read_all(struct image_load_parse *parse)
{
	Elf64_Phdr dynamic = {0};
	Elf64_Ehdr header;

	HFX_TRY(check_header(parse, &header));
	HFX_TRY(add_segments(parse, &header, &dynamic));
	measure_tail(parse, &header);
	return image_load_read_tables(parse, &dynamic);
}

struct hfx_error *image_load_parse(const void *data, size_t size,
                                   struct image_load *ret)
{
	HFX_CLEANUP(image_load_deinit) struct image_load image = {0};
	struct image_load_parse parse = {
		.data = data, .size = size, .image = &image};
	struct hfx_error *err = read_all(&parse);

	free(parse.symbol_map);
	HFX_TRY(err);
	*ret = image;
	image = (struct image_load){0};
	return NULL;
}
