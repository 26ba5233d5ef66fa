/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <zstd.h>

#include "bundle.h"
#include "bundle_write.h"
#include "sample_manifest.h"

#define IMAGE_SIZE 3000

static uint8_t image_bytes[IMAGE_SIZE];

static struct buffer sample_image(void)
{
	for (size_t i = 0; i < IMAGE_SIZE; i++)
		image_bytes[i] = (uint8_t)(i * i >> 5);
	return (struct buffer){image_bytes, IMAGE_SIZE};
}

static struct manifest *sealed_manifest(void)
{
	struct manifest *manifest = sample_manifest();
	struct buffer image = sample_image();

	assert_null(bundle_seal(manifest, &image));
	return manifest;
}

static struct buffer packed_sample(void)
{
	struct manifest *manifest = sealed_manifest();
	struct buffer image = sample_image(), packed;

	assert_null(bundle_pack(manifest, &image, &packed));
	manifest_destroy(manifest);
	return packed;
}

/* Parse, and give the code of the error; the bundle is of no interest. */
static enum hfx_error_code parse_code(const void *data, size_t size)
{
	struct bundle *bundle = NULL;
	struct hfx_error *err = bundle_parse(data, size, &bundle);
	enum hfx_error_code code = hfx_error_code(err);

	assert_true(!err == !!bundle);
	if (err)
		assert_null(strchr(hfx_error_message(err), '\n'));
	hfx_error_destroy(err);
	bundle_destroy(bundle);
	return code;
}

static void check_refused(const struct buffer *packed, const char *message)
{
	struct bundle *bundle = NULL;
	struct hfx_error *err;

	err = bundle_parse(packed->data, packed->size, &bundle);
	assert_int_equal(hfx_error_code(err), HFX_ERROR_BAD_BUNDLE);
	assert_non_null(strstr(hfx_error_message(err), message));
	hfx_error_destroy(err);
}

static void what_is_packed_is_read_back(void **state)
{
	struct buffer packed = packed_sample();
	struct bundle *bundle;
	struct digest id;

	(void)state;
	assert_null(bundle_parse(packed.data, packed.size, &bundle));
	assert_string_equal(bundle->manifest->name, "fix");
	assert_int_equal(bundle->images[0].size, IMAGE_SIZE);
	assert_memory_equal(bundle->images[0].data, image_bytes, IMAGE_SIZE);
	id = digest_of(bundle->manifest_text.data, bundle->manifest_text.size);
	assert_true(digest_equal(&bundle->id, &id));
	bundle_destroy(bundle);
	buffer_deinit(&packed);
}

static void the_same_input_gives_the_same_bytes(void **state)
{
	struct buffer a = packed_sample(), b = packed_sample();

	(void)state;
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);
	buffer_deinit(&a);
	buffer_deinit(&b);
}

static struct manifest *two_modules(void)
{
	struct manifest *manifest = sample_manifest();

	manifest->modules =
		realloc(manifest->modules, 2 * sizeof(*manifest->modules));
	manifest->modules[1] = (struct manifest_module){0};
	sample_module(&manifest->modules[1]);
	manifest->num_modules = 2;
	return manifest;
}

static void several_modules_keep_their_images(void **state)
{
	struct manifest *manifest = two_modules();
	struct buffer images[2] = {{(uint8_t *)"first", 5}, {NULL, 0}}, packed;
	struct bundle *bundle;

	(void)state;
	manifest->modules[1].old_build_id.bytes[0] ^= 1;
	assert_null(bundle_seal(manifest, images));
	assert_null(bundle_pack(manifest, images, &packed));
	assert_null(bundle_parse(packed.data, packed.size, &bundle));
	assert_memory_equal(bundle->images[0].data, "first", 5);
	assert_int_equal(bundle->images[1].size, 0);
	bundle_destroy(bundle);
	buffer_deinit(&packed);
	manifest_destroy(manifest);
}

static void two_modules_of_one_build_are_refused(void **state)
{
	struct manifest *manifest = two_modules();
	struct buffer images[2] = {{(uint8_t *)"first", 5}, {NULL, 0}}, packed;
	struct hfx_error *err;

	(void)state;
	assert_null(bundle_seal(manifest, images));
	err = bundle_pack(manifest, images, &packed);
	assert_int_equal(hfx_error_code(err), HFX_ERROR_BAD_BUNDLE);
	assert_non_null(
		strstr(hfx_error_message(err), "two are for one build"));
	hfx_error_destroy(err);
	manifest_destroy(manifest);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	struct buffer packed = packed_sample();

	(void)state;
	for (size_t size = 0; size < packed.size; size++) {
		/* In memory of its own, so that a sanitizer sees overruns. */
		uint8_t *cut = malloc(size ? size : 1);

		memcpy(cut, packed.data, size);
		if (parse_code(cut, size) != HFX_ERROR_BAD_BUNDLE)
			fail_msg("accepted with %zu of %zu bytes", size,
			         packed.size);
		free(cut);
	}
	buffer_deinit(&packed);
}

