/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "cleanup.h"
#include "cursor.h"
#include "modules.h"

static void module_deinit(struct module *module)
{
	free(module->segments);
	free(module->path);
	free(module->soname);
	*module = (struct module){0};
}

void modules_deinit(struct modules *modules)
{
	for (size_t i = 0; i < modules->num_modules; i++)
		module_deinit(&modules->modules[i]);
	free(modules->modules);
	*modules = (struct modules){0};
}

void module_file_name(const struct module *module,
                      char name_ret[static MODULE_MAX_NAME])
{
	static const char deleted[] = " (deleted)";
	const char *slash = strrchr(module->path, '/');
	const char *name = slash ? slash + 1 : module->path;
	size_t size = strnlen(name, MODULE_MAX_NAME - 1);

	memcpy(name_ret, name, size);
	name_ret[size] = '\0';
	if (size > strlen(deleted) &&
	    !strcmp(name_ret + size - strlen(deleted), deleted))
		name_ret[size - strlen(deleted)] = '\0';
}

bool module_holds(const struct module *module, uint64_t live_addr,
                  uint64_t size, uint32_t flags)
{
	for (size_t i = 0; i < module->num_segments; i++) {
		const Elf64_Phdr *segment = &module->segments[i];

		if (segment->p_type == PT_LOAD &&
		    (segment->p_flags & flags) == flags &&
		    live_addr >= module->bias + segment->p_vaddr &&
		    range_fits(live_addr - module->bias - segment->p_vaddr,
		               size, segment->p_memsz))
			return true;
	}
	return false;
}

struct hfx_error *module_read(struct target *target,
                              const struct module *module, uint64_t live_addr,
                              void *buffer, size_t size)
{
	if (!module_holds(module, live_addr, size, 0))
		return hfx_error_create(HFX_ERROR_BAD_ELF,
		                        "%s: its tables lead outside of it",
		                        module->path);
	return target->ops->read(target, live_addr, buffer, size);
}

bool module_string_is(struct target *target, const struct module *module,
                      uint64_t string_off, const char *text)
{
	size_t size = strlen(text) + 1;
	HFX_CLEANUP(hfx_free) char *bytes = malloc(size);
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;

	if (!bytes ||
	    !range_fits(string_off, size, module->dynamic.strings_size))
		return false;
	err = module_read(target, module,
	                  module->dynamic.strings_addr + string_off, bytes,
	                  size);
	return !err && !memcmp(bytes, text, size);
}

static bool header_is_ours(const Elf64_Ehdr *header)
{
	return !memcmp(header->e_ident, ELFMAG, SELFMAG) &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_ident[EI_DATA] == ELFDATA2LSB &&
	       header->e_machine == EM_X86_64 &&
	       (header->e_type == ET_EXEC || header->e_type == ET_DYN) &&
	       header->e_phentsize == sizeof(Elf64_Phdr) && header->e_phnum &&
	       header->e_phnum <= MODULE_MAX_PHDRS;
}

/**
 * Fill the range and the bias from the program headers.
 *
 * @return False if they contradict themselves or the mapping at @p first_addr.
 */
static bool lay_out(struct module *module, uint64_t first_addr)
{
	uint64_t low = UINT64_MAX, high = 0;
	bool has_header = false;

	for (size_t i = 0; i < module->num_segments; i++) {
		const Elf64_Phdr *segment = &module->segments[i];
		uint64_t end;

		if (segment->p_type != PT_LOAD)
			continue;
		if (__builtin_add_overflow(segment->p_vaddr, segment->p_memsz,
		                           &end) ||
		    end > UINT64_MAX - PAGE_BYTES)
			return false;
		if (page_floor(segment->p_offset) == 0 && !has_header) {
			module->bias =
				first_addr - page_floor(segment->p_vaddr);
			has_header = true;
		}
		low = segment->p_vaddr < low ? segment->p_vaddr : low;
		high = end > high ? end : high;
	}
	if (!has_header || low >= high)
		return false;
	module->start_addr = module->bias + page_floor(low);
	module->end_addr = module->bias + page_ceil(high);
	return module->start_addr < module->end_addr;
}

/**
 * Whether every segment is mapped as its header says. A file that is mapped
 * for reading only is no module.
 */
static bool is_loaded(const struct module *module, const struct maps *maps)
{
	bool has_code = false;

	for (size_t i = 0; i < module->num_segments; i++) {
		const Elf64_Phdr *segment = &module->segments[i];
		uint64_t start = module->bias + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || !segment->p_memsz)
			continue;
		if (!maps_cover(maps, start, segment->p_memsz,
		                segment->p_flags & PF_X ? PROT_EXEC : 0))
			return false;
		has_code |= (segment->p_flags & PF_X) != 0;
	}
	return has_code;
}

