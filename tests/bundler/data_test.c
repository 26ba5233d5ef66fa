/* SPDX-License-Identifier: MIT */
/*
 * Data at run time: strings, tables, templates, variables and thread-local
 * variables of an old program with the bundle are as the new code needs them.
 */
#include <string.h>

#include "sandbox.h"

#define HEAD                                                                   \
	"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"       \
	"#define NOINLINE __attribute__((noinline, noclone))\n"

static void wide_constants_of_vector_code(void **state)
{
	static const char source[] = HEAD
		"NOINLINE static void mix(float *v)\n"
		"{ static const float k[8] =\n"
		"    {1, 2, 3, 4, 5, 6, V(7, 70), 8};\n"
		"  for (int i = 0; i < 8; i++) v[i] = v[i] * k[i] + 0.5f; }\n"
		"NOINLINE static void fill(int *v)\n"
		"{ for (int i = 0; i < 16; i++) v[i] = i * V(3, 4); }\n"
		"int main(int argc, char **argv)\n"
		"{ float v[8]; int w[16]; (void)argv;\n"
		"  for (int i = 0; i < 8; i++) v[i] = argc + i;\n"
		"  mix(v); fill(w);\n"
		"  for (int i = 0; i < 8; i++) printf(\"%g \", v[i]);\n"
		"  for (int i = 0; i < 16; i++) printf(\"%d \", w[i]);\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O3", source);
	expect_behaves_as_new("-O3 -mavx2", source);
	expect_behaves_as_new("clang -O2", source);
}

/* Pitfall 4: templates without a symbol, in .data.rel.ro and in .data. */
static void templates_with_pointers(void **state)
{
	static const char source[] = HEAD
		"struct option { const char *name; int *place; int "
		"(*call)(int);\n"
		"  const char *more[3]; };\n"
		"int value = 3, other = 4;\n"
		"NOINLINE int call_a(int n) { return n + 1; }\n"
		"NOINLINE int call_b(int n) { return n * V(7, 70); }\n"
		"NOINLINE static void use(struct option *o, int n)\n"
		"{ for (int i = 0; i < n; i++)\n"
		"    printf(\"%s %d %d %s %s\\n\", o[i].name, *o[i].place,\n"
		"           o[i].call(i), o[i].more[0], o[i].more[2]); }\n"
		"NOINLINE static void changed(int n)\n"
		"{ struct option list[] = {\n"
		"    {\"first\", &value, call_a, {\"x\", \"y\", \"z\"}},\n"
		"    {V(\"second\", \"2nd\"), V(&value, &other), call_b,\n"
		"     {\"p\", \"q\", V(\"r\", \"s\")}}};\n"
		"  list[0].place = n > 1 ? &other : list[0].place;\n"
		"  use(list, 2); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; value += argc; changed(argc); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O0", source);
	expect_behaves_as_new("-O2 -fuse-ld=gold", source);
}

/* A pointer just past a table belongs to that table. */
static void end_pointers_of_tables(void **state)
{
	static const char source[] = HEAD
		"struct pair { const char *name; long value; };\n"
		"static const struct pair fixed[] =\n"
		"  {{\"a\", 1}, {\"b\", V(2, 20)}, {\"c\", 3}};\n"
		"static const int numbers[] = {1, 2, 3, V(4, 5)};\n"
		"static struct pair table[] = {{\"x\", 5}, {\"y\", 6}};\n"
		"static long last[4] = {1, 2, 3, 4};\n"
		"static int zeros[3];\n"
		"NOINLINE static long sum(int n)\n"
		"{ long s = n; int i = V(0, 1);\n"
		"  for (const struct pair *p = fixed; p != fixed + 3; p++)\n"
		"    s += p->value, printf(\"%s\", p->name);\n"
		"  for (const int *p = numbers; p != numbers + 4; p++) s += "
		"*p;\n"
		"  for (struct pair *p = table; p != table + 2; p++)\n"
		"    s += p->value++, printf(\"%s\", p->name);\n"
		"  for (long *p = last; p != last + 4; p++) s += (*p)++;\n"
		"  for (int *p = zeros; p != zeros + 3; p++) s += *p += i + "
		"n;\n"
		"  return s; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\" %ld\\n\", sum(argc));\n"
		"  printf(\" %ld\\n\", sum(argc) + last[3] + zeros[2]);\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O1", source);
	expect_behaves_as_new("-O2", source);
}