/* A few bits of compressed data have no meaning: the content must be equal. */
static void check_flipped(const struct bundle *whole,
                          const struct buffer *packed, size_t off)
{
	struct bundle *bundle = NULL;
	struct hfx_error *err;

	err = bundle_parse(packed->data, packed->size, &bundle);
	if (err) {
		hfx_error_destroy(err);
		return;
	}
	if (!digest_equal(&bundle->id, &whole->id) ||
	    memcmp(bundle->images[0].data, image_bytes, IMAGE_SIZE) != 0)
		fail_msg("other content accepted, byte %zu", off);
	bundle_destroy(bundle);
}

static void a_flipped_bit_anywhere_never_changes_content(void **state)
{
	struct buffer packed = packed_sample();
	struct bundle *whole;

	(void)state;
	assert_null(bundle_parse(packed.data, packed.size, &whole));
	for (size_t bit = 0; bit < 8 * packed.size; bit++) {
		packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		check_flipped(whole, &packed, bit / 8);
		packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	bundle_destroy(whole);
	buffer_deinit(&packed);
}

static struct buffer unpacked_sample(void)
{
	struct buffer packed = packed_sample(), tar;

	tar.size = (size_t)ZSTD_getFrameContentSize(packed.data, packed.size);
	tar.data = malloc(tar.size);
	assert_int_equal(
		ZSTD_decompress(tar.data, tar.size, packed.data, packed.size),
		tar.size);
	buffer_deinit(&packed);
	return tar;
}

static struct buffer compressed(const void *data, size_t size, int checksum)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(size);
	struct buffer packed = {malloc(bound), 0};

	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
	packed.size = ZSTD_compress2(context, packed.data, bound, data, size);
	assert_false(ZSTD_isError(packed.size));
	ZSTD_freeCCtx(context);
	return packed;
}

/* As parse_code(), of a tar that is compressed first. */
static enum hfx_error_code tar_code(const void *data, size_t size)
{
	struct buffer packed = compressed(data, size, 1);
	enum hfx_error_code code = parse_code(packed.data, packed.size);

	buffer_deinit(&packed);
	return code;
}

static void a_flipped_byte_of_the_archive_is_refused(void **state)
{
	struct buffer tar = unpacked_sample();

	(void)state;
	assert_int_equal(tar_code(tar.data, tar.size), HFX_ERROR_NONE);
	for (size_t i = 0; i < tar.size; i++) {
		enum hfx_error_code code;

		/* The manifest's bytes: any text that parses is another. */
		if (i >= 512 && tar.data[i] >= ' ')
			continue;
		tar.data[i] ^= 0x10;
		code = tar_code(tar.data, tar.size);
		tar.data[i] ^= 0x10;
		if (code == HFX_ERROR_NONE)
			fail_msg("accepted with byte %zu altered", i);
	}
	buffer_deinit(&tar);
}

static void an_archive_without_checksum_is_refused(void **state)
{
	struct buffer tar = unpacked_sample();
	struct buffer packed = compressed(tar.data, tar.size, 0);

	(void)state;
	check_refused(&packed, "no checksum");
	buffer_deinit(&packed);
	buffer_deinit(&tar);
}

static void check_appended(const struct buffer *packed, const void *more,
                           size_t size)
{
	uint8_t *both = malloc(packed->size + size);

	memcpy(both, packed->data, packed->size);
	memcpy(both + packed->size, more, size);
	assert_int_equal(parse_code(both, packed->size + size),
	                 HFX_ERROR_BAD_BUNDLE);
	free(both);
}

static void anything_behind_the_end_is_refused(void **state)
{
	static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 1,
	                                    0,    0,    0,    'x'};
	struct buffer packed = packed_sample(), tar = unpacked_sample();
	struct buffer empty = compressed("", 0, 1);

	(void)state;
	check_appended(&packed, "", 1);
	check_appended(&packed, skippable, sizeof(skippable));
	check_appended(&packed, empty.data, empty.size);
	check_appended(&packed, packed.data, packed.size);
	tar.data = realloc(tar.data, tar.size + 512);
	memset(tar.data + tar.size, 0, 512);
	assert_int_equal(tar_code(tar.data, tar.size + 512),
	                 HFX_ERROR_BAD_BUNDLE);
	assert_int_equal(tar_code(tar.data, tar.size - 512),
	                 HFX_ERROR_BAD_BUNDLE);
	buffer_deinit(&empty);
	buffer_deinit(&tar);
	buffer_deinit(&packed);
}

