/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "engine_private.h"
#include "file.h"
#include "image.h"
#include "place.h"

/** Other threads map memory too: so often another place is tried. */
#define PLACE_TRIES 16

/** Stack limit when it cannot be read, and when it is unlimited. */
#define USUAL_STACK_ROOM     (UINT64_C(8) << 20)
#define UNLIMITED_STACK_ROOM (UINT64_C(128) << 20)
#define STACK_GUARD_ROOM     (UINT64_C(1) << 20)

#define MAX_PROC_FILE_SIZE 65536u

/** A number from a file of /proc, @p usual if there is none. */
static uint64_t proc_number(const char *path, const char *key, uint64_t usual,
                            uint64_t unlimited)
{
	HFX_CLEANUP(buffer_deinit) struct buffer text = {0};
	HFX_CLEANUP(hfx_free) char *string = NULL;
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = file_read(path, MAX_PROC_FILE_SIZE, &text);
	char *value, *end;
	uint64_t number;

	if (err)
		return usual;
	string = strndup((const char *)text.data, text.size);
	value = string ? strstr(string, key) : NULL;
	if (!value)
		return usual;
	value += strlen(key);
	value += strspn(value, " ");
	if (!strncmp(value, "unlimited", strlen("unlimited")))
		return unlimited;
	number = strtoull(value, &end, 10);
	return end == value ? usual : number;
}

/** What has to stay free below the main thread's stack. */
static uint64_t stack_room(pid_t pid)
{
	char path[64];
	uint64_t room;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	room = proc_number(path, "Max stack size", USUAL_STACK_ROOM,
	                   UNLIMITED_STACK_ROOM);
	if (room < USUAL_STACK_ROOM)
		room = USUAL_STACK_ROOM;
	if (room > UNLIMITED_STACK_ROOM)
		room = UNLIMITED_STACK_ROOM;
	return room + STACK_GUARD_ROOM;
}

static struct hfx_error *call(struct target *target, const char *name,
                              long number, const uint64_t args[6],
                              int64_t *result_ret)
{
	return hfx_error_wrap(
		target->ops->syscall(target, number, args, result_ret),
		"%s in process %d", name, (int)target->pid);
}

static struct hfx_error *unmap(struct target *target, uint64_t addr,
                               uint64_t size)
{
	const uint64_t args[6] = {addr, size};
	int64_t result;

	return call(target, "munmap", SYS_munmap, args, &result);
}

static struct hfx_error *protect(struct target *target, uint64_t addr,
                                 uint64_t size, uint32_t protection)
{
	const uint64_t args[6] = {addr, size, protection};
	int64_t result;

	HFX_TRY(call(target, "mprotect", SYS_mprotect, args, &result));
	if (result < 0)
		return hfx_error_os((int)-result,
		                    "mprotect in process %d was refused",
		                    (int)target->pid);
	return NULL;
}

/**
 * Map at exactly @p addr.
 *
 * @param[out] done_ret False when something else is there by now.
 */
static struct hfx_error *map_at(struct target *target, uint64_t addr,
                                uint64_t size, bool *done_ret)
{
	const uint64_t args[6] = {
		addr,
		size,
		PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		(uint64_t)-1,
		0,
	};
	int64_t result;

	*done_ret = false;
	HFX_TRY(call(target, "mmap", SYS_mmap, args, &result));
	if (result == -EEXIST)
		return NULL;
	if (result < 0 && result >= -4095)
		return hfx_error_os((int)-result,
		                    "mmap in process %d was refused",
		                    (int)target->pid);
	/* Kernels before 4.17 take the address for a hint. */
	if ((uint64_t)result != addr)
		return unmap(target, (uint64_t)result, size);
	*done_ret = true;
	return NULL;
}

static struct hfx_error *no_place(const struct place_request *request)
{
	return hfx_error_create(
		HFX_ERROR_NO_ADDRESS_SPACE,
		"no free range of %llu bytes within 2 GiB of the code at "
		"%#llx-%#llx, where jumps reach; if other patches are applied "
		"or reverted there, start the process anew and apply one "
		"bundle of all fixes; if the program maps so much there "
		"itself, start it with the patch in place (hfx persist, "
		"HFX_BUNDLES), or move its mappings",
		(unsigned long long)request->size,
		(unsigned long long)request->near_start_addr,
		(unsigned long long)request->near_end_addr);
}

