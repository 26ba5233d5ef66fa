/* SPDX-License-Identifier: MIT */
/*
 * An ELF file with its debug information as OLD or NEW of a diff; the other one
 * is the file that HFX_FUZZ_BASE names. The input's last byte says which.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "pipeline.h"

static void path_of(int fd, char path[static 32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
}

static void diff(const char *old_path, const char *new_path, bool all)
{
	struct diff_input input = {
		.old_path = old_path,
		.new_path = new_path,
	};
	struct diff_options options = {
		.inputs = &input,
		.num_inputs = 1,
		.all = all,
	};
	struct reports reports = {0};

	(void)fuzz_succeeds(diff_run(&options, &reports));
	reports_deinit(&reports);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *base = getenv("HFX_FUZZ_BASE");
	int fd = memfd_create("input", MFD_CLOEXEC);
	uint8_t choice = size ? data[size - 1] : 0;
	char path[32];

	FUZZ_CHECK(base && fd >= 0);
	FUZZ_CHECK(write(fd, data, size) == (ssize_t)size);
	path_of(fd, path);
	if (choice % 3 == 0)
		diff(base, path, false);
	else if (choice % 3 == 1)
		diff(path, base, false);
	else
		diff(path, path, true);
	close(fd);
	return 0;
}
