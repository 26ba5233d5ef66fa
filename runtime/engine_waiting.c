/* SPDX-License-Identifier: MIT */
/*
 * Records of patches that wait for their module. They are as those of applied
 * patches, without functions and places, so that everybody who lists the
 * patches of a process sees them, and can take them back.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "engine_private.h"

/** Longest reason, its NUL included. */
#define REASON_SIZE 1024u

struct hfx_error *engine_check_waiting(const struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->manifest->num_modules; i++) {
		const struct manifest_module *module =
			&bundle->manifest->modules[i];
		const char *what = NULL;

		for (size_t k = 0; k < MANIFEST_NUM_HOOKS; k++)
			if (module->hook_addrs[k])
				what = "has hooks";
		if (module->unwinder.old_size)
			what = "is for a module with an unwinder inside "
			       "(-static-libgcc)";
		if (what)
			return hfx_error_create(
				HFX_ERROR_UNSUPPORTED,
				"%s is not loaded, and patch %s cannot wait "
				"for it: the patch %s, and before the module's "
				"constructors nothing of it may be called; "
				"apply it when the module is loaded",
				module->name, bundle->manifest->name, what);
	}
	return NULL;
}

static struct hfx_error *map_record(struct target *target, uint64_t size,
                                    uint64_t *addr_ret)
{
	const uint64_t args[6] = {
		0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1,
		0};
	uint64_t readable[6] = {0, size - RECORD_OFF, PROT_READ};
	int64_t result;

	HFX_TRY(target->ops->syscall(target, SYS_mmap, args, &result));
	if (result < 0 && result >= -4095)
		return hfx_error_os((int)-result, "mmap in process %d",
		                    (int)target->pid);
	*addr_ret = (uint64_t)result;
	readable[0] = *addr_ret + RECORD_OFF;
	HFX_TRY(target->ops->syscall(target, SYS_mprotect, readable, &result));
	if (!result)
		return NULL;
	engine_region_destroy(target, *addr_ret, size);
	return hfx_error_os((int)-result, "mprotect in process %d",
	                    (int)target->pid);
}

static struct hfx_error *write_record(struct target *target,
                                      struct engine_patch *patch)
{
	HFX_CLEANUP(buffer_deinit) struct buffer bytes = {0};

	patch->region_size = RECORD_OFF + page_ceil(record_size(patch));
	HFX_TRY(map_record(target, patch->region_size, &patch->region_addr));
	patch->record_addr = patch->region_addr + RECORD_OFF;
	HFX_TRY(record_format(patch, &bytes));
	return target->ops->write(target, patch->record_addr, bytes.data,
	                          bytes.size);
}

struct hfx_error *engine_waiting_create(struct target *target,
                                        const struct bundle *bundle,
                                        size_t index, const char *reason,
                                        uint64_t *addr_ret)
{
	const struct manifest *manifest = bundle->manifest;
	HFX_CLEANUP(hfx_free)
	char *short_reason = strndup(reason, REASON_SIZE - 1);
	/* The texts are borrowed. */
	struct engine_patch patch = {
		.id = bundle->id,
		.name = manifest->name,
		.version = manifest->version,
		.description = manifest->description,
		.module_name = manifest->modules[index].name,
		.reason = short_reason,
		.state = RECORD_WAITING,
		.build_id = manifest->modules[index].old_build_id,
		.module_bias = RECORD_NO_BIAS,
	};
	struct hfx_error *err;

	if (!short_reason)
		return hfx_error_no_memory();
	err = write_record(target, &patch);
	if (err && patch.region_addr)
		engine_region_destroy(target, patch.region_addr,
		                      patch.region_size);
	if (!err)
		*addr_ret = patch.record_addr;
	return err;
}

void engine_waiting_destroy(struct target *target, uint64_t record_addr)
{
	struct record_header header;
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;

	if (!record_addr)
		return;
	err = target->ops->read(target, record_addr, &header, sizeof(header));
	if (!err)
		engine_region_destroy(target, header.region_addr,
		                      header.region_size);
}
