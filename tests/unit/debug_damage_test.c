/* SPDX-License-Identifier: MIT */
/*
 * Bytes of the debug information are changed one by one, and every question is
 * asked at every symbol: the answer may be empty or an error, and it must come.
 */
#include <dwarf.h>

#include "debug_build.h"

static const char source[] =
	"namespace N { struct P { virtual ~P(); int x : 3; }; P::~P() {}\n"
	"struct Q : P { union { int a; char b[4]; }; Q *next;\n"
	"int m(int (*cb)(int, void *), const P &p) const; }; }\n"
	"static inline int in(int n) { static int s; s += n; return s; }\n"
	"int N::Q::m(int (*cb)(int, void *), const P &p) const\n"
	"{ static int t; int r = in(x + p.x);\n"
	"  for (int i = 0; i < a; i++) { int k = cb(i, next); r += in(k); }\n"
	"  return r + ++t; }\n"
	"extern \"C\" int f(N::Q *q, int n) { return q->m(0, *q) + in(n); }\n"
	"int table[4];\n";

/** What came of the questions. */
struct outcome {
	const struct build *build;
	unsigned num_answers;
	unsigned num_errors;
	uint64_t addrs[64];
	size_t num_addrs;
};

/** Count @p err; it must be of the kind for damaged files, on one line. */
static bool is_answer(struct outcome *outcome, struct hfx_error *err)
{
	const char *message = hfx_error_message(err);

	if (!err) {
		outcome->num_answers++;
		return true;
	}
	outcome->num_errors++;
	assert_int_equal(hfx_error_code(err), HFX_ERROR_BAD_ELF);
	assert_int_equal(strncmp(message, "test.so: DWARF damaged: ", 24), 0);
	assert_non_null(strstr(message, "; rebuild it with -g or pass the "
	                                "right --old-debug/--new-debug file"));
	hfx_error_destroy(err);
	return false;
}

static void ask_function(struct outcome *outcome, uint64_t addr)
{
	struct debug_function function;
	struct debug_info *debug = outcome->build->debug;

	if (is_answer(outcome, debug_info_function(debug, addr, &function))) {
		assert_non_null(function.unit);
		assert_non_null(function.name);
		assert_non_null(function.linkage_name);
		assert_non_null(function.source);
		assert_non_null(function.signature);
		debug_function_deinit(&function);
	}
}

static void ask_texts(struct outcome *outcome, uint64_t addr)
{
	struct debug_info *debug = outcome->build->debug;
	char *text;

	if (is_answer(outcome, debug_info_inlined_at(debug, addr, &text)))
		free(text);
	if (is_answer(outcome, debug_info_line_at(debug, addr, &text)))
		free(text);
	if (is_answer(outcome, debug_info_unit_at(debug, addr, false, &text)))
		free(text);
	if (is_answer(outcome, debug_info_unit_at(debug, addr, true, &text)))
		free(text);
	if (is_answer(outcome, debug_info_variable_scope(debug, addr, &text)))
		free(text);
}

static void ask_at(const char *name, const GElf_Sym *symbol, void *context)
{
	struct outcome *outcome = context;

	(void)name;
	ask_function(outcome, symbol->st_value);
	ask_texts(outcome, symbol->st_value);
	ask_texts(outcome, symbol->st_value + symbol->st_size / 2);
	if (outcome->num_addrs < 64)
		outcome->addrs[outcome->num_addrs++] = symbol->st_value;
}

static void ask_pair(struct outcome *outcome, const struct build *sound,
                     uint64_t addr)
{
	struct debug_info *debug = outcome->build->debug;
	const struct debug_variable_pair variables = {addr, addr, false};
	const struct debug_call_pair calls = {addr, addr, true};
	char *difference = NULL;
	char *types = NULL;
	uint64_t alignment;

	if (is_answer(outcome, debug_info_call_differs(debug, sound->debug,
	                                               &calls, &difference)))
		free(difference);
	is_answer(outcome,
	          debug_info_variable_alignment(debug, addr, &alignment));
	if (is_answer(outcome, debug_info_variable_differs(debug, sound->debug,
	                                                   &variables, &types)))
		free(types);
}

/** Ask everything of @p build, and compare its types with @p sound's. */
static void ask_all(const struct build *build, const struct build *sound,
                    struct outcome *outcome)
{
	struct debug_function_pair pairs[64] = {0};
	struct debug_type_changes changes = {0};

	outcome->build = build;
	outcome->num_addrs = 0;
	build_visit(build, ask_at, outcome);
	for (size_t i = 0; i < outcome->num_addrs; i++)
		pairs[i] = (struct debug_function_pair){
			.old_addr = outcome->addrs[i],
			.new_addr = outcome->addrs[i],
			.is_exposed = i & 1,
			.variables = outcome->addrs,
			.num_variables = outcome->num_addrs,
		};
	if (is_answer(outcome, debug_info_compare_types(
				       sound->debug, build->debug, pairs,
				       outcome->num_addrs, &changes)))
		debug_type_changes_deinit(&changes);
	/* The other way around all of the damaged one is searched. */
	if (is_answer(outcome, debug_info_compare_types(
				       build->debug, sound->debug, pairs,
				       outcome->num_addrs, &changes)))
		debug_type_changes_deinit(&changes);
	for (size_t i = 0; i < outcome->num_addrs; i++)
		ask_pair(outcome, sound, outcome->addrs[i]);
}

