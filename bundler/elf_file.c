/* SPDX-License-Identifier: MIT */
#include "elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "debug_cache.h"
#include "elf_unpack.h"

struct hfx_error *elf_file_error(const struct elf_file *file, const char *what)
{
	return hfx_error_create(HFX_ERROR_BAD_ELF,
	                        "%s: %s: %s; the file is damaged or truncated",
	                        file->path, what, elf_errmsg(-1));
}

static struct hfx_error *reject(const char *path, const char *why)
{
	return hfx_error_create(HFX_ERROR_BAD_ELF, "%s: %s", path, why);
}

struct build_id elf_build_id(Elf *elf)
{
	struct build_id id = {0};
	const void *bytes;
	ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);

	if (size > 0 && size <= BUILD_ID_MAX) {
		memcpy(id.bytes, bytes, size);
		id.size = size;
	}
	return id;
}

Elf_Scn *elf_find_section(Elf *elf, GElf_Word type, const char *name,
                          GElf_Shdr *shdr_ret)
{
	Elf_Scn *scn = NULL;
	size_t strings;

	if (elf_getshdrstrndx(elf, &strings))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, shdr_ret) || shdr_ret->sh_type != type)
			continue;
		const char *found = elf_strptr(elf, strings, shdr_ret->sh_name);
		if (!name || (found && !strcmp(found, name)))
			return scn;
	}
	return NULL;
}

static bool has_symbols(Elf *elf)
{
	GElf_Shdr shdr;

	return elf_find_section(elf, SHT_SYMTAB, NULL, &shdr);
}

/* Everything that can be said of a file by its header. */
static struct hfx_error *check_header(const char *path, Elf *elf)
{
	GElf_Ehdr ehdr;
	size_t num_sections, num_segments;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr))
		return reject(path, "not an ELF file; give the linked program "
		                    "or shared library");
	if (ehdr.e_ident[EI_CLASS] != ELFCLASS64)
		return reject(path, "a 32-bit file; hfx patches x86-64 "
		                    "programs only");
	if (ehdr.e_machine != EM_X86_64 || ehdr.e_ident[EI_DATA] != ELFDATA2LSB)
		return reject(path, "built for another architecture; hfx "
		                    "patches x86-64 programs only");
	if (ehdr.e_type == ET_REL)
		return reject(path, "a relocatable object (.o); give the "
		                    "linked program or shared library");
	if (ehdr.e_type != ET_DYN && ehdr.e_type != ET_EXEC)
		return reject(path, "not a program or shared library");
	if (elf_getshdrnum(elf, &num_sections) || num_sections < 2 ||
	    elf_getphdrnum(elf, &num_segments) || !num_segments)
		return reject(path, "no section or program headers; the file "
		                    "is truncated or stripped of them");
	return NULL;
}

/* Section headers and contents must lie inside the file. */
static struct hfx_error *check_extent(const char *path, int fd, Elf *elf)
{
	struct stat status;
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	if (fstat(fd, &status))
		return hfx_error_os(errno, "%s", path);
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &shdr))
			return reject(path, "truncated: its section headers "
			                    "are incomplete");
		if (shdr.sh_type != SHT_NOBITS &&
		    (shdr.sh_offset > (uint64_t)status.st_size ||
		     shdr.sh_size > status.st_size - shdr.sh_offset))
			return reject(path, "truncated: a section lies behind "
			                    "the end of the file");
	}
	return NULL;
}

static struct hfx_error *open_elf(const char *path, int *fd, Elf **elf)
{
	struct stat status;

	/* A pipe would block. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return hfx_error_os(errno, "%s", path);
	if (!fstat(*fd, &status) && !S_ISREG(status.st_mode))
		return reject(path, "not a regular file");
	elf_version(EV_CURRENT);
	*elf = elf_begin(*fd, ELF_C_READ_MMAP, NULL);
	if (!*elf)
		return reject(path, elf_errmsg(-1));
	return NULL;
}

/* The DWARF of `elf`, which is the program or its debug file. */
static struct hfx_error *use_dwarf(struct elf_file *file, Elf *elf,
                                   const char *path)
{
	if (elf_needs_unpacking(elf)) {
		HFX_TRY(elf_unpack(elf, path, &file->unpacked));
		file->unpacked_elf = elf_memory((char *)file->unpacked.data,
		                                file->unpacked.size);
		elf = file->unpacked_elf;
	}
	file->debug_dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	file->dwarf = file->debug_dwarf;
	return NULL;
}

static struct hfx_error *use_debug_file(struct elf_file *file, const char *path)
{
	HFX_TRY(open_elf(path, &file->debug_fd, &file->debug_elf));
	if (elf_kind(file->debug_elf) != ELF_K_ELF)
		return reject(path, "not an ELF file; give the debug file that "
		                    "belongs to the program");
	struct build_id own = elf_build_id(file->elf);
	struct build_id its = elf_build_id(file->debug_elf);
	if (own.size != its.size || memcmp(own.bytes, its.bytes, own.size))
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"%s: its build-id is not that of %s; give the debug "
			"file of the same build (are the files of OLD and NEW "
			"swapped?)",
			path, file->path);
	HFX_TRY(check_extent(path, file->debug_fd, file->debug_elf));
	HFX_TRY(use_dwarf(file, file->debug_elf, path));
	if (!has_symbols(file->symbols_elf))
		file->symbols_elf = file->debug_elf;
	return NULL;
}

