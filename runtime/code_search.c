/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "code_search.h"

/** A mapping is searched no further than this, in bytes. */
#define SEARCH_MAX (8u << 20)

static bool search_mapping(pid_t tid, const struct mapping *mapping,
                           const uint8_t *code, size_t code_size,
                           uint64_t *addr_ret)
{
	uint64_t size = mapping->end_addr - mapping->start_addr;
	struct iovec remote = {(void *)(uintptr_t)mapping->start_addr,
	                       size < SEARCH_MAX ? size : SEARCH_MAX};
	HFX_CLEANUP(hfx_free) uint8_t *bytes = malloc(remote.iov_len);
	struct iovec local = {bytes, remote.iov_len};
	const uint8_t *found;
	ssize_t got;

	if (!bytes)
		return false;
	got = process_vm_readv(tid, &local, 1, &remote, 1, 0);
	found = got > 0 ? memmem(bytes, (size_t)got, code, code_size) : NULL;
	if (found)
		*addr_ret = mapping->start_addr + (uint64_t)(found - bytes);
	return found;
}

static bool is_code(const struct mapping *mapping)
{
	return mapping->protection & PROT_EXEC &&
	       mapping->protection & PROT_READ &&
	       !(mapping->protection & PROT_WRITE) &&
	       strcmp(mapping->name, "[vsyscall]");
}

bool code_search(pid_t tid, const struct maps *maps, const uint8_t *code,
                 size_t code_size, uint64_t *addr_ret)
{
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < maps->num_mappings; i++) {
			const struct mapping *mapping = &maps->mappings[i];
			bool is_vdso = !strcmp(mapping->name, "[vdso]");

			if (is_vdso == !pass && is_code(mapping) &&
			    search_mapping(tid, mapping, code, code_size,
			                   addr_ret))
				return true;
		}
	}
	return false;
}
