/* SPDX-License-Identifier: MIT */
/**
 * @file trust_fixture.h
 *
 * For tests of what is trusted: a folder of keys, and signatures by them.
 */
#ifndef HFX_TESTS_TRUST_FIXTURE_H
#define HFX_TESTS_TRUST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "secret_key.h"
#include "trust.h"

/** Names of files in the fixture; folder of the keys. */
static char fixture_folder[64], fixture_keys[80];

static inline char *fixture_path(const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", fixture_folder, name);
	return path;
}

static inline int make_fixture(void **state)
{
	(void)state;
	strcpy(fixture_folder, "/tmp/hfx-trust-test-XXXXXX");
	if (!mkdtemp(fixture_folder))
		return -1;
	snprintf(fixture_keys, sizeof(fixture_keys), "%s/keys", fixture_folder);
	umask(022);
	return mkdir(fixture_keys, 0755);
}

static inline int remove_fixture(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", fixture_folder);
	return system(command);
}

static inline void write_fixture(const char *name, const char *text)
{
	char path[128];
	FILE *file = fopen(fixture_path(name, path), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/** A new key, whose public half is keys/NAME.pub. */
static inline struct secret_key add_fixture_key(const char *name,
                                                const char *expires)
{
	struct secret_key key;
	char *text, file[64];

	assert_null(secret_key_generate(&key));
	assert_null(secret_key_format_public(&key, expires, &text));
	snprintf(file, sizeof(file), "keys/%s.pub", name);
	write_fixture(file, text);
	free(text);
	return key;
}

/** Trust in the fixture's keys, and its file `withdrawn`. */
static inline struct hfx_error *load_fixture(struct trust **ret)
{
	char withdrawn[128];
	struct trust_sources sources = {
		.folder = fixture_keys,
		.withdrawn = fixture_path("withdrawn", withdrawn),
	};

	return trust_load_from(&sources, ret);
}

static inline struct trust *fixture_trust(void)
{
	struct trust *trust = NULL;
	struct hfx_error *err = load_fixture(&trust);

	if (err)
		fail_msg("%s", hfx_error_message(err));
	return trust;
}

/** @p err has this code, and @p part in its message; it is freed. */
static inline void expect_error(struct hfx_error *err, enum hfx_error_code code,
                                const char *part)
{
	if (hfx_error_code(err) != code ||
	    !strstr(hfx_error_message(err), part))
		fail_msg("not %d with \"%s\": %s", code, part,
		         hfx_error_message(err));
	hfx_error_destroy(err);
}

#endif /* HFX_TESTS_TRUST_FIXTURE_H */
