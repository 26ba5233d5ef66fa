/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "bundle.h"
#include "bundle_write.h"
#include "cleanup.h"
#include "describe.h"
#include "sign.h"

static void put_bundle(struct bundle **bundle)
{
	bundle_destroy(*bundle);
}

static struct hfx_error *sign_text(const struct secret_key *key,
                                   const struct buffer *text,
                                   struct buffer *ret)
{
	uint64_t timestamp;

	HFX_TRY(describe_source_date(&timestamp));
	return secret_key_sign(
		key, text, timestamp ? timestamp : (uint64_t)time(NULL), ret);
}

struct hfx_error *bundle_write_signed(const char *path,
                                      const struct manifest *manifest,
                                      const struct buffer *images,
                                      const struct secret_key *key)
{
	HFX_CLEANUP(buffer_deinit) struct buffer text = {0};
	HFX_CLEANUP(buffer_deinit) struct buffer signature = {0};
	HFX_CLEANUP(buffer_deinit) struct buffer packed = {0};

	if (!key)
		return bundle_write(path, manifest, images);
	HFX_TRY(manifest_format(manifest, &text));
	HFX_TRY(sign_text(key, &text, &signature));
	HFX_TRY(hfx_error_wrap(
		bundle_pack_text(manifest, &text, images, &signature, &packed),
		"%s", path));
	return file_replace(path, packed.data, packed.size);
}

static struct hfx_error *rewrite(const char *path, const struct bundle *bundle,
                                 const struct buffer *signature)
{
	HFX_CLEANUP(buffer_deinit) struct buffer packed = {0};

	HFX_TRY(hfx_error_wrap(
		bundle_pack_text(bundle->manifest, &bundle->manifest_text,
	                         bundle->images, signature, &packed),
		"%s", path));
	return file_replace(path, packed.data, packed.size);
}

struct hfx_error *sign_bundle(const char *path, const struct secret_key *key)
{
	HFX_CLEANUP(put_bundle) struct bundle *bundle = NULL;
	HFX_CLEANUP(buffer_deinit) struct buffer signature = {0};

	HFX_TRY(bundle_read(path, &bundle));
	HFX_TRY(sign_text(key, &bundle->manifest_text, &signature));
	return rewrite(path, bundle, &signature);
}

struct hfx_error *sign_bundle_with(const char *path,
                                   const struct buffer *signature)
{
	HFX_CLEANUP(put_bundle) struct bundle *bundle = NULL;

	HFX_TRY(bundle_read(path, &bundle));
	return rewrite(path, bundle, signature);
}