static void scan_notes(const uint8_t *notes, size_t size, uint64_t align,
                       struct build_id *ret)
{
	struct cursor cursor = cursor_init(notes, size);

	while (cursor_left(&cursor) >= sizeof(Elf64_Nhdr)) {
		uint32_t name_size = cursor_u32(&cursor);
		uint32_t data_size = cursor_u32(&cursor);
		uint32_t type = cursor_u32(&cursor);
		const uint8_t *name = cursor_bytes(&cursor, name_size);
		const uint8_t *data;

		cursor_seek(&cursor,
		            (cursor.off + align - 1) & ~(size_t)(align - 1));
		data = cursor_bytes(&cursor, data_size);
		if (!name || !data)
			return;
		if (type == NT_GNU_BUILD_ID && name_size == 4 &&
		    !memcmp(name, "GNU", 4) && data_size &&
		    data_size <= BUILD_ID_MAX) {
			memcpy(ret->bytes, data, data_size);
			ret->size = data_size;
			return;
		}
		/* The last note need not be padded. */
		if (cursor_left(&cursor) < align)
			return;
		cursor_seek(&cursor,
		            (cursor.off + align - 1) & ~(size_t)(align - 1));
	}
}

static struct hfx_error *read_build_id(struct target *target,
                                       struct module *module)
{
	for (size_t i = 0; i < module->num_segments; i++) {
		const Elf64_Phdr *segment = &module->segments[i];
		HFX_CLEANUP(hfx_free) uint8_t *notes = NULL;
		uint64_t start = module->bias + segment->p_vaddr;

		if (segment->p_type != PT_NOTE || !segment->p_memsz ||
		    segment->p_memsz > MODULE_MAX_NOTE_SIZE ||
		    module->build_id.size ||
		    !module_holds(module, start, segment->p_memsz, 0))
			continue;
		notes = malloc(segment->p_memsz);
		if (!notes)
			return hfx_error_no_memory();
		HFX_TRY(module_read(target, module, start, notes,
		                    segment->p_memsz));
		scan_notes(notes, segment->p_memsz,
		           segment->p_align == 8 ? 8 : 4, &module->build_id);
	}
	return NULL;
}

/**
 * Live address of a d_ptr. The dynamic linker has relocated most of them in
 * place, but not where PT_DYNAMIC is read-only. Outside the module: 0.
 */
static uint64_t live_pointer(const struct module *module, uint64_t value)
{
	if (module_holds(module, value, 1, 0))
		return value;
	if (module_holds(module, module->bias + value, 1, 0))
		return module->bias + value;
	return 0;
}

static void note_dynamic(struct module *module, const Elf64_Dyn *entry)
{
	struct module_dynamic *dynamic = &module->dynamic;
	uint64_t value = entry->d_un.d_val;
	uint64_t addr = live_pointer(module, value);

	switch (entry->d_tag) {
	case DT_SYMTAB:
		dynamic->symbols_addr = addr;
		break;
	case DT_STRTAB:
		dynamic->strings_addr = addr;
		break;
	case DT_STRSZ:
		dynamic->strings_size = value;
		break;
	case DT_HASH:
		dynamic->hash_addr = addr;
		break;
	case DT_GNU_HASH:
		dynamic->gnu_hash_addr = addr;
		break;
	case DT_VERSYM:
		dynamic->versions_addr = addr;
		break;
	case DT_VERDEF:
		dynamic->definitions_addr = addr;
		break;
	case DT_VERDEFNUM:
		dynamic->num_definitions = value;
		break;
	case DT_VERNEED:
		dynamic->needs_addr = addr;
		break;
	case DT_VERNEEDNUM:
		dynamic->num_needs = value;
		break;
	case DT_RELA:
		dynamic->relocations_addr = addr;
		break;
	case DT_RELASZ:
		dynamic->relocations_size = value;
		break;
	case DT_DEBUG:
		dynamic->debug_addr = value;
		break;
	case DT_SONAME:
		dynamic->soname_off = value + 1;
		break;
	}
}

static struct hfx_error *read_dynamic_entries(struct target *target,
                                              struct module *module,
                                              const Elf64_Phdr *segment)
{
	uint64_t start = module->bias + segment->p_vaddr;
	size_t count = segment->p_memsz / sizeof(Elf64_Dyn);
	HFX_CLEANUP(hfx_free) Elf64_Dyn *entries = NULL;

	if (count > MODULE_MAX_DYNAMIC)
		count = MODULE_MAX_DYNAMIC;
	if (!count || !module_holds(module, start, count * sizeof(*entries), 0))
		return NULL;
	entries = calloc(count, sizeof(*entries));
	if (!entries)
		return hfx_error_no_memory();
	HFX_TRY(module_read(target, module, start, entries,
	                    count * sizeof(*entries)));
	module->dynamic.live_addr = start;
	for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++)
		note_dynamic(module, &entries[i]);
	return NULL;
}

