/* SPDX-License-Identifier: MIT */
#include "elf_fixture.h"

#include <elfutils/libdw.h>

#include "image.h"
#include "image_writer.h"
#include "unwind_table.h"

#define PAGE 0x1000

/** Space for the descriptions that tests put together. */
struct parts {
	struct image_piece pieces[16];
	struct image_relocation relocations[16];
	struct image_import imports[8];
	struct image_symbol symbols[16];
	struct image_unwind unwinds[8];
	struct image_description image;
};

static void parts_init(struct parts *parts)
{
	*parts = (struct parts){0};
	parts->image.soname = "test.so";
	parts->image.pieces = parts->pieces;
	parts->image.relocations = parts->relocations;
	parts->image.imports = parts->imports;
	parts->image.symbols = parts->symbols;
	parts->image.unwinds = parts->unwinds;
}

static void add_piece(struct parts *parts, uint64_t addr, const void *data,
                      uint64_t size, uint32_t flags)
{
	parts->pieces[parts->image.num_pieces++] = (struct image_piece){
		.addr = addr, .size = size, .data = data, .flags = flags};
}

static void add_relocation(struct parts *parts, uint64_t addr, uint32_t type,
                           uint32_t symbol, int64_t addend)
{
	parts->relocations[parts->image.num_relocations++] =
		(struct image_relocation){
			.addr = addr,
			.type = type,
			.symbol = symbol,
			.addend = addend,
		};
}

static void add_import(struct parts *parts, const char *name,
                       const char *version, const char *library)
{
	parts->imports[parts->image.num_imports++] = (struct image_import){
		.name = name, .version = version, .library = library};
}

static void add_symbol(struct parts *parts, const char *name, uint64_t addr,
                       uint64_t size, bool is_function, bool is_local)
{
	parts->symbols[parts->image.num_symbols++] = (struct image_symbol){
		.name = name,
		.addr = addr,
		.size = size,
		.is_function = is_function,
		.is_local = is_local,
	};
}

static struct fixture_elf write_image(const struct parts *parts)
{
	struct hfx_error *err;
	struct buffer bytes;

	err = image_write(&parts->image, &bytes);
	if (err)
		fail_msg("%s", hfx_error_message(err));
	return fixture_open_bytes(bytes);
}

static void assert_refused(const struct parts *parts, enum hfx_error_code code,
                           const char *text)
{
	struct buffer bytes = {.size = 42};
	struct hfx_error *err = image_write(&parts->image, &bytes);

	assert_non_null(err);
	if (!strstr(hfx_error_message(err), text))
		fail_msg("\"%s\" does not say \"%s\"", hfx_error_message(err),
		         text);
	assert_int_equal(hfx_error_code(err), code);
	hfx_error_destroy(err);
	assert_int_equal(bytes.size, 42);
}

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

/* A whole image, of a library that throws and catches. */

static const char throwing_source[] =
	"extern \"C\" int puts(const char *);\n"
	"int table[4] = {1, 2, 3, 4};\n"
	"static int __attribute__((noinline)) inner(int n)\n"
	"{\n"
	"	if (n == table[0])\n"
	"		throw n;\n"
	"	return n + table[n & 3];\n"
	"}\n"
	"extern \"C\" int catching(int n)\n"
	"{\n"
	"	try {\n"
	"		for (int i = 0; i < n; i++)\n"
	"			if (inner(i) > 100)\n"
	"				puts(\"large\");\n"
	"	} catch (int thrown) {\n"
	"		return thrown + 1;\n"
	"	}\n"
	"	return 0;\n"
	"}\n"
	"extern \"C\" int leaf(int a) { return a * 3; }\n";

struct throwing {
	char *folder;
	struct fixture_elf library;
	struct fixture_elf image;
};

static void describe_function(struct parts *parts,
                              const struct fixture_elf *file, const char *name)
{
	GElf_Sym symbol = fixture_symbol(file, name);

	add_piece(parts, symbol.st_value,
	          fixture_bytes_at(file, symbol.st_value, symbol.st_size),
	          symbol.st_size, PF_R | PF_X);
	add_symbol(parts, name, symbol.st_value, symbol.st_size, true,
	           GELF_ST_BIND(symbol.st_info) == STB_LOCAL);
	parts->unwinds[parts->image.num_unwinds++] = (struct image_unwind){
		.addr = symbol.st_value, .size = symbol.st_size};
}

