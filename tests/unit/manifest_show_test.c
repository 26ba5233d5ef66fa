/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "bundle.h"
#include "bundle_write.h"
#include "manifest_show.h"
#include "sample_manifest.h"

static char folder[] = "/tmp/hfx-show-test-XXXXXX";
static char elf_path[64];
static uint64_t answer_addr, answer_size;
static struct digest answer_digest;

static const char source[] = "int answer(int a);\n"
			     "int answer(int a) { return a * 3 + 1; }\n"
			     "int main(int c, char **v)"
			     "{ (void)v; return answer(c); }\n";

static void compile_program(void)
{
	char command[256];
	FILE *compiler;

	/* Its own build-id, whatever the compiler's version would give. */
	snprintf(command, sizeof(command),
	         "cc -O1 -fno-inline -Wl,--build-id=0x"
	         "0102030405060708"
	         " -x c -o %s -",
	         elf_path);
	compiler = popen(command, "w");
	assert_non_null(compiler);
	fputs(source, compiler);
	assert_int_equal(pclose(compiler), 0);
}

static void find_answer(Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Sym symbol;

	while ((section = elf_nextscn(elf, section))) {
		gelf_getshdr(section, &header);
		if (header.sh_type != SHT_SYMTAB)
			continue;
		for (int i = 0;
		     gelf_getsym(elf_getdata(section, NULL), i, &symbol); i++) {
			if (strcmp(elf_strptr(elf, header.sh_link,
			                      symbol.st_name),
			           "answer") != 0)
				continue;
			answer_addr = symbol.st_value;
			answer_size = symbol.st_size;
		}
	}
	assert_true(answer_size > 0);
}

static int make_program(void **state)
{
	Elf *elf;
	char *file;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(elf_path, sizeof(elf_path), "%s/program", folder);
	compile_program();
	elf_version(EV_CURRENT);
	fd = open(elf_path, O_RDONLY);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	assert_non_null(elf);
	find_answer(elf);
	/* In a small program the linker puts code where its address says. */
	file = elf_rawfile(elf, NULL);
	answer_digest = digest_of(file + answer_addr, answer_size);
	elf_end(elf);
	close(fd);
	return 0;
}

static int remove_program(void **state)
{
	(void)state;
	return unlink(elf_path) || rmdir(folder);
}

static struct manifest *fitting_manifest(void)
{
	static const uint8_t id[] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct manifest *manifest = sample_manifest();
	struct manifest_module *module = &manifest->modules[0];

	memcpy(module->old_build_id.bytes, id, sizeof(id));
	module->old_build_id.size = sizeof(id);
	module->functions[0].old_addr = answer_addr;
	module->functions[0].old_size = answer_size;
	module->functions[0].old_digest = answer_digest;
	module->num_calls = 0;
	return manifest;
}

static void check_verify(const struct manifest *manifest, const char *path,
                         enum hfx_error_code code, const char *text)
{
	struct hfx_error *err =
		manifest_verify_file(&manifest->modules[0], path);

	assert_int_equal(hfx_error_code(err), code);
	if (text && !strstr(hfx_error_message(err), text))
		fail_msg("\"%s\" is not in \"%s\"", text,
		         hfx_error_message(err));
	hfx_error_destroy(err);
}

static void a_patch_fits_the_file_that_it_was_made_for(void **state)
{
	struct manifest *manifest = fitting_manifest();

	(void)state;
	check_verify(manifest, elf_path, HFX_ERROR_NONE, NULL);
	manifest_destroy(manifest);
}

static void a_call_that_is_not_there_is_refused(void **state)
{
	struct manifest *manifest = fitting_manifest();
	struct manifest_module *module = &manifest->modules[0];

	(void)state;
	module->num_calls = 1;
	module->calls[0] = (struct manifest_call){0, answer_addr};
	check_verify(manifest, elf_path, HFX_ERROR_CODE_MISMATCH,
	             "there is no direct call of");
	module->calls[0].old_addr = 1 << 30;
	check_verify(manifest, elf_path, HFX_ERROR_CODE_MISMATCH,
	             "0x40000000, where the bundle has one");
	manifest_destroy(manifest);
}

static void another_build_id_is_named_beside_the_wanted_one(void **state)
{
	struct manifest *manifest = fitting_manifest();

	(void)state;
	manifest->modules[0].old_build_id.bytes[7] = 9;
	check_verify(manifest, elf_path, HFX_ERROR_BUILD_MISMATCH,
	             "0102030405060709");
	check_verify(manifest, elf_path, HFX_ERROR_BUILD_MISMATCH,
	             "0102030405060708");
	manifest->modules[0].old_build_id.size = 7;
	check_verify(manifest, elf_path, HFX_ERROR_BUILD_MISMATCH, NULL);
	manifest_destroy(manifest);
}

