/* SPDX-License-Identifier: MIT */
#include "elf_fixture.h"
#include "program_load.h"
#include "scan.h"
#include "workers.h"

/* `moved` stands elsewhere in NEW and `grown` has other code. */
static const char source[] =
	"extern int puts(const char *);\n"
	"extern int other(int);\n"
	"int values[64], limit;\n"
	"const double scale = 2.5;\n"
	"__thread int depth;\n"
	"#ifdef NEW\n"
	"int added(int n) { return values[n] + other(n); }\n"
	"#endif\n"
	"int grown(int n) { return n * SEED + values[1]; }\n"
	"static __attribute__((noinline)) int leaf(int n) { return n + limit; "
	"}\n"
	"int moved(int n)\n"
	"{\n"
	"	for (int i = 0; i < n; i++)\n"
	"		values[i] += leaf(other(i)) * scale + depth;\n"
	"	if (n > limit)\n"
	"		puts(\"too many\");\n"
	"	return grown(n);\n"
	"}\n";

struct pair {
	char *folder;
	char paths[2][PATH_MAX];
};

static void compile(struct pair *pair, int index, const char *flags)
{
	snprintf(pair->paths[index], PATH_MAX, "%s/%d.so", pair->folder, index);
	assert_int_equal(
		fixture_run(
			NULL, 0,
			"gcc -O2 -g -fPIC -shared -fno-semantic-interposition "
			"%s -o '%s' '%s/a.c' 2>&1",
			flags, pair->paths[index], pair->folder),
		0);
}

static int enter(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair->folder = fixture_enter();
	fixture_write(pair->folder, "a.c", source, strlen(source));
	compile(pair, 0, "-DSEED=3");
	compile(pair, 1, "-DSEED=1234567 -DNEW");
	*state = pair;
	return 0;
}

static int leave(void **state)
{
	struct pair *pair = *state;

	fixture_leave(pair->folder);
	free(pair);
	return 0;
}

static struct program *load(const char *path)
{
	struct program *program;

	assert_null(program_load(path, NULL, &program));
	return program;
}

static void assert_same_references(const struct function *a,
                                   const struct function *b)
{
	assert_int_equal(a->num_references, b->num_references);
	for (size_t r = 0; r < a->num_references; r++) {
		const struct reference *x = &a->references[r];
		const struct reference *y = &b->references[r];

		assert_int_equal(x->target, y->target);
		assert_int_equal(x->insn_off, y->insn_off);
		assert_int_equal(x->insn_size, y->insn_size);
		assert_int_equal(x->field_off, y->field_off);
		assert_int_equal(x->field_size, y->field_size);
		assert_int_equal(x->kind, y->kind);
		assert_int_equal(x->relocation, y->relocation);
		assert_int_equal(x->access_size, y->access_size);
		assert_int_equal(x->is_write, y->is_write);
	}
}

/* In the place of OLD a program is always decoded. */
static void new_scanned_beside_old_is_as_if_decoded(void **state)
{
	const struct pair *pair = *state;
	struct program *old = load(pair->paths[0]);
	struct program *new = load(pair->paths[1]);
	struct program *decoded = load(pair->paths[1]);
	struct program *other = load(pair->paths[0]);
	size_t num_references = 0;

	assert_null(scan_programs(old, new));
	assert_null(scan_programs(decoded, other));
	assert_int_equal(new->num_functions, decoded->num_functions);
	assert_int_equal(new->num_instructions, decoded->num_instructions);
	for (size_t i = 0; i < new->num_functions; i++) {
		const struct function *a = &new->functions[i];
		const struct function *b = &decoded->functions[i];

		assert_int_equal(a->num_instructions, b->num_instructions);
		assert_int_equal(a->uses_tls, b->uses_tls);
		assert_int_equal(a->is_opaque, b->is_opaque);
		assert_same_references(a, b);
		num_references += a->num_references;
	}
	assert_true(num_references > 10);
	program_destroy(old);
	program_destroy(new);
	program_destroy(decoded);
	program_destroy(other);
}

static struct hfx_error *count_item(void *context, struct decoder *decoder,
                                    size_t index)
{
	unsigned char *counts = context;

	assert_non_null(decoder);
	counts[index]++;
	return NULL;
}

static void workers_do_each_item_once(void **state)
{
	static unsigned char counts[10001];

	(void)state;
	assert_null(workers_run(0, count_item, counts));
	assert_null(workers_run(10000, count_item, counts));
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(counts[i], 1);
	assert_int_equal(counts[10000], 0);
}

static struct hfx_error *fail_late(void *context, struct decoder *decoder,
                                   size_t index)
{
	(void)context;
	(void)decoder;
	return index < 500 ? NULL : hfx_error_no_memory();
}

static void workers_hand_on_an_error(void **state)
{
	struct hfx_error *err = workers_run(10000, fail_late, NULL);

	(void)state;
	assert_non_null(err);
	hfx_error_destroy(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			new_scanned_beside_old_is_as_if_decoded, enter, leave),
		cmocka_unit_test(workers_do_each_item_once),
		cmocka_unit_test(workers_hand_on_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
