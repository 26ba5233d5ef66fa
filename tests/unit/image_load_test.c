/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "image.h"
#include "image_load.h"
#include "image_writer.h"

#define CODE 0x10010u
#define DATA 0x20000u

static const uint8_t call[32] = {0xe8, 0, 0, 0, 0, 0xc3};
static const uint8_t data[64] = {0xaa};

/** An image with one relocation of each kind. */
static struct buffer make_image(void)
{
	static struct image_piece pieces[] = {
		{CODE, sizeof(call), call, PF_R | PF_X},
		{DATA, sizeof(data), data, PF_R | PF_W},
	};
	static struct image_import imports[] = {
		{"strlen", "GLIBC_2.2.5", "libc.so.6", false},
		{"no_such", "", "", true},
	};
	static struct image_relocation relocations[] = {
		{CODE + 1, R_X86_64_PC32, IMAGE_SYMBOL_MODULE, 0x1234 - 4},
		{DATA + 8, R_X86_64_64, IMAGE_SYMBOL_MODULE, 0x2000},
		{DATA + 16, R_X86_64_RELATIVE, IMAGE_SYMBOL_NONE, CODE},
		{DATA + 24, R_X86_64_DTPMOD64, IMAGE_SYMBOL_MODULE, 0},
		{DATA + 32, R_X86_64_JUMP_SLOT, 0, 0},
		{DATA + 40, R_X86_64_64, 0, 5},
		{DATA + 48, R_X86_64_GLOB_DAT, 1, 0},
	};
	struct image_description description = {
		.soname = "test",
		.build_id = {.size = 20},
		.pieces = pieces,
		.num_pieces = 2,
		.relocations = relocations,
		.num_relocations = 7,
		.imports = imports,
		.num_imports = 2,
		.free_addr = 0x30000,
	};
	struct buffer image;
	struct hfx_error *err = image_write(&description, &image);

	if (err)
		fail_msg("%s", hfx_error_message(err));
	return image;
}

static struct image_load parse(const struct buffer *bytes)
{
	struct image_load image;
	struct hfx_error *err =
		image_load_parse(bytes->data, bytes->size, &image);

	if (err)
		fail_msg("%s", hfx_error_message(err));
	return image;
}

/** Parse, and relocate if that works: what hfx does with a bundle's image. */
static enum hfx_error_code try_load(const void *bytes, size_t size)
{
	struct image_load image;
	struct image_load_values values = {0};
	struct hfx_error *err = image_load_parse(bytes, size, &image);
	enum hfx_error_code code = hfx_error_code(err);
	uint64_t *imports;

	hfx_error_destroy(err);
	if (code)
		return code;
	imports = calloc(image.num_imports + 1, sizeof(*imports));
	values.imports = imports;
	err = image_load_relocate(&image, &values);
	code = hfx_error_code(err);
	hfx_error_destroy(err);
	free(imports);
	image_load_deinit(&image);
	return code;
}

static uint64_t word_at(const struct image_load *image, uint64_t addr,
                        size_t size)
{
	const struct image_load_segment *segment =
		image_load_find(image, addr, size);
	uint64_t word = 0;

	assert_non_null(segment);
	assert_true(addr - segment->addr + size <= segment->num_bytes);
	memcpy(&word, segment->bytes + (addr - segment->addr), size);
	return word;
}

static void imports_have_names_and_versions(void **state)
{
	struct buffer bytes = make_image();
	struct image_load image = parse(&bytes);

	(void)state;
	assert_int_equal(image.num_imports, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct image_load_import *import = &image.imports[i];
		bool is_first = !strcmp(import->name, "strlen");

		assert_string_equal(import->name,
		                    is_first ? "strlen" : "no_such");
		assert_string_equal(import->version,
		                    is_first ? "GLIBC_2.2.5" : "");
		assert_string_equal(import->library,
		                    is_first ? "libc.so.6" : "");
		assert_int_equal(import->is_weak, !is_first);
		assert_int_equal(import->is_call, is_first);
	}
	assert_true(image.needs_tls_index);
	image_load_deinit(&image);
	buffer_deinit(&bytes);
}

static void segments_keep_their_protection(void **state)
{
	struct buffer bytes = make_image();
	struct image_load image = parse(&bytes);

	(void)state;
	assert_int_equal(image_load_find(&image, CODE, 32)->protection,
	                 PROT_READ | PROT_EXEC);
	assert_int_equal(image_load_find(&image, DATA, 64)->protection,
	                 PROT_READ | PROT_WRITE);
	assert_null(image_load_find(&image, 0x18000, 1));
	assert_int_equal(image.start_addr, 0x10000);
	assert_int_equal(image.end_addr % 4096, 0);
	image_load_deinit(&image);
	buffer_deinit(&bytes);
}

