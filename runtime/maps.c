/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "array.h"
#include "cleanup.h"
#include "file.h"
#include "maps.h"
#include "proc_status.h"

/** Read a number up to @p end_char and step over that. */
static bool take_number(char **text, int base, char end_char, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(*text, &end, base);
	if (errno || end == *text || *end != end_char)
		return false;
	*text = end + 1;
	return true;
}

static bool take_protection(char **text, struct mapping *mapping)
{
	const char *p = *text;

	if (strnlen(p, 5) < 5 || p[4] != ' ')
		return false;
	mapping->protection = (p[0] == 'r' ? PROT_READ : 0) |
	                      (p[1] == 'w' ? PROT_WRITE : 0) |
	                      (p[2] == 'x' ? PROT_EXEC : 0);
	mapping->is_private = p[3] == 'p';
	*text += 5;
	return true;
}

/** The inode ends the line, or blanks and a name follow. */
static bool take_inode_and_name(char *text, struct mapping *mapping)
{
	char *end;

	errno = 0;
	mapping->inode = strtoull(text, &end, 10);
	if (errno || end == text || (*end && *end != ' '))
		return false;
	mapping->name = end + strspn(end, " ");
	return true;
}

static bool parse_line(char *line, struct mapping *ret)
{
	uint64_t major, minor;

	*ret = (struct mapping){0};
	if (!take_number(&line, 16, '-', &ret->start_addr) ||
	    !take_number(&line, 16, ' ', &ret->end_addr) ||
	    !take_protection(&line, ret) ||
	    !take_number(&line, 16, ' ', &ret->file_off) ||
	    !take_number(&line, 16, ':', &major) ||
	    !take_number(&line, 16, ' ', &minor))
		return false;
	ret->device = major << 32 | minor;
	return take_inode_and_name(line, ret) &&
	       ret->start_addr < ret->end_addr;
}

static struct hfx_error *parse_lines(struct maps *maps)
{
	char *rest = maps->text;
	uint64_t last_end = 0;
	char *line;

	while ((line = strsep(&rest, "\n")) && (*line || rest)) {
		struct mapping mapping;

		if (!parse_line(line, &mapping) ||
		    mapping.start_addr < last_end)
			return hfx_error_create(
				HFX_ERROR_UNSUPPORTED,
				"mapping %zu of the process is not understood",
				maps->num_mappings + 1);
		if (!HFX_ARRAY_PUSH(maps, mappings, mapping))
			return hfx_error_no_memory();
		last_end = mapping.end_addr;
	}
	return NULL;
}

struct hfx_error *maps_parse(const char *text, size_t size, struct maps *ret)
{
	HFX_CLEANUP(maps_deinit) struct maps maps = {0};

	maps.text = malloc(size + 1);
	if (!maps.text)
		return hfx_error_no_memory();
	memcpy(maps.text, text, size);
	maps.text[size] = '\0';
	HFX_TRY(parse_lines(&maps));
	*ret = maps;
	maps = (struct maps){0};
	return NULL;
}

/** Empty when there is none. */
static struct hfx_error *read_text(pid_t pid, struct buffer *ret)
{
	/* The main thread may have ended: its own file is then empty. */
	char path[64] = "/proc/thread-self/maps";
	struct hfx_error *err;

	if (pid != getpid())
		snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", (int)pid,
		         (int)proc_memory_thread(pid));
	err = file_read(path, MAPS_MAX_SIZE, ret);
	if (hfx_error_errno(err) != ENOENT && hfx_error_errno(err) != ESRCH)
		return err;
	hfx_error_destroy(err);
	return NULL;
}

struct hfx_error *maps_read(pid_t pid, struct maps *ret)
{
	/* While another program starts, there is a moment without. */
	for (int i = 0; i < PROC_MEMORY_TRIES; i++) {
		HFX_CLEANUP(buffer_deinit) struct buffer text = {0};

		HFX_TRY(read_text(pid, &text));
		if (text.size)
			return maps_parse((const char *)text.data, text.size,
			                  ret);
		if (!proc_has_memory(pid))
			break;
	}
	return hfx_error_create(HFX_ERROR_NO_PROCESS, "process %d has ended",
	                        (int)pid);
}

/** Index of the first mapping that ends behind @p addr. */
static size_t first_behind(const struct maps *maps, uint64_t addr)
{
	size_t low = 0, high = maps->num_mappings;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps->mappings[middle].end_addr > addr)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct mapping *maps_find(const struct maps *maps, uint64_t addr)
{
	size_t i = first_behind(maps, addr);

	if (i == maps->num_mappings || maps->mappings[i].start_addr > addr)
		return NULL;
	return &maps->mappings[i];
}

bool maps_cover(const struct maps *maps, uint64_t addr, uint64_t size,
                uint32_t protection)
{
	uint64_t end;

	if (__builtin_add_overflow(addr, size, &end))
		return false;
	for (size_t i = first_behind(maps, addr); i < maps->num_mappings; i++) {
		const struct mapping *mapping = &maps->mappings[i];

		if (mapping->start_addr > addr ||
		    (mapping->protection & protection) != protection)
			return false;
		if (mapping->end_addr >= end)
			return true;
		addr = mapping->end_addr;
	}
	return false;
}

void maps_deinit(struct maps *maps)
{
	free(maps->mappings);
	free(maps->text);
	*maps = (struct maps){0};
}
