/* SPDX-License-Identifier: MIT */
#include "debug_build.h"

/** Ways to compile what must give the same answers. */
static const char *const ways[] = {
	"gcc -gdwarf-4 -O0",
	"gcc -gdwarf-4 -O2",
	"gcc -gdwarf-5 -O0",
	"gcc -gdwarf-5 -O2",
	"clang -gdwarf-4 -O0",
	"clang -gdwarf-4 -O2",
	"clang -gdwarf-5 -O0",
	"clang -gdwarf-5 -O2",
	"gcc -gdwarf-4 -O2 -fdebug-types-section",
	"gcc -gdwarf-5 -O2 -fdebug-types-section",
	"gcc -gdwarf-5 -O2 -flto",
};

#define NUM_WAYS (sizeof(ways) / sizeof(*ways))

static const char c_source[] =
	"#include <stddef.h>\n"
	"struct foo { int a; struct foo *next; };\n"
	"typedef struct { int x, y; } point_t;\n"
	"enum color { RED };\n"
	"int sink;\n"
	"static int step(int n)\n"
	"{ static int count; count += n; return count; }\n"
	"int callback(struct foo *p, const char *const *names,\n"
	"             void (*cb)(int, void *), enum color c)\n"
	"{ static int n; if (cb) cb(n++, p);\n"
	"  return step(p->a) + (int)c + names[0][0]; }\n"
	"int variadic(point_t pt, const char *restrict fmt, ...)\n"
	"{ static int n; n += pt.x; return n + fmt[0]; }\n"
	"int (*returns_function(int x[10], int (*m)[3][4], volatile int *v))"
	"(int, ...)\n"
	"{ sink = x[0] + m[1][2][3] + *v; return NULL; }\n"
	"void blocks(void)\n"
	"{ { static int n; n++; sink += n; }\n"
	"  { static int n = 3; n += sink; sink = n; } }\n"
	"void unprototyped() { step(3); }\n"
	"struct { int z; } *unnamed(char *const p, int)\n"
	"{ return (void *)p; }\n"
	"union u { int i; } *tagged(_Bool b, union u *p)\n"
	"{ return b ? p : NULL; }\n";

static const char cxx_source[] =
	"namespace Game {\n"
	"namespace { int secret(int x)\n"
	"{ static int s; s += x; return s; } }\n"
	"class Player { public:\n"
	"  Player(int hp); ~Player(); int hit(int amount); int hp() const;\n"
	"  static int total; int hp_; };\n"
	"int Player::total = 5;\n"
	"Player::Player(int hp) : hp_(hp + secret(hp)) {}\n"
	"Player::~Player() { total--; }\n"
	"int Player::hit(int amount)\n"
	"{ static int hits; hits++; return hp_ -= amount + hits; }\n"
	"int Player::hp() const { return hp_; }\n"
	"template<class T> T twice(const T &t) { return t + t; }\n"
	"template int twice<int>(const int &);\n"
	"}\n"
	"extern \"C\" int use(Game::Player &p, Game::Player &&q,\n"
	"  int (Game::Player::*m)() const, bool b)\n"
	"{ return p.hp_ + q.hp_ + (b ? (p.*m)() : 0); }\n";

static bool can_compile(const char *way)
{
	return build_has_turn() &&
	       (strncmp(way, "clang", 5) != 0 || build_can_run("clang"));
}

/** Build with the way's compiler for C++. */
static void create_cxx(const char *way, struct build *build)
{
	char command[128];
	const char *flags = strchr(way, ' ');

	snprintf(command, sizeof(command), "%s -std=c++17%s",
	         way[0] == 'g' ? "g++" : "clang++", flags);
	build_create(command, "b.cc", cxx_source, build);
}

static void assert_function(const struct build *build, const char *symbol,
                            const char *name, const char *signature)
{
	struct debug_function function;

	assert_null(debug_info_function(build->debug, build_addr(build, symbol),
	                                &function));
	assert_string_equal(function.name, name);
	assert_string_equal(function.signature, signature);
	debug_function_deinit(&function);
}