static void describe_section(struct parts *parts,
                             const struct fixture_elf *file, const char *name,
                             uint32_t flags)
{
	GElf_Shdr section;

	assert_true(fixture_section(file, name, &section));
	add_piece(parts, section.sh_addr, file->bytes.data + section.sh_offset,
	          section.sh_size, flags);
}

static void describe_unwinding(struct parts *parts,
                               const struct fixture_elf *file)
{
	GElf_Shdr section;

	assert_true(fixture_section(file, ".eh_frame", &section));
	parts->image.eh_frame_addr = section.sh_addr;
	parts->image.eh_frame = file->bytes.data + section.sh_offset;
	parts->image.eh_frame_size = section.sh_size;
}

static void describe_throwing(struct parts *parts,
                              const struct fixture_elf *file)
{
	GElf_Sym table = fixture_symbol(file, "table");
	GElf_Sym slot = fixture_symbol(file, "DW.ref.__gxx_personality_v0");
	GElf_Sym catching = fixture_symbol(file, "catching");

	parts_init(parts);
	describe_function(parts, file, "catching");
	describe_function(parts, file, "_ZL5inneri");
	describe_section(parts, file, ".gcc_except_table", PF_R);
	add_piece(parts, table.st_value,
	          fixture_bytes_at(file, table.st_value, table.st_size),
	          table.st_size, PF_R | PF_W);
	add_symbol(parts, "table", table.st_value, table.st_size, false, false);
	add_piece(parts, slot.st_value,
	          fixture_bytes_at(file, slot.st_value, 8), 8, PF_R | PF_W);
	add_import(parts, "__gxx_personality_v0", "CXXABI_1.3",
	           "libstdc++.so.6");
	add_import(parts, "puts", "GLIBC_2.2.5", "libc.so.6");
	add_relocation(parts, slot.st_value, R_X86_64_64, 0, 0);
	add_relocation(parts, catching.st_value + 8, R_X86_64_PC32,
	               IMAGE_SYMBOL_MODULE, 0x1234);
	describe_unwinding(parts, file);
	parts->image.build_id.size = 20;
	memset(parts->image.build_id.bytes, 0xab, 20);
	parts->image.free_addr = 0x5001;
}

static int enter_throwing(void **state)
{
	struct throwing *all = calloc(1, sizeof(*all));
	struct parts parts;

	assert_non_null(all);
	all->folder = fixture_enter();
	fixture_write(all->folder, "t.cc", throwing_source,
	              strlen(throwing_source));
	fixture_compile(all->folder, "g++ -O2 -g -fPIC -shared", "t.cc",
	                "t.so");
	all->library = fixture_open(all->folder, "t.so");
	describe_throwing(&parts, &all->library);
	all->image = write_image(&parts);
	fixture_write(all->folder, "image.so", all->image.bytes.data,
	              all->image.bytes.size);
	*state = all;
	return 0;
}

static int leave_throwing(void **state)
{
	struct throwing *all = *state;

	fixture_close(&all->image);
	fixture_close(&all->library);
	fixture_leave(all->folder);
	free(all);
	return 0;
}

static void tools_take_the_image_without_a_warning(void **state)
{
	static const char *const commands[] = {
		"readelf -aW image.so",
		"readelf --debug-dump=frames,frames-interp image.so",
		"objdump -d -s -x image.so",
		"nm -n image.so",
		"nm -D --with-symbol-versions image.so",
		"eu-readelf -a image.so",
	};
	struct throwing *all = *state;
	char text[4096];

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		int status = fixture_run(text, sizeof(text),
		                         "cd %s && %s 2>&1 >/dev/null",
		                         all->folder, commands[i]);

		if (status || *text)
			fail_msg("%s: %s", commands[i], text);
	}
}