/** DT_SONAME as an owned string; what cannot be read is empty. */
static struct hfx_error *read_soname(struct target *target,
                                     struct module *module)
{
	const struct module_dynamic *dynamic = &module->dynamic;
	uint64_t off = dynamic->soname_off - 1;
	uint64_t size = dynamic->strings_size - off;

	module->soname = calloc(1, 256);
	if (!module->soname)
		return hfx_error_no_memory();
	if (!dynamic->soname_off || !dynamic->strings_addr ||
	    off >= dynamic->strings_size)
		return NULL;
	size = size < 255 ? size : 255;
	if (!module_holds(module, dynamic->strings_addr + off, size, 0))
		return NULL;
	return module_read(target, module, dynamic->strings_addr + off,
	                   module->soname, size);
}

static struct hfx_error *read_dynamic(struct target *target,
                                      struct module *module)
{
	for (size_t i = 0; i < module->num_segments; i++) {
		const Elf64_Phdr *segment = &module->segments[i];

		if (segment->p_type == PT_TLS && segment->p_memsz)
			module->has_tls = true;
		if (segment->p_type == PT_DYNAMIC)
			HFX_TRY(read_dynamic_entries(target, module, segment));
	}
	return read_soname(target, module);
}

static struct hfx_error *read_segments(struct target *target,
                                       const struct mapping *mapping,
                                       const Elf64_Ehdr *header,
                                       struct module *module)
{
	size_t size = header->e_phnum * sizeof(Elf64_Phdr);

	module->segments = calloc(header->e_phnum, sizeof(Elf64_Phdr));
	if (!module->segments)
		return hfx_error_no_memory();
	module->num_segments = header->e_phnum;
	return target->ops->read(target, mapping->start_addr + header->e_phoff,
	                         module->segments, size);
}

/** Whether the mapping may begin a module, by what maps say. */
static bool may_begin_module(const struct mapping *mapping)
{
	return mapping->inode && mapping->file_off == 0 &&
	       (mapping->protection & PROT_READ) &&
	       mapping->end_addr - mapping->start_addr >= sizeof(Elf64_Ehdr);
}

/**
 * Read the module that begins with @p mapping.
 *
 * @param[out] ret Left as it is when there is none.
 */
static struct hfx_error *read_module(struct target *target,
                                     const struct maps *maps,
                                     const struct mapping *mapping,
                                     struct module *ret)
{
	HFX_CLEANUP(module_deinit) struct module module = {0};
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
	Elf64_Ehdr header;

	/* A mapped file may have been cut: then this is no module. */
	err = target->ops->read(target, mapping->start_addr, &header,
	                        sizeof(header));
	if (err) {
		if (hfx_error_code(err) == HFX_ERROR_NO_PROCESS ||
		    hfx_error_code(err) == HFX_ERROR_PERMISSION)
			return HFX_TAKE(err);
		return NULL;
	}
	if (!header_is_ours(&header) ||
	    !range_fits(header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr),
	                mapping->end_addr - mapping->start_addr))
		return NULL;
	module.path = strdup(mapping->name);
	if (!module.path)
		return hfx_error_no_memory();
	HFX_TRY(read_segments(target, mapping, &header, &module));
	if (!lay_out(&module, mapping->start_addr) || !is_loaded(&module, maps))
		return NULL;
	HFX_TRY(read_build_id(target, &module));
	HFX_TRY(read_dynamic(target, &module));
	*ret = module;
	module = (struct module){0};
	return NULL;
}

static bool same_dynamic(const struct module *module, uint64_t live_addr)
{
	return module->dynamic.live_addr &&
	       module->dynamic.live_addr == live_addr;
}

/** Move the module whose PT_DYNAMIC is at @p live_addr to place @p position. */
static bool move_to(struct modules *modules, size_t position,
                    uint64_t live_addr)
{
	for (size_t i = position; i < modules->num_modules; i++) {
		struct module module = modules->modules[i];

		if (!same_dynamic(&module, live_addr))
			continue;
		memmove(&modules->modules[position + 1],
		        &modules->modules[position],
		        (i - position) * sizeof(module));
		modules->modules[position] = module;
		return true;
	}
	return false;
}

/**
 * Order the modules as the dynamic linker's list at @p debug_addr does. The
 * list may be half-changed at this very moment (or be anything): reading stops
 * at what makes no sense, and the rest stays in the order of addresses.
 *
 * @return Whether the first one was found.
 */
