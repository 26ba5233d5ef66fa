/* SPDX-License-Identifier: MIT */
/* The functions that are patched, in the program or in a library of it. */
#include <link.h>
#include <stddef.h>
#include <stdint.h>

#include "engine_victim.h"

int victim_data = 7;

/** Makes the module have thread-local storage and ask for its index. */
static __thread int counter;

__attribute__((__noipa__)) int victim_f(void)
{
	return 1;
}

__attribute__((__noipa__)) int victim_g(void)
{
	return 10;
}

/** Calls both, so that it shows what is reached from inside the module. */
__attribute__((__noipa__)) int victim_sum(void)
{
	counter++;
	return victim_f() + 100 * victim_g();
}

static int note_tls_index(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t here = (uintptr_t)&note_tls_index - info->dlpi_addr;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    here - info->dlpi_phdr[i].p_vaddr <
		            info->dlpi_phdr[i].p_memsz)
			*(int *)arg = (int)info->dlpi_tls_modid;
	return 0;
}

int victim_tls_index(void)
{
	int index = 0;

	dl_iterate_phdr(note_tls_index, &index);
	return index;
}
