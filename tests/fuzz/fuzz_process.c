/* SPDX-License-Identifier: MIT */
/*
 * A process: its mappings, and the modules, symbols and records in its memory.
 *
 * The input is the text of /proc/PID/maps, a NUL, and the memory: for each
 * mapping in turn up to SLICE_SIZE bytes of its start; what is behind is zero.
 */
#include <string.h>

#include "engine_private.h"
#include "fuzz.h"
#include "symbols.h"

#define SLICE_SIZE 4096u

struct process {
	struct target target;
	struct maps maps;
	const uint8_t *memory;
	size_t memory_size;
};

/** The byte at @p off of mapping @p index. */
static uint8_t byte_at(const struct process *process, size_t index,
                       uint64_t off)
{
	uint64_t at = index * (uint64_t)SLICE_SIZE + off;

	return off < SLICE_SIZE && at < process->memory_size
	               ? process->memory[at]
	               : 0;
}

static struct hfx_error *read_memory(struct target *target, uint64_t live_addr,
                                     void *buffer, size_t size)
{
	const struct process *process = (const struct process *)target;
	uint8_t *bytes = buffer;

	if (!maps_cover(&process->maps, live_addr, size, 0))
		return hfx_error_create(HFX_ERROR_OS, "not mapped");
	for (size_t i = 0; i < size; i++) {
		const struct mapping *mapping =
			maps_find(&process->maps, live_addr + i);

		bytes[i] = byte_at(process,
		                   (size_t)(mapping - process->maps.mappings),
		                   live_addr + i - mapping->start_addr);
	}
	return NULL;
}

static struct hfx_error *call_function(struct target *target,
                                       uint64_t live_addr,
                                       const uint64_t args[2],
                                       uint64_t *result_ret)
{
	(void)target;
	(void)args;
	*result_ret = live_addr;
	return NULL;
}

static void look_up(struct process *process, const struct modules *modules)
{
	static const struct symbol_query queries[] = {
		{.name = "malloc", .version = "GLIBC_2.2.5"},
		{.name = "answer", .version = "", .is_call = true},
	};
	uint64_t addr;

	for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++)
		(void)fuzz_succeeds(symbols_find(&process->target, modules,
		                                 &queries[i], &addr));
	for (size_t i = 0; i < modules->num_modules; i++)
		(void)fuzz_succeeds(module_tls_index(
			&process->target, &modules->modules[i], &addr));
}

static void look_around(struct process *process)
{
	struct engine_patches patches = {0};
	struct modules modules = {0};

	if (fuzz_succeeds(
		    modules_read(&process->target, &process->maps, &modules)))
		look_up(process, &modules);
	modules_deinit(&modules);
	if (fuzz_succeeds(
		    engine_list_in(&process->target, &process->maps, &patches)))
		engine_patches_deinit(&patches);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct target_ops ops = {
		.read = read_memory,
		.call = call_function,
	};
	const uint8_t *end = memchr(data, 0, size);
	struct process process = {.target = {.ops = &ops, .pid = 1}};

	if (!end)
		return 0;
	process.memory = end + 1;
	process.memory_size = size - (size_t)(end + 1 - data);
	if (fuzz_succeeds(maps_parse((const char *)data, (size_t)(end - data),
	                             &process.maps)))
		look_around(&process);
	maps_deinit(&process.maps);
	return 0;
}
