/* SPDX-License-Identifier: MIT */
#include "image_parts.h"

#include "image.h"
#include "image_writer.h"

#define PAGE 0x1000

/** The PT_LOAD at exactly @p addr. */
static GElf_Phdr load_at(const struct fixture_elf *file, uint64_t addr)
{
	size_t count;

	assert_int_equal(elf_getphdrnum(file->elf, &count), 0);
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr header;

		assert_non_null(gelf_getphdr(file->elf, i, &header));
		if (header.p_type == PT_LOAD && header.p_vaddr == addr)
			return header;
	}
	fail_msg("no segment at 0x%llx", (unsigned long long)addr);
	return (GElf_Phdr){0};
}

static size_t count_loads(const struct fixture_elf *file)
{
	size_t count, loads = 0;

	assert_int_equal(elf_getphdrnum(file->elf, &count), 0);
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr header;

		assert_non_null(gelf_getphdr(file->elf, i, &header));
		loads += header.p_type == PT_LOAD;
	}
	return loads;
}

static void pieces_of_one_page_become_a_segment(void **state)
{
	static const uint8_t first[] = {1, 2, 3, 4}, second[] = {5, 6};
	struct fixture_elf file;
	struct parts parts;
	GElf_Phdr header;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x5020, second, 2, PF_R | PF_X);
	add_piece(&parts, 0x5010, first, 4, PF_R | PF_X);
	file = write_image(&parts);
	header = load_at(&file, 0x5000);
	assert_int_equal(header.p_flags, PF_R | PF_X);
	assert_int_equal(header.p_filesz, PAGE);
	assert_int_equal(header.p_memsz, PAGE);
	assert_int_equal(header.p_offset % PAGE, 0);
	assert_memory_equal(fixture_bytes_at(&file, 0x500e, 0x15),
	                    "\xcc\xcc\1\2\3\4\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc"
	                    "\xcc\xcc\xcc\xcc\5\6\xcc",
	                    0x15);
	fixture_close(&file);
}

static void pages_of_equal_flags_merge_and_holes_separate(void **state)
{
	static const uint8_t byte = 7;
	static uint8_t long_piece[2 * PAGE];
	struct fixture_elf file;
	struct parts parts;

	(void)state;
	parts_init(&parts);
	memset(long_piece, 9, sizeof(long_piece));
	add_piece(&parts, 0x1ff0, long_piece, sizeof(long_piece), PF_R);
	add_piece(&parts, 0x4000, &byte, 1, PF_R);
	add_piece(&parts, 0x6000, &byte, 1, PF_R);
	add_piece(&parts, 0x7000, &byte, 1, PF_R | PF_X);
	file = write_image(&parts);
	assert_int_equal(load_at(&file, 0x1000).p_memsz, 4 * PAGE);
	assert_int_equal(load_at(&file, 0x6000).p_memsz, PAGE);
	assert_int_equal(load_at(&file, 0x7000).p_flags, PF_R | PF_X);
	/* And what is added. */
	assert_int_equal(count_loads(&file), 4);
	assert_int_equal(*fixture_bytes_at(&file, 0x1fef, 1), 0);
	assert_int_equal(*fixture_bytes_at(&file, 0x1ff0, 1), 9);
	assert_int_equal(*fixture_bytes_at(&file, 0x3fef, 1), 9);
	assert_int_equal(*fixture_bytes_at(&file, 0x3ff0, 1), 0);
	fixture_close(&file);
}

static void overlapping_pieces_must_agree(void **state)
{
	static const uint8_t text[] = "abcdef", other[] = "cdxf";
	struct fixture_elf file;
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1000, text, 6, PF_R);
	add_piece(&parts, 0x1002, text + 2, 4, PF_R);
	add_piece(&parts, 0x1001, text + 1, 1, PF_R);
	file = write_image(&parts);
	assert_memory_equal(fixture_bytes_at(&file, 0x1000, 6), text, 6);
	fixture_close(&file);
	add_piece(&parts, 0x1002, other, 4, PF_R);
	assert_refused(&parts, HFX_ERROR_INVALID_ARGUMENT,
	               "different bytes for the address 0x1004");
}

