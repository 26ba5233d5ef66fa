/* SPDX-License-Identifier: MIT */
#include "address_flow.h"
#include "elf_fixture.h"
#include "program_load.h"
#include "scan.h"

/* Functions in assembly, which begin with `lea data(%rip)`, and their fates. */
static const struct example {
	const char *name;
	const char *code;
	enum address_fate fate;
} examples[] = {
	{"passes",
         "lea data(%rip),%rdi\n"
         "call outside@plt\n"
         "ret\n",
         ADDRESS_USED},
	{"leaves_with_it",
         "lea data(%rip),%rsi\n"
         "jmp outside@plt\n",
         ADDRESS_USED},
	{"stores",
         "lea data(%rip),%rax\n"
         "mov %rax,8(%rdi)\n"
         "ret\n",
         ADDRESS_USED},
	{"returns",
         "lea data(%rip),%rax\n"
         "ret\n",
         ADDRESS_USED},
	{"reads",
         "lea data(%rip),%rcx\n"
         "mov 0x18(%rcx),%eax\n"
         "ret\n",
         ADDRESS_USED},
	{"fills",
         "lea data(%rip),%rdi\n"
         "mov $4,%ecx\n"
         "rep stosq\n"
         "ret\n",
         ADDRESS_USED},
	{"passes_on_one_way",
         "lea data(%rip),%rdi\n"
         "test %eax,%eax\n"
         "je 1f\n"
         "call outside@plt\n"
         "1: ret\n",
         ADDRESS_USED},
	{"copies",
         "lea data(%rip),%rax\n"
         "mov %rax,%rbx\n"
         "call outside@plt\n"
         "mov (%rbx),%eax\n"
         "ret\n",
         ADDRESS_USED},
	{"adds_once",
         "lea data(%rip),%rax\n"
         "lea -16(%rax),%rdi\n"
         "call outside@plt\n"
         "ret\n",
         ADDRESS_USED},
	{"reads_past_padding",
         "lea data(%rip),%rax\n"
         "nopw 0(%rax,%rax)\n"
         "mov (%rax),%eax\n"
         "ret\n",
         ADDRESS_USED},
	{"is_lost",
         "lea data(%rip),%rdi\n"
         "call outside@plt\n"
         "mov (%rdi,%rax),%eax\n"
         "ret\n",
         ADDRESS_USED},
	{"ends",
         "lea data(%rip),%rbx\n"
         "mov %rbx,%rdi\n"
         "call abort@plt\n"
         "mov (%rbx,%rax),%eax\n"
         "ret\n",
         ADDRESS_USED},
	{"compares",
         "lea data(%rip),%rax\n"
         "cmp %rax,%rdi\n"
         "sete %al\n"
         "ret\n",
         ADDRESS_COMPARED},
	{"overwrites",
         "lea data(%rip),%rax\n"
         "mov $1,%eax\n"
         "ret\n",
         ADDRESS_COMPARED},
	{"indexes",
         "lea data(%rip),%rax\n"
         "mov (%rax,%rdi,4),%eax\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"is_index",
         "lea data(%rip),%rax\n"
         "mov (%rdi,%rax),%eax\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"adds",
         "lea data(%rip),%rdi\n"
         "add %rax,%rdi\n"
         "call outside@plt\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"is_added",
         "lea data(%rip),%rax\n"
         "add %rax,%rdi\n"
         "mov (%rdi),%eax\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"scales",
         "lea data(%rip),%rax\n"
         "lea (%rax,%rdi,4),%rdi\n"
         "call outside@plt\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"loops",
         "lea data(%rip),%rax\n"
         "1: add $4,%rax\n"
         "movl $0,(%rax)\n"
         "cmp %rax,%rdi\n"
         "jne 1b\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"loops_by_a_copy",
         "lea data(%rip),%rax\n"
         "1: lea 4(%rax),%rdx\n"
         "movl $0,(%rdx)\n"
         "mov %rdx,%rax\n"
         "cmp %rax,%rdi\n"
         "jne 1b\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"indexes_elsewhere",
         "lea data(%rip),%rbx\n"
         "test %eax,%eax\n"
         "je 1f\n"
         "mov (%rbx),%eax\n"
         "ret\n"
         "1: mov (%rbx,%rdi),%eax\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"indexes_behind",
         "lea data(%rip),%rdi\n"
         "call inside\n"
         "mov (%rdi,%rax,4),%eax\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"hides",
         "lea data(%rip),%rax\n"
         "mov %rax,-8(%rsp)\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"pushes",
         "lea data(%rip),%rax\n"
         "push %rax\n"
         "pop %rcx\n"
         "ret\n",
         ADDRESS_COUNTED},
	{"switches",
         "lea data(%rip),%rax\n"
         "jmp *%rdi\n",
         ADDRESS_COUNTED},
};

/* inside() leaves %rdi alone, and who calls it may know. */
#define REST                                                                   \
	".type inside,@function\ninside: ret\n.size inside,.-inside\n"         \
	".data\n.type data,@object\ndata: .zero 64\n.size data,64\n"           \
	".section .note.GNU-stack,\"\",@progbits\n"

static void write_source(const char *path)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++)
		fprintf(file,
		        ".globl %1$s\n.type %1$s,@function\n%1$s: %2$s"
		        ".size %1$s,.-%1$s\n",
		        examples[i].name, examples[i].code);
	fputs(REST, file);
	assert_int_equal(fclose(file), 0);
}

static const struct function *find_function(const struct program *program,
                                            const char *name)
{
	for (size_t i = 0; i < program->num_functions; i++)
		if (!strcmp(function_name(program, &program->functions[i]),
		            name))
			return &program->functions[i];
	fail_msg("there is no %s", name);
	return NULL;
}

static void check(const struct program *program, struct decoder *decoder,
                  const struct example *example)
{
	const struct function *function = find_function(program, example->name);
	enum address_fate fate;

	assert_true(function->num_references > 0);
	assert_int_equal(function->references[0].kind, REFERENCE_ADDRESS);
	assert_null(address_flow_fate(decoder, program, function,
	                              &function->references[0], &fate));
	if (fate != example->fate)
		fail_msg("%s: %d, not %d", example->name, fate, example->fate);
}

static void an_address_is_followed_to_what_is_done_with_it(void **state)
{
	char *folder = fixture_enter();
	char path[PATH_MAX];
	struct program *program, *other;
	struct decoder *decoder;

	(void)state;
	snprintf(path, sizeof(path), "%s/a.s", folder);
	write_source(path);
	snprintf(path, sizeof(path), "%s/a.so", folder);
	assert_int_equal(fixture_run(NULL, 0,
	                             "gcc -shared -o '%s' '%s/a.s' 2>&1", path,
	                             folder),
	                 0);
	assert_null(program_load(path, NULL, &program));
	assert_null(program_load(path, NULL, &other));
	assert_null(scan_programs(program, other));
	assert_null(decoder_create(&decoder));
	for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++)
		check(program, decoder, &examples[i]);
	decoder_destroy(decoder);
	program_destroy(program);
	program_destroy(other);
	fixture_leave(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			an_address_is_followed_to_what_is_done_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
