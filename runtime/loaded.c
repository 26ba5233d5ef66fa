/* SPDX-License-Identifier: MIT */
#include "loaded.h"

#include <link.h>
#include <string.h>

/** The build-id in one of the module's own notes (gABI, "Note Section"). */
static bool find_build_id(const uint8_t *notes, size_t size, size_t align,
                          struct build_id *ret)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)notes;
		size_t data_off =
			(sizeof(*note) + note->n_namesz + align - 1) & -align;
		size_t end = (data_off + note->n_descsz + align - 1) & -align;

		if (data_off + note->n_descsz > size)
			return false;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    !memcmp(note + 1, "GNU", 4) && note->n_descsz &&
		    note->n_descsz <= BUILD_ID_MAX) {
			memcpy(ret->bytes, notes + data_off, note->n_descsz);
			ret->size = note->n_descsz;
			return true;
		}
		if (end >= size)
			return false;
		notes += end;
		size -= end;
	}
	return false;
}

static void note_header(const struct dl_phdr_info *info,
                        const Elf64_Phdr *header, struct loaded_module *module)
{
	uint64_t start = info->dlpi_addr + header->p_vaddr;
	uint64_t end = start + header->p_memsz;

	if (header->p_type == PT_LOAD) {
		if (start < module->start_addr)
			module->start_addr = start;
		if (end > module->end_addr)
			module->end_addr = end;
	}
	if (header->p_type == PT_NOTE && !module->build_id.size)
		find_build_id((const uint8_t *)start, header->p_memsz,
		              header->p_align == 8 ? 8 : 4, &module->build_id);
}

struct search {
	bool (*is_it)(const struct loaded_module *module, void *arg);
	void *arg;
	size_t count;
};

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;
	struct loaded_module module = {
		.index = search->count++,
		.bias = info->dlpi_addr,
		.start_addr = UINT64_MAX,
	};

	if (size >= offsetof(struct dl_phdr_info, dlpi_tls_data))
		module.tls_index = info->dlpi_tls_modid;
	for (size_t i = 0; i < info->dlpi_phnum; i++)
		note_header(info, &info->dlpi_phdr[i], &module);
	return search->is_it(&module, search->arg);
}

bool loaded_find(bool (*is_it)(const struct loaded_module *module, void *arg),
                 void *arg)
{
	struct search search = {.is_it = is_it, .arg = arg};

	return dl_iterate_phdr(look, &search) != 0;
}

static bool count_one(const struct loaded_module *module, void *arg)
{
	*(size_t *)arg = module->index + 1;
	return false;
}

size_t loaded_count(void)
{
	size_t count = 0;

	loaded_find(count_one, &count);
	return count;
}

struct wanted {
	const struct build_id *build_id;
	size_t first;
};

static bool is_wanted(const struct loaded_module *module, void *arg)
{
	const struct wanted *wanted = arg;

	return module->index >= wanted->first &&
	       module->build_id.size == wanted->build_id->size &&
	       !memcmp(module->build_id.bytes, wanted->build_id->bytes,
	               module->build_id.size);
}

bool loaded_has_build(const struct build_id *build_id, size_t first)
{
	struct wanted wanted = {build_id, first};

	return loaded_find(is_wanted, &wanted);
}
