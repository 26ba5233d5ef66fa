/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proc_self.h"

struct hfx_error *proc_self_check(void)
{
	char link[32] = "", self[32];
	ssize_t size = readlink("/proc/self", link, sizeof(link) - 1);

	if (size < 0)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "/proc is not mounted here; hfx needs "
		                        "it");
	snprintf(self, sizeof(self), "%d", getpid());
	if (!strcmp(link, self))
		return NULL;
	return hfx_error_create(HFX_ERROR_UNSUPPORTED,
	                        "/proc is that of another pid namespace: it "
	                        "says that this is process %s, which is %s; "
	                        "mount the right one there, or start from "
	                        "where that is mounted",
	                        link, self);
}
