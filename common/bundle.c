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
#include "cleanup.h"
#include "cursor.h"

/*
 * Reading takes two passes of libarchive over memory: one through the zstd
 * filter alone, to the end of the file, and one through the tar reader. The tar
 * reader by itself would stop at the archive's end and leave what is behind it
 * unseen, checksum included.
 */

#define TAR_BLOCK 512u
/** Two blocks of zeros end an archive. */
#define TAR_END_SIZE (2 * TAR_BLOCK)

#define ZSTD_FRAME_MAGIC 0xfd2fb528u
/* Bits of the frame header descriptor (RFC 8878, 3.1.1.1.1). */
#define ZSTD_SINGLE_SEGMENT 0x20u
#define ZSTD_FIXED_BITS     0x1fu
#define ZSTD_HAS_CHECKSUM   0x04u
#define ZSTD_CHECKSUM_SIZE  4u

enum zstd_block {
	ZSTD_BLOCK_RAW = 0,
	ZSTD_BLOCK_RLE = 1,
	ZSTD_BLOCK_COMPRESSED = 2,
};

#define bad_bundle(...) hfx_error_create(HFX_ERROR_BAD_BUNDLE, __VA_ARGS__)

static struct hfx_error *archive_failure(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	if (archive_errno(archive) == ENOMEM)
		return hfx_error_no_memory();
	return bad_bundle("truncated or damaged (%s)", text ? text : "unknown");
}

static void free_archive(struct archive **archive)
{
	if (*archive)
		archive_read_free(*archive);
}

static uint64_t frame_content_size(struct cursor *cursor,
                                   unsigned int descriptor)
{
	switch (descriptor >> 6) {
	case 0:
		return descriptor & ZSTD_SINGLE_SEGMENT ? cursor_u8(cursor) : 0;
	case 1:
		return cursor_u16(cursor) + 256u;
	case 2:
		return cursor_u32(cursor);
	default:
		return cursor_u64(cursor);
	}
}

/* Walk over blocks up to the last one (RFC 8878, 3.1.1.2). */
static bool skip_blocks(struct cursor *cursor)
{
	for (;;) {
		uint32_t header = cursor_u16(cursor);

		header |= (uint32_t)cursor_u8(cursor) << 16;
		switch (header >> 1 & 3) {
		case ZSTD_BLOCK_RAW:
		case ZSTD_BLOCK_COMPRESSED:
			cursor_bytes(cursor, header >> 3);
			break;
		case ZSTD_BLOCK_RLE:
			cursor_u8(cursor);
			break;
		default:
			return false;
		}
		if (cursor->failed)
			return false;
		if (header & 1)
			return true;
	}
}

/*
 * Check that the file is one zstd frame with size and checksum, and nothing
 * more: the library would also take further frames, skippable ones, and frames
 * without a checksum.
 */
static struct hfx_error *check_frame(const void *data, size_t size,
                                     uint64_t *content_size_ret)
{
	struct cursor cursor = cursor_init(data, size);
	unsigned int descriptor;

	if (cursor_u32(&cursor) != ZSTD_FRAME_MAGIC)
		return bad_bundle("not an hfx bundle");
	descriptor = cursor_u8(&cursor);
	if ((descriptor & ZSTD_FIXED_BITS) != ZSTD_HAS_CHECKSUM)
		return bad_bundle("damaged, or not written by hfx: the "
		                  "compressed data has no checksum");
	if (!(descriptor & ZSTD_SINGLE_SEGMENT))
		cursor_u8(&cursor);
	*content_size_ret = frame_content_size(&cursor, descriptor);
	if (!skip_blocks(&cursor) || !cursor_bytes(&cursor, ZSTD_CHECKSUM_SIZE))
		return bad_bundle("truncated or damaged");
	if (cursor_left(&cursor))
		return bad_bundle("%zu bytes behind the archive's end",
		                  cursor_left(&cursor));
	return NULL;
}

static struct hfx_error *check_limits(size_t packed_size,
                                      uint64_t unpacked_size)
{
	if (packed_size > BUNDLE_MAX_PACKED)
		return bad_bundle("larger than %u bytes", BUNDLE_MAX_PACKED);
	if (unpacked_size > BUNDLE_MAX_UNPACKED)
		return bad_bundle("unpacks to %llu bytes, which is more than "
		                  "%u",
		                  (unsigned long long)unpacked_size,
		                  BUNDLE_MAX_UNPACKED);
	if (unpacked_size >
	    (uint64_t)packed_size * BUNDLE_MAX_RATIO + (1u << 20))
		return bad_bundle("unpacks to %llu bytes, which is more than "
		                  "%d times its size",
		                  (unsigned long long)unpacked_size,
		                  BUNDLE_MAX_RATIO);
	return NULL;
}

