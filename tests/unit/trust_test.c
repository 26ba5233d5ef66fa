/* SPDX-License-Identifier: MIT */
#include "trust_fixture.h"

#include <fcntl.h>
#include <time.h>

#include "guarded.h"
#include "utc_day.h"

#define NOBODY   65534
#define LONG_AGO "2001-01-01"
#define FAR_OFF  "2999-12-31"

static const char manifest[] = "{\"format\": 1}";

static uint64_t day(const char *text)
{
	uint64_t second;

	assert_true(utc_day_parse(text, &second));
	return second;
}

static struct minisign_signature sign_at(const struct secret_key *key,
                                         uint64_t timestamp)
{
	struct buffer text = {(uint8_t *)manifest, strlen(manifest)}, file;
	struct minisign_signature signature;

	assert_null(secret_key_sign(key, &text, timestamp, &file));
	assert_null(minisign_signature_parse(file.data, file.size, &signature));
	buffer_deinit(&file);
	return signature;
}

static struct hfx_error *check(const struct trust *trust,
                               const struct minisign_signature *signature,
                               struct signer *signer)
{
	struct digest id = digest_of(manifest, strlen(manifest));

	return trust_check(trust, &id, manifest, strlen(manifest), signature,
	                   signer);
}

static void expect_verdict(const struct minisign_signature *signature,
                           enum hfx_error_code code, const char *part)
{
	struct trust *trust = fixture_trust();
	struct signer signer;

	expect_error(check(trust, signature, &signer), code, part);
	trust_destroy(trust);
}

static void expect_load_error(enum hfx_error_code code, const char *part)
{
	struct trust *trust = NULL;

	expect_error(load_fixture(&trust), code, part);
	assert_null(trust);
}

/* ---- Keys -------------------------------------------------------------- */

static void without_a_folder_of_keys_every_bundle_is_accepted(void **state)
{
	struct trust *trust;
	struct signer signer;

	(void)state;
	assert_int_equal(rmdir(fixture_keys), 0);
	trust = fixture_trust();
	assert_false(trust_wants_signature(trust));
	assert_null(check(trust, NULL, &signer));
	assert_string_equal(signer.name, "");
	trust_destroy(trust);
}

static void an_empty_folder_of_keys_is_an_error(void **state)
{
	(void)state;
	expect_load_error(HFX_ERROR_UNTRUSTED, "there is no key in it");
	/* Neither a hidden file nor another suffix is a key. */
	write_fixture("keys/.a.pub", "x");
	write_fixture("keys/README", "x");
	expect_load_error(HFX_ERROR_UNTRUSTED, "there is no key in it");
}

static void a_signature_by_a_trusted_key_names_the_key(void **state)
{
	struct secret_key other = add_fixture_key("other", NULL);
	struct secret_key key = add_fixture_key("release", NULL);
	struct minisign_signature signature = sign_at(&key, 1234);
	struct trust *trust = fixture_trust();
	struct signer signer;

	(void)state;
	(void)other;
	assert_null(check(trust, &signature, &signer));
	assert_string_equal(signer.name, "release");
	assert_int_equal(signer.timestamp, 1234);
	assert_string_equal(signer.key_id.text, minisign_id_text(key.id).text);
	trust_destroy(trust);
}

static void no_signature_or_that_of_another_key_is_refused(void **state)
{
	struct secret_key key = add_fixture_key("release", NULL), stranger;
	struct minisign_signature signature;

	(void)state;
	(void)key;
	expect_verdict(NULL, HFX_ERROR_UNTRUSTED, "not signed");
	assert_null(secret_key_generate(&stranger));
	signature = sign_at(&stranger, 0);
	expect_verdict(&signature, HFX_ERROR_UNTRUSTED,
	               "not among the trusted keys");
	/* The same id, as a forger would choose it. */
	memcpy(signature.key_id, key.id, sizeof(key.id));
	expect_verdict(&signature, HFX_ERROR_UNTRUSTED, "release");
}