static void each_relocation_gets_its_value(void **state)
{
	struct buffer bytes = make_image();
	struct image_load image = parse(&bytes);
	uint64_t imports[2];
	struct image_load_values values = {
		.image_bias = 0x7f0000000000,
		.module_bias = 0x7f0010000000,
		.tls_index = 3,
		.imports = imports,
	};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		imports[i] = strcmp(image.imports[i].name, "strlen")
		                     ? 0
		                     : 0x7f0020000000;
	assert_null(image_load_relocate(&image, &values));
	assert_int_equal(word_at(&image, CODE + 1, 4),
	                 0x10000000 + 0x1234 - 4 - (CODE + 1));
	assert_int_equal(word_at(&image, CODE + 5, 1), 0xc3);
	assert_int_equal(word_at(&image, DATA, 1), 0xaa);
	assert_true(word_at(&image, DATA + 8, 8) == 0x7f0010002000);
	assert_true(word_at(&image, DATA + 16, 8) == 0x7f0000000000 + CODE);
	assert_int_equal(word_at(&image, DATA + 24, 8), 3);
	assert_true(word_at(&image, DATA + 32, 8) == 0x7f0020000000);
	assert_true(word_at(&image, DATA + 40, 8) == 0x7f0020000005);
	assert_int_equal(word_at(&image, DATA + 48, 8), 0);
	image_load_deinit(&image);
	buffer_deinit(&bytes);
}

static void a_distance_beyond_32_bits_is_refused(void **state)
{
	struct buffer bytes = make_image();
	struct image_load image = parse(&bytes);
	const uint64_t imports[2] = {0};
	struct image_load_values values = {
		.image_bias = 0x7f0000000000,
		.module_bias = 0x7f0080100000,
		.imports = imports,
	};
	struct hfx_error *err = image_load_relocate(&image, &values);

	(void)state;
	assert_int_equal(hfx_error_code(err), HFX_ERROR_NO_ADDRESS_SPACE);
	hfx_error_destroy(err);
	image_load_deinit(&image);
	buffer_deinit(&bytes);
}

/** Program header @p i of the image's bytes. */
static Elf64_Phdr *header_at(struct buffer *bytes, size_t i)
{
	Elf64_Ehdr *header = (Elf64_Ehdr *)bytes->data;

	return (Elf64_Phdr *)(bytes->data + header->e_phoff) + i;
}

/** The PT_LOAD with these flags. */
static Elf64_Phdr *load_with(struct buffer *bytes, uint32_t flags)
{
	for (size_t i = 0;; i++)
		if (header_at(bytes, i)->p_type == PT_LOAD &&
		    header_at(bytes, i)->p_flags == flags)
			return header_at(bytes, i);
}

/** Change one thing of a fresh image, which must then be refused. */
#define REFUSES(change)                                                        \
	do {                                                                   \
		struct buffer bytes = make_image();                            \
		Elf64_Ehdr *header = (Elf64_Ehdr *)bytes.data;                 \
		Elf64_Phdr *rx = load_with(&bytes, PF_R | PF_X);               \
		Elf64_Phdr *rw = load_with(&bytes, PF_R | PF_W);               \
                                                                               \
		(void)header, (void)rx, (void)rw;                              \
		change;                                                        \
		assert_int_equal(try_load(bytes.data, bytes.size),             \
		                 HFX_ERROR_BAD_BUNDLE);                        \
		buffer_deinit(&bytes);                                         \
	} while (0)

static void what_the_format_does_not_allow_is_refused(void **state)
{
	(void)state;
	REFUSES(header->e_type = ET_EXEC);
	REFUSES(header->e_machine = EM_AARCH64);
	REFUSES(header->e_ident[EI_CLASS] = ELFCLASS32);
	REFUSES(header->e_phoff = UINT64_MAX - 8);
	REFUSES(header->e_phnum = 0);
	REFUSES(rw->p_flags = PF_R | PF_W | PF_X);
	REFUSES(rx->p_flags = PF_X);
	REFUSES(rw->p_vaddr += 1);
	REFUSES(rw->p_vaddr = rx->p_vaddr);
	REFUSES(rw->p_vaddr += 0x40000000);
	REFUSES(rw->p_vaddr = UINT64_MAX - 0xfff);
	REFUSES(rw->p_memsz = rw->p_filesz - 1);
	REFUSES(rw->p_memsz = UINT64_MAX);
	REFUSES(rw->p_offset = UINT64_MAX - 0xfff);
	REFUSES(rx->p_type = PT_TLS);
	/* Without the code its relocation has no place. */
	REFUSES(rx->p_type = PT_NULL);
}