static void data_in_a_page_of_code_is_executable(void **state)
{
	static const uint8_t byte = 7;
	struct fixture_elf file;
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1000, &byte, 1, PF_R | PF_X);
	add_piece(&parts, 0x1800, &byte, 1, PF_R);
	add_piece(&parts, 0x2000, &byte, 1, PF_R);
	file = write_image(&parts);
	assert_int_equal(load_at(&file, 0x1000).p_flags, PF_R | PF_X);
	assert_int_equal(load_at(&file, 0x2000).p_flags, PF_R);
	assert_int_equal(*fixture_bytes_at(&file, 0x1800, 1), 7);
	fixture_close(&file);
}

static void constants_in_a_page_of_data_are_writable(void **state)
{
	static const uint8_t byte = 7;
	struct fixture_elf file;
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1000, &byte, 1, PF_R | PF_W);
	add_piece(&parts, 0x1800, &byte, 1, PF_R);
	file = write_image(&parts);
	assert_int_equal(load_at(&file, 0x1000).p_flags, PF_R | PF_W);
	fixture_close(&file);
}

static void page_for_code_and_data_is_refused(void **state)
{
	static const uint8_t byte = 7;
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x3000, &byte, 1, PF_R | PF_W);
	add_piece(&parts, 0x3800, &byte, 1, PF_R | PF_X);
	assert_refused(&parts, HFX_ERROR_UNSUPPORTED, "the page at 0x3000");
}

static void zeros_at_the_end_take_no_room_in_the_file(void **state)
{
	static const uint8_t byte = 7;
	struct fixture_elf file;
	struct parts parts;
	GElf_Phdr header;
	GElf_Shdr section;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1010, NULL, 0x10, PF_R | PF_W);
	add_piece(&parts, 0x1100, &byte, 1, PF_R | PF_W);
	add_piece(&parts, 0x1200, NULL, 5 * PAGE, PF_R | PF_W);
	add_symbol(&parts, "buffer", 0x1200, 5 * PAGE, false, false);
	add_symbol(&parts, "before", 0x1010, 0x10, false, true);
	file = write_image(&parts);
	header = load_at(&file, 0x1000);
	assert_int_equal(header.p_filesz, 0x101);
	assert_int_equal(header.p_memsz, 6 * PAGE);
	assert_true(fixture_section(&file, ".bss", &section));
	assert_int_equal(section.sh_type, SHT_NOBITS);
	assert_true(section.sh_addr <= 0x1200);
	assert_int_equal(section.sh_addr + section.sh_size, 0x1200 + 5 * PAGE);
	assert_true(fixture_section(&file, ".data", &section));
	assert_int_equal(section.sh_addr, 0x1010);
	assert_int_equal(section.sh_size, 0xf1);
	fixture_close(&file);
}

static void what_is_added_stands_behind_the_free_address(void **state)
{
	static const uint8_t byte = 7;
	struct fixture_elf file;
	struct parts parts;
	GElf_Phdr header;
	GElf_Shdr dynamic;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1000, &byte, 1, PF_R);
	parts.image.free_addr = 0x123456;
	file = write_image(&parts);
	header = load_at(&file, 0x124000);
	assert_int_equal(header.p_flags, PF_R);
	assert_true(fixture_section(&file, ".dynamic", &dynamic));
	assert_true(dynamic.sh_addr > header.p_vaddr);
	assert_int_equal(dynamic.sh_addr + dynamic.sh_size,
	                 header.p_vaddr + header.p_memsz);
	fixture_close(&file);
}