static void signature_is_written_as_c_declares_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_WAYS; i++) {
		struct build build = {0};

		if (!can_compile(ways[i]))
			continue;
		print_message("%s\n", ways[i]);
		build_create(ways[i], "a.c", c_source, &build);
		assert_function(&build, "callback", "callback",
		                "int callback(struct foo *p, const char *const "
		                "*names, void (*cb)(int, void *), enum color "
		                "c)");
		assert_function(&build, "variadic", "variadic",
		                "int variadic(point_t pt, const char *restrict "
		                "fmt, ...)");
		assert_function(&build, "returns_function", "returns_function",
		                "int (*returns_function(int *x, int "
		                "(*m)[3][4], volatile int *v))(int, ...)");
		assert_function(&build, "blocks", "blocks",
		                "void blocks(void)");
		assert_function(&build, "unprototyped", "unprototyped",
		                "void unprototyped()");
		assert_function(&build, "unnamed", "unnamed",
		                "struct {...} *unnamed(char *const p, int)");
		assert_function(&build, "tagged", "tagged",
		                "union u *tagged(_Bool b, union u *p)");
		build_destroy(&build);
	}
}

static void method_is_named_with_class_and_qualifiers(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_WAYS; i++) {
		struct build build = {0};

		if (!can_compile(ways[i]))
			continue;
		print_message("%s\n", ways[i]);
		create_cxx(ways[i], &build);
		assert_function(&build, "_ZN4Game6Player3hitEi",
		                "Game::Player::hit(int)",
		                "int Game::Player::hit(int amount)");
		assert_function(&build, "_ZNK4Game6Player2hpEv",
		                "Game::Player::hp() const",
		                "int Game::Player::hp(void) const");
		assert_function(&build, "_ZN4Game6PlayerC2Ei",
		                "Game::Player::Player(int)",
		                "Game::Player::Player(int hp)");
		assert_function(&build, "_ZN4Game6PlayerD2Ev",
		                "Game::Player::~Player()",
		                "Game::Player::~Player(void)");
		assert_function(&build, "_ZN4Game5twiceIiEET_RKS1_",
		                "Game::twice<int>(const int &)",
		                "int Game::twice<int>(const int &t)");
		assert_function(&build, "use",
		                "use(Game::Player &, Game::Player &&, int "
		                "(Game::Player::*)(void) const, bool)",
		                "int use(Game::Player &p, Game::Player &&q, "
		                "int (Game::Player::*m)(void) const, bool b)");
		build_destroy(&build);
	}
}

static void function_tells_unit_and_source(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_WAYS; i++) {
		struct debug_function function;
		struct build build = {0};
		uint64_t addr;
		char *text;

		if (!can_compile(ways[i]))
			continue;
		print_message("%s\n", ways[i]);
		build_create(ways[i], "a.c", c_source, &build);
		addr = build_addr(&build, "variadic");
		assert_null(debug_info_function(build.debug, addr, &function));
		assert_string_equal(function.unit, "a.c");
		assert_string_equal(function.source, "a.c:12");
		assert_string_equal(function.linkage_name, "variadic");
		debug_function_deinit(&function);
		assert_null(
			debug_info_unit_at(build.debug, addr, false, &text));
		assert_string_equal(text, "a.c");
		free(text);
		addr = build_addr(&build, "blocks");
		assert_null(debug_info_line_at(build.debug, addr, &text));
		assert_true(strcmp(text, "a.c:16") == 0 ||
		            strcmp(text, "a.c:17") == 0);
		free(text);
		build_destroy(&build);
	}
}

static void methods_have_their_linkage_name(void **state)
{
	struct debug_function function;
	struct build build = {0};

	(void)state;
	create_cxx("gcc -g -O2", &build);
	assert_null(debug_info_function(
		build.debug, build_addr(&build, "_ZN4Game6Player3hitEi"),
		&function));
	assert_string_equal(function.linkage_name, "_ZN4Game6Player3hitEi");
	assert_string_equal(function.source, "b.cc:10");
	debug_function_deinit(&function);
	build_destroy(&build);
}

static void unit_is_told_from_the_build_folder(void **state)
{
	struct debug_function function;
	struct build build = {0};

	(void)state;
	/* As a build outside of the source tree compiles it. */
	build_create("mkdir obj && cd obj && cp ../a.c ../source.c && ln -s "
	             ". a.c && gcc -g -shared -fPIC -o ../test.so "
	             "$PWD/../source.c && : ",
	             "a.c", "int f(void) { return 1; }\n", &build);
	assert_null(debug_info_function(build.debug, build_addr(&build, "f"),
	                                &function));
	assert_string_equal(function.unit, "../source.c");
	assert_string_equal(function.source, "source.c:1");
	debug_function_deinit(&function);
	build_destroy(&build);
}

