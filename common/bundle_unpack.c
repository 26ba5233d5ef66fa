/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <archive.h>
#include <archive_entry.h>

#include "bundle.h"
#include "bundle_unpack.h"
#include "cleanup.h"
#include "cursor.h"

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

struct hfx_error *archive_read_error(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	if (archive_errno(archive) == ENOMEM)
		return hfx_error_no_memory();
	return bad_bundle("truncated or damaged (%s)", text ? text : "unknown");
}

void archive_read_cleanup(struct archive **archive)
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
		return archive_read_error(archive);
	/* zstd and the memory below it: not zstd in zstd. */
	if (archive_filter_count(archive) != 2)
		return bad_bundle("compressed more than once");
	return NULL;
}

struct hfx_error *unpack_begin(const void *data, size_t size,
                               struct unpacking *ret)
{
	HFX_CLEANUP(unpack_deinit) struct unpacking unpacking = {0};
	uint64_t content_size = 0;

	HFX_TRY(check_frame(data, size, &content_size));
	HFX_TRY(check_limits(size, content_size));
	HFX_TRY(open_packed(data, size, &unpacking.archive));
	/* Costs no memory before it is filled. */
	unpacking.tar.data = malloc(content_size ? content_size : 1);
	if (!unpacking.tar.data)
		return hfx_error_no_memory();
	unpacking.tar.size = content_size;
	*ret = unpacking;
	unpacking = (struct unpacking){0};
	return NULL;
}

struct hfx_error *unpack_upto(struct unpacking *unpacking, size_t size)
{
	la_ssize_t got;

	if (size > unpacking->tar.size)
		return bad_bundle("truncated");
	if (size <= unpacking->num_ready)
		return NULL;
	got = archive_read_data(unpacking->archive,
	                        unpacking->tar.data + unpacking->num_ready,
	                        size - unpacking->num_ready);
	if (got < 0)
		return archive_read_error(unpacking->archive);
	if ((size_t)got != size - unpacking->num_ready)
		return bad_bundle("truncated");
	unpacking->num_ready = size;
	return NULL;
}

struct hfx_error *unpack_rest(struct unpacking *unpacking)
{
	la_ssize_t got;
	uint8_t more;

	HFX_TRY(unpack_upto(unpacking, unpacking->tar.size));
	got = archive_read_data(unpacking->archive, &more, 1);
	if (got < 0)
		return archive_read_error(unpacking->archive);
	return got ? bad_bundle("more data than its header says") : NULL;
}

void unpack_deinit(struct unpacking *unpacking)
{
	archive_read_cleanup(&unpacking->archive);
	buffer_deinit(&unpacking->tar);
	*unpacking = (struct unpacking){0};
}