/* Behind the last constants stands what the linker makes. */
static void end_pointers_at_the_end_of_a_section(void **state)
{
	static const char source[] = HEAD
		"struct entry { const char *name; long n; };\n"
		"static const struct entry list[] =\n"
		"  {{\"a\", 1}, {V(\"b\", \"bb\"), 2}, {\"c\", V(3, 30)}};\n"
		"static int last[] = {1, 2, 3};\n"
		"NOINLINE static long sum(void)\n"
		"{ long s = 0;\n"
		"  for (const struct entry *e = list; e != list + 3; e++)\n"
		"    s += e->n, printf(\"%s\", e->name);\n"
		"  for (int *p = last; p != last + 3; p++) s += (*p)++;\n"
		"  return s; }\n"
		"int main(void)\n"
		"{ printf(\" %ld\\n\", sum()); printf(\" %ld\\n\", sum());\n"
		"  return 0; }\n";

	(void)state;
	build_pair("-O0", source);
	/* Or it shows nothing. */
	expect_status(0, "nm new/prog | grep -q "
	                 "\"$(nm -S new/prog | awk '/ list$/ {printf "
	                 "\"%%016x\", strtonum(\"0x\" $1) + strtonum(\"0x\" "
	                 "$2)}') d _DYNAMIC\"");
	expect_pair_behaves_as_new("old/prog", "new/prog");
	expect_behaves_as_new("-O0 -fuse-ld=gold", source);
	expect_behaves_as_new("-O0 -fno-pie -no-pie -Wl,--emit-relocs", source);
}

/* What lies between two labels is a table to the code that runs over it. */
#define LINKER_SET(item)                                                       \
	HEAD "typedef " item " item;\n"                                        \
	     "#define ITEM(id, ...) \\\n"                                      \
	     " __attribute__((section(\"items\"), used)) \\\n"                 \
	     " static item id = {__VA_ARGS__}\n"                               \
	     "ITEM(one, 1); ITEM(two, 2);\n"                                   \
	     "#ifdef NEW\n"                                                    \
	     "ITEM(three, 3);\n"                                               \
	     "#endif\n"                                                        \
	     "extern item __start_items[], __stop_items[];\n"                  \
	     "NOINLINE static long sum(void)\n"                                \
	     "{ long s = 0;\n"                                                 \
	     "  for (item *i = __start_items; i < __stop_items; i++)\n"        \
	     "    s += *(const long *)i;\n"                                    \
	     "  return s; }\n"                                                 \
	     "int main(void) { printf(\"%ld\\n\", sum()); return 0; }\n"

static void linker_sets(void **state)
{
	(void)state;
	expect_behaves_as_new("-O2", LINKER_SET("const long"));
	expect_behaves_as_new("-O0", LINKER_SET("const long"));
	expect_behaves_as_new("clang -O2 -fuse-ld=lld",
	                      LINKER_SET("const long"));
	expect_refused("-O2", LINKER_SET("long"), "sum",
	               "runs over the section items, whose content changed");
}

