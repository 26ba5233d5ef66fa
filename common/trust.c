/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "array.h"
#include "cleanup.h"
#include "guarded.h"
#include "trust.h"
#include "utc_day.h"

#define KEY_SUFFIX  ".pub"
#define KEY_EXPIRES "expires:"

struct trusted_key {
	struct minisign_key key;
	char name[TRUST_MAX_NAME + 1];
	/** First second in which it is not trusted any more; 0 for none. */
	uint64_t expires;
};

struct withdrawn {
	struct digest id;
	/** Why, owned; may be empty. */
	char *reason;
	/** Line of the list, for messages. */
	char *place;
};

struct trust {
	/** Where the keys are from; `NULL` when none are asked for. */
	char *place;
	struct trusted_key *keys;
	size_t num_keys;
	size_t cap_keys;
	struct withdrawn *withdrawn;
	size_t num_withdrawn;
	size_t cap_withdrawn;
};

#define untrusted(...) hfx_error_create(HFX_ERROR_UNTRUSTED, __VA_ARGS__)

/* ---- Keys -------------------------------------------------------------- */

/**
 * The end of a key by its comment. Whatever looks like one must be one: a key
 * that was meant to end must not live on because of a spelling.
 */
static struct hfx_error *parse_expiry(const char *comment, uint64_t *ret)
{
	const char *found = strcasestr(comment, "expire");

	*ret = 0;
	if (!found)
		return NULL;
	if (strncmp(found, KEY_EXPIRES, strlen(KEY_EXPIRES)))
		return untrusted("its comment does not say when it expires; "
		                 "write \"%s YYYY-MM-DD\"",
		                 KEY_EXPIRES);
	found += strlen(KEY_EXPIRES);
	found += strspn(found, " ");
	if (!utc_day_parse(found, ret) ||
	    isalnum((unsigned char)found[UTC_DAY_SIZE]))
		return untrusted("\"%s %.20s\" in its comment is no day; write "
		                 "YYYY-MM-DD",
		                 KEY_EXPIRES, found);
	return NULL;
}

static struct hfx_error *add_key(struct trust *trust,
                                 const struct trusted_key *key)
{
	if (trust->num_keys >= TRUST_MAX_KEYS)
		return untrusted("more than %d keys", TRUST_MAX_KEYS);
	return HFX_ARRAY_PUSH(trust, keys, *key) ? NULL : hfx_error_no_memory();
}

static struct hfx_error *parse_key(struct trust *trust, const char *path,
                                   const struct buffer *file)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct trusted_key key = {.expires = 0};
	char comment[MINISIGN_MAX_COMMENT + 1];
	size_t size = strlen(name), skip = strlen(KEY_SUFFIX);

	if (size > skip && !strcmp(name + size - skip, KEY_SUFFIX))
		size -= skip;
	snprintf(key.name, sizeof(key.name), "%.*s", (int)size, name);
	HFX_TRY(minisign_key_parse(file->data, file->size, &key.key, comment));
	HFX_TRY(parse_expiry(comment, &key.expires));
	return add_key(trust, &key);
}

static struct hfx_error *add_key_file(struct trust *trust, const char *path)
{
	HFX_CLEANUP(buffer_deinit) struct buffer file = {0};

	HFX_TRY(guarded_read(path, MINISIGN_MAX_FILE, &file));
	return hfx_error_wrap(parse_key(trust, path, &file), "%s", path);
}

/** A key in base64; what else is in its place is a path. */
static bool is_key_text(const char *text)
{
	return strlen(text) == MINISIGN_KEY_TEXT_SIZE &&
	       !strncmp(text, "RW", 2) && !strchr(text, '.');
}

static struct hfx_error *add_key_text(struct trust *trust, const char *text)
{
	struct trusted_key key = {.expires = 0};

	HFX_TRY(hfx_error_wrap(minisign_key_decode(text, &key.key), "%s",
	                       text));
	snprintf(key.name, sizeof(key.name), "%s",
	         minisign_id_text(key.key.id).text);
	return add_key(trust, &key);
}

/* ---- Withdrawn bundles ------------------------------------------------- */

/** One line: an id, and a reason behind it. Empty ones and `#` are comments. */
static struct hfx_error *parse_withdrawn(struct trust *trust, const char *path,
                                         size_t number, char *line)
{
	size_t size = strcspn(line, " \t\r");
	char *reason = line + size + strspn(line + size, " \t\r");
	struct withdrawn withdrawn = {0};

	if (!*line || *line == '#')
		return NULL;
	line[size] = '\0';
	if (!hex_decode(line, DIGEST_SIZE, withdrawn.id.bytes))
		return untrusted("%s:%zu: not the id of a bundle, which has %d "
		                 "hexadecimal digits",
		                 path, number, 2 * DIGEST_SIZE);
	if (trust->num_withdrawn >= TRUST_MAX_WITHDRAWN)
		return untrusted("%s: more than %d ids", path,
		                 TRUST_MAX_WITHDRAWN);
	if (asprintf(&withdrawn.place, "%s:%zu", path, number) < 0)
		return hfx_error_no_memory();
	withdrawn.reason = strdup(reason);
	if (!withdrawn.reason || !HFX_ARRAY_PUSH(trust, withdrawn, withdrawn)) {
		free(withdrawn.place);
		free(withdrawn.reason);
		return hfx_error_no_memory();
	}
	return NULL;
}