/** Place of a section in the file; size 0 when it has none. */
static GElf_Shdr find_section(const struct build *build, const char *name)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	assert_int_equal(elf_getshdrstrndx(build->elf, &names), 0);
	while ((section = elf_nextscn(build->elf, section))) {
		assert_non_null(gelf_getshdr(section, &header));
		if (strcmp(elf_strptr(build->elf, names, header.sh_name),
		           name) == 0)
			return header;
	}
	return (GElf_Shdr){0};
}

/** The same sequence each time, on every machine. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/** Ask a copy of @p sound in which one byte at @p off differs. */
static void ask_damaged(const struct build *sound, size_t off, uint8_t flip,
                        struct outcome *outcome)
{
	struct build build = {.file.size = sound->file.size};

	build.file.data = malloc(build.file.size);
	assert_non_null(build.file.data);
	memcpy(build.file.data, sound->file.data, build.file.size);
	build.file.data[off] ^= flip;
	if (build_open(&build))
		ask_all(&build, sound, outcome);
	build_destroy(&build);
}

static void damage_section(const struct build *sound, const char *name,
                           unsigned count, struct outcome *outcome)
{
	GElf_Shdr header = find_section(sound, name);
	uint32_t state = 1;

	for (unsigned i = 0; i < count && header.sh_size > 0; i++) {
		size_t off = next_random(&state) % header.sh_size;
		uint8_t flip = 1 + next_random(&state) % 255;

		ask_damaged(sound, header.sh_offset + off, flip, outcome);
	}
}

static void ask_damaged_build(const char *command)
{
	struct outcome sound_outcome = {0};
	struct outcome outcome = {0};
	struct build sound = {0};
	unsigned rounds = build_is_long() ? 25 : 4;

	print_message("%s\n", command);
	build_create(command, "a.cc", source, &sound);
	ask_all(&sound, &sound, &sound_outcome);
	assert_int_equal(sound_outcome.num_errors, 0);
	damage_section(&sound, ".debug_info", 10 * rounds, &outcome);
	damage_section(&sound, ".debug_types", 4 * rounds, &outcome);
	damage_section(&sound, ".debug_abbrev", 10 * rounds, &outcome);
	damage_section(&sound, ".debug_line", 2 * rounds, &outcome);
	damage_section(&sound, ".debug_ranges", rounds, &outcome);
	damage_section(&sound, ".debug_rnglists", rounds, &outcome);
	damage_section(&sound, ".debug_str_offsets", rounds, &outcome);
	damage_section(&sound, ".debug_addr", rounds, &outcome);
	/* Much is found out, and much does no harm. */
	assert_true(outcome.num_answers > 40 * rounds);
	assert_true(outcome.num_errors > 40 * rounds);
	build_destroy(&sound);
}

static void damaged_dwarf_5_never_hurts(void **state)
{
	(void)state;
	ask_damaged_build("g++ -gdwarf-5 -O2");
}

static void damaged_dwarf_4_with_type_units_never_hurts(void **state)
{
	(void)state;
	ask_damaged_build("g++ -gdwarf-4 -O2 -fdebug-types-section");
}

static void damaged_dwarf_of_clang_never_hurts(void **state)
{
	(void)state;
	if (!build_can_run("clang++"))
		skip();
	ask_damaged_build("clang++ -gdwarf-5 -O2");
}

static void sibling_that_points_backwards_is_found(void **state)
{
	struct debug_function function;
	struct hfx_error *err;
	struct build build = {0};
	Dwarf_Attribute attr;
	GElf_Shdr header;
	Dwarf_Die unit;
	Dwarf_Die die;
	size_t off;

	(void)state;
	build_create("g++ -gdwarf-4 -O2", "a.cc", source, &build);
	header = find_section(&build, ".debug_info");
	/* 11: size of a unit's header (DWARF 4, section 7.5.1.1). */
	assert_non_null(dwarf_offdie(build.dwarf, 11, &unit));
	assert_int_equal(dwarf_child(&unit, &die), 0);
	while (!dwarf_attr(&die, DW_AT_sibling, &attr))
		assert_int_equal(dwarf_siblingof(&die, &die), 0);
	assert_int_equal(attr.form, DW_FORM_ref4);
	off = attr.valp - (unsigned char *)die.addr + dwarf_dieoffset(&die);
	build_close(&build);
	memset(build.file.data + header.sh_offset + off, 0, 4);
	build.file.data[header.sh_offset + off] = 11;
	assert_true(build_open(&build));
	err = debug_info_function(build.debug, build_addr(&build, "f"),
	                          &function);
	assert_non_null(err);
	assert_non_null(
		strstr(hfx_error_message(err), "DW_AT_sibling points back"));
	hfx_error_destroy(err);
	build_destroy(&build);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_dwarf_5_never_hurts),
		cmocka_unit_test(damaged_dwarf_4_with_type_units_never_hurts),
		cmocka_unit_test(damaged_dwarf_of_clang_never_hurts),
		cmocka_unit_test(sibling_that_points_backwards_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
