/* SPDX-License-Identifier: MIT */
/* Bundles with and without a signature, read where keys are trusted. */
#include "trust_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include <zstd.h>

#include "bundle.h"
#include "bundle_write.h"
#include "sample_manifest.h"

#define TAR_BLOCK  512u
#define IMAGE_SIZE (1u << 20)

static struct secret_key release;
static struct trust *trust;

static int enter(void **state)
{
	if (make_fixture(state))
		return -1;
	release = add_fixture_key("release", NULL);
	trust = fixture_trust();
	return 0;
}

static int leave(void **state)
{
	trust_destroy(trust);
	return remove_fixture(state);
}

/** An image that does not compress: it takes many blocks. */
static struct buffer make_image(unsigned int seed)
{
	struct buffer image = {malloc(IMAGE_SIZE), IMAGE_SIZE};

	for (size_t i = 0; i < IMAGE_SIZE; i++) {
		seed = seed * 1664525u + 1013904223u;
		image.data[i] = (uint8_t)(seed >> 24);
	}
	return image;
}

struct sample {
	struct manifest *manifest;
	struct buffer image;
	struct buffer text;
};

static struct sample make_sample(unsigned int seed)
{
	struct sample sample = {sample_manifest(), make_image(seed), {0}};

	assert_null(bundle_seal(sample.manifest, &sample.image));
	assert_null(manifest_format(sample.manifest, &sample.text));
	return sample;
}

static void free_sample(struct sample *sample)
{
	manifest_destroy(sample->manifest);
	buffer_deinit(&sample->image);
	buffer_deinit(&sample->text);
}

/** The bundle of @p sample, with the signature of @p text. */
static struct buffer pack(const struct sample *sample,
                          const struct secret_key *key,
                          const struct buffer *text)
{
	struct buffer signature = {0}, packed;

	if (key)
		assert_null(secret_key_sign(key, text, 1000, &signature));
	assert_null(bundle_pack_text(sample->manifest, &sample->text,
	                             &sample->image, key ? &signature : NULL,
	                             &packed));
	buffer_deinit(&signature);
	return packed;
}

static struct buffer packed_sample(const struct secret_key *key)
{
	struct sample sample = make_sample(1);
	struct buffer packed = pack(&sample, key, &sample.text);

	free_sample(&sample);
	return packed;
}

static struct hfx_error *parse(const struct buffer *packed,
                               const struct trust *by, struct signer *signer)
{
	struct bundle *bundle = NULL;
	struct hfx_error *err =
		bundle_parse_trusted(packed->data, packed->size, by, &bundle);

	if (!err && signer)
		*signer = bundle->signer;
	bundle_destroy(bundle);
	return err;
}

static struct buffer unpacked(const struct buffer *packed)
{
	struct buffer tar;

	tar.size = ZSTD_getFrameContentSize(packed->data, packed->size);
	tar.data = malloc(tar.size);
	assert_int_equal(
		ZSTD_decompress(tar.data, tar.size, packed->data, packed->size),
		tar.size);
	return tar;
}

static struct buffer compressed(const struct buffer *tar)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(tar->size);
	struct buffer packed = {malloc(bound), 0};

	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	packed.size = ZSTD_compress2(context, packed.data, bound, tar->data,
	                             tar->size);
	assert_false(ZSTD_isError(packed.size));
	ZSTD_freeCCtx(context);
	return packed;
}

/* ---- Who is asked first ------------------------------------------------ */

static void a_signed_bundle_is_accepted_and_names_the_key(void **state)
{
	struct buffer packed = packed_sample(&release);
	struct signer signer;

	(void)state;
	assert_null(parse(&packed, trust, &signer));
	assert_string_equal(signer.name, "release");
	assert_int_equal(signer.timestamp, 1000);
	/* Nobody was asked: no name. */
	assert_null(parse(&packed, NULL, &signer));
	assert_string_equal(signer.name, "");
	assert_string_equal(signer.key_id.text,
	                    minisign_id_text(release.id).text);
	buffer_deinit(&packed);
}

static void the_signature_leaves_the_identity_as_it_is(void **state)
{
	struct buffer plain = packed_sample(NULL);
	struct buffer packed = packed_sample(&release);
	struct bundle *a, *b;

	(void)state;
	assert_null(bundle_parse(plain.data, plain.size, &a));
	assert_null(bundle_parse(packed.data, packed.size, &b));
	assert_true(digest_equal(&a->id, &b->id));
	assert_null(a->signature);
	assert_non_null(b->signature);
	bundle_destroy(a);
	bundle_destroy(b);
	buffer_deinit(&plain);
	buffer_deinit(&packed);
}

static void an_unsigned_manifest_is_refused_before_it_is_parsed(void **state)
{
	struct buffer plain = packed_sample(NULL), tar = unpacked(&plain), bad;

	(void)state;
	/* No JSON any more. */
	tar.data[TAR_BLOCK] = '!';
	bad = compressed(&tar);
	expect_error(parse(&bad, NULL, NULL), HFX_ERROR_BAD_BUNDLE, "");
	expect_error(parse(&bad, trust, NULL), HFX_ERROR_UNTRUSTED,
	             "not signed");
	buffer_deinit(&bad);
	buffer_deinit(&tar);
	buffer_deinit(&plain);
}