/** Without DT_NEEDED, on purpose, a version's library is unknown to it. */
static void elflint_finds_no_error_but_the_lack_of_needed(void **state)
{
	static const char known[] = "references unknown dependency\n";
	struct throwing *all = *state;
	char text[4096];

	fixture_run(text, sizeof(text),
	            "eu-elflint --gnu %s/image.so 2>&1 | grep .", all->folder);
	for (char *line = text, *end; *line; line = end) {
		end = strchr(line, '\n') + 1;
		if ((size_t)(end - line) < sizeof(known) ||
		    memcmp(end - strlen(known), known, strlen(known)) != 0)
			fail_msg("%s", line);
	}
}

static void tools_show_what_is_inside(void **state)
{
	struct throwing *all = *state;
	char text[65536];

	fixture_run(text, sizeof(text), "nm %s/image.so", all->folder);
	assert_non_null(strstr(text, " T catching\n"));
	assert_non_null(strstr(text, " t _ZL5inneri\n"));
	assert_non_null(strstr(text, " D table\n"));
	assert_non_null(strstr(text, " U hfx.module\n"));
	assert_null(strstr(text, "leaf"));
	fixture_run(text, sizeof(text), "objdump -d %s/image.so", all->folder);
	assert_non_null(strstr(text, "<catching>:"));
	assert_non_null(strstr(text, "<_ZL5inneri>\n"));
	fixture_run(text, sizeof(text), "readelf -nW %s/image.so", all->folder);
	assert_non_null(strstr(text, "Build ID: abababab"));
}

static void code_has_the_bytes_and_place_of_new(void **state)
{
	struct throwing *all = *state;
	GElf_Sym symbol = fixture_symbol(&all->library, "catching");
	GElf_Sym other = fixture_symbol(&all->image, "catching");

	assert_true(symbol.st_value == other.st_value);
	assert_true(symbol.st_size == other.st_size);
	assert_memory_equal(
		fixture_bytes_at(&all->image, symbol.st_value, symbol.st_size),
		fixture_bytes_at(&all->library, symbol.st_value,
	                         symbol.st_size),
		symbol.st_size);
}

static void local_symbols_come_first_in_their_sections(void **state)
{
	struct throwing *all = *state;
	Elf_Scn *section = NULL;
	GElf_Shdr header, home;
	GElf_Sym symbol;
	Elf_Data *data;

	do {
		section = elf_nextscn(all->image.elf, section);
		assert_non_null(section);
		assert_non_null(gelf_getshdr(section, &header));
	} while (header.sh_type != SHT_SYMTAB);
	data = elf_getdata(section, NULL);
	assert_int_equal(header.sh_info, 2);
	for (size_t i = 1; i < header.sh_size / header.sh_entsize; i++) {
		assert_non_null(gelf_getsym(data, i, &symbol));
		assert_int_equal(GELF_ST_BIND(symbol.st_info) == STB_LOCAL,
		                 i < header.sh_info);
		if (symbol.st_shndx == SHN_UNDEF)
			continue;
		assert_non_null(gelf_getshdr(
			elf_getscn(all->image.elf, symbol.st_shndx), &home));
		assert_in_range(symbol.st_value, home.sh_addr,
		                home.sh_addr + home.sh_size - symbol.st_size);
	}
}

/** CFA and return address rule at @p addr, as text. */
static void describe_frame(Dwarf_CFI *cfi, uint64_t addr, char *text,
                           size_t size)
{
	Dwarf_Frame *frame = NULL;
	Dwarf_Addr start, end;
	bool is_signal;
	Dwarf_Op *ops, space[3];
	size_t num_ops, used;

	*text = '\0';
	if (dwarf_cfi_addrframe(cfi, addr, &frame) != 0)
		return;
	assert_int_equal(dwarf_frame_info(frame, &start, &end, &is_signal), 16);
	assert_int_equal(dwarf_frame_cfa(frame, &ops, &num_ops), 0);
	used = snprintf(text, size, "%llx-%llx", (unsigned long long)start,
	                (unsigned long long)end);
	for (size_t i = 0; i < num_ops; i++)
		used += snprintf(text + used, size - used, " %x:%llx",
		                 ops[i].atom,
		                 (unsigned long long)ops[i].number);
	for (int reg = 0; reg <= 16; reg++) {
		assert_int_equal(
			dwarf_frame_register(frame, reg, space, &ops, &num_ops),
			0);
		used += snprintf(
			text + used, size - used, " r%d=%zu:%llx", reg, num_ops,
			num_ops ? (unsigned long long)ops[0].number : 0);
	}
	free(frame);
}

