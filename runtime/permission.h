/* SPDX-License-Identifier: MIT */
/**
 * @file permission.h
 *
 * Why a process could not be traced, and what to do about it.
 */
#ifndef HFX_RUNTIME_PERMISSION_H
#define HFX_RUNTIME_PERMISSION_H

#include <sys/types.h>

#include "error.h"

/**
 * The error for a ptrace(2) or an access to /proc/PID of thread @p tid of
 * process @p pid that the kernel refused with @p error_number.
 *
 * The kernel says no more than EPERM, so this looks at what can be the reason
 * and names the first that is: another tracer (#HFX_ERROR_BUSY), a kernel
 * thread (#HFX_ERROR_UNSUPPORTED), users and capabilities, seccomp over the
 * caller, Yama, a process that forbids it (all #HFX_ERROR_PERMISSION).
 * #HFX_ERROR_NO_PROCESS for a process that has ended.
 */
HFX_MUST_CHECK struct hfx_error *permission_error(pid_t pid, pid_t tid,
                                                  int error_number);

#endif /* HFX_RUNTIME_PERMISSION_H */