static void a_wrongly_signed_one_is_refused_before_it_is_parsed(void **state)
{
	struct buffer packed = packed_sample(&release), bad;
	struct buffer tar = unpacked(&packed);

	(void)state;
	tar.data[TAR_BLOCK] = '!';
	bad = compressed(&tar);
	expect_error(parse(&bad, NULL, NULL), HFX_ERROR_BAD_BUNDLE, "");
	expect_error(parse(&bad, trust, NULL), HFX_ERROR_UNTRUSTED, "wrong");
	buffer_deinit(&bad);
	buffer_deinit(&tar);
	buffer_deinit(&packed);
}

/* Damage far behind is seen by who goes there, and only by them. */
static void of_an_untrusted_bundle_nothing_else_is_unpacked(void **state)
{
	struct buffer plain = packed_sample(NULL);
	struct buffer packed = packed_sample(&release);

	(void)state;
	plain.data[plain.size - 1] ^= 1;
	packed.data[packed.size - 1] ^= 1;
	expect_error(parse(&plain, NULL, NULL), HFX_ERROR_BAD_BUNDLE, "");
	expect_error(parse(&plain, trust, NULL), HFX_ERROR_UNTRUSTED, "");
	expect_error(parse(&packed, trust, NULL), HFX_ERROR_BAD_BUNDLE, "");
	buffer_deinit(&plain);
	buffer_deinit(&packed);
}

/* ---- What is signed ---------------------------------------------------- */

static void the_signature_of_another_bundle_is_wrong(void **state)
{
	struct sample a = make_sample(1), b = make_sample(2);
	struct buffer packed = pack(&a, &release, &b.text);

	(void)state;
	assert_null(parse(&packed, NULL, NULL));
	expect_error(parse(&packed, trust, NULL), HFX_ERROR_UNTRUSTED, "wrong");
	buffer_deinit(&packed);
	free_sample(&a);
	free_sample(&b);
}

static void a_signed_manifest_with_another_image_is_refused(void **state)
{
	struct buffer packed = packed_sample(&release), bad;
	struct buffer tar = unpacked(&packed);

	(void)state;
	tar.data[tar.size - 3 * TAR_BLOCK] ^= 1;
	bad = compressed(&tar);
	expect_error(parse(&bad, trust, NULL), HFX_ERROR_BAD_DIGEST, "");
	buffer_deinit(&bad);
	buffer_deinit(&tar);
	buffer_deinit(&packed);
}

static void a_withdrawn_bundle_is_refused_though_it_is_signed(void **state)
{
	struct buffer packed = packed_sample(&release);
	char hex[2 * DIGEST_SIZE + 1];
	struct trust *list;
	struct bundle *bundle;

	(void)state;
	assert_null(bundle_parse(packed.data, packed.size, &bundle));
	hex_encode(bundle->id.bytes, DIGEST_SIZE, hex);
	bundle_destroy(bundle);
	write_fixture("withdrawn", hex);
	list = fixture_trust();
	expect_error(parse(&packed, list, NULL), HFX_ERROR_WITHDRAWN, "");
	trust_destroy(list);
	buffer_deinit(&packed);
}

/* ---- Damage ------------------------------------------------------------ */

/** Move member @p from (a number) of the archive to place @p to. */
static struct buffer without_end(const struct buffer *tar, size_t first,
                                 size_t size)
{
	struct buffer cut = {malloc(tar->size), tar->size - size};

	memcpy(cut.data, tar->data, first);
	memcpy(cut.data + first, tar->data + first + size,
	       tar->size - first - size);
	return cut;
}

static void expect_bad_archive(const struct buffer *tar, const char *part)
{
	struct buffer packed = compressed(tar);

	expect_error(parse(&packed, NULL, NULL), HFX_ERROR_BAD_BUNDLE, part);
	buffer_deinit(&packed);
}

static void a_signature_that_is_not_behind_the_manifest_is_refused(void **state)
{
	struct buffer packed = packed_sample(&release);
	struct buffer tar = unpacked(&packed);
	size_t text_size = strtoul((char *)tar.data + 124, NULL, 8);
	size_t off = TAR_BLOCK + text_size + -text_size % TAR_BLOCK;
	struct buffer first = without_end(&tar, 0, off), twice = {0};

	(void)state;
	expect_bad_archive(&first, "manifest.json");
	/* The header and one block of data, once more. */
	twice.size = tar.size + 2 * TAR_BLOCK;
	twice.data = malloc(twice.size);
	memcpy(twice.data, tar.data, off + 2 * TAR_BLOCK);
	memcpy(twice.data + off + 2 * TAR_BLOCK, tar.data + off,
	       tar.size - off);
	expect_bad_archive(&twice, "a member other than modules/0.so");
	buffer_deinit(&twice);
	buffer_deinit(&first);
	buffer_deinit(&tar);
	buffer_deinit(&packed);
}