static bool order_by_list(struct target *target, struct modules *modules,
                          uint64_t debug_addr)
{
	struct r_debug debug;
	struct link_map map;
	uint64_t next;
	size_t position = 0;
	HFX_CLEANUP(hfx_error_cleanup)
	struct hfx_error *err =
		target->ops->read(target, debug_addr, &debug, sizeof(debug));

	if (err || debug.r_version < 1)
		return false;
	next = (uintptr_t)debug.r_map;
	for (size_t i = 0; next && i < MODULES_MAX; i++) {
		err = target->ops->read(target, next, &map, sizeof(map));
		if (err)
			break;
		if (move_to(modules, position, (uintptr_t)map.l_ld))
			position++;
		next = (uintptr_t)map.l_next;
	}
	return position > 0;
}

static void order_modules(struct target *target, struct modules *modules)
{
	for (size_t i = 0; i < modules->num_modules; i++) {
		uint64_t debug_addr = modules->modules[i].dynamic.debug_addr;

		if (debug_addr && order_by_list(target, modules, debug_addr)) {
			modules->modules[0].is_main = true;
			return;
		}
	}
	/* A static program has no list, and nothing but itself. */
	if (modules->num_modules == 1)
		modules->modules[0].is_main = true;
}

struct hfx_error *modules_read(struct target *target, const struct maps *maps,
                               struct modules *ret)
{
	HFX_CLEANUP(modules_deinit) struct modules modules = {0};

	for (size_t i = 0; i < maps->num_mappings; i++) {
		const struct mapping *mapping = &maps->mappings[i];
		struct module module = {0};

		if (!may_begin_module(mapping))
			continue;
		HFX_TRY(read_module(target, maps, mapping, &module));
		if (!module.segments)
			continue;
		if (modules.num_modules >= MODULES_MAX ||
		    !HFX_ARRAY_PUSH(&modules, modules, module)) {
			module_deinit(&module);
			return hfx_error_no_memory();
		}
	}
	order_modules(target, &modules);
	*ret = modules;
	modules = (struct modules){0};
	return NULL;
}

bool module_needs(struct target *target, const struct module *module,
                  const char *soname)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
	uint64_t addr = module->dynamic.needs_addr;

	for (uint64_t i = 0;
	     addr && i < module->dynamic.num_needs && i < MODULES_MAX; i++) {
		Elf64_Verneed needs;

		err = module_read(target, module, addr, &needs, sizeof(needs));
		if (err)
			return false;
		if (module_string_is(target, module, needs.vn_file, soname))
			return true;
		if (!needs.vn_next)
			return false;
		addr += needs.vn_next;
	}
	return false;
}

/** Whether @p relocation asks for the TLS index of the module itself. */
static bool is_own_tls_index(struct target *target, const struct module *module,
                             const Elf64_Rela *relocation)
{
	uint64_t index = ELF64_R_SYM(relocation->r_info);
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
	Elf64_Sym symbol;

	if (ELF64_R_TYPE(relocation->r_info) != R_X86_64_DTPMOD64)
		return false;
	if (index == 0)
		return true;
	err = module_read(target, module,
	                  module->dynamic.symbols_addr + index * sizeof(symbol),
	                  &symbol, sizeof(symbol));
	return !err && ELF64_ST_BIND(symbol.st_info) == STB_LOCAL &&
	       symbol.st_shndx != SHN_UNDEF;
}

struct hfx_error *module_tls_index(struct target *target,
                                   const struct module *module, uint64_t *ret)
{
	const struct module_dynamic *dynamic = &module->dynamic;
	size_t count = dynamic->relocations_size / sizeof(Elf64_Rela);

	if (target->ops->tls_index) {
		*ret = target->ops->tls_index(target, module->bias);
		if (*ret)
			return NULL;
	}
	/* psABI: the program's own is always the first. */
	if (module->is_main && module->has_tls) {
		*ret = 1;
		return NULL;
	}
	for (size_t i = 0; dynamic->relocations_addr && i < count; i++) {
		Elf64_Rela relocation;
		uint64_t index;

		HFX_TRY(module_read(target, module,
		                    dynamic->relocations_addr +
		                            i * sizeof(relocation),
		                    &relocation, sizeof(relocation)));
		if (!is_own_tls_index(target, module, &relocation))
			continue;
		HFX_TRY(module_read(target, module,
		                    module->bias + relocation.r_offset, &index,
		                    sizeof(index)));
		if (index) {
			*ret = index;
			return NULL;
		}
	}
	return hfx_error_create(HFX_ERROR_UNSUPPORTED,
	                        "%s: the index of its thread-local storage "
	                        "cannot be found",
	                        module->path);
}
