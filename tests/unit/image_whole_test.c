/* SPDX-License-Identifier: MIT */
/* What tools, unwinders and debuggers make of a whole image. */
#include "image_parts.h"

#include <elfutils/libdw.h>

#include "image.h"
#include "unwind_table.h"

/* The image is of a library that throws and catches. */

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
		WITH_LIBRARY(tools_take_the_image_without_a_warning),
		WITH_LIBRARY(elflint_finds_no_error_but_the_lack_of_needed),
		WITH_LIBRARY(tools_show_what_is_inside),
		WITH_LIBRARY(code_has_the_bytes_and_place_of_new),
		WITH_LIBRARY(local_symbols_come_first_in_their_sections),
		WITH_LIBRARY(unwinding_is_as_in_new_at_each_address),
		WITH_LIBRARY(exception_tables_are_found_from_the_new_place),
		WITH_LIBRARY(missing_exception_table_is_refused),
	};

	return cmocka_run_group_tests_name("image_whole", tests, NULL, NULL);
}
