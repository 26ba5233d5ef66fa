/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include <elfutils/libdwelf.h>
#include <gelf.h>

#include "cleanup.h"
#include "cursor.h"
#include "image.h"
#include "manifest_show.h"

static struct hfx_error *elf_failure(const char *what)
{
	const char *text = elf_errmsg(-1);

	return hfx_error_create(HFX_ERROR_BAD_ELF, "%s%s%s", what,
	                        text ? ": " : "", text ? text : "");
}

static void end_elf(Elf **elf)
{
	elf_end(*elf);
}

static struct hfx_error *open_elf(int fd, Elf **ret)
{
	GElf_Ehdr header;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return elf_failure("libelf is too old");
	*ret = elf_begin(fd, ELF_C_READ_MMAP_PRIVATE, NULL);
	if (!*ret || elf_kind(*ret) != ELF_K_ELF)
		return hfx_error_create(HFX_ERROR_BAD_ELF, "not an ELF file");
	if (!gelf_getehdr(*ret, &header))
		return elf_failure("damaged ELF file");
	if (gelf_getclass(*ret) != ELFCLASS64 || header.e_machine != EM_X86_64)
		return hfx_error_create(HFX_ERROR_BAD_ELF,
		                        "not a 64-bit x86-64 file");
	return NULL;
}

static void build_id_text(const struct build_id *id,
                          char text_ret[2 * BUILD_ID_MAX + 1])
{
	hex_encode(id->bytes, id->size, text_ret);
}

static struct hfx_error *check_build_id(Elf *elf, const struct build_id *wanted)
{
	char wanted_text[2 * BUILD_ID_MAX + 1];
	char found_text[2 * BUILD_ID_MAX + 1];
	struct build_id found = {0};
	const void *bytes;
	ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);

	if (size <= 0 || size > BUILD_ID_MAX)
		return hfx_error_create(HFX_ERROR_BUILD_MISMATCH,
		                        "has no build-id that hfx can read");
	found.size = (size_t)size;
	memcpy(found.bytes, bytes, found.size);
	if (found.size == wanted->size &&
	    memcmp(found.bytes, wanted->bytes, found.size) == 0)
		return NULL;
	build_id_text(wanted, wanted_text);
	build_id_text(&found, found_text);
	return hfx_error_create(HFX_ERROR_BUILD_MISMATCH,
	                        "the bundle is for build-id %s, but this file "
	                        "has %s",
	                        wanted_text, found_text);
}

/* Bytes of an executable segment in the file, or NULL. */
static const uint8_t *find_code(Elf *elf, uint64_t addr, uint64_t size)
{
	size_t num_headers, file_size;
	const char *file = elf_rawfile(elf, &file_size);

	if (!file || elf_getphdrnum(elf, &num_headers) < 0)
		return NULL;
	for (size_t i = 0; i < num_headers; i++) {
		GElf_Phdr header;

		if (!gelf_getphdr(elf, (int)i, &header) ||
		    header.p_type != PT_LOAD || !(header.p_flags & PF_X) ||
		    addr < header.p_vaddr ||
		    !range_fits(addr - header.p_vaddr, size, header.p_filesz) ||
		    !range_fits(header.p_offset, header.p_filesz, file_size))
			continue;
		return (const uint8_t *)file + header.p_offset +
		       (addr - header.p_vaddr);
	}
	return NULL;
}

static struct hfx_error *
check_function(Elf *elf, const struct manifest_function *function)
{
	const uint8_t *code =
		find_code(elf, function->old_addr, function->old_size);
	struct digest digest;

	if (!code)
		return hfx_error_create(HFX_ERROR_CODE_MISMATCH,
		                        "%s: there is no code at 0x%" PRIx64,
		                        function->name, function->old_addr);
	digest = digest_of(code, function->old_size);
	if (!digest_equal(&digest, &function->old_digest))
		return hfx_error_create(HFX_ERROR_CODE_MISMATCH,
		                        "%s: the code at 0x%" PRIx64
		                        " is not what the bundle was made for",
		                        function->name, function->old_addr);
	return NULL;
}

/** A direct call or jump to the function that it is listed for. */
static struct hfx_error *check_call(Elf *elf,
                                    const struct manifest_module *module,
                                    const struct manifest_call *call)
{
	const struct manifest_function *function =
		&module->functions[call->function];
	const uint8_t *code = find_code(elf, call->old_addr, JUMP_SIZE);
	int32_t distance;

	if (code && (*code == CALL_OPCODE || *code == JUMP_OPCODE)) {
		memcpy(&distance, code + 1, sizeof(distance));
		if (call->old_addr + JUMP_SIZE + (uint64_t)(int64_t)distance ==
		    function->old_addr)
			return NULL;
	}
	return hfx_error_create(HFX_ERROR_CODE_MISMATCH,
	                        "there is no direct call of %s at 0x%" PRIx64
	                        ", where the bundle has one to redirect",
	                        function->name, call->old_addr);
}

static struct hfx_error *verify(const struct manifest_module *module, int fd)
{
	HFX_CLEANUP(end_elf) Elf *elf = NULL;

	HFX_TRY(open_elf(fd, &elf));
	HFX_TRY(check_build_id(elf, &module->old_build_id));
	for (size_t i = 0; i < module->num_functions; i++) {
		const struct manifest_function *function =
			&module->functions[i];

		if (function->kind == MANIFEST_FUNCTION_CHANGED)
			HFX_TRY(check_function(elf, function));
	}
	for (size_t i = 0; i < module->num_calls; i++)
		HFX_TRY(check_call(elf, module, &module->calls[i]));
	return NULL;
}

struct hfx_error *manifest_verify_file(const struct manifest_module *module,
                                       const char *elf_path)
{
	/* A pipe would block. */
	HFX_CLEANUP(hfx_close)
	int fd = open(elf_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return hfx_error_os(errno, "cannot open %s", elf_path);
	return hfx_error_wrap(verify(module, fd), "%s", elf_path);
}