/* Pitfall 5. */
static void objects_that_the_compiler_names(void **state)
{
	static const char source[] = HEAD
		"NOINLINE static const char *plain(int n)\n"
		"{ printf(\"%s\\n\", __func__);\n"
		"  switch (n) { case 0: return \"p0\"; case 1: return \"p1\";\n"
		"  case 2: return \"p2\"; case 3: return \"p3\"; } return "
		"\"-\"; }\n"
		"#ifdef NEW\n"
		"NOINLINE static int added(int n)\n"
		"{ printf(\"%s %s\\n\", __func__, __PRETTY_FUNCTION__);\n"
		"  switch (n) { case 0: return 31; case 1: return 5;\n"
		"  case 2: return 77; case 3: return 9; } return 0; }\n"
		"#endif\n"
		"NOINLINE static int number(int n)\n"
		"{ printf(\"%s\\n\", __PRETTY_FUNCTION__);\n"
		"  switch (n) { case 0: return 11; case 1: return 25;\n"
		"  case 2: return V(37, 38); case 3: return 49; } return 0; }\n"
		"NOINLINE static const char *changed(int n)\n"
		"{ const char *s; printf(\"%s %d\\n\", __func__, number(n));\n"
		"#ifdef NEW\n"
		"  printf(\"%d\\n\", added(n));\n"
		"#endif\n"
		"  switch (n) { case 0: s = \"c0\"; break;\n"
		"  case 1: s = V(\"c1\", \"C1\"); break; case 2: s = \"c2\"; "
		"break;\n"
		"  case 3: s = \"c3\"; break; default: s = \"-\"; }\n"
		"  return s; }\n"
		"int main(void)\n"
		"{ for (int i = 0; i < 5; i++) printf(\"%s %s\\n\", plain(i),\n"
		"    changed(i)); return 0; }\n";

	(void)state;
	build_pair("-O2", source);
	expect_status(0, "nm new/prog | grep -q CSWTCH");
	SCOPED_JSON *report = diff(0, "");
	expect_not_listed(report, "plain");
	expect_pair_behaves_as_new("old/prog", "new/prog");
}

static void new_variables_and_old_ones(void **state)
{
	static const char source[] = HEAD
		"static int counter = 10; static char buffer[64];\n"
		"#ifdef NEW\n"
		"static int added = 5; static char space[5000];\n"
		"int *shared = &counter; const char *label = \"label\";\n"
		"#endif\n"
		"NOINLINE static void count(int n)\n"
		"{ counter += n; snprintf(buffer, sizeof(buffer), \"<%d>\",\n"
		"                        counter);\n"
		"#ifdef NEW\n"
		"  added *= 2; (*shared)++; space[4999] += added;\n"
		"  printf(\"%s %d %d\\n\", label, added, space[4999]);\n"
		"#endif\n"
		"}\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; count(argc); count(argc);\n"
		"  printf(\"%d %s\\n\", counter, buffer); return 0; }\n";

	(void)state;
	build_pair("-O2", source);
	expect_status(0,
	              HFX_BUNDLE_PROGRAM " diff old/prog new/prog -o fix.hfx");
	SCOPED_RUN shown = run(HFX_BUNDLE_PROGRAM " show fix.hfx");
	assert_non_null(strstr(shown.out, "added"));
	assert_non_null(strstr(shown.out, "space"));
	assert_null(strstr(shown.out, "buffer"));
	expect_pair_behaves_as_new("old/prog", "new/prog");
}

static void thread_local_variables(void **state)
{
	static const char source[] =
		HEAD "static __thread int mine = 4; __thread long ours[3];\n"
		     "NOINLINE static void count(int n)\n"
		     "{ mine += n * V(1, 100); ours[n & 1] += mine; }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; count(argc); count(argc + 1);\n"
		     "  printf(\"%d %ld %ld\\n\", mine, ours[0], ours[1]);\n"
		     "  return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O2 -ftls-model=global-dynamic", source);
	expect_behaves_as_new("-O2 -fPIC -ftls-model=initial-exec", source);
	expect_behaves_as_new("clang -O2", source);
}

/* Pitfall 19. */
static void variables_that_are_copied_from_libraries(void **state)
{
	static const char source[] =
		HEAD "#include <unistd.h>\n"
		     "extern char **environ;\n"
		     "NOINLINE static void print(const char *s)\n"
		     "{ fprintf(V(stderr, stdout), \"%s %d\\n\", s, environ != "
		     "NULL); }\n"
		     "int main(void)\n"
		     "{ print(\"one\"); fflush(stdout); fflush(stderr); return "
		     "0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_status(0, "readelf -rW old/prog | grep -q 'COPY.*stdout'");
}

