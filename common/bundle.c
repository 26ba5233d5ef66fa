/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "bundle.h"
#include "bundle_unpack.h"
#include "cleanup.h"
#include "cursor.h"

/*
 * Reading takes two passes of libarchive over memory: one through the zstd
 * filter alone, to the end of the file, and one through the tar reader. The tar
 * reader by itself would stop at the archive's end and leave what is behind it
 * unseen, checksum included.
 *
 * The first pass stops behind the manifest and its signature until these are
 * judged: what is not to be trusted is not unpacked, and the manifest not
 * parsed.
 */

#define TAR_BLOCK 512u
/** Two blocks of zeros end an archive. */
#define TAR_END_SIZE (2 * TAR_BLOCK)

#define bad_bundle(...) hfx_error_create(HFX_ERROR_BAD_BUNDLE, __VA_ARGS__)

/* Read exactly @p size bytes, and see the end behind them. */
static struct hfx_error *read_exactly(struct archive *archive, uint64_t size,
                                      struct buffer *ret)
{
	HFX_CLEANUP(buffer_deinit) struct buffer buffer = {0};
	la_ssize_t got;
	uint8_t more;

	buffer.data = malloc(size ? size : 1);
	if (!buffer.data)
		return hfx_error_no_memory();
	got = archive_read_data(archive, buffer.data, size);
	if (got < 0)
		return archive_read_error(archive);
	if ((uint64_t)got != size)
		return bad_bundle("truncated");
	got = archive_read_data(archive, &more, 1);
	if (got < 0)
		return archive_read_error(archive);
	if (got)
		return bad_bundle("more data than its header says");
	*ret = (struct buffer){HFX_TAKE(buffer.data), size};
	return NULL;
}

/** The unpacked archive, and how far it was read. */
struct members {
	struct archive *archive;
	const struct buffer *tar;
	/** Where the next header must be. */
	uint64_t off;
	/** Modification time of the members. */
	uint64_t created;
};

static bool is_zero(const uint8_t *bytes, size_t size)
{
	return !size || (!bytes[0] && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/** The header of a member: POSIX.1-2008, pax, "ustar Interchange Format". */
struct ustar_header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link_name[100];
	char magic[6];
	char version[2];
	char user_name[32];
	char group_name[32];
	char device_major[8];
	char device_minor[8];
	char prefix[155];
	char unused[12];
};
_Static_assert(sizeof(struct ustar_header) == TAR_BLOCK, "a tar header");

/* Fields have no NUL where a text fills them. */
static HFX_PRINTF(3, 4) void set_field(char *field, size_t size,
                                       const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(field, text, strnlen(text, size));
}

#define SET_FIELD(field, ...) set_field(field, sizeof(field), __VA_ARGS__)

/* The one way to write the header of a member. */
static struct ustar_header canonical_header(const char *name, uint64_t size,
                                            uint64_t mtime)
{
	struct ustar_header header = {.type = '0'};
	const uint8_t *bytes = (const uint8_t *)&header;
	unsigned int sum = 0;

	SET_FIELD(header.name, "%s", name);
	SET_FIELD(header.mode, "000644 ");
	SET_FIELD(header.uid, "000000 ");
	SET_FIELD(header.gid, "000000 ");
	SET_FIELD(header.size, "%011llo ", (unsigned long long)size);
	SET_FIELD(header.mtime, "%011llo ", (unsigned long long)mtime);
	SET_FIELD(header.magic, "ustar");
	SET_FIELD(header.version, "00");
	SET_FIELD(header.device_major, "000000 ");
	SET_FIELD(header.device_minor, "000000 ");
	memset(header.checksum, ' ', sizeof(header.checksum));
	for (size_t i = 0; i < sizeof(header); i++)
		sum += bytes[i];
	SET_FIELD(header.checksum, "%06o", sum);
	header.checksum[6] = '\0';
	return header;
}

/*
 * Whether the entry's header is at the expected place and is the only one that
 * there can be: no attributes, no extended headers, no other spelling.
 */
static bool is_canonical(const struct members *members, const char *name,
                         struct archive_entry *entry)
{
	la_int64_t off = archive_read_header_position(members->archive);
	la_int64_t size = archive_entry_size(entry);
	struct ustar_header header;

	if (off < 0 || (uint64_t)off != members->off || size < 0 ||
	    !range_fits(members->off, TAR_BLOCK, members->tar->size))
		return false;
	header = canonical_header(name, (uint64_t)size,
	                          (uint64_t)archive_entry_mtime(entry));
	return memcmp(&header, members->tar->data + members->off,
	              sizeof(header)) == 0;
}

/** An octal number that fills the field but for a blank, or UINT64_MAX. */
static uint64_t field_number(const char *field, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size - 1; i++) {
		if (field[i] < '0' || field[i] > '7')
			return UINT64_MAX;
		number = number << 3 | (uint64_t)(field[i] - '0');
	}
	return field[size - 1] == ' ' ? number : UINT64_MAX;
}

