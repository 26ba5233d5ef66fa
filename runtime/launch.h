/* SPDX-License-Identifier: MIT */
/**
 * @file launch.h
 *
 * Start a program that the calling program does not notice.
 */
#ifndef HFX_RUNTIME_LAUNCH_H
#define HFX_RUNTIME_LAUNCH_H

#include <sys/types.h>

#include "error.h"

/**
 * Start the program at @p path with @p fd as its standard input and output, an
 * empty environment and none of the other descriptors but standard error.
 *
 * The program is no child of the caller, so the caller's SIGCHLD handler and
 * wait() do not see it; nor is the caller's memory copied.
 *
 * @param[in] fd Borrowed.
 */
HFX_MUST_CHECK struct hfx_error *launch_detached(const char *path, int fd,
                                                 pid_t *pid_ret);

#endif /* HFX_RUNTIME_LAUNCH_H */