static struct hfx_error *reserve(struct engine *engine,
                                 const struct place_request *request,
                                 uint64_t *addr_ret)
{
	for (int i = 0; i < PLACE_TRIES; i++) {
		bool done;

		if (!place_find(&engine->maps, request, addr_ret))
			return no_place(request);
		HFX_TRY(map_at(engine->target, *addr_ret, request->size,
		               &done));
		if (done)
			return NULL;
		maps_deinit(&engine->maps);
		HFX_TRY(maps_read(engine->target->pid, &engine->maps));
	}
	return no_place(request);
}

static struct hfx_error *reserve_near(struct engine *engine, uint64_t size,
                                      uint64_t near_start_addr,
                                      uint64_t near_end_addr,
                                      uint64_t max_end_addr, uint64_t *addr_ret)
{
	struct place_request request = {
		.near_start_addr = near_start_addr,
		.near_end_addr = near_end_addr,
		.size = size,
		.min_addr = proc_number("/proc/sys/vm/mmap_min_addr", "",
	                                PLACE_LOWEST_ADDR, PLACE_LOWEST_ADDR),
		.max_end_addr = max_end_addr,
		.stack_room = stack_room(engine->target->pid),
	};

	return reserve(engine, &request, addr_ret);
}

struct hfx_error *engine_region_reserve(struct engine *engine, uint64_t size,
                                        uint64_t near_start_addr,
                                        uint64_t near_end_addr,
                                        uint64_t *addr_ret)
{
	return reserve_near(engine, size, near_start_addr, near_end_addr, 0,
	                    addr_ret);
}

struct hfx_error *
engine_region_create(struct engine *engine, const struct image_load *image,
                     uint64_t record_room, uint64_t near_start_addr,
                     uint64_t near_end_addr, struct engine_region *ret)
{
	struct engine_region region = {
		.record_room = page_ceil(record_room),
	};
	struct hfx_error *err;

	region.size = RECORD_OFF + region.record_room +
	              (image->end_addr - image->start_addr) + SCRATCH_ROOM;
	HFX_TRY(reserve_near(
		engine, region.size, near_start_addr, near_end_addr,
		image->needs_low_addr ? IMAGE_REACH : 0, &region.addr));
	region.image_bias = region.addr + RECORD_OFF + region.record_room -
	                    image->start_addr;
	err = protect(engine->target, region.addr + RECORD_OFF,
	              region.record_room, PROT_READ);
	if (err) {
		engine_region_destroy(engine->target, region.addr, region.size);
		return err;
	}
	*ret = region;
	return NULL;
}

struct hfx_error *engine_region_open_scratch(struct target *target,
                                             const struct engine_region *region,
                                             uint64_t *addr_ret)
{
	uint64_t addr = region->addr + region->size - SCRATCH_ROOM;

	HFX_TRY(protect(target, addr, SCRATCH_ROOM, PROT_READ | PROT_WRITE));
	*addr_ret = addr;
	return NULL;
}

/** One mprotect for each run of adjacent segments with the same protection. */
static struct hfx_error *protect_segments(struct target *target,
                                          const struct engine_region *region,
                                          const struct image_load *image)
{
	size_t first = 0;

	for (size_t i = 1; i <= image->num_segments; i++) {
		const struct image_load_segment *start =
			&image->segments[first];
		const struct image_load_segment *last = &image->segments[i - 1];
		uint64_t end = last->start_addr + last->size;

		if (i < image->num_segments &&
		    image->segments[i].start_addr == end &&
		    image->segments[i].protection == start->protection)
			continue;
		HFX_TRY(protect(target, region->image_bias + start->start_addr,
		                end - start->start_addr, start->protection));
		first = i;
	}
	return NULL;
}

struct hfx_error *engine_region_fill(struct target *target,
                                     const struct engine_region *region,
                                     const struct image_load *image)
{
	HFX_TRY(protect_segments(target, region, image));
	for (size_t i = 0; i < image->num_segments; i++) {
		const struct image_load_segment *segment = &image->segments[i];

		if (segment->num_bytes)
			HFX_TRY(target->ops->write(
				target, region->image_bias + segment->addr,
				segment->bytes, segment->num_bytes));
	}
	return NULL;
}

void engine_region_destroy(struct target *target, uint64_t addr, uint64_t size)
{
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err = unmap(target, addr, size);
}