/** Whether the header of member @p name is at @p off, as hfx writes it. */
static bool has_member(const struct unpacking *unpacking, size_t off,
                       const char *name, uint64_t *size_ret)
{
	struct ustar_header found, wanted;
	uint64_t size, mtime;

	memcpy(&found, unpacking->tar.data + off, sizeof(found));
	size = field_number(found.size, sizeof(found.size));
	mtime = field_number(found.mtime, sizeof(found.mtime));
	if (size == UINT64_MAX || mtime == UINT64_MAX)
		return false;
	wanted = canonical_header(name, size, mtime);
	if (memcmp(&found, &wanted, sizeof(found)))
		return false;
	*size_ret = size;
	return true;
}

/** Unpack the data of the member whose header ends at @p off. */
static struct hfx_error *unpack_member(struct unpacking *unpacking, size_t off,
                                       const char *name, uint64_t size,
                                       uint64_t max_size)
{
	if (size > max_size)
		return bad_bundle("%s is larger than %llu bytes", name,
		                  (unsigned long long)max_size);
	return unpack_upto(unpacking, off + size + -size % TAR_BLOCK);
}

/** Find the signature behind the manifest, if there is one. */
static struct hfx_error *unpack_signature(struct unpacking *unpacking,
                                          size_t off, struct bundle *bundle)
{
	struct minisign_signature signature;
	uint64_t size;

	HFX_TRY(unpack_upto(unpacking, off + TAR_BLOCK));
	if (!has_member(unpacking, off, BUNDLE_SIGNATURE_MEMBER, &size))
		return NULL;
	off += TAR_BLOCK;
	HFX_TRY(unpack_member(unpacking, off, BUNDLE_SIGNATURE_MEMBER, size,
	                      MINISIGN_MAX_FILE));
	HFX_TRY(minisign_signature_parse(unpacking->tar.data + off, size,
	                                 &signature));
	bundle->signature = malloc(sizeof(signature));
	if (!bundle->signature)
		return hfx_error_no_memory();
	*bundle->signature = signature;
	return NULL;
}

/** Unpack the manifest and its signature, and ask whether to go on. */
static struct hfx_error *judge(struct unpacking *unpacking,
                               const struct trust *trust, struct bundle *bundle)
{
	size_t off = TAR_BLOCK;
	uint64_t size;
	const uint8_t *text;

	HFX_TRY(unpack_upto(unpacking, off));
	if (!has_member(unpacking, 0, BUNDLE_MANIFEST_MEMBER, &size))
		return bad_bundle("%s is not its first member, or has a header "
		                  "that hfx does not write",
		                  BUNDLE_MANIFEST_MEMBER);
	HFX_TRY(unpack_member(unpacking, off, BUNDLE_MANIFEST_MEMBER, size,
	                      MANIFEST_MAX_SIZE));
	text = unpacking->tar.data + off;
	bundle->id = digest_of(text, size);
	HFX_TRY(unpack_signature(unpacking, off + size + -size % TAR_BLOCK,
	                         bundle));
	return trust_check(trust, &bundle->id, text, size, bundle->signature,
	                   &bundle->signer);
}