static void a_writable_table_in_the_middle_of_data(void **state)
{
	static const char source[] = HEAD
		"static int before[5] = {1, 2, 3, 4, 5};\n"
		"#ifdef NEW\n"
		"static int fresh[3] = {7, 8, 9};\n"
		"#endif\n"
		"static int after[5] = {6, 7, 8, 9, 10};\n"
		"NOINLINE static int total(int from)\n"
		"{ int s = 0;\n"
		"  for (int i = from; i < 5; i++) s += before[i] * after[4 - "
		"i]++;\n"
		"#ifdef NEW\n"
		"  for (int *p = fresh; p != fresh + 3; p++) s += 1000 * "
		"(*p)++;\n"
		"#endif\n"
		"  return s; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d %d %d\\n\", total(0), total(argc),\n"
		"  after[3]); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O2 -fno-toplevel-reorder", source);
	expect_behaves_as_new("-O2 -fdata-sections", source);
}

/* Indices that the compiler folds into the address: lea table-4(%rip). */
static void references_before_and_behind_an_object(void **state)
{
	static const char source[] = HEAD
		"static int first[6] = {1, 2, 3, 4, 5, 6};\n"
		"static int second[6] = {10, 20, 30, 40, 50, 60};\n"
		"NOINLINE static int pick(long n, int k)\n"
		"{ return first[n - 1] + second[n - 2] * V(1, 3) + k; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\"%d %d\\n\", pick(argc + 1, 0),\n"
		"  pick(argc + 3, first[0]++)); return second[1]++ == 9; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O2 -Wl,--emit-relocs", source);
}

/* The tables change places: only the linker's relocations tell them apart. */
static void tables_that_moved_apart(void **state)
{
	static const char source[] = HEAD
		"int first[8] = {1, 2, 3, 4, 5, 6, 7, 8};\n"
		"#ifdef NEW\n"
		"int between[8] = {7, 7, 7, 7, 7, 7, 7, 7};\n"
		"#endif\n"
		"int second[8] = {10, 20, 30, 40, 50, 60, 70, 80};\n"
		"NOINLINE static int pick(long n)\n"
		"{ int *base;\n"
		"  __asm__(\"lea \" V(\"second\", \"second-4\") \"(%%rip), \"\n"
		"          \"%0\" : \"=r\"(base));\n"
		"  return base[n - V(1, 0)] * V(1, 3); }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; second[1]++; first[0]++;\n"
		"  printf(\"%d %d\\n\", pick(argc + 1), pick(argc));\n"
		"  return 0; }\n";

	(void)state;
	expect_refused("-O2 -fno-toplevel-reorder", source, "pick", "");
	expect_behaves_as_new("-O2 -fno-toplevel-reorder -Wl,--emit-relocs",
	                      source);
}

/*
 * The same where padding or a string stands before the object: a loop that also
 * needs i + 1 counts with that, from one element below.
 */
#define COUNTING_LOOPS                                                         \
	"NOINLINE void mark(const char *text, unsigned char number)\n"         \
	"{ printf(\"%s %d\\n\", text, number); }\n"                            \
	"NOINLINE void all(void)\n"                                            \
	"{ for (int i = 0; i < 23; i++)\n"                                     \
	"    mark(words[i], (unsigned char)(i + 1));\n"                        \
	"  for (int i = 0; i < 29; i++)\n"                                     \
	"    mark(bits + days[i], (unsigned char)(i + 1)); }\n"                \
	"NOINLINE void traps(void)\n"                                          \
	"{ char *q = seen;\n"                                                  \
	"  for (int i = 1; i < 40; i++, q++)\n"                                \
	"    if (*q) mark(\"trap\" + *q, (unsigned char)i), *q = 0; }\n"

static void tables_that_are_counted_from_one(void **state)
{
	static const char source[] = HEAD
		"static const char bits[] = \"0123456789\";\n"
		"static const char *const pairs[3] = {\"x\", \"y\", \"z\"};\n"
		"static const char *const words[23] "
		"__attribute__((aligned(32)))"
		" =\n"
		"  {\"one\", \"two\", V(\"three\", \"drei\"), \"four\",\n"
		"   [4 ... 22] = \"many\"};\n"
		"static const short days[29] __attribute__((aligned(32))) =\n"
		"  {3, V(8, 9), 3, 0};\n"
		"static int flag;\n"
		"static char seen[40] "
		"__attribute__((aligned(32)));\n" COUNTING_LOOPS
		"int main(int argc, char **argv)\n"
		"{ (void)argv; seen[flag++] = argc; puts(pairs[argc]);\n"
		"  seen[2] = 2; traps(); all(); return 0; }\n";

	(void)state;
	expect_behaves_as_new("-O2", source);
	expect_behaves_as_new("-O2 -fno-toplevel-reorder", source);
	expect_behaves_as_new("-O2 -fdata-sections", source);
	expect_behaves_as_new("clang -O2", source);
}