static void zstd_inside_zstd_is_refused(void **state)
{
	struct buffer packed = packed_sample();

	(void)state;
	assert_int_equal(tar_code(packed.data, packed.size),
	                 HFX_ERROR_BAD_BUNDLE);
	buffer_deinit(&packed);
}

static void a_bomb_is_refused_by_what_it_unpacks_to(void **state)
{
	size_t size = 64u << 20;
	uint8_t *zeros = calloc(1, size);
	struct buffer packed = compressed(zeros, size, 1);

	(void)state;
	assert_true(packed.size * BUNDLE_MAX_RATIO + (1u << 20) < size);
	check_refused(&packed, "times its size");
	buffer_deinit(&packed);
	free(zeros);
}

/** One member of an archive that a test makes. */
struct made {
	const char *name;
	const void *data;
	size_t size;
	unsigned int type;
	unsigned int mode;
	int uid;
	const char *uname;
	time_t mtime;
};

static void add_made(struct archive *archive, const struct made *made)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, made->name);
	archive_entry_set_filetype(entry, made->type);
	archive_entry_set_perm(entry, (mode_t)made->mode);
	archive_entry_set_uid(entry, made->uid);
	archive_entry_set_uname(entry, made->uname);
	archive_entry_set_mtime(entry, made->mtime, 0);
	archive_entry_set_size(entry, (la_int64_t)made->size);
	if (made->type == AE_IFLNK)
		archive_entry_set_symlink(entry, "elsewhere");
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	if (made->size)
		archive_write_data(archive, made->data, made->size);
	archive_entry_free(entry);
}

static enum hfx_error_code made_code(const struct made *made, size_t count)
{
	struct archive *archive = archive_write_new();
	static uint8_t tar[64 << 10];
	size_t size = 0;

	archive_write_set_format_ustar(archive);
	archive_write_set_bytes_per_block(archive, 512);
	assert_int_equal(
		archive_write_open_memory(archive, tar, sizeof(tar), &size),
		ARCHIVE_OK);
	for (size_t i = 0; i < count; i++)
		add_made(archive, &made[i]);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
	return tar_code(tar, size);
}

/* The members of the sample bundle, as bundle_pack() writes them. */
static void make_members(struct made made_ret[2], struct buffer *text_ret)
{
	struct manifest *manifest = sealed_manifest();

	assert_null(manifest_format(manifest, text_ret));
	made_ret[0] = (struct made){
		.name = "manifest.json",
		.data = text_ret->data,
		.size = text_ret->size,
		.type = AE_IFREG,
		.mode = 0644,
		.mtime = (time_t)manifest->created,
	};
	made_ret[1] = made_ret[0];
	made_ret[1].name = "modules/0.so";
	made_ret[1].data = image_bytes;
	made_ret[1].size = IMAGE_SIZE;
	manifest_destroy(manifest);
}

static void
members_missing_twice_unknown_or_in_other_order_are_refused(void **state)
{
	struct buffer text;
	struct made made[3], other[3];

	(void)state;
	make_members(made, &text);
	assert_int_equal(made_code(made, 2), HFX_ERROR_NONE);
	assert_int_equal(made_code(made, 0), HFX_ERROR_BAD_BUNDLE);
	assert_int_equal(made_code(made, 1), HFX_ERROR_BAD_BUNDLE);
	assert_int_equal(made_code(made + 1, 1), HFX_ERROR_BAD_BUNDLE);
	made[2] = made[1];
	assert_int_equal(made_code(made, 3), HFX_ERROR_BAD_BUNDLE);
	made[2].name = "modules/1.so";
	assert_int_equal(made_code(made, 3), HFX_ERROR_BAD_BUNDLE);
	other[0] = made[1];
	other[1] = made[0];
	assert_int_equal(made_code(other, 2), HFX_ERROR_BAD_BUNDLE);
	made[1].name = "./modules/0.so";
	assert_int_equal(made_code(made, 2), HFX_ERROR_BAD_BUNDLE);
	buffer_deinit(&text);
}

static void members_with_other_attributes_are_refused(void **state)
{
	struct buffer text;
	struct made made[2], good[2];

	(void)state;
	make_members(good, &text);
	for (int i = 0; i < 6; i++) {
		memcpy(made, good, sizeof(made));
		made[1].mode = i == 0 ? 0755 : 0644;
		made[1].uid = i == 1;
		made[1].uname = i == 2 ? "root" : NULL;
		made[1].mtime += i == 3;
		made[0].mtime += i == 4;
		if (i == 5) {
			made[1].type = AE_IFLNK;
			made[1].size = 0;
		}
		if (made_code(made, 2) != HFX_ERROR_BAD_BUNDLE)
			fail_msg("accepted attribute %d", i);
	}
	buffer_deinit(&text);
}