static struct hfx_error *next_entry(struct members *members, const char *name,
                                    struct archive_entry **ret)
{
	const char *found;
	int status = archive_read_next_header(members->archive, ret);

	if (status == ARCHIVE_EOF)
		return bad_bundle("%s is missing", name);
	if (status != ARCHIVE_OK)
		return archive_read_error(members->archive);
	found = archive_entry_pathname(*ret);
	if (!found || strcmp(found, name) != 0)
		return bad_bundle("a member other than %s where that belongs",
		                  name);
	if (!is_canonical(members, name, *ret))
		return bad_bundle("%s has a header that hfx does not write",
		                  name);
	return NULL;
}

/* Read the next member, which must have this name, to its padding's end. */
static struct hfx_error *next_member(struct members *members, const char *name,
                                     uint64_t max_size, uint64_t *mtime_ret,
                                     struct buffer *ret)
{
	const struct buffer *tar = members->tar;
	uint64_t data_off = members->off + TAR_BLOCK, size, padding;
	struct archive_entry *entry;

	HFX_TRY(next_entry(members, name, &entry));
	size = (uint64_t)archive_entry_size(entry);
	if (size > max_size)
		return bad_bundle("%s is larger than %llu bytes", name,
		                  (unsigned long long)max_size);
	padding = -size % TAR_BLOCK;
	if (!range_fits(data_off, size + padding, tar->size))
		return bad_bundle("%s is truncated", name);
	if (!is_zero(tar->data + data_off + size, padding))
		return bad_bundle("%s has data behind its end", name);
	HFX_TRY(hfx_error_wrap(read_exactly(members->archive, size, ret), "%s",
	                       name));
	*mtime_ret = (uint64_t)archive_entry_mtime(entry);
	members->off = data_off + size + padding;
	return NULL;
}

static struct hfx_error *read_manifest(struct members *members,
                                       struct bundle *bundle)
{
	struct buffer *text = &bundle->manifest_text;
	uint64_t mtime;

	HFX_TRY(next_member(members, BUNDLE_MANIFEST_MEMBER, MANIFEST_MAX_SIZE,
	                    &mtime, text));
	HFX_TRY(manifest_parse(text->data, text->size, &bundle->manifest));
	members->created = bundle->manifest->created;
	if (mtime != members->created)
		return bad_bundle("%s: modification time is not \"created\"",
		                  BUNDLE_MANIFEST_MEMBER);
	return NULL;
}

/** What judge() has seen, once more, to stay in step. */
static struct hfx_error *read_signature(struct members *members,
                                        struct bundle *bundle)
{
	uint64_t mtime;

	HFX_TRY(next_member(members, BUNDLE_SIGNATURE_MEMBER, MINISIGN_MAX_FILE,
	                    &mtime, &bundle->signature_text));
	if (mtime != members->created)
		return bad_bundle("%s: modification time is not \"created\"",
		                  BUNDLE_SIGNATURE_MEMBER);
	return NULL;
}

static struct hfx_error *read_image(struct members *members,
                                    const struct manifest_module *module,
                                    struct buffer *ret)
{
	const char *name = module->image_member;
	struct digest digest;
	uint64_t mtime;

	HFX_TRY(next_member(members, name, BUNDLE_MAX_UNPACKED, &mtime, ret));
	if (mtime != members->created)
		return bad_bundle("%s: modification time is not \"created\"",
		                  name);
	if (ret->size != module->image_size)
		return bad_bundle("%s has %zu bytes, but the manifest says "
		                  "%llu",
		                  name, ret->size,
		                  (unsigned long long)module->image_size);
	digest = digest_of(ret->data, ret->size);
	if (!digest_equal(&digest, &module->image_digest))
		return hfx_error_create(HFX_ERROR_BAD_DIGEST,
		                        "%s does not have the digest that the "
		                        "manifest gives",
		                        name);
	return NULL;
}

static struct hfx_error *check_end(struct members *members)
{
	const struct buffer *tar = members->tar;
	struct archive_entry *entry;
	int status = archive_read_next_header(members->archive, &entry);