/** Descriptions differ in order only; `flip` turns the lists around. */
static void describe_in_order(struct parts *parts, bool flip)
{
	static const uint8_t code[16] = {0xe8};

	parts_init(parts);
	for (int i = 0; i < 3; i++) {
		int j = flip ? 2 - i : i;

		add_piece(parts, 0x1000 + 0x1000 * j, code, 16, PF_R | PF_X);
		add_relocation(parts, 0x1001 + 0x1000 * j, R_X86_64_PC32,
		               IMAGE_SYMBOL_MODULE, 0x500);
		add_symbol(parts, j == 1 ? "one" : "other", 0x1000 + 0x1000 * j,
		           16, true, j == 1);
	}
}

static void order_of_the_lists_does_not_matter(void **state)
{
	struct parts parts;
	struct buffer forward, backward;

	(void)state;
	describe_in_order(&parts, false);
	assert_null(image_write(&parts.image, &forward));
	describe_in_order(&parts, true);
	assert_null(image_write(&parts.image, &backward));
	assert_int_equal(forward.size, backward.size);
	assert_memory_equal(forward.data, backward.data, forward.size);
	buffer_deinit(&forward);
	buffer_deinit(&backward);
}

static void relocation_of_what_is_not_kept_is_refused(void **state)
{
	static const uint8_t code[16] = {0xe8};
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1000, code, sizeof(code), PF_R | PF_X);
	add_relocation(&parts, 0x100d, R_X86_64_PC32, IMAGE_SYMBOL_MODULE, 0);
	assert_refused(&parts, HFX_ERROR_INVALID_ARGUMENT, "0x100d");
	parts.relocations[0].addr = 0x100c;
	parts.pieces[0].flags = PF_R | PF_W;
	parts.relocations[0].type = R_X86_64_64;
	assert_refused(&parts, HFX_ERROR_INVALID_ARGUMENT, "0x100c");
	parts.relocations[0].addr = 0x1008;
	fixture_close((struct fixture_elf[]){write_image(&parts)});
}

static void relocations_outside_the_format_are_refused(void **state)
{
	static const struct {
		uint32_t type;
		uint32_t symbol;
	} cases[] = {
		{R_X86_64_PC32, 0},
		{R_X86_64_PC32, IMAGE_SYMBOL_NONE},
		{R_X86_64_RELATIVE, IMAGE_SYMBOL_MODULE},
		{R_X86_64_GLOB_DAT, IMAGE_SYMBOL_MODULE},
		{R_X86_64_JUMP_SLOT, 1},
		{R_X86_64_COPY, 0},
		{R_X86_64_TPOFF64, 0},
	};
	static const uint8_t code[16];
	struct parts parts;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		parts_init(&parts);
		add_piece(&parts, 0x1000, code, sizeof(code), PF_R | PF_W);
		add_import(&parts, "malloc", "", "");
		add_relocation(&parts, 0x1000, cases[i].type, cases[i].symbol,
		               0);
		assert_refused(&parts, HFX_ERROR_INVALID_ARGUMENT, "0x1000");
	}
}

static void import_in_a_page_of_code_is_refused(void **state)
{
	static const uint8_t code[16];
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1000, code, sizeof(code), PF_R | PF_X);
	add_piece(&parts, 0x1800, code, sizeof(code), PF_R);
	add_import(&parts, "malloc", "", "");
	add_relocation(&parts, 0x1800, R_X86_64_GLOB_DAT, 0, 0);
	assert_refused(&parts, HFX_ERROR_UNSUPPORTED, "the page at 0x1000");
}

static void overlapping_relocations_are_refused(void **state)
{
	static const uint8_t code[16];
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1000, code, sizeof(code), PF_R | PF_X);
	add_relocation(&parts, 0x1004, R_X86_64_PC32, IMAGE_SYMBOL_MODULE, 0);
	add_relocation(&parts, 0x1001, R_X86_64_PC32, IMAGE_SYMBOL_MODULE, 0);
	assert_refused(&parts, HFX_ERROR_INVALID_ARGUMENT, "overlap at 0x1004");
}

static void symbol_of_what_is_not_kept_is_refused(void **state)
{
	static const uint8_t code[16];
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_piece(&parts, 0x1000, code, sizeof(code), PF_R | PF_X);
	add_symbol(&parts, "gone", 0x1010, 4, true, false);
	assert_refused(&parts, HFX_ERROR_INVALID_ARGUMENT, "gone");
}