static struct hfx_error *add_withdrawn(struct trust *trust, const char *path)
{
	HFX_CLEANUP(buffer_deinit) struct buffer file = {0};
	HFX_CLEANUP(hfx_free) char *text = NULL;
	struct hfx_error *err =
		guarded_read(path, TRUST_MAX_WITHDRAWN_SIZE, &file);
	char *rest, *line;

	if (hfx_error_errno(err) == ENOENT) {
		hfx_error_destroy(err);
		return NULL;
	}
	HFX_TRY(err);
	text = malloc(file.size + 1);
	if (!text)
		return hfx_error_no_memory();
	for (size_t i = 0; i < file.size; i++)
		text[i] = file.data[i] ? (char)file.data[i] : '?';
	text[file.size] = '\0';
	rest = text;
	for (size_t number = 1; (line = strsep(&rest, "\n")); number++)
		HFX_TRY(parse_withdrawn(trust, path, number, line));
	return NULL;
}

/* ---- Places ------------------------------------------------------------ */

static void close_folder(DIR **folder)
{
	if (*folder)
		closedir(*folder);
}

static bool is_key_name(const char *name)
{
	size_t size = strlen(name), skip = strlen(KEY_SUFFIX);

	return *name != '.' && size > skip &&
	       !strcmp(name + size - skip, KEY_SUFFIX);
}

static struct hfx_error *add_entry(struct trust *trust, const char *path,
                                   const char *name)
{
	HFX_CLEANUP(hfx_free) char *entry = NULL;

	if (asprintf(&entry, "%s/%s", path, name) < 0) {
		entry = NULL;
		return hfx_error_no_memory();
	}
	if (!strcmp(name, TRUST_WITHDRAWN_NAME))
		return add_withdrawn(trust, entry);
	return is_key_name(name) ? add_key_file(trust, entry) : NULL;
}

static struct hfx_error *add_folder(struct trust *trust, const char *path,
                                    int fd)
{
	HFX_CLEANUP(close_folder) DIR *folder = fdopendir(fd);
	const struct dirent *entry;

	if (!folder) {
		close(fd);
		return hfx_error_os(errno, "cannot read %s", path);
	}
	for (;;) {
		errno = 0;
		entry = readdir(folder);
		if (!entry)
			break;
		HFX_TRY(add_entry(trust, path, entry->d_name));
	}
	return errno ? hfx_error_os(errno, "cannot read %s", path) : NULL;
}

static struct hfx_error *note_place(struct trust *trust, const char *place)
{
	trust->place = strdup(place);
	return trust->place ? NULL : hfx_error_no_memory();
}

/** Keys that the caller names. */
static struct hfx_error *add_named(struct trust *trust, const char *keys)
{
	struct hfx_error *err;
	int fd;

	HFX_TRY(note_place(trust, keys));
	if (is_key_text(keys))
		return add_key_text(trust, keys);
	err = guarded_open_folder(keys, &fd);
	if (!err)
		return add_folder(trust, keys, fd);
	if (hfx_error_errno(err) != ENOTDIR)
		return err;
	hfx_error_destroy(err);
	return add_key_file(trust, keys);
}

/** The usual keys, if there are any. */
static struct hfx_error *add_usual(struct trust *trust, const char *path)
{
	struct hfx_error *err;
	int fd;

	err = guarded_open_folder(path, &fd);
	if (hfx_error_errno(err) == ENOENT) {
		hfx_error_destroy(err);
		return NULL;
	}
	HFX_TRY(err);
	err = note_place(trust, path);
	if (err) {
		close(fd);
		return err;
	}
	return add_folder(trust, path, fd);
}

static struct hfx_error *load(const struct trust_sources *sources,
                              struct trust *trust)
{
	if (sources->keys)
		HFX_TRY(add_named(trust, sources->keys));
	else
		HFX_TRY(add_usual(trust, sources->folder ? sources->folder
		                                         : TRUST_FOLDER));
	HFX_TRY(add_withdrawn(trust, sources->withdrawn ? sources->withdrawn
	                                                : TRUST_WITHDRAWN));
	if (trust->place && !trust->num_keys)
		return untrusted("%s: there is no key in it (*%s)",
		                 trust->place, KEY_SUFFIX);
	return NULL;
}