static void keys_that_share_an_id_are_all_tried(void **state)
{
	struct secret_key a = add_fixture_key("a", NULL);
	struct secret_key b = add_fixture_key("b", NULL);
	struct minisign_signature signature;
	char *text;

	(void)state;
	memcpy(b.id, a.id, sizeof(b.id));
	assert_null(secret_key_format_public(&b, NULL, &text));
	write_fixture("keys/b.pub", text);
	free(text);
	signature = sign_at(&a, 0);
	expect_verdict(&signature, HFX_ERROR_NONE, "");
	signature = sign_at(&b, 0);
	expect_verdict(&signature, HFX_ERROR_NONE, "");
}

static void a_key_is_given_by_file_folder_or_text(void **state)
{
	struct secret_key key = add_fixture_key("release", NULL);
	struct minisign_signature signature = sign_at(&key, 0);
	char path[128], *text, base64[MINISIGN_KEY_TEXT_SIZE + 1] = "";
	const char *places[] = {fixture_path("keys/release.pub", path),
	                        fixture_keys, base64};

	(void)state;
	assert_null(secret_key_format_public(&key, NULL, &text));
	memcpy(base64, strchr(text, '\n') + 1, MINISIGN_KEY_TEXT_SIZE);
	free(text);
	for (size_t i = 0; i < 3; i++) {
		struct trust_sources sources = {
			.keys = places[i],
			.withdrawn = "/nonexistent",
		};
		struct trust *trust;
		struct signer signer;

		assert_null(trust_load_from(&sources, &trust));
		assert_null(check(trust, &signature, &signer));
		assert_string_equal(signer.name,
		                    i < 2 ? "release"
		                          : minisign_id_text(key.id).text);
		expect_error(check(trust, NULL, &signer), HFX_ERROR_UNTRUSTED,
		             "not signed");
		trust_destroy(trust);
	}
}

static void keys_that_are_named_must_be_there(void **state)
{
	struct trust_sources sources = {.keys = "/nonexistent/release.pub"};
	struct trust *trust;

	(void)state;
	expect_error(trust_load_from(&sources, &trust), HFX_ERROR_OS,
	             "/nonexistent/release.pub");
	sources.keys = "RWshort";
	expect_error(trust_load_from(&sources, &trust), HFX_ERROR_OS,
	             "RWshort");
}

static void one_key_that_cannot_be_read_is_an_error(void **state)
{
	(void)state;
	add_fixture_key("release", NULL);
	write_fixture("keys/broken.pub", "untrusted comment: x\nRWQ\n");
	expect_load_error(HFX_ERROR_UNTRUSTED, "keys/broken.pub");
	write_fixture("keys/broken.pub", "");
	expect_load_error(HFX_ERROR_UNTRUSTED, "keys/broken.pub");
}

/* ---- Time -------------------------------------------------------------- */

static void nothing_by_a_key_that_has_expired_is_accepted(void **state)
{
	struct secret_key key = add_fixture_key("old", LONG_AGO);
	struct minisign_signature early = sign_at(&key, day(LONG_AGO) - 1);

	(void)state;
	expect_verdict(&early, HFX_ERROR_UNTRUSTED, "expired on " LONG_AGO);
}

static void a_key_is_good_up_to_the_day_of_its_end(void **state)
{
	struct secret_key key = add_fixture_key("young", FAR_OFF);
	struct minisign_signature early = sign_at(&key, day(FAR_OFF) - 1);
	struct minisign_signature late = sign_at(&key, day(FAR_OFF));

	(void)state;
	expect_verdict(&early, HFX_ERROR_NONE, "");
	/* A clock that is behind does not help. */
	expect_verdict(&late, HFX_ERROR_UNTRUSTED, "clock");
}

static void the_end_of_a_key_begins_with_its_day(void **state)
{
	struct secret_key key;
	struct minisign_signature signature;
	uint64_t now = (uint64_t)time(NULL);

	(void)state;
	key = add_fixture_key("today", utc_day_format(now).text);
	signature = sign_at(&key, 1);
	expect_verdict(&signature, HFX_ERROR_UNTRUSTED, "expired");
	key = add_fixture_key("today", utc_day_format(now + 2 * 86400).text);
	signature = sign_at(&key, 1);
	expect_verdict(&signature, HFX_ERROR_NONE, "");
}

