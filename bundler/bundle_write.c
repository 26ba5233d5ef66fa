/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>

#include "bundle.h"
#include "bundle_write.h"
#include "cleanup.h"

#define TAR_BLOCK 512

/** Bytes that grow as the archive is written. */
struct sink {
	uint8_t *bytes;
	size_t num_bytes;
	size_t cap_bytes;
};

static void sink_deinit(struct sink *sink)
{
	free(sink->bytes);
}

/* Called by libarchive: returns how much was taken, or -1. */
static la_ssize_t sink_write(struct archive *archive, void *data,
                             const void *bytes, size_t size)
{
	struct sink *sink = data;
	size_t wanted;

	if (__builtin_add_overflow(sink->num_bytes, size, &wanted))
		wanted = SIZE_MAX;
	if (wanted > sink->cap_bytes) {
		size_t cap = wanted > SIZE_MAX / 2 ? wanted : 2 * wanted;
		uint8_t *grown = realloc(sink->bytes, cap);

		if (!grown) {
			archive_set_error(archive, ENOMEM, "out of memory");
			return -1;
		}
		sink->bytes = grown;
		sink->cap_bytes = cap;
	}
	memcpy(sink->bytes + sink->num_bytes, bytes, size);
	sink->num_bytes = wanted;
	return (la_ssize_t)size;
}

static struct hfx_error *archive_failure(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	if (archive_errno(archive) == ENOMEM)
		return hfx_error_no_memory();
	return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
	                        "cannot write the archive: %s",
	                        text ? text : "unknown failure");
}

static void free_archive(struct archive **archive)
{
	if (*archive)
		archive_write_free(*archive);
}

static void free_entry(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static struct hfx_error *add_member(struct archive *archive, const char *name,
                                    uint64_t mtime, const struct buffer *data)
{
	HFX_CLEANUP(free_entry) struct archive_entry *entry = NULL;
	la_ssize_t done;

	entry = archive_entry_new();
	if (!entry)
		return hfx_error_no_memory();
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_mtime(entry, (time_t)mtime, 0);
	archive_entry_set_size(entry, (la_int64_t)data->size);
	if (archive_write_header(archive, entry) != ARCHIVE_OK)
		return archive_failure(archive);
	done = data->size ? archive_write_data(archive, data->data, data->size)
	                  : 0;
	if (done < 0 || (size_t)done != data->size)
		return archive_failure(archive);
	return NULL;
}

/** What an archive is made of, all borrowed. */
struct parts {
	const struct manifest *manifest;
	const struct buffer *text;
	const struct buffer *images;
	/** `NULL` for none. */
	const struct buffer *signature;
};

static struct hfx_error *add_members(struct archive *archive,
                                     const struct parts *parts)
{
	const struct manifest *manifest = parts->manifest;

	HFX_TRY(add_member(archive, BUNDLE_MANIFEST_MEMBER, manifest->created,
	                   parts->text));
	if (parts->signature)
		HFX_TRY(add_member(archive, BUNDLE_SIGNATURE_MEMBER,
		                   manifest->created, parts->signature));
	for (size_t i = 0; i < manifest->num_modules; i++)
		HFX_TRY(add_member(archive, manifest->modules[i].image_member,
		                   manifest->created, &parts->images[i]));
	return NULL;
}

static struct hfx_error *write_tar(const struct parts *parts, struct sink *sink)
{
	HFX_CLEANUP(free_archive) struct archive *archive = NULL;

	archive = archive_write_new();
	if (!archive)
		return hfx_error_no_memory();
	if (archive_write_set_format_ustar(archive) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(archive, TAR_BLOCK) !=
	            ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
	    archive_write_open(archive, sink, NULL, sink_write, NULL) !=
	            ARCHIVE_OK)
		return archive_failure(archive);
	HFX_TRY(add_members(archive, parts));
	if (archive_write_close(archive) != ARCHIVE_OK)
		return archive_failure(archive);
	return NULL;
}

static void free_context(ZSTD_CCtx **context)
{
	ZSTD_freeCCtx(*context);
}

/**
 * From 16 on takes many times as long, and gains nothing on small images. On
 * large ones 15 gains a fiftieth over 8, and takes 10 MiB more.
 */
static int level_for(size_t num_bytes)
{
	return num_bytes < 1 << 18 ? 15 : 8;
}

/*
 * Not libarchive's filter: that writes no checksum and no size, and the reader
 * wants both.
 */
static struct hfx_error *compress(const struct sink *tar, struct buffer *ret)
{
	HFX_CLEANUP(free_context) ZSTD_CCtx *context = ZSTD_createCCtx();
	HFX_CLEANUP(hfx_free) uint8_t *packed = NULL;
	size_t bound = ZSTD_compressBound(tar->num_bytes), size;

	packed = ZSTD_isError(bound) ? NULL : malloc(bound);
	if (!context || !packed ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(context,
	                                        ZSTD_c_compressionLevel,
	                                        level_for(tar->num_bytes))) ||
	    ZSTD_isError(
		    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)))
		return hfx_error_no_memory();
	size = ZSTD_compress2(context, packed, bound, tar->bytes,
	                      tar->num_bytes);
	if (ZSTD_isError(size))
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "cannot compress: %s",
		                        ZSTD_getErrorName(size));
	*ret = (struct buffer){HFX_TAKE(packed), size};
	return NULL;
}

struct hfx_error *bundle_pack_text(const struct manifest *manifest,
                                   const struct buffer *text,
                                   const struct buffer *images,
                                   const struct buffer *signature,
                                   struct buffer *ret)
{
	struct parts parts = {manifest, text, images, signature};
	HFX_CLEANUP(sink_deinit) struct sink tar = {0};
	HFX_CLEANUP(buffer_deinit) struct buffer packed = {0};
	struct bundle *bundle = NULL;

	HFX_TRY(write_tar(&parts, &tar));
	HFX_TRY(compress(&tar, &packed));
	HFX_TRY(hfx_error_wrap(bundle_parse(packed.data, packed.size, &bundle),
	                       "the bundle cannot be written"));
	bundle_destroy(bundle);
	*ret = packed;
	packed = (struct buffer){0};
	return NULL;
}

struct hfx_error *bundle_pack(const struct manifest *manifest,
                              const struct buffer *images, struct buffer *ret)
{
	HFX_CLEANUP(buffer_deinit) struct buffer text = {0};

	HFX_TRY(manifest_format(manifest, &text));
	return bundle_pack_text(manifest, &text, images, NULL, ret);
}

struct hfx_error *bundle_write(const char *path,
                               const struct manifest *manifest,
                               const struct buffer *images)
{
	HFX_CLEANUP(buffer_deinit) struct buffer packed = {0};

	HFX_TRY(hfx_error_wrap(bundle_pack(manifest, images, &packed), "%s",
	                       path));
	return file_replace(path, packed.data, packed.size);
}

static void seal_function(struct manifest_function *function)
{
	const char *signature = function->signature ? function->signature : "";

	function->signature_digest = digest_of(signature, strlen(signature));
}

struct hfx_error *bundle_seal(struct manifest *manifest,
                              const struct buffer *images)
{
	for (size_t i = 0; i < manifest->num_modules; i++) {
		struct manifest_module *module = &manifest->modules[i];
		char *member;

		if (asprintf(&member, "modules/%zu.so", i) < 0)
			return hfx_error_no_memory();
		free(module->image_member);
		module->image_member = member;
		module->image_size = images[i].size;
		module->image_digest =
			digest_of(images[i].data, images[i].size);
		for (size_t f = 0; f < module->num_functions; f++)
			seal_function(&module->functions[f]);
	}
	return NULL;
}