struct hfx_error *trust_load_from(const struct trust_sources *sources,
                                  struct trust **ret)
{
	HFX_CLEANUP(trust_cleanup)
	struct trust *trust = calloc(1, sizeof(*trust));

	if (!trust)
		return hfx_error_no_memory();
	HFX_TRY(hfx_error_wrap(load(sources, trust), "trusted keys"));
	*ret = HFX_TAKE(trust);
	return NULL;
}

struct hfx_error *trust_load(const char *keys, struct trust **ret)
{
	struct trust_sources sources = {.keys = keys};

	return trust_load_from(&sources, ret);
}

void trust_destroy(struct trust *trust)
{
	if (!trust)
		return;
	for (size_t i = 0; i < trust->num_withdrawn; i++) {
		free(trust->withdrawn[i].reason);
		free(trust->withdrawn[i].place);
	}
	free(trust->withdrawn);
	free(trust->keys);
	free(trust->place);
	free(trust);
}

void trust_cleanup(struct trust **trust)
{
	trust_destroy(*trust);
}

bool trust_wants_signature(const struct trust *trust)
{
	return trust && trust->place;
}

/* ---- Deciding ---------------------------------------------------------- */

static struct hfx_error *check_withdrawn(const struct trust *trust,
                                         const struct digest *id)
{
	for (size_t i = 0; i < trust->num_withdrawn; i++) {
		const struct withdrawn *entry = &trust->withdrawn[i];

		if (digest_equal(&entry->id, id))
			return hfx_error_create(
				HFX_ERROR_WITHDRAWN,
				"the bundle was withdrawn (%s)%s%s",
				entry->place, *entry->reason ? ": " : "",
				entry->reason);
	}
	return NULL;
}

static struct hfx_error *check_time(const struct trusted_key *key,
                                    const struct minisign_signature *signature)
{
	struct minisign_id_text id = minisign_id_text(key->key.id);
	uint64_t now = (uint64_t)time(NULL), made;
	struct utc_day end = utc_day_format(key->expires);

	if (!key->expires)
		return NULL;
	if (now >= key->expires)
		return untrusted("key %s (%s) expired on %s, and this host's "
		                 "clock says %s",
		                 key->name, id.text, end.text,
		                 utc_day_format(now).text);
	if (!minisign_timestamp(signature, &made))
		return untrusted("key %s (%s) expires on %s, but the signature "
		                 "does not say when it was made",
		                 key->name, id.text, end.text);
	if (made >= key->expires)
		return untrusted("key %s (%s) expires on %s, but the signature "
		                 "says that it was made on %s; is this host's "
		                 "clock right?",
		                 key->name, id.text, end.text,
		                 utc_day_format(made).text);
	return NULL;
}

/** The key that made the signature. Ids need not be unique. */
static struct hfx_error *find_key(const struct trust *trust, const void *data,
                                  size_t size,
                                  const struct minisign_signature *signature,
                                  const struct trusted_key **ret)
{
	struct minisign_id_text id = minisign_id_text(signature->key_id);
	const struct trusted_key *known = NULL;

	for (size_t i = 0; i < trust->num_keys; i++) {
		const struct trusted_key *key = &trust->keys[i];

		if (memcmp(key->key.id, signature->key_id, sizeof(key->key.id)))
			continue;
		known = key;
		if (minisign_verify(&key->key, signature, data, size)) {
			*ret = key;
			return NULL;
		}
	}
	if (known)
		return untrusted("the signature by key %s (%s) is wrong: the "
		                 "bundle or its signature was altered",
		                 known->name, id.text);
	return untrusted("the bundle is signed by key %s, which is not among "
	                 "the trusted keys (%s)",
	                 id.text, trust->place);
}

static struct signer signer_of(const struct minisign_signature *signature,
                               const struct trusted_key *key)
{
	struct signer signer = {
		.key_id = minisign_id_text(signature->key_id),
	};

	if (!minisign_timestamp(signature, &signer.timestamp))
		signer.timestamp = 0;
	if (key)
		memcpy(signer.name, key->name, sizeof(signer.name));
	return signer;
}

struct hfx_error *trust_check(const struct trust *trust,
                              const struct digest *id, const void *manifest,
                              size_t manifest_size,
                              const struct minisign_signature *signature,
                              struct signer *ret)
{
	const struct trusted_key *key = NULL;

	if (trust)
		HFX_TRY(check_withdrawn(trust, id));
	if (trust_wants_signature(trust)) {
		if (!signature)
			return untrusted("the bundle is not signed; only those "
			                 "signed by a trusted key (%s) are "
			                 "accepted",
			                 trust->place);
		HFX_TRY(find_key(trust, manifest, manifest_size, signature,
		                 &key));
		HFX_TRY(check_time(key, signature));
	}
	*ret = signature ? signer_of(signature, key) : (struct signer){0};
	return NULL;
}