/* From 100 elements before: that is inside of another table. */
#define COUNTING_FROM_100                                                      \
	HEAD "char first[256]; int gap;\n"                                     \
	     "#ifdef NEW\n"                                                    \
	     "char between[64];\n"                                             \
	     "#endif\n"                                                        \
	     "double table[30];\n"                                             \
	     "NOINLINE static void report(void)\n"                             \
	     "{ int sum = 0; for (int i = 0; i < 256; i++) sum += first[i];\n" \
	     "  printf(\"%d %g %g\\n\", sum, table[0], table[29]); }\n"        \
	     "NOINLINE void fill(int n)\n"                                     \
	     "{ FILL\n"                                                        \
	     "#ifdef NEW\n"                                                    \
	     "  between[n & 63]++;\n"                                          \
	     "#endif\n"                                                        \
	     "  printf(\"%d\\n\", n V(+, -) 1); }\n"                           \
	     "int main(int argc, char **argv)\n"                               \
	     "{ (void)argv; fill(argc); report(); return 0; }\n"

/* `days - 2` is inside the table before, which is the same. */
static void a_table_that_is_counted_to_from_inside_another(void **state)
{
	(void)state;
	expect_behaves_as_new(
		"-O1 -fno-toplevel-reorder", HEAD
		"static const char bits[16] __attribute__((aligned(16))) "
		"=\n"
		"  \"0123456789abcde\";\n"
		"static const short days[13] __attribute__((aligned(16))) "
		"=\n"
		"  {31, 28, 31, 30, 31, V(30, 29), 31, 31, 30, 31, 30, 31};\n"
		"NOINLINE int all(int n)\n"
		"{ int sum = 0;\n"
		"  for (int i = 1; i <= n; i++) sum += days[i - 1] * i;\n"
		"  return sum; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; return printf(\"%c %d\\n\", bits[argc],\n"
		"                          all(argc + 11)) < 0; }\n");
}

static void tables_that_are_counted_from_afar(void **state)
{
	(void)state;
	build_pair("-O2 -fno-toplevel-reorder -DFILL="
	           "'for (int i = 30; i < 60; i++) table[i - 30] = i;'",
	           COUNTING_FROM_100);
	expect_pair_behaves_as_new("old/prog", "new/prog");
	/* Only NEW counts so: nothing tells what is meant. */
	build_pair("-O2 -fno-toplevel-reorder -DFILL="
	           "'V(table[n] = 1;, for (int i = 30; i < 60; i++) "
	           "table[i - 30] = i;)'",
	           COUNTING_FROM_100);
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "fill", "moved apart");
}

/*
 * NEW's `text` begins in front of `table`, and the address of its buffer is as
 * far before that as `head.last`, which other code refers to, is in OLD.
 */
#define A_NEW_OBJECT_BEFORE_A_TABLE                                            \
	HEAD "#define ALIGNED __attribute__((aligned(32)))\n"                  \
	     "static struct { long more[6], last; } head ALIGNED;\n"           \
	     "#ifdef NEW\n"                                                    \
	     "static struct { char *start; long n; char buffer[16]; } text"    \
	     " ALIGNED;\n"                                                     \
	     "#endif\n"                                                        \
	     "static char table[128] ALIGNED;\n"                               \
	     "NOINLINE static int changed(int n)\n"                            \
	     "{\n"                                                             \
	     "#ifdef NEW\n"                                                    \
	     "  TAKE\n"                                                        \
	     "#endif\n"                                                        \
	     "  return n V(+, -) 1; }\n"                                       \
	     "NOINLINE static int others(int n)\n"                             \
	     "{ long *last = &head.last; __asm__(\"\" : \"+r\"(last));\n"      \
	     "  head.more[n] = ++*last; return ++table[n]; }\n"                \
	     "int main(int argc, char **argv)\n"                               \
	     "{ (void)argv; int n = others(argc);\n"                           \
	     "  n += changed(argc);\n"                                         \
	     "  return printf(\"%d %d\\n\", n, others(2)) < 0; }\n"