	if (status == ARCHIVE_OK)
		return bad_bundle("a member that the manifest does not name");
	if (status != ARCHIVE_EOF)
		return archive_read_error(members->archive);
	if (tar->size - members->off != TAR_END_SIZE ||
	    !is_zero(tar->data + members->off, TAR_END_SIZE))
		return bad_bundle("data behind the archive's end");
	return NULL;
}

static struct hfx_error *read_members(struct members *members,
                                      struct bundle *bundle)
{
	const struct buffer *tar = members->tar;
	struct manifest *manifest;

	if (archive_read_support_format_tar(members->archive) != ARCHIVE_OK ||
	    archive_read_open_memory(members->archive, tar->data, tar->size) !=
	            ARCHIVE_OK)
		return archive_read_error(members->archive);
	HFX_TRY(read_manifest(members, bundle));
	if (bundle->signature)
		HFX_TRY(read_signature(members, bundle));
	manifest = bundle->manifest;
	bundle->images = calloc(manifest->num_modules, sizeof(struct buffer));
	if (!bundle->images)
		return hfx_error_no_memory();
	for (size_t i = 0; i < manifest->num_modules; i++)
		HFX_TRY(read_image(members, &manifest->modules[i],
		                   &bundle->images[i]));
	return check_end(members);
}

static struct hfx_error *parse(const void *data, size_t size,
                               const struct trust *trust, struct bundle *bundle)
{
	HFX_CLEANUP(unpack_deinit) struct unpacking unpacking = {0};
	HFX_CLEANUP(archive_read_cleanup) struct archive *archive = NULL;
	struct members members = {.tar = &unpacking.tar};

	HFX_TRY(unpack_begin(data, size, &unpacking));
	HFX_TRY(judge(&unpacking, trust, bundle));
	HFX_TRY(unpack_rest(&unpacking));
	archive = archive_read_new();
	if (!archive)
		return hfx_error_no_memory();
	members.archive = archive;
	return read_members(&members, bundle);
}

struct hfx_error *bundle_parse_trusted(const void *data, size_t size,
                                       const struct trust *trust,
                                       struct bundle **ret)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));
	struct hfx_error *err;

	if (!bundle)
		return hfx_error_no_memory();
	err = parse(data, size, trust, bundle);
	if (err) {
		bundle_destroy(bundle);
		return err;
	}
	*ret = bundle;
	return NULL;
}

struct hfx_error *bundle_parse(const void *data, size_t size,
                               struct bundle **ret)
{
	return bundle_parse_trusted(data, size, NULL, ret);
}

struct hfx_error *bundle_read_trusted(const char *path,
                                      const struct trust *trust,
                                      struct bundle **ret)
{
	HFX_CLEANUP(hfx_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return hfx_error_os(errno, "cannot open %s", path);
	return hfx_error_wrap(bundle_read_fd(fd, trust, ret), "%s", path);
}

struct hfx_error *bundle_read(const char *path, struct bundle **ret)
{
	return bundle_read_trusted(path, NULL, ret);
}

struct hfx_error *bundle_read_fd(int fd, const struct trust *trust,
                                 struct bundle **ret)
{
	HFX_CLEANUP(buffer_deinit) struct buffer file = {0};
	struct hfx_error *err = file_read_fd(fd, BUNDLE_MAX_PACKED, &file);

	if (hfx_error_errno(err) == EFBIG) {
		hfx_error_destroy(err);
		return bad_bundle("larger than %u bytes", BUNDLE_MAX_PACKED);
	}
	HFX_TRY(err);
	return bundle_parse_trusted(file.data, file.size, trust, ret);
}

void bundle_destroy(struct bundle *bundle)
{
	if (!bundle)
		return;
	if (bundle->images)
		for (size_t i = 0; i < bundle->manifest->num_modules; i++)
			buffer_deinit(&bundle->images[i]);
	free(bundle->images);
	buffer_deinit(&bundle->manifest_text);
	buffer_deinit(&bundle->signature_text);
	free(bundle->signature);
	manifest_destroy(bundle->manifest);
	free(bundle);
}