/** A signature whose trusted comment is @p comment. */
static struct minisign_signature sign_silently(const struct secret_key *key)
{
	struct minisign_signature signature = sign_at(key, 1);

	/* Not signed any more, but that is asked first. */
	strcpy(signature.trusted_comment, "file:manifest.json");
	return signature;
}

static void a_trusted_comment_is_part_of_what_is_signed(void **state)
{
	struct secret_key key = add_fixture_key("release", NULL);
	struct minisign_signature signature = sign_silently(&key);

	(void)state;
	expect_verdict(&signature, HFX_ERROR_UNTRUSTED, "wrong");
}

static void an_end_that_is_misspelled_is_an_error(void **state)
{
	static const char *const comments[] = {
		"Expires: 2030-01-01",  "expires 2030-01-01",
		"expire: 2030-01-01",   "expires: 2030-13-01",
		"expires: 2030-04-31",  "expires: 2030-1-1",
		"expires: 2030-01-011", "expires:",
		"expires: never",
	};
	struct secret_key key = add_fixture_key("release", NULL);
	char *text, file[512];

	(void)state;
	assert_null(secret_key_format_public(&key, NULL, &text));
	for (size_t i = 0; i < sizeof(comments) / sizeof(*comments); i++) {
		snprintf(file, sizeof(file), "untrusted comment: %s%s",
		         comments[i], strchr(text, '\n'));
		write_fixture("keys/release.pub", file);
		expect_load_error(HFX_ERROR_UNTRUSTED, "release.pub");
	}
	snprintf(file, sizeof(file),
	         "untrusted comment: our key, expires:2030-01-01, ask Jo%s",
	         strchr(text, '\n'));
	write_fixture("keys/release.pub", file);
	trust_destroy(fixture_trust());
	free(text);
}

/* ---- Withdrawn --------------------------------------------------------- */

static void write_withdrawn(const char *file, const char *before,
                            const char *after)
{
	struct digest id = digest_of(manifest, strlen(manifest));
	char hex[2 * DIGEST_SIZE + 1], text[512];

	hex_encode(id.bytes, sizeof(id.bytes), hex);
	snprintf(text, sizeof(text), "%s%s%s", before, hex, after);
	write_fixture(file, text);
}

static void a_withdrawn_bundle_is_refused_with_the_reason(void **state)
{
	struct secret_key key;
	struct minisign_signature signature;

	(void)state;
	assert_int_equal(rmdir(fixture_keys), 0);
	write_withdrawn("withdrawn", "# a comment\n\n", " breaks the cache\n");
	expect_verdict(NULL, HFX_ERROR_WITHDRAWN, "withdrawn:3): breaks the");
	assert_int_equal(mkdir(fixture_keys, 0755), 0);
	key = add_fixture_key("release", NULL);
	signature = sign_at(&key, 0);
	expect_verdict(&signature, HFX_ERROR_WITHDRAWN, "breaks the cache");
	write_fixture("withdrawn", "");
	expect_verdict(&signature, HFX_ERROR_NONE, "");
	write_withdrawn("keys/withdrawn", "", "");
	expect_verdict(&signature, HFX_ERROR_WITHDRAWN, "keys/withdrawn:1");
}

static void a_list_that_cannot_be_understood_is_an_error(void **state)
{
	(void)state;
	write_withdrawn("withdrawn", "", "0\n");
	expect_load_error(HFX_ERROR_UNTRUSTED, "withdrawn:1");
	write_fixture("withdrawn", "# ok\nfix.hfx\n");
	expect_load_error(HFX_ERROR_UNTRUSTED, "withdrawn:2");
	write_withdrawn("withdrawn", " ", "\n");
	expect_load_error(HFX_ERROR_UNTRUSTED, "withdrawn:1");
}

/* ---- Files of others --------------------------------------------------- */

static void set_mode(const char *name, mode_t mode)
{
	char path[128];

	assert_int_equal(chmod(fixture_path(name, path), mode), 0);
}