static void a_signed_bundle_cut_anywhere_is_refused(void **state)
{
	struct buffer packed = packed_sample(&release);

	(void)state;
	for (size_t size = 0; size < packed.size;
	     size += size < 2000 ? 1 : 4999) {
		struct buffer cut = {malloc(size + 1), size};

		memcpy(cut.data, packed.data, size);
		expect_error(parse(&cut, trust, NULL), HFX_ERROR_BAD_BUNDLE,
		             "");
		buffer_deinit(&cut);
	}
	buffer_deinit(&packed);
}

static void a_flipped_bit_never_gives_other_trusted_content(void **state)
{
	struct buffer packed = packed_sample(&release);
	struct sample sample = make_sample(1);

	(void)state;
	for (size_t bit = 0; bit < 8 * packed.size;
	     bit += bit < 4000 ? 1 : 49999) {
		struct bundle *bundle = NULL;
		struct hfx_error *err;

		packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		err = bundle_parse_trusted(packed.data, packed.size, trust,
		                           &bundle);
		packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (bundle && memcmp(bundle->images[0].data, sample.image.data,
		                     IMAGE_SIZE))
			fail_msg("other content accepted, bit %zu", bit);
		hfx_error_destroy(err);
		bundle_destroy(bundle);
	}
	free_sample(&sample);
	buffer_deinit(&packed);
}

/* ---- Files that change ------------------------------------------------- */

static void write_bytes(const char *path, const struct buffer *bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes->data, bytes->size), bytes->size);
	close(fd);
}

static void a_bundle_is_read_from_a_pipe(void **state)
{
	struct buffer packed = packed_sample(&release);
	struct bundle *bundle;
	int ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		for (size_t done = 0; done < packed.size;) {
			ssize_t put = write(ends[1], packed.data + done,
			                    packed.size - done);

			done += put > 0 ? (size_t)put : packed.size;
		}
		_exit(0);
	}
	close(ends[1]);
	assert_null(bundle_read_fd(ends[0], trust, &bundle));
	assert_string_equal(bundle->signer.name, "release");
	bundle_destroy(bundle);
	close(ends[0]);
	buffer_deinit(&packed);
}

/** What the thread writes into the file, again and again. */
struct swapper {
	const char *path;
	struct buffer good;
	struct buffer evil;
	atomic_bool stop;
};

static void *swap(void *arg)
{
	struct swapper *swapper = arg;

	while (!atomic_load(&swapper->stop)) {
		write_bytes(swapper->path, &swapper->evil);
		write_bytes(swapper->path, &swapper->good);
		usleep(2000);
	}
	return NULL;
}

/*
 * Both have the same size, and are written in place: a reader that looks twice,
 * once to check and once to use, would sooner or later use the wrong one.
 */
static void a_file_that_changes_meanwhile_gives_what_was_signed(void **state)
{
	struct sample a = make_sample(1), b = make_sample(2);
	char path[128];
	struct swapper swapper = {
		.path = fixture_path("fix.hfx", path),
		.good = pack(&a, &release, &a.text),
		.evil = pack(&b, NULL, NULL),
	};
	unsigned int num_good = 0, num_bad = 0;
	pthread_t thread;

	(void)state;
	assert_false(pthread_create(&thread, NULL, swap, &swapper));
	for (int i = 0; i < 3000 && (i < 300 || !num_good || !num_bad); i++) {
		struct bundle *bundle = NULL;
		struct hfx_error *err =
			bundle_read_trusted(path, trust, &bundle);

		if (bundle &&
		    memcmp(bundle->images[0].data, a.image.data, IMAGE_SIZE))
			fail_msg("the wrong one was used");
		num_good += !err;
		num_bad += err != NULL;
		hfx_error_destroy(err);
		bundle_destroy(bundle);
	}
	atomic_store(&swapper.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	print_message("%u accepted, %u refused\n", num_good, num_bad);
	buffer_deinit(&swapper.good);
	buffer_deinit(&swapper.evil);
	free_sample(&a);
	free_sample(&b);
}

#define SIGNED_TEST(function)                                                  \
	cmocka_unit_test_setup_teardown(function, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SIGNED_TEST(a_signed_bundle_is_accepted_and_names_the_key),
		SIGNED_TEST(the_signature_leaves_the_identity_as_it_is),
		SIGNED_TEST(
			an_unsigned_manifest_is_refused_before_it_is_parsed),
		SIGNED_TEST(
			a_wrongly_signed_one_is_refused_before_it_is_parsed),
		SIGNED_TEST(of_an_untrusted_bundle_nothing_else_is_unpacked),
		SIGNED_TEST(the_signature_of_another_bundle_is_wrong),
		SIGNED_TEST(a_signed_manifest_with_another_image_is_refused),
		SIGNED_TEST(a_withdrawn_bundle_is_refused_though_it_is_signed),
		SIGNED_TEST(
			a_signature_that_is_not_behind_the_manifest_is_refused),
		SIGNED_TEST(a_signed_bundle_cut_anywhere_is_refused),
		SIGNED_TEST(a_flipped_bit_never_gives_other_trusted_content),
		SIGNED_TEST(a_bundle_is_read_from_a_pipe),
		SIGNED_TEST(
			a_file_that_changes_meanwhile_gives_what_was_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