static void cold_part_belongs_to_its_function(void **state)
{
	static const char source[] =
		"void fail(const char *) __attribute__((cold));\n"
		"int hot(int *p) { if (!p) { fail(\"a\"); fail(\"b\");\n"
		"  return 1; } return *p; }\n";
	struct build build = {0};

	(void)state;
	build_create("gcc -g -O2", "a.c", source, &build);
	assert_int_not_equal(build_addr(&build, "hot"),
	                     build_addr(&build, "hot.cold"));
	assert_function(&build, "hot.cold", "hot", "int hot(int *p)");
	build_destroy(&build);
}

static void clone_shows_what_was_declared(void **state)
{
	static const char source[] =
		"extern int g(int);\n"
		"static __attribute__((noinline)) int part(int unused, int k,\n"
		"  const int *p) { return g(k) + g(*p); }\n"
		"int use(int a) { return part(1, 7, &a) + part(2, 7, &a); }\n";
	struct build build = {0};

	(void)state;
	build_create("gcc -g -O2", "a.c", source, &build);
	assert_function(&build, "part.constprop.0", "part",
	                "int part(int unused, int k, const int *p)");
	build_destroy(&build);
}

/** Whether @p name is inlined somewhere in @p symbol. */
static bool is_inlined(const struct build *build, const char *symbol,
                       const char *name)
{
	GElf_Sym place = build_symbol(build, symbol);
	bool is_found = false;

	for (uint64_t off = 0; off < place.st_size; off++) {
		char *text;

		assert_null(debug_info_inlined_at(build->debug,
		                                  place.st_value + off, &text));
		is_found = is_found || (text && strcmp(text, name) == 0);
		free(text);
	}
	return is_found;
}

static void inlined_function_is_found_where_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_WAYS; i++) {
		struct build build = {0};
		bool is_optimized = strstr(ways[i], "-O2");

		if (!can_compile(ways[i]))
			continue;
		print_message("%s\n", ways[i]);
		build_create(ways[i], "a.c", c_source, &build);
		assert_int_equal(is_inlined(&build, "unprototyped", "step"),
		                 is_optimized);
		assert_false(is_inlined(&build, "variadic", "step"));
		build_destroy(&build);
	}
}

struct scopes {
	const struct build *build;
	const char *text;
	unsigned count;
	/** Of the last one that was found. */
	char symbol[64];
};

static void count_scope(const char *name, const GElf_Sym *symbol, void *context)
{
	struct scopes *scopes = context;
	char *unit;
	char *text;

	if (GELF_ST_TYPE(symbol->st_info) != STT_OBJECT || symbol->st_size == 0)
		return;
	assert_null(debug_info_variable_scope(scopes->build->debug,
	                                      symbol->st_value, &text));
	assert_null(debug_info_unit_at(scopes->build->debug, symbol->st_value,
	                               true, &unit));
	assert_int_equal(strncmp(text, unit, strlen(unit)), 0);
	if (strcmp(text, scopes->text) == 0) {
		scopes->count++;
		snprintf(scopes->symbol, sizeof(scopes->symbol), "%s", name);
	}
	free(unit);
	free(text);
}

/** Exactly one variable has this scope; its symbol goes to @p symbol. */
static void assert_scope(const struct build *build, const char *text,
                         char symbol[64])
{
	struct scopes scopes = {.build = build, .text = text};

	build_visit(build, count_scope, &scopes);
	if (scopes.count != 1)
		fail_msg("%u variables are %s", scopes.count, text);
	if (symbol)
		memcpy(symbol, scopes.symbol, sizeof(scopes.symbol));
}

