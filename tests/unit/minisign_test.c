/* SPDX-License-Identifier: MIT */
#include "trust_fixture.h"

#include "utc_day.h"

/* Written by minisign 0.11 with `minisign -G -W`, over the bytes "hi\n". */
static const char public_text[] =
	"untrusted comment: minisign public key 45B629ED5F9F37DA\n"
	"RWTaN59f7Sm2RSdXFxug2pIlmTCG03KmfOxFeeTnAVIAyjq2J30f8Do+\n";
static const char secret_text[] =
	"untrusted comment: minisign encrypted secret key\n"
	"RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	"AA"
	"2jefX+0ptkVnBPTamrnF0E+keyqOa8PDLj3A+q4rO3af9Hr0vIP+"
	"GydXFxug2pIlmTCG03Km"
	"fOxFeeTnAVIAyjq2J30f8Do+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	"\n";
static const char signature_text[] =
	"untrusted comment: signature from minisign secret key\n"
	"RUTaN59f7Sm2RY7JJLuGtIdsIEgWlcQJPlshRysjIyxT96nNGChKba374FgpDU7Qh4F0e1"
	"v0"
	"CKd9E2kl+4sbDnMVCQpCc8gd6gc=\n"
	"trusted comment: timestamp:1795574753\tfile:f\thashed\n"
	"Uheg8+pPYOOT5qScdlKuau/y3K99Md0Wo34El5w1ytEH55WhVRopbsT917cpj5FL/"
	"cHIHW8U"
	"txqS/8Y+m1QhBA==\n";
/* The same by `minisign -S -l`. */
static const char old_signature_text[] =
	"untrusted comment: signature from minisign secret key\n"
	"RWTaN59f7Sm2RdEd2IlX8TqWOMfihLa7yEmZEN+HGbUhzfCAobmraRZx8eeDbirGO/"
	"qzS+l5"
	"TM0OVVpGOMuylriMwcOzlC4Kdgw=\n"
	"trusted comment: timestamp:1795574753\tfile:f\n"
	"O8m6t4Ovbt9jltneG0js7Y6jLKO2aON3VRMuk8mOh7evd/"
	"z0vpkeBaqUce0uJTldfow2FSBt"
	"+L1YTaPbqiM5AQ==\n";

/** Cheap enough for a test. */
static const struct password_cost low_cost = {.ops = 32768,
                                              .memory = 16u << 20};

static struct minisign_key known_key(void)
{
	struct minisign_key key;
	char comment[MINISIGN_MAX_COMMENT + 1];

	assert_null(minisign_key_parse(public_text, strlen(public_text), &key,
	                               comment));
	assert_string_equal(comment, "minisign public key 45B629ED5F9F37DA");
	return key;
}

static void a_signature_by_minisign_is_verified(void **state)
{
	struct minisign_key key = known_key();
	struct minisign_signature signature;
	uint64_t timestamp;

	(void)state;
	assert_null(minisign_signature_parse(
		signature_text, strlen(signature_text), &signature));
	assert_true(minisign_verify(&key, &signature, "hi\n", 3));
	assert_false(minisign_verify(&key, &signature, "hi\r", 3));
	assert_false(minisign_verify(&key, &signature, "hi", 2));
	assert_false(minisign_verify(&key, &signature, "", 0));
	assert_true(minisign_timestamp(&signature, &timestamp));
	assert_int_equal(timestamp, 1795574753);
	assert_string_equal(minisign_id_text(signature.key_id).text,
	                    "45B629ED5F9F37DA");
}