static void an_image_with_another_digest_or_size_is_refused(void **state)
{
	struct buffer text;
	struct made made[2];
	uint8_t other[IMAGE_SIZE];

	(void)state;
	make_members(made, &text);
	memcpy(other, image_bytes, IMAGE_SIZE);
	other[IMAGE_SIZE / 2] ^= 1;
	made[1].data = other;
	assert_int_equal(made_code(made, 2), HFX_ERROR_BAD_DIGEST);
	made[1].size--;
	assert_int_equal(made_code(made, 2), HFX_ERROR_BAD_BUNDLE);
	buffer_deinit(&text);
}

static void a_newer_format_asks_for_an_update(void **state)
{
	struct buffer text;
	struct made made[2];
	char *format;

	(void)state;
	make_members(made, &text);
	format = strstr((char *)text.data, "\"format\": 1");
	assert_non_null(format);
	format[strlen("\"format\": ")] = '2';
	assert_int_equal(made_code(made, 2), HFX_ERROR_BUNDLE_VERSION);
	buffer_deinit(&text);
}

static void other_files_are_not_bundles(void **state)
{
	(void)state;
	assert_int_equal(parse_code("", 0), HFX_ERROR_BAD_BUNDLE);
	assert_int_equal(parse_code("\x7f"
	                            "ELF",
	                            4),
	                 HFX_ERROR_BAD_BUNDLE);
	assert_int_equal(tar_code("", 0), HFX_ERROR_BAD_BUNDLE);
	assert_int_equal(tar_code("no archive", 10), HFX_ERROR_BAD_BUNDLE);
}

static void an_unsealed_manifest_is_not_packed(void **state)
{
	struct manifest *manifest = sample_manifest();
	struct buffer image = sample_image(), packed = {0};
	struct hfx_error *err = bundle_pack(manifest, &image, &packed);

	(void)state;
	assert_int_equal(hfx_error_code(err), HFX_ERROR_BAD_BUNDLE);
	assert_null(packed.data);
	hfx_error_destroy(err);
	manifest_destroy(manifest);
}

static void a_written_bundle_is_read_from_its_file(void **state)
{
	char folder[] = "/tmp/hfx-bundle-test-XXXXXX", path[64];
	struct manifest *manifest = sealed_manifest();
	struct buffer image = sample_image();
	struct bundle *bundle;
	struct hfx_error *err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.hfx", folder);
	assert_null(bundle_write(path, manifest, &image));
	assert_null(bundle_read(path, &bundle));
	assert_string_equal(bundle->manifest->modules[0].name, "server");
	bundle_destroy(bundle);
	assert_int_equal(truncate(path, 100), 0);
	err = bundle_read(path, &bundle);
	assert_int_equal(hfx_error_code(err), HFX_ERROR_BAD_BUNDLE);
	assert_ptr_equal(strstr(hfx_error_message(err), path),
	                 hfx_error_message(err));
	hfx_error_destroy(err);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	manifest_destroy(manifest);
}

static void a_missing_file_is_named(void **state)
{
	struct bundle *bundle;
	struct hfx_error *err = bundle_read("/nonexistent/a.hfx", &bundle);

	(void)state;
	assert_int_equal(hfx_error_code(err), HFX_ERROR_OS);
	assert_non_null(strstr(hfx_error_message(err), "/nonexistent/a.hfx"));
	hfx_error_destroy(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_is_read_back),
		cmocka_unit_test(the_same_input_gives_the_same_bytes),
		cmocka_unit_test(several_modules_keep_their_images),
		cmocka_unit_test(two_modules_of_one_build_are_refused),
		cmocka_unit_test(a_file_cut_anywhere_is_refused),
		cmocka_unit_test(a_flipped_bit_anywhere_never_changes_content),
		cmocka_unit_test(a_flipped_byte_of_the_archive_is_refused),
		cmocka_unit_test(an_archive_without_checksum_is_refused),
		cmocka_unit_test(anything_behind_the_end_is_refused),
		cmocka_unit_test(zstd_inside_zstd_is_refused),
		cmocka_unit_test(a_bomb_is_refused_by_what_it_unpacks_to),
		cmocka_unit_test(
			members_missing_twice_unknown_or_in_other_order_are_refused),
		cmocka_unit_test(members_with_other_attributes_are_refused),
		cmocka_unit_test(
			an_image_with_another_digest_or_size_is_refused),
		cmocka_unit_test(a_newer_format_asks_for_an_update),
		cmocka_unit_test(other_files_are_not_bundles),
		cmocka_unit_test(an_unsealed_manifest_is_not_packed),
		cmocka_unit_test(a_written_bundle_is_read_from_its_file),
		cmocka_unit_test(a_missing_file_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
