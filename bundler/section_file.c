/* SPDX-License-Identifier: MIT */
#include "section_file.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

void section_file_add(struct section_file *file, const char *name,
                      const void *data, size_t size)
{
	const Elf64_Shdr header = {
		.sh_name = file->names.size + 1,
		.sh_type = SHT_PROGBITS,
		.sh_offset = sizeof(Elf64_Ehdr) + file->content.size,
		.sh_size = size,
		.sh_addralign = 1,
	};

	if (!size)
		return;
	bytes_put(&file->content, data, size);
	bytes_string(&file->names, name);
	if (!HFX_ARRAY_PUSH(file, headers, header))
		file->failed = true;
}

static void put_header(const struct section_file *file, struct bytes *ret)
{
	/* One before the sections, and their names behind them. */
	size_t count = file->num_headers + 2;
	size_t end =
		sizeof(Elf64_Ehdr) + file->content.size + 1 + file->names.size;
	const Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
	                    ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_REL,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_shoff = (end + 7) & -(size_t)8,
		.e_ehsize = sizeof(header),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = count,
		.e_shstrndx = count - 1,
	};

	bytes_put(ret, &header, sizeof(header));
}

struct hfx_error *section_file_end(struct section_file *file, struct bytes *ret)
{
	const Elf64_Shdr none = {0};
	const Elf64_Shdr names = {
		.sh_type = SHT_STRTAB,
		.sh_offset = sizeof(Elf64_Ehdr) + file->content.size,
		.sh_size = 1 + file->names.size,
		.sh_addralign = 1,
	};

	if (file->failed)
		return hfx_error_no_memory();
	put_header(file, ret);
	bytes_put(ret, file->content.data, file->content.size);
	bytes_u8(ret, 0);
	bytes_put(ret, file->names.data, file->names.size);
	bytes_align(ret, 8);
	bytes_put(ret, &none, sizeof(none));
	bytes_put(ret, file->headers,
	          file->num_headers * sizeof(*file->headers));
	bytes_put(ret, &names, sizeof(names));
	ret->failed |= file->content.failed || file->names.failed;
	return bytes_check(ret);
}

void section_file_deinit(struct section_file *file)
{
	bytes_deinit(&file->content);
	bytes_deinit(&file->names);
	free(file->headers);
	*file = (struct section_file){0};
}
