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

/* A function whose call of victim_f() lies across two pages. */
__asm__(".pushsection .text\n"
        "	.balign 4096\n"
        "	.skip 4086, 0xcc\n"
        "	.globl victim_across\n"
        "	.type victim_across, @function\n"
        "victim_across:\n"
        "	sub $8, %rsp\n"
        "	nopl (%rax)\n"
        "	call victim_f@PLT\n"
        "	add $8, %rsp\n"
        "	ret\n"
        "	.size victim_across, . - victim_across\n"
        "	.popsection\n");

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