static void what_others_can_write_is_refused(void **state)
{
	static const char *const names[] = {"keys", "keys/a.pub", "withdrawn",
	                                    "."};

	(void)state;
	add_fixture_key("a", NULL);
	write_fixture("withdrawn", "");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		set_mode(names[i], 0775);
		expect_load_error(HFX_ERROR_UNTRUSTED, "written by others");
		set_mode(names[i], 0757);
		expect_load_error(HFX_ERROR_UNTRUSTED, "chmod go-w");
		set_mode(names[i], 0755);
		trust_destroy(fixture_trust());
	}
}

static void a_sticky_folder_is_allowed_above_but_not_for_keys(void **state)
{
	(void)state;
	add_fixture_key("a", NULL);
	set_mode(".", 01777);
	trust_destroy(fixture_trust());
	set_mode("keys", 01777);
	expect_load_error(HFX_ERROR_UNTRUSTED, "keys can be written");
}

static void what_belongs_to_another_user_is_refused(void **state)
{
	static const char *const names[] = {"keys", "keys/a.pub", "withdrawn",
	                                    "."};
	char path[128];

	(void)state;
	if (geteuid())
		skip();
	add_fixture_key("a", NULL);
	write_fixture("withdrawn", "");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		fixture_path(names[i], path);
		assert_int_equal(chown(path, NOBODY, 0), 0);
		expect_load_error(HFX_ERROR_UNTRUSTED, "belongs to user 65534");
		assert_int_equal(chown(path, 0, 0), 0);
	}
	trust_destroy(fixture_trust());
}

static void a_link_is_followed_only_to_guarded_files(void **state)
{
	char path[128], target[128];

	(void)state;
	add_fixture_key("a", NULL);
	assert_int_equal(mkdir(fixture_path("open", path), 0755), 0);
	assert_int_equal(rename(fixture_path("keys/a.pub", path),
	                        fixture_path("open/a.pub", target)),
	                 0);
	assert_int_equal(symlink(target, path), 0);
	trust_destroy(fixture_trust());
	set_mode("open", 0777);
	expect_load_error(HFX_ERROR_UNTRUSTED, "open can be written");
}

static void a_pipe_in_place_of_a_key_does_not_hang(void **state)
{
	char path[128];

	(void)state;
	assert_int_equal(mkfifo(fixture_path("keys/a.pub", path), 0600), 0);
	expect_load_error(HFX_ERROR_UNTRUSTED, "no regular file");
}

#define TRUST_TEST(function)                                                   \
	cmocka_unit_test_setup_teardown(function, make_fixture, remove_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRUST_TEST(without_a_folder_of_keys_every_bundle_is_accepted),
		TRUST_TEST(an_empty_folder_of_keys_is_an_error),
		TRUST_TEST(a_signature_by_a_trusted_key_names_the_key),
		TRUST_TEST(no_signature_or_that_of_another_key_is_refused),
		TRUST_TEST(keys_that_share_an_id_are_all_tried),
		TRUST_TEST(a_key_is_given_by_file_folder_or_text),
		TRUST_TEST(keys_that_are_named_must_be_there),
		TRUST_TEST(one_key_that_cannot_be_read_is_an_error),
		TRUST_TEST(nothing_by_a_key_that_has_expired_is_accepted),
		TRUST_TEST(a_key_is_good_up_to_the_day_of_its_end),
		TRUST_TEST(the_end_of_a_key_begins_with_its_day),
		TRUST_TEST(a_trusted_comment_is_part_of_what_is_signed),
		TRUST_TEST(an_end_that_is_misspelled_is_an_error),
		TRUST_TEST(a_withdrawn_bundle_is_refused_with_the_reason),
		TRUST_TEST(a_list_that_cannot_be_understood_is_an_error),
		TRUST_TEST(what_others_can_write_is_refused),
		TRUST_TEST(a_sticky_folder_is_allowed_above_but_not_for_keys),
		TRUST_TEST(what_belongs_to_another_user_is_refused),
		TRUST_TEST(a_link_is_followed_only_to_guarded_files),
		TRUST_TEST(a_pipe_in_place_of_a_key_does_not_hang),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