static void unwinding_is_as_in_new_at_each_address(void **state)
{
	static const char *const names[] = {"catching", "_ZL5inneri"};
	struct throwing *all = *state;
	Dwarf_CFI *old_cfi = dwarf_getcfi_elf(all->library.elf);
	Dwarf_CFI *new_cfi = dwarf_getcfi_elf(all->image.elf);
	char expected[1024], found[1024];

	assert_non_null(old_cfi);
	assert_non_null(new_cfi);
	for (size_t i = 0; i < 2; i++) {
		GElf_Sym symbol = fixture_symbol(&all->library, names[i]);

		for (uint64_t off = 0; off < symbol.st_size; off++) {
			describe_frame(old_cfi, symbol.st_value + off, expected,
			               sizeof(expected));
			describe_frame(new_cfi, symbol.st_value + off, found,
			               sizeof(found));
			assert_true(*expected);
			assert_string_equal(found, expected);
		}
	}
	describe_frame(new_cfi, fixture_symbol(&all->library, "leaf").st_value,
	               found, sizeof(found));
	assert_string_equal(found, "");
	dwarf_cfi_end(old_cfi);
	dwarf_cfi_end(new_cfi);
}

static void exception_tables_are_found_from_the_new_place(void **state)
{
	struct throwing *all = *state;
	struct unwind_table *old_table, *new_table;
	uint64_t addr = fixture_symbol(&all->library, "catching").st_value;
	uint64_t lsda, personality, new_lsda, new_personality;
	GElf_Shdr section, except;

	assert_true(fixture_section(&all->library, ".eh_frame", &section));
	assert_null(unwind_table_create(
		section.sh_addr, all->library.bytes.data + section.sh_offset,
		section.sh_size, &old_table));
	unwind_table_references(old_table, addr, &lsda, &personality);
	assert_true(
		fixture_section(&all->library, ".gcc_except_table", &except));
	assert_in_range(lsda, except.sh_addr,
	                except.sh_addr + except.sh_size - 1);
	assert_true(personality ==
	            fixture_symbol(&all->library, "DW.ref.__gxx_personality_v0")
	                    .st_value);

	assert_true(fixture_section(&all->image, ".eh_frame", &section));
	assert_null(unwind_table_create(
		section.sh_addr, all->image.bytes.data + section.sh_offset,
		section.sh_size, &new_table));
	unwind_table_references(new_table, addr, &new_lsda, &new_personality);
	assert_true(new_lsda == lsda);
	assert_true(new_personality == personality);
	unwind_table_destroy(old_table);
	unwind_table_destroy(new_table);
}

static void missing_exception_table_is_refused(void **state)
{
	struct throwing *all = *state;
	struct parts parts;

	describe_throwing(&parts, &all->library);
	/* The third piece is .gcc_except_table. */
	parts.pieces[2] = parts.pieces[--parts.image.num_pieces];
	parts.image.num_relocations = 0;
	assert_refused(&parts, HFX_ERROR_INVALID_ARGUMENT, "exception table");
}

#define WITH_LIBRARY(test)                                                     \
	cmocka_unit_test_setup_teardown(test, enter_throwing, leave_throwing)

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
		WITH_LIBRARY(tools_take_the_image_without_a_warning),
		WITH_LIBRARY(elflint_finds_no_error_but_the_lack_of_needed),
		WITH_LIBRARY(tools_show_what_is_inside),
		WITH_LIBRARY(code_has_the_bytes_and_place_of_new),
		WITH_LIBRARY(local_symbols_come_first_in_their_sections),
		WITH_LIBRARY(unwinding_is_as_in_new_at_each_address),
		WITH_LIBRARY(exception_tables_are_found_from_the_new_place),
		WITH_LIBRARY(missing_exception_table_is_refused),
	};

	return cmocka_run_group_tests_name("image_writer", tests, NULL, NULL);
}