static void an_address_in_a_new_object_that_is_stored(void **state)
{
	(void)state;
	build_pair("-O2 -fno-toplevel-reorder -DTAKE='if (!text.start) {"
	           " text.start = text.buffer; text.n = 1;"
	           " *text.buffer = 115; } puts(text.start);'",
	           A_NEW_OBJECT_BEFORE_A_TABLE);
	expect_pair_behaves_as_new("old/prog", "new/prog");
}

static void an_address_in_a_new_object_that_code_may_count_from(void **state)
{
	(void)state;
	build_pair("-O2 -fno-toplevel-reorder -DTAKE='char *end = text.buffer;"
	           " __asm__(\"add %1, %0\" : \"+r\"(end) : \"r\"((long)n));"
	           " text.n = *end;'",
	           A_NEW_OBJECT_BEFORE_A_TABLE);
	SCOPED_JSON *report = diff(1, "");
	expect_refusal(report, "changed", "moved apart");
}

static void a_static_variable_before_its_namesakes(void **state)
{
	static const char source[] =
		HEAD "NOINLINE static int f(int k)\n"
		     "{ int r = 0;\n"
		     "  V(, if (k == 3) { static int n; r = ++n; })\n"
		     "  if (k == 1) { static int n; r = n++; }\n"
		     "  if (k == 2) { static int n; r = n += 2; }\n"
		     "  return r; }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; return printf(\"%d\\n\", f(argc)) < 0; }\n";

	(void)state;
	expect_refused("-O2", source, "f", "several that may be it");
	expect_refused("clang -O2", source, "f", "several that may be it");
	expect_refused("-O2 -x c++", source, "_ZL1fi",
	               "several that may be it");
}

/* clang counts up to zero, from the end of the table. */
static void tables_that_are_counted_from_their_end(void **state)
{
	static const char source[] = HEAD
		"struct entry { const char *name; long n; long more[2]; };\n"
		"static const struct entry list[3] =\n"
		"  {{\"a\", 1}, {V(\"b\", \"bb\"), 2}, {\"c\", V(3, 30)}};\n"
		"static const char *const others[] = {\"x\", \"y\", \"z\"};\n"
		"NOINLINE static long sum(void)\n"
		"{ long s = 0; for (int i = 0; i < 3; i++)\n"
		"    s += list[i].n, printf(\"%s\", list[i].name);\n"
		"  return s; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; printf(\" %ld\\n\", sum()); "
		"puts(others[argc]);\n"
		"  return 0; }\n";

	(void)state;
	expect_behaves_as_new("clang -Os -fno-pie -no-pie -Wl,--emit-relocs",
	                      source);
	expect_behaves_as_new("clang -Os", source);
}

static void padding_before_a_variable_is_no_difference(void **state)
{
	static const char source[] = HEAD
		"static const char bits[] = \"0123456789\";\n"
		"static const char *const words[23] = {[0 ... 22] = \"a\"};\n"
		"static const short days[29] = {1};\n"
		"static int flag;\n"
		"static char seen[40] "
		"__attribute__((aligned(32)));\n" COUNTING_LOOPS
		"int main(void)\n"
		"{ seen[flag++] = 1; traps(); all(); return 0; }\n";

	(void)state;
	expect_nothing_changed("-O2", source);
	expect_nothing_changed("-O2 -fno-toplevel-reorder", source);
}

/*
 * NEW counts from the table's end, and that is as far before `distant` as the
 * table, which OLD's code counts from, is before OLD's.
 */