static struct hfx_error *open_packed(const void *data, size_t size,
                                     struct archive **ret)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;

	if (!archive)
		return hfx_error_no_memory();
	*ret = archive;
	if (archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
	    archive_read_support_format_raw(archive) != ARCHIVE_OK ||
	    archive_read_open_memory(archive, data, size) != ARCHIVE_OK ||
	    archive_read_next_header(archive, &entry) != ARCHIVE_OK)
		return archive_failure(archive);
	/* zstd and the memory below it: not zstd in zstd. */
	if (archive_filter_count(archive) != 2)
		return bad_bundle("compressed more than once");
	return NULL;
}

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
		return archive_failure(archive);
	if ((uint64_t)got != size)
		return bad_bundle("truncated");
	got = archive_read_data(archive, &more, 1);
	if (got < 0)
		return archive_failure(archive);
	if (got)
		return bad_bundle("more data than its header says");
	*ret = (struct buffer){HFX_TAKE(buffer.data), size};
	return NULL;
}

static struct hfx_error *unpack(const void *data, size_t size,
                                struct buffer *ret)
{
	HFX_CLEANUP(free_archive) struct archive *archive = NULL;
	uint64_t content_size = 0;

	HFX_TRY(check_frame(data, size, &content_size));
	HFX_TRY(check_limits(size, content_size));
	HFX_TRY(open_packed(data, size, &archive));
	return read_exactly(archive, content_size, ret);
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

static struct hfx_error *next_entry(struct members *members, const char *name,
                                    struct archive_entry **ret)
{
	const char *found;
	int status = archive_read_next_header(members->archive, ret);

	if (status == ARCHIVE_EOF)
		return bad_bundle("%s is missing", name);
	if (status != ARCHIVE_OK)
		return archive_failure(members->archive);
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
	bundle->id = digest_of(text->data, text->size);
	HFX_TRY(manifest_parse(text->data, text->size, &bundle->manifest));
	members->created = bundle->manifest->created;
	if (mtime != members->created)
		return bad_bundle("%s: modification time is not \"created\"",
		                  BUNDLE_MANIFEST_MEMBER);
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
		return archive_failure(members->archive);
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
		return archive_failure(members->archive);
	HFX_TRY(read_manifest(members, bundle));
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
                               struct bundle *bundle)
{
	HFX_CLEANUP(buffer_deinit) struct buffer tar = {0};
	HFX_CLEANUP(free_archive) struct archive *archive = NULL;
	struct members members = {.tar = &tar};

	HFX_TRY(unpack(data, size, &tar));
	archive = archive_read_new();
	if (!archive)
		return hfx_error_no_memory();
	members.archive = archive;
	return read_members(&members, bundle);
}

struct hfx_error *bundle_parse(const void *data, size_t size,
                               struct bundle **ret)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));
	struct hfx_error *err;

	if (!bundle)
		return hfx_error_no_memory();
	err = parse(data, size, bundle);
	if (err) {
		bundle_destroy(bundle);
		return err;
	}
	*ret = bundle;
	return NULL;
}

struct hfx_error *bundle_read(const char *path, struct bundle **ret)
{
	HFX_CLEANUP(hfx_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return hfx_error_os(errno, "cannot open %s", path);
	return hfx_error_wrap(bundle_read_fd(fd, ret), "%s", path);
}

struct hfx_error *bundle_read_fd(int fd, struct bundle **ret)
{
	HFX_CLEANUP(buffer_deinit) struct buffer file = {0};
	struct hfx_error *err = file_read_fd(fd, BUNDLE_MAX_PACKED, &file);

	if (hfx_error_errno(err) == EFBIG) {
		hfx_error_destroy(err);
		return bad_bundle("larger than %u bytes", BUNDLE_MAX_PACKED);
	}
	HFX_TRY(err);
	return bundle_parse(file.data, file.size, ret);
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
	manifest_destroy(bundle->manifest);
	free(bundle);
}