static void version_without_library_is_refused(void **state)
{
	struct parts parts;

	(void)state;
	parts_init(&parts);
	add_import(&parts, "memchr", "GLIBC_2.2.5", "");
	assert_refused(&parts, HFX_ERROR_INVALID_ARGUMENT, "memchr");
}

static void imports_have_their_versions_by_library(void **state)
{
	struct fixture_elf file;
	struct parts parts;
	char *folder = fixture_enter();
	char text[16384];

	(void)state;
	parts_init(&parts);
	add_import(&parts, "memchr", "GLIBC_2.2.5", "libc.so.6");
	add_import(&parts, "cos", "GLIBC_2.2.5", "libm.so.6");
	add_import(&parts, "plain", "", "");
	add_import(&parts, "memcpy", "GLIBC_2.14", "libc.so.6");
	add_import(&parts, "strlen", "GLIBC_2.2.5", "libc.so.6");
	parts.imports[4].is_weak = true;
	file = write_image(&parts);
	fixture_write(folder, "image.so", file.bytes.data, file.bytes.size);
	assert_int_equal(fixture_run(text, sizeof(text),
	                             "LC_ALL=C readelf -aW %s/image.so 2>&1",
	                             folder),
	                 0);
	assert_non_null(strstr(text, "UND memchr@GLIBC_2.2.5 (2)"));
	assert_non_null(strstr(text, "UND cos@GLIBC_2.2.5 (3)"));
	assert_non_null(strstr(text, "UND memcpy@GLIBC_2.14 (4)"));
	assert_non_null(strstr(text, "WEAK   DEFAULT  UND strlen@GLIBC_2.2.5"));
	assert_non_null(strstr(text, "UND plain\n"));
	assert_non_null(strstr(text, "UND " IMAGE_MODULE_SYMBOL "\n"));
	assert_non_null(strstr(text, "File: libc.so.6  Cnt: 2"));
	assert_non_null(strstr(text, "File: libm.so.6  Cnt: 1"));
	assert_null(strcasestr(text, "warning"));
	fixture_close(&file);
	fixture_leave(folder);
}

static void nothing_says_version_when_no_import_has_one(void **state)
{
	struct fixture_elf file;
	struct parts parts;
	GElf_Shdr section;

	(void)state;
	parts_init(&parts);
	add_import(&parts, "plain", "", "");
	file = write_image(&parts);
	assert_true(fixture_section(&file, ".dynsym", &section));
	assert_false(fixture_section(&file, ".gnu.version", &section));
	assert_false(fixture_section(&file, ".gnu.version_r", &section));
	fixture_close(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_of_one_page_become_a_segment),
		cmocka_unit_test(pages_of_equal_flags_merge_and_holes_separate),
		cmocka_unit_test(overlapping_pieces_must_agree),
		cmocka_unit_test(data_in_a_page_of_code_is_executable),
		cmocka_unit_test(constants_in_a_page_of_data_are_writable),
		cmocka_unit_test(page_for_code_and_data_is_refused),
		cmocka_unit_test(zeros_at_the_end_take_no_room_in_the_file),
		cmocka_unit_test(what_is_added_stands_behind_the_free_address),
		cmocka_unit_test(order_of_the_lists_does_not_matter),
		cmocka_unit_test(relocation_of_what_is_not_kept_is_refused),
		cmocka_unit_test(relocations_outside_the_format_are_refused),
		cmocka_unit_test(import_in_a_page_of_code_is_refused),
		cmocka_unit_test(overlapping_relocations_are_refused),
		cmocka_unit_test(symbol_of_what_is_not_kept_is_refused),
		cmocka_unit_test(version_without_library_is_refused),
		cmocka_unit_test(imports_have_their_versions_by_library),
		cmocka_unit_test(nothing_says_version_when_no_import_has_one),
	};

	return cmocka_run_group_tests_name("image_writer", tests, NULL, NULL);
}