static void static_variable_has_the_scope_of_its_function(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_WAYS; i++) {
		struct build build = {0};

		if (!can_compile(ways[i]))
			continue;
		print_message("%s\n", ways[i]);
		build_create(ways[i], "a.c", c_source, &build);
		assert_scope(&build, "a.c/sink", NULL);
		assert_scope(&build, "a.c/callback/0/n", NULL);
		assert_scope(&build, "a.c/variadic/0/n", NULL);
		assert_scope(&build, "a.c/blocks/0/n", NULL);
		assert_scope(&build, "a.c/blocks/1/n", NULL);
		if (ways[i][0] == 'g') /* clang loses it when inlined. */
			assert_scope(&build, "a.c/step/0/count", NULL);
		build_destroy(&build);
	}
}

static void scope_stays_when_symbols_are_renumbered(void **state)
{
	struct build old_build = {0};
	struct build new_build = {0};
	char source[sizeof(c_source) + 128];
	char old_symbol[64];
	char new_symbol[64];

	(void)state;
	snprintf(source, sizeof(source), "%s%s", c_source,
	         "int more(void) { static int n; return ++n; }\n");
	build_create("gcc -g -O2", "a.c", c_source, &old_build);
	/* Here `step` is not inlined any more. */
	build_create("gcc -g -O2 -fno-inline", "a.c", source, &new_build);
	assert_scope(&old_build, "a.c/variadic/0/n", old_symbol);
	assert_scope(&new_build, "a.c/variadic/0/n", new_symbol);
	assert_string_not_equal(old_symbol, new_symbol);
	assert_scope(&old_build, "a.c/step/0/count", NULL);
	assert_scope(&new_build, "a.c/step/0/count", NULL);
	build_destroy(&old_build);
	build_destroy(&new_build);
}

static void cxx_variable_has_its_namespaces_in_the_scope(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_WAYS; i++) {
		struct build build = {0};

		if (!can_compile(ways[i]))
			continue;
		print_message("%s\n", ways[i]);
		create_cxx(ways[i], &build);
		assert_scope(&build, "b.cc/Game/Player/total", NULL);
		assert_scope(&build, "b.cc/Game::Player::hit(int)/0/hits",
		             NULL);
		if (ways[i][0] == 'g')
			assert_scope(&build,
			             "b.cc/Game::(anonymous namespace)::"
			             "secret(int)/0/s",
			             NULL);
		build_destroy(&build);
	}
}

static void address_without_debug_information_gives_nothing(void **state)
{
	struct debug_function function;
	struct build build = {0};
	char *text;

	(void)state;
	build_create("gcc -g", "a.c", c_source, &build);
	assert_function(&build, "_init", "", "");
	assert_null(debug_info_function(build.debug, UINT64_MAX, &function));
	assert_string_equal(function.linkage_name, "");
	debug_function_deinit(&function);
	assert_null(debug_info_inlined_at(build.debug, 0, &text));
	assert_null(text);
	assert_null(debug_info_line_at(build.debug, 0, &text));
	assert_string_equal(text, "");
	free(text);
	assert_null(debug_info_unit_at(build.debug, 1, true, &text));
	assert_string_equal(text, "");
	free(text);
	assert_null(debug_info_variable_scope(build.debug, 1, &text));
	assert_string_equal(text, "");
	free(text);
	build_destroy(&build);
}

static void assembly_has_a_name_but_no_prototype(void **state)
{
	struct build build = {0};

	(void)state;
	build_create("gcc -g -Wl,-z,noexecstack", "a.S",
	             ".globl f\n.type f,@function\nf: ret\n.size f,.-f\n",
	             &build);
	assert_function(&build, "f", "f", "void f()");
	build_destroy(&build);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signature_is_written_as_c_declares_it),
		cmocka_unit_test(method_is_named_with_class_and_qualifiers),
		cmocka_unit_test(function_tells_unit_and_source),
		cmocka_unit_test(methods_have_their_linkage_name),
		cmocka_unit_test(unit_is_told_from_the_build_folder),
		cmocka_unit_test(cold_part_belongs_to_its_function),
		cmocka_unit_test(clone_shows_what_was_declared),
		cmocka_unit_test(inlined_function_is_found_where_it_is),
		cmocka_unit_test(static_variable_has_the_scope_of_its_function),
		cmocka_unit_test(scope_stays_when_symbols_are_renumbered),
		cmocka_unit_test(cxx_variable_has_its_namespaces_in_the_scope),
		cmocka_unit_test(assembly_has_a_name_but_no_prototype),
		cmocka_unit_test(
			address_without_debug_information_gives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