/** Why an image with @p count segments and nothing else is refused. */
static bool has_too_many_segments(size_t count)
{
	size_t size = sizeof(Elf64_Ehdr) + count * sizeof(Elf64_Phdr);
	uint8_t *bytes = calloc(1, size);
	Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;
	Elf64_Phdr *segments = (Elf64_Phdr *)(header + 1);
	struct image_load image;
	struct hfx_error *err;
	bool ret;

	assert_non_null(bytes);
	memcpy(header->e_ident, ELFMAG, SELFMAG);
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_type = ET_DYN;
	header->e_machine = EM_X86_64;
	header->e_phoff = sizeof(*header);
	header->e_phentsize = sizeof(*segments);
	header->e_phnum = (Elf64_Half)count;
	for (size_t i = 0; i < count; i++)
		segments[i] = (Elf64_Phdr){.p_type = PT_LOAD,
		                           .p_flags = PF_R,
		                           .p_vaddr = i * 0x2000,
		                           .p_memsz = 1};
	err = image_load_parse(bytes, size, &image);
	assert_int_equal(hfx_error_code(err), HFX_ERROR_BAD_BUNDLE);
	ret = strstr(hfx_error_message(err), "too many segments");
	hfx_error_destroy(err);
	free(bytes);
	return ret;
}

static void as_many_segments_as_the_bundler_writes_are_read(void **state)
{
	(void)state;
	assert_false(has_too_many_segments(IMAGE_MAX_SEGMENTS));
	assert_true(has_too_many_segments(IMAGE_MAX_SEGMENTS + 1));
}

/** First place in the image with these 8 bytes. */
static uint8_t *find_word(struct buffer *bytes, uint64_t word)
{
	return memmem(bytes->data, bytes->size, &word, sizeof(word));
}

static void relocations_the_format_does_not_list_are_refused(void **state)
{
	static const uint32_t types[] = {
		R_X86_64_NONE,     R_X86_64_PLT32,     R_X86_64_COPY,
		R_X86_64_TPOFF64,  R_X86_64_IRELATIVE, R_X86_64_16,
		R_X86_64_DTPOFF64, R_X86_64_JUMP_SLOT,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct buffer bytes = make_image();
		/* r_info of the one without a symbol */
		uint8_t *info = find_word(&bytes, R_X86_64_RELATIVE);

		while ((uintptr_t)info % 8 || ((uint64_t *)info)[1] != CODE)
			info = memmem(info + 1,
			              bytes.size -
			                      (size_t)(info + 1 - bytes.data),
			              &(uint64_t){R_X86_64_RELATIVE}, 8);
		memcpy(info, &types[i], sizeof(types[i]));
		assert_int_equal(try_load(bytes.data, bytes.size),
		                 HFX_ERROR_BAD_BUNDLE);
		buffer_deinit(&bytes);
	}
}

static void every_shorter_image_is_refused_or_whole(void **state)
{
	struct buffer bytes = make_image();
	Elf64_Phdr *last = load_with(&bytes, PF_R);
	size_t needed = 0;

	(void)state;
	for (size_t i = 0; i < ((Elf64_Ehdr *)bytes.data)->e_phnum; i++) {
		Elf64_Phdr *header = header_at(&bytes, i);

		if (header->p_type == PT_LOAD &&
		    header->p_offset + header->p_filesz > needed)
			needed = header->p_offset + header->p_filesz;
	}
	assert_non_null(last);
	for (size_t size = 0; size < needed; size += size < 4096 ? 1 : 61) {
		uint8_t *copy = malloc(size + !size);

		memcpy(copy, bytes.data, size);
		assert_int_equal(try_load(copy, size), HFX_ERROR_BAD_BUNDLE);
		free(copy);
	}
	buffer_deinit(&bytes);
}

static void no_changed_byte_makes_the_reader_stumble(void **state)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	struct buffer bytes = make_image();

	(void)state;
	for (size_t i = 0; i < bytes.size; i++) {
		uint8_t saved = bytes.data[i];

		/* Padding between the tables says nothing. */
		if (i > 4096 && i % 8 && !saved && !bytes.data[i - 1])
			continue;
		for (size_t k = 0; k < sizeof(values); k++) {
			bytes.data[i] = values[k];
			try_load(bytes.data, bytes.size);
		}
		bytes.data[i] = saved;
	}
	assert_int_equal(try_load(bytes.data, bytes.size), HFX_ERROR_NONE);
	buffer_deinit(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(imports_have_names_and_versions),
		cmocka_unit_test(segments_keep_their_protection),
		cmocka_unit_test(each_relocation_gets_its_value),
		cmocka_unit_test(a_distance_beyond_32_bits_is_refused),
		cmocka_unit_test(what_the_format_does_not_allow_is_refused),
		cmocka_unit_test(
			as_many_segments_as_the_bundler_writes_are_read),
		cmocka_unit_test(
			relocations_the_format_does_not_list_are_refused),
		cmocka_unit_test(every_shorter_image_is_refused_or_whole),
		cmocka_unit_test(no_changed_byte_makes_the_reader_stumble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