static void a_table_that_another_object_seems_to_be_counted_from(void **state)
{
	static const char source[] = HEAD
		"__attribute__((used)) static int table[8] = {1, 2, 3, 4};\n"
		"static int scalar = 5;\n"
		"#ifdef NEW\n"
		"__attribute__((used)) static int extra[8] = {1};\n"
		"#endif\n"
		"static int distant[8] = {100, 200};\n"
		"NOINLINE static int changed(int n)\n"
		"{\n"
		"#ifdef NEW\n"
		"  __asm__(\"mov $-8, %%rax; 1: add table+32(,%%rax,4), %0;"
		" inc %%rax; jne 1b\" : \"+r\"(n) : : \"rax\", \"memory\");\n"
		"  return n;\n"
		"#else\n"
		"  __asm__(\".nops 8; xor %%eax, %%eax; 1: add "
		"table(,%%rax,4), %0; inc"
		" %%rax; cmp $8, %%rax; jne 1b\" : \"+r\"(n) : : \"rax\","
		" \"memory\");\n"
		"  return n;\n"
		"#endif\n"
		"}\n"
		"NOINLINE static int others(int n)\n"
		"{ table[n]++; return ++scalar + ++distant[n]; }\n"
		"int main(int argc, char **argv)\n"
		"{ (void)argv; int n = others(argc);\n"
		"  return printf(\"%d %d\\n\", n, changed(argc)) < 0; }\n";

	(void)state;
	expect_refused("-O1 -fno-toplevel-reorder -fno-pie -no-pie "
	               "-Wl,--emit-relocs",
	               source, "changed", "moved apart");
}

/* An address that counts from the end of `table`, where `extra` begins. */
static void kept_relocations_name_what_is_counted_from(void **state)
{
	static const char source[] =
		HEAD "int table[8] = {1, 2, 3, 4};\n"
		     "#ifdef NEW\n"
		     "int extra[8] = {1};\n"
		     "#endif\n"
		     "int scalar[8] = {5};\n"
		     "NOINLINE static int changed(int n)\n"
		     "{\n"
		     "  __asm__(\".nops 8; mov $-8, %%rax; 1: add "
		     "table+32(,%%rax,4), %0; inc %%rax; jne 1b\" : \"+r\"(n) :"
		     " : \"rax\", \"memory\");\n"
		     "#ifdef NEW\n"
		     "  n += ++extra[n & 7];\n"
		     "#endif\n"
		     "  return n;\n"
		     "}\n"
		     "NOINLINE static int others(int n)\n"
		     "{ table[n]++; return ++scalar[n]; }\n"
		     "int main(int argc, char **argv)\n"
		     "{ (void)argv; int n = others(argc);\n"
		     "  return printf(\"%d %d\\n\", n, changed(argc)) < 0; }\n";

	(void)state;
	expect_behaves_as_new("-O1 -fno-toplevel-reorder -fno-pie -no-pie "
	                      "-Wl,--emit-relocs",
	                      source);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(wide_constants_of_vector_code),
		SANDBOX_TEST(templates_with_pointers),
		SANDBOX_TEST(end_pointers_of_tables),
		SANDBOX_TEST(end_pointers_at_the_end_of_a_section),
		SANDBOX_TEST(linker_sets),
		SANDBOX_TEST(objects_that_the_compiler_names),
		SANDBOX_TEST(new_variables_and_old_ones),
		SANDBOX_TEST(thread_local_variables),
		SANDBOX_TEST(variables_that_are_copied_from_libraries),
		SANDBOX_TEST(a_writable_table_in_the_middle_of_data),
		SANDBOX_TEST(references_before_and_behind_an_object),
		SANDBOX_TEST(tables_that_moved_apart),
		SANDBOX_TEST(tables_that_are_counted_from_one),
		SANDBOX_TEST(a_table_that_is_counted_to_from_inside_another),
		SANDBOX_TEST(tables_that_are_counted_from_afar),
		SANDBOX_TEST(an_address_in_a_new_object_that_is_stored),
		SANDBOX_TEST(
			an_address_in_a_new_object_that_code_may_count_from),
		SANDBOX_TEST(a_static_variable_before_its_namesakes),
		SANDBOX_TEST(tables_that_are_counted_from_their_end),
		SANDBOX_TEST(padding_before_a_variable_is_no_difference),
		SANDBOX_TEST(
			a_table_that_another_object_seems_to_be_counted_from),
		SANDBOX_TEST(kept_relocations_name_what_is_counted_from),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
