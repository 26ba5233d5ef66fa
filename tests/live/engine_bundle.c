/* SPDX-License-Identifier: MIT */
#include "engine_bundle.h"
#include "elf_fixture.h"

void test_bundle_code(struct test_bundle *bundle, const char *function,
                      const uint8_t *code, size_t size)
{
	struct test_function *one = &bundle->functions[bundle->num_functions++];

	assert_true(bundle->num_functions <= MAX_FUNCTIONS);
	assert_true(size <= FUNCTION_ROOM);
	one->name = function;
	memcpy(one->code, code, size);
	one->code_size = size;
}

void test_bundle_return(struct test_bundle *bundle, const char *function,
                        int value)
{
	/* mov $value, %eax; ret */
	uint8_t code[6] = {0xb8, 0, 0, 0, 0, 0xc3};

	memcpy(code + 1, &value, sizeof(value));
	test_bundle_code(bundle, function, code, sizeof(code));
}

static struct fixture_elf open_program(const struct test_bundle *bundle)
{
	struct buffer bytes;

	assert_null(file_read(bundle->program, 1 << 28, &bytes));
	return fixture_open_bytes(bytes);
}

uint64_t test_bundle_symbol(const struct test_bundle *bundle, const char *name)
{
	struct fixture_elf file = open_program(bundle);
	uint64_t addr = fixture_symbol(&file, name).st_value;

	fixture_close(&file);
	return addr;
}

static struct build_id read_build_id(const struct fixture_elf *file)
{
	struct build_id build_id = {.size = 20};
	GElf_Shdr header;

	assert_true(fixture_section(file, ".note.gnu.build-id", &header));
	assert_int_equal(header.sh_size, 16 + build_id.size);
	memcpy(build_id.bytes, file->bytes.data + header.sh_offset + 16,
	       build_id.size);
	return build_id;
}

static struct buffer make_image(const struct test_bundle *bundle)
{
	static const uint8_t data[64];
	struct image_piece pieces[MAX_FUNCTIONS + 1];
	struct image_symbol symbols[MAX_FUNCTIONS];
	struct image_description description = {
		.soname = bundle->name,
		.build_id = {.size = 20},
		.pieces = pieces,
		.symbols = symbols,
		.imports = (struct image_import *)bundle->imports,
		.num_imports = bundle->num_imports,
		.relocations = (struct image_relocation *)bundle->relocations,
		.num_relocations = bundle->num_relocations,
		.free_addr = NEW_DATA_ADDR + 0x10000,
	};
	struct buffer image;
	struct hfx_error *err;

	for (size_t i = 0; i < bundle->num_functions; i++) {
		const struct test_function *one = &bundle->functions[i];

		pieces[i] = (struct image_piece){
			.addr = NEW_CODE_ADDR + i * FUNCTION_ROOM,
			.size = one->code_size,
			.data = one->code,
			.flags = PF_R | PF_X,
		};
		symbols[i] = (struct image_symbol){
			.name = one->name,
			.addr = pieces[i].addr,
			.size = pieces[i].size,
			.is_function = true,
		};
	}
	pieces[bundle->num_functions] = (struct image_piece){
		NEW_DATA_ADDR, sizeof(data), data, PF_R | PF_W};
	description.num_pieces = bundle->num_functions + 1;
	description.num_symbols = bundle->num_functions;
	err = image_write(&description, &image);
	if (err)
		fail_msg("image_write: %s", hfx_error_message(err));
	return image;
}

static char *copy(const char *text)
{
	char *result = strdup(text);

	assert_non_null(result);
	return result;
}