static void other_code_is_refused_and_its_function_named(void **state)
{
	struct manifest *manifest = fitting_manifest();
	struct manifest_function *function = &manifest->modules[0].functions[0];

	(void)state;
	function->old_digest.bytes[0] ^= 1;
	check_verify(manifest, elf_path, HFX_ERROR_CODE_MISMATCH,
	             "process_request");
	function->old_digest = answer_digest;
	function->old_addr = 0x10000000;
	check_verify(manifest, elf_path, HFX_ERROR_CODE_MISMATCH,
	             "process_request: there is no code");
	/* The ELF header is in the file, but not executable. */
	function->old_addr = 0;
	check_verify(manifest, elf_path, HFX_ERROR_CODE_MISMATCH,
	             "there is no code");
	function->old_addr = answer_addr;
	function->old_size = INT64_MAX;
	check_verify(manifest, elf_path, HFX_ERROR_CODE_MISMATCH,
	             "there is no code");
	manifest_destroy(manifest);
}

static void other_files_than_elf_are_refused(void **state)
{
	struct manifest *manifest = fitting_manifest();

	(void)state;
	check_verify(manifest, "/dev/null", HFX_ERROR_BAD_ELF, "/dev/null");
	check_verify(manifest, "/nonexistent", HFX_ERROR_OS, "/nonexistent");
	manifest_destroy(manifest);
}

static void people_see_each_function_import_object_and_warning(void **state)
{
	static const char *const expected[] = {
		"patch fix\n",
		"1.2",
		"2023-11-14 22:13:20 UTC",
		"module server\n",
		"abababababababababababababababababababab",
		"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
		"changed  int process_request(parser_t *pr, const char *cmd), "
		"src/request.c:120, 362 -> 389 bytes: size 362 -> 389\n",
		"new      is_separator, src/request.c:120, 3 bytes",
		"part     process_request.cold,",
		"memchr@GLIBC_2.2.5, libc.so.6\n",
		"limit, src/request.c, 4 bytes\n",
		"struct parser grows from 40 to 48 bytes\n",
		"total: 1 function changed, 1 new, 1 part, 1 import, "
		"1 new object,",
	};
	struct manifest *manifest = sample_manifest();
	struct bundle bundle = {
		.manifest = manifest,
		.id = digest_of("", 0),
	};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	manifest_show(out, &bundle);
	fclose(out);
	assert_non_null(strstr(text, "e3b0c44298fc1c149afbf4c8996fb924"));
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
		if (!strstr(text, expected[i]))
			fail_msg("\"%s\" is not in:\n%s", expected[i], text);
	free(text);
	manifest_destroy(manifest);
}

static struct bundle *make_bundle(void)
{
	struct manifest *manifest = sample_manifest();
	struct buffer image = {(uint8_t *)"image", 5}, packed;
	struct bundle *bundle;

	assert_null(bundle_seal(manifest, &image));
	assert_null(bundle_pack(manifest, &image, &packed));
	assert_null(bundle_parse(packed.data, packed.size, &bundle));
	buffer_deinit(&packed);
	manifest_destroy(manifest);
	return bundle;
}

static void further_lines_of_a_text_are_indented(void **state)
{
	struct manifest *manifest = sample_manifest();
	struct bundle bundle = {.manifest = manifest};
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	free(manifest->description);
	manifest->description = strdup("One\n  id            none\n\nlast");
	manifest_show(out, &bundle);
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(text, "  description   One\n"
	                             "                  id            none\n"
	                             "                \n"
	                             "                last\n"));
	free(text);
	manifest_destroy(manifest);
}

static void programs_see_the_manifest_and_its_id(void **state)
{
	struct bundle *bundle = make_bundle();
	char *text = NULL, id[2 * DIGEST_SIZE + 1];
	json_t *shown, *manifest;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_null(manifest_show_json(out, bundle));
	fclose(out);
	shown = json_loads(text, 0, NULL);
	manifest = json_loadb((char *)bundle->manifest_text.data,
	                      bundle->manifest_text.size, 0, NULL);
	assert_true(json_equal(json_object_get(shown, "manifest"), manifest));
	hex_encode(bundle->id.bytes, DIGEST_SIZE, id);
	assert_string_equal(json_string_value(json_object_get(shown, "id")),
	                    id);
	json_decref(manifest);
	json_decref(shown);
	free(text);
	bundle_destroy(bundle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_patch_fits_the_file_that_it_was_made_for),
		cmocka_unit_test(a_call_that_is_not_there_is_refused),
		cmocka_unit_test(
			another_build_id_is_named_beside_the_wanted_one),
		cmocka_unit_test(other_code_is_refused_and_its_function_named),
		cmocka_unit_test(other_files_than_elf_are_refused),
		cmocka_unit_test(
			people_see_each_function_import_object_and_warning),
		cmocka_unit_test(further_lines_of_a_text_are_indented),
		cmocka_unit_test(programs_see_the_manifest_and_its_id),
	};

	return cmocka_run_group_tests(tests, make_program, remove_program);
}
