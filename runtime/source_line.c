/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <elfutils/libdwfl.h>

#include "cleanup.h"
#include "guarded.h"
#include "source_line.h"

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	/* Of this host alone: an error message is no reason to ask a server. */
	.find_debuginfo = dwfl_build_id_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

/**
 * Open the file of a mapping, if it still is that file. Debug information is
 * read for a message only: not from what others may have made for a program
 * with more rights to stumble over, nor by a path that the process can turn
 * into another, and not from its view of the files.
 */
static int open_mapped(const struct mapping *mapping)
{
	HFX_CLEANUP(hfx_error_cleanup) struct hfx_error *err = NULL;
	struct stat status;
	int fd = -1;

	if (!mapping->inode || mapping->name[0] != '/')
		return -1;
	err = guarded_open_exact(mapping->name, &fd);
	if (err)
		return -1;
	if (!fstat(fd, &status) && status.st_ino == mapping->inode)
		return fd;
	close(fd);
	return -1;
}

/** Where the start of the file that @p mapping is of is mapped, or 0. */
static uint64_t find_start(const struct maps *maps,
                           const struct mapping *mapping)
{
	uint64_t inode = mapping->inode;

	for (; mapping >= maps->mappings; mapping--)
		if (mapping->inode == inode && !mapping->file_off)
			return mapping->start_addr;
	return 0;
}

/** The line as text, from a module that has been reported. */
static char *find_line(Dwfl *dwfl, uint64_t live_addr)
{
	Dwfl_Module *module = dwfl_addrmodule(dwfl, live_addr);
	Dwfl_Line *line = module ? dwfl_module_getsrc(module, live_addr) : NULL;
	const char *file, *slash;
	char *text = NULL;
	int number;

	file = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL)
	            : NULL;
	if (!file)
		return NULL;
	slash = strrchr(file, '/');
	if (asprintf(&text, "%s:%d", slash ? slash + 1 : file, number) < 0)
		return NULL;
	return text;
}

char *source_line_find(const struct maps *maps, uint64_t live_addr)
{
	const struct mapping *mapping = maps_find(maps, live_addr);
	int fd = mapping ? open_mapped(mapping) : -1;
	Dwfl *dwfl = fd >= 0 ? dwfl_begin(&callbacks) : NULL;
	char *text = NULL;

	if (dwfl) {
		dwfl_report_begin(dwfl);
		/* On success it takes the descriptor. */
		if (dwfl_report_elf(dwfl, "module", mapping->name, fd,
		                    find_start(maps, mapping), false))
			fd = -1;
		if (!dwfl_report_end(dwfl, NULL, NULL))
			text = find_line(dwfl, live_addr);
		dwfl_end(dwfl);
	}
	hfx_close(&fd);
	return text;
}