static struct hfx_error *use_cached_file(struct elf_file *file)
{
	const struct build_id id = elf_build_id(file->elf);
	HFX_CLEANUP(hfx_free) char *path = NULL;

	HFX_TRY(debug_cache_find(&id, &path));
	return path ? use_debug_file(file, path) : NULL;
}

/* A separate file that libdwfl found and could not read, perhaps for zstd. */
static struct hfx_error *use_packed_file(struct elf_file *file,
                                         Dwfl_Module *module)
{
	const char *path = NULL;
	Elf *elf = NULL;
	int fd = -1;
	bool is_packed;

	dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, &path);
	if (!path)
		return use_cached_file(file);
	HFX_TRY(open_elf(path, &fd, &elf));
	is_packed = elf_kind(elf) == ELF_K_ELF && elf_needs_unpacking(elf);
	elf_end(elf);
	hfx_close(&fd);
	return is_packed ? use_debug_file(file, path) : NULL;
}

/* The program's own DWARF, or that of a separate file in the usual places. */
static struct hfx_error *find_debug_info(struct elf_file *file)
{
	static char *search_path;
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address = dwfl_offline_section_address,
		.debuginfo_path = &search_path,
	};
	Dwarf_Addr bias;

	if (elf_needs_unpacking(file->elf))
		return use_dwarf(file, file->elf, file->path);
	file->dwfl = dwfl_begin(&callbacks);
	if (!file->dwfl)
		return hfx_error_no_memory();
	Dwfl_Module *module =
		dwfl_report_offline(file->dwfl, file->path, file->path, -1);
	dwfl_report_end(file->dwfl, NULL, NULL);
	if (!module)
		return hfx_error_create(HFX_ERROR_BAD_ELF, "%s: %s", file->path,
		                        dwfl_errmsg(-1));
	file->dwarf = dwfl_module_getdwarf(module, &bias);
	if (!file->dwarf)
		return use_packed_file(file, module);
	Elf *elf = dwarf_getelf(file->dwarf);
	if (!has_symbols(file->symbols_elf))
		file->symbols_elf = elf;
	return elf_needs_unpacking(elf) ? use_dwarf(file, elf, file->path)
	                                : NULL;
}

struct hfx_error *elf_file_open(const char *path, const char *debug_path,
                                struct elf_file **ret)
{
	struct elf_file *file = calloc(1, sizeof(*file));
	if (!file)
		return hfx_error_no_memory();
	file->path = path;
	file->fd = file->debug_fd = -1;

	struct hfx_error *err = open_elf(path, &file->fd, &file->elf);
	if (!err)
		err = check_header(path, file->elf);
	if (!err)
		err = check_extent(path, file->fd, file->elf);
	if (!err) {
		file->symbols_elf = file->elf;
		err = debug_path ? use_debug_file(file, debug_path)
		                 : find_debug_info(file);
	}
	if (err) {
		elf_file_destroy(file);
		return err;
	}
	*ret = file;
	return NULL;
}

void elf_file_destroy(struct elf_file *file)
{
	if (!file)
		return;
	if (file->debug_dwarf)
		dwarf_end(file->debug_dwarf);
	if (file->unpacked_elf)
		elf_end(file->unpacked_elf);
	bytes_deinit(&file->unpacked);
	if (file->debug_elf)
		elf_end(file->debug_elf);
	if (file->dwfl)
		dwfl_end(file->dwfl);
	if (file->elf)
		elf_end(file->elf);
	hfx_close(&file->debug_fd);
	hfx_close(&file->fd);
	free(file);
}
