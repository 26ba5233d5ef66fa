/* SPDX-License-Identifier: MIT */
/*
 * What any comparison of two builds has to do at least: decode all code once,
 * with operands, and visit every entry of the debug information once.
 *
 *	bench_reference_pass [--code] FILE...
 *
 * With --code, only the code.
 */
#include <capstone/capstone.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <err.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct totals {
	size_t num_instructions;
	size_t num_entries;
};

static void decode(csh handle, const Elf_Data *data, uint64_t addr,
                   struct totals *totals)
{
	const uint8_t *code = data->d_buf;
	size_t left = data->d_size;
	cs_insn *insn = cs_malloc(handle);

	if (!insn)
		errx(1, "capstone: %s", cs_strerror(cs_errno(handle)));
	while (left) {
		if (cs_disasm_iter(handle, &code, &left, &addr, insn)) {
			totals->num_instructions++;
			continue;
		}
		code++;
		left--;
		addr++;
	}
	cs_free(insn, 1);
}

static void decode_text(Elf *elf, struct totals *totals)
{
	Elf_Scn *section = NULL;
	size_t names;
	csh handle;

	if (elf_getshdrstrndx(elf, &names))
		errx(1, "libelf: %s", elf_errmsg(-1));
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle))
		errx(1, "capstone cannot be opened");
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *name;
		Elf_Data *data;

		if (!gelf_getshdr(section, &header))
			errx(1, "libelf: %s", elf_errmsg(-1));
		name = elf_strptr(elf, names, header.sh_name);
		data = elf_getdata(section, NULL);
		if (name && data && !strcmp(name, ".text"))
			decode(handle, data, header.sh_addr, totals);
	}
	cs_close(&handle);
}

static void visit(Dwarf_Die *entry, struct totals *totals)
{
	Dwarf_Die child;
	Dwarf_Die current = *entry;
	int rc;

	do {
		totals->num_entries++;
		if (!dwarf_child(&current, &child))
			visit(&child, totals);
		rc = dwarf_siblingof(&current, &current);
	} while (rc == 0);
	if (rc < 0)
		errx(1, "libdw: %s", dwarf_errmsg(-1));
}

static void visit_units(Elf *elf, struct totals *totals)
{
	Dwarf *dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	Dwarf_CU *unit = NULL;
	Dwarf_Die entry;

	if (!dwarf)
		errx(1, "libdw: %s", dwarf_errmsg(-1));
	while (!dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &entry, NULL))
		visit(&entry, totals);
	dwarf_end(dwarf);
}

static void pass(const char *path, bool code_only, struct totals *totals)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf;

	if (fd < 0)
		err(1, "%s", path);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf)
		errx(1, "%s: %s", path, elf_errmsg(-1));
	decode_text(elf, totals);
	if (!code_only)
		visit_units(elf, totals);
	elf_end(elf);
	close(fd);
}

int main(int argc, char **argv)
{
	struct totals totals = {0};
	bool code_only = argc > 1 && !strcmp(argv[1], "--code");
	int first = code_only ? 2 : 1;

	if (argc <= first)
		errx(2, "usage: bench_reference_pass [--code] FILE...");
	elf_version(EV_CURRENT);
	for (int i = first; i < argc; i++)
		pass(argv[i], code_only, &totals);
	printf("%zu instructions, %zu debug entries\n", totals.num_instructions,
	       totals.num_entries);
	return 0;
}