static struct manifest_function
describe_function(const struct test_bundle *bundle,
                  const struct fixture_elf *file, size_t i)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const struct test_function *one = &bundle->functions[i];
	GElf_Sym symbol = fixture_symbol(file, one->name);
	const uint8_t *old =
		fixture_bytes_at(file, symbol.st_value, symbol.st_size);
	struct manifest_function function = {
		.name = copy(one->name),
		.linkage_name = copy(one->name),
		.unit = copy("victim.c"),
		.signature = copy(bundle->signature ? bundle->signature
	                                            : "int f(void)"),
		.source = copy("victim.c:1"),
		.reason = copy("instruction at +0x0"),
		.kind = MANIFEST_FUNCTION_CHANGED,
		.old_addr = symbol.st_value,
		.old_size = symbol.st_size,
		.old_digest = digest_of(old, symbol.st_size),
		.old_entry = memcmp(old, endbr64, 4) ? 0 : 4,
		.new_addr = NEW_CODE_ADDR + i * FUNCTION_ROOM,
		.new_size = one->code_size,
		.new_entry = bundle->no_new_entry ? MANIFEST_NO_ENTRY : 0,
	};

	function.old_digest.bytes[0] ^= bundle->wrong_digest;
	return function;
}

static uint64_t find_call(const struct fixture_elf *file, const char *caller,
                          const char *callee)
{
	GElf_Sym from = fixture_symbol(file, caller);
	uint64_t to = fixture_symbol(file, callee).st_value;
	const uint8_t *code =
		fixture_bytes_at(file, from.st_value, from.st_size);

	for (uint64_t i = 0; i + 5 <= from.st_size; i++) {
		int32_t distance;

		memcpy(&distance, code + i + 1, sizeof(distance));
		if (code[i] == 0xe8 &&
		    from.st_value + i + 5 + (uint64_t)(int64_t)distance == to)
			return from.st_value + i;
	}
	return 0;
}

uint64_t test_bundle_call(const struct test_bundle *bundle, const char *caller,
                          const char *callee)
{
	struct fixture_elf file = open_program(bundle);
	uint64_t addr = find_call(&file, caller, callee);

	fixture_close(&file);
	return addr;
}

static int by_old_addr(const void *a, const void *b)
{
	const struct manifest_call *left = a, *right = b;

	return (left->old_addr > right->old_addr) -
	       (left->old_addr < right->old_addr);
}

static void list_calls(const struct test_bundle *bundle,
                       const struct fixture_elf *file,
                       struct manifest_module *module)
{
	module->calls = calloc(MAX_FUNCTIONS, sizeof(*module->calls));
	for (size_t i = 0; bundle->caller && i < bundle->num_functions; i++) {
		uint64_t addr = find_call(file, bundle->caller,
		                          bundle->functions[i].name);

		if (addr)
			module->calls[module->num_calls++] =
				(struct manifest_call){
					(uint32_t)i, addr + bundle->call_shift};
	}
	qsort(module->calls, module->num_calls, sizeof(*module->calls),
	      by_old_addr);
}

void test_bundle_write(const struct test_bundle *bundle, const char *path)
{
	struct fixture_elf file = open_program(bundle);
	struct buffer image = make_image(bundle);
	struct manifest *manifest = calloc(1, sizeof(*manifest));
	struct manifest_module *module = calloc(1, sizeof(*module));
	const char *slash = strrchr(bundle->program, '/');
	struct hfx_error *err;

	*module = (struct manifest_module){
		.name = copy(slash ? slash + 1 : bundle->program),
		.old_build_id = read_build_id(&file),
		.functions = calloc(MAX_FUNCTIONS, sizeof(*module->functions)),
		.imports = calloc(4, sizeof(*module->imports)),
	};
	module->old_build_id.bytes[0] ^= bundle->wrong_build_id;
	for (size_t i = 0; i < bundle->num_functions; i++)
		module->functions[module->num_functions++] =
			describe_function(bundle, &file, i);
	list_calls(bundle, &file, module);
	for (size_t i = 0; i < bundle->num_imports; i++)
		module->imports[module->num_imports++] =
			(struct manifest_import){
				copy(bundle->imports[i].name),
				copy(bundle->imports[i].version),
				copy(bundle->imports[i].library),
			};
	*manifest = (struct manifest){
		.name = copy(bundle->name),
		.version = copy("1"),
		.description = copy("of a test"),
		.generator = copy("engine_bundle.c"),
		.modules = module,
		.num_modules = 1,
	};
	err = bundle_seal(manifest, &image);
	if (!err)
		err = bundle_write(path, manifest, &image);
	if (err)
		fail_msg("bundle_write: %s", hfx_error_message(err));
	manifest_destroy(manifest);
	buffer_deinit(&image);
	fixture_close(&file);
}
