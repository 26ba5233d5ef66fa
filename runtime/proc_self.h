/* SPDX-License-Identifier: MIT */
/**
 * @file proc_self.h
 *
 * Whether /proc is that of the caller.
 */
#ifndef HFX_RUNTIME_PROC_SELF_H
#define HFX_RUNTIME_PROC_SELF_H

#include "error.h"

/**
 * Check that the numbers in /proc are the pids that the caller knows. In
 * another pid namespace's they are those of other processes, and what is read
 * there would be taken for what ptrace(2) then changes.
 *
 * Errors: #HFX_ERROR_UNSUPPORTED, also when it is not mounted.
 */
HFX_MUST_CHECK struct hfx_error *proc_self_check(void);

#endif /* HFX_RUNTIME_PROC_SELF_H */