static void a_bit_of_a_signature_flipped_anywhere_is_refused(void **state)
{
	struct minisign_key key = known_key();
	size_t size = strlen(signature_text);
	/* What is before is the untrusted comment, and is not. */
	size_t first = (size_t)(strchr(signature_text, '\n') - signature_text);
	char *text = malloc(size);

	(void)state;
	memcpy(text, signature_text, size);
	for (size_t bit = 8 * (first + 1); bit < 8 * (size - 1); bit++) {
		struct minisign_signature signature;
		struct hfx_error *err;

		text[bit / 8] ^= (char)(1 << bit % 8);
		err = minisign_signature_parse(text, size, &signature);
		if (!err && minisign_verify(&key, &signature, "hi\n", 3) &&
		    !memcmp(signature.key_id, key.id, sizeof(key.id)))
			fail_msg("accepted with bit %zu flipped", bit);
		hfx_error_destroy(err);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	free(text);
}

static void a_signature_cut_or_grown_is_refused(void **state)
{
	struct minisign_signature signature;
	size_t size = strlen(signature_text);
	char grown[1024];

	(void)state;
	/* Without its last line end it is the same. */
	for (size_t cut = 0; cut < size - 1; cut++) {
		char *text = malloc(cut + 1);
		struct hfx_error *err;

		memcpy(text, signature_text, cut);
		err = minisign_signature_parse(text, cut, &signature);
		if (!err)
			fail_msg("accepted with %zu of %zu bytes", cut, size);
		hfx_error_destroy(err);
		free(text);
	}
	snprintf(grown, sizeof(grown), "%sx\n", signature_text);
	expect_error(minisign_signature_parse(grown, strlen(grown), &signature),
	             HFX_ERROR_UNTRUSTED, "malformed");
}

static void minisigns_old_kind_is_refused_by_name(void **state)
{
	struct minisign_signature signature;

	(void)state;
	expect_error(minisign_signature_parse(old_signature_text,
	                                      strlen(old_signature_text),
	                                      &signature),
	             HFX_ERROR_UNTRUSTED, "without -l");
}

static void a_public_key_flipped_anywhere_is_another_or_none(void **state)
{
	struct minisign_signature signature;
	size_t size = strlen(public_text);
	size_t first = (size_t)(strchr(public_text, '\n') - public_text);
	char *text = malloc(size);

	(void)state;
	assert_null(minisign_signature_parse(
		signature_text, strlen(signature_text), &signature));
	memcpy(text, public_text, size);
	for (size_t bit = 8 * (first + 1); bit < 8 * (size - 1); bit++) {
		struct minisign_key key;
		struct hfx_error *err;

		text[bit / 8] ^= (char)(1 << bit % 8);
		err = minisign_key_parse(text, size, &key, NULL);
		if (!err && minisign_verify(&key, &signature, "hi\n", 3) &&
		    !memcmp(signature.key_id, key.id, sizeof(key.id)))
			fail_msg("as good with bit %zu flipped", bit);
		hfx_error_destroy(err);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	free(text);
}

static void a_comment_with_control_characters_is_refused(void **state)
{
	struct minisign_key key;
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "untrusted comment: \033[2J%s",
	         strchr(public_text, '\n'));
	expect_error(minisign_key_parse(text, strlen(text), &key, NULL),
	             HFX_ERROR_UNTRUSTED, "not a public key");
}

/* ---- Secret keys ------------------------------------------------------- */

static struct hfx_error *give_password(void *arg,
                                       char password[PASSWORD_MAX + 1])
{
	strcpy(password, arg);
	return NULL;
}

static struct hfx_error *read_secret(const char *text, char *password,
                                     struct secret_key *key)
{
	struct password_source source = {give_password, password};
	char path[128];

	write_fixture("secret.key", text);
	return secret_key_read(fixture_path("secret.key", path), &source, key);
}

static void a_secret_key_of_minisign_signs(void **state)
{
	struct buffer text = {(uint8_t *)"hi\n", 3}, file;
	struct minisign_key public = known_key();
	struct minisign_signature signature;
	struct secret_key key;

	(void)state;
	assert_null(read_secret(secret_text, NULL, &key));
	assert_null(secret_key_sign(&key, &text, 1795574753, &file));
	assert_null(minisign_signature_parse(file.data, file.size, &signature));
	assert_true(minisign_verify(&public, &signature, "hi\n", 3));
	/* Ed25519 gives the same each time: here what minisign made. */
	assert_memory_equal(strchr((char *)file.data, '\n'),
	                    strchr(signature_text, '\n'), 101);
	buffer_deinit(&file);
}

static void a_password_opens_what_it_closed(void **state)
{
	struct secret_key key, again;
	char *text;

	(void)state;
	assert_null(secret_key_generate(&key));
	assert_null(secret_key_format(&key, "open sesame", &low_cost, &text));
	assert_null(read_secret(text, "open sesame", &again));
	assert_memory_equal(&key, &again, sizeof(key));
	expect_error(read_secret(text, "open sesam", &again),
	             HFX_ERROR_INVALID_ARGUMENT, "password is wrong");
	expect_error(read_secret(text, "", &again), HFX_ERROR_INVALID_ARGUMENT,
	             "password is wrong");
	free(text);
}

static void a_damaged_secret_key_is_refused(void **state)
{
	size_t size = strlen(secret_text);
	size_t first = (size_t)(strchr(secret_text, '\n') - secret_text);
	struct secret_key whole, key;
	char *text = strdup(secret_text);

	(void)state;
	assert_null(read_secret(secret_text, NULL, &whole));
	for (size_t i = first + 1; i < size - 1; i++) {
		struct hfx_error *err;

		text[i] = text[i] == 'B' ? 'C' : 'B';
		err = read_secret(text, NULL, &key);
		/* Its id is not protected, nor what a password would need. */
		if (!err && memcmp(key.key, whole.key, sizeof(key.key)))
			fail_msg("another key with character %zu altered", i);
		hfx_error_destroy(err);
		text[i] = secret_text[i];
	}
	text[first + 20] = '\0';
	expect_error(read_secret(text, NULL, &key), HFX_ERROR_INVALID_ARGUMENT,
	             "not a secret key");
	free(text);
}

static void a_key_that_costs_too_much_is_refused_unopened(void **state)
{
	struct secret_key key;
	char *text, *at;

	(void)state;
	assert_null(secret_key_generate(&key));
	assert_null(secret_key_format(&key, "x", &low_cost, &text));
	/* Bytes 38 to 53: the cost. */
	at = strchr(text, '\n') + 1 + 38 / 3 * 4;
	memset(at + 4, '/', 4);
	expect_error(read_secret(text, "x", &key), HFX_ERROR_INVALID_ARGUMENT,
	             "costs more");
	free(text);
}

/* ---- Days -------------------------------------------------------------- */

static void days_are_read_and_written(void **state)
{
	uint64_t second = 1;

	(void)state;
	assert_true(utc_day_parse("1970-01-01", &second));
	assert_int_equal(second, 0);
	assert_true(utc_day_parse("2028-02-29 and more", &second));
	assert_string_equal(utc_day_format(second).text, "2028-02-29");
	assert_string_equal(utc_day_format(second - 1).text, "2028-02-28");
	assert_false(utc_day_parse("2027-02-29", &second));
	assert_false(utc_day_parse("2027-00-10", &second));
	assert_false(utc_day_parse("1969-12-31", &second));
	assert_false(utc_day_parse("2027-1-10", &second));
	assert_false(utc_day_parse("", &second));
}

#define FILE_TEST(function)                                                    \
	cmocka_unit_test_setup_teardown(function, make_fixture, remove_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_by_minisign_is_verified),
		cmocka_unit_test(
			a_bit_of_a_signature_flipped_anywhere_is_refused),
		cmocka_unit_test(a_signature_cut_or_grown_is_refused),
		cmocka_unit_test(minisigns_old_kind_is_refused_by_name),
		cmocka_unit_test(
			a_public_key_flipped_anywhere_is_another_or_none),
		cmocka_unit_test(a_comment_with_control_characters_is_refused),
		FILE_TEST(a_secret_key_of_minisign_signs),
		FILE_TEST(a_password_opens_what_it_closed),
		FILE_TEST(a_damaged_secret_key_is_refused),
		FILE_TEST(a_key_that_costs_too_much_is_refused_unopened),
		cmocka_unit_test(days_are_read_and_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
