/* SPDX-License-Identifier: MIT */
/**
 * @file step.h
 *
 * Getting a stopped thread out of bytes that are about to be overwritten.
 */
#ifndef HFX_RUNTIME_STEP_H
#define HFX_RUNTIME_STEP_H

#include "commit_check.h"
#include "stop.h"

/** Instructions that a thread is stepped at most. */
#define STEP_MAX 32

/**
 * Step the thread at @p index until it stands in none of the ranges.
 *
 * No signal is delivered meanwhile; what it had coming it has afterwards. A
 * thread that waits in a system call there is not stepped, nor one that ignores
 * SIGTRAP: the kernel would take that setting back.
 *
 * @return 0 (also if the thread has ended), -EAGAIN if it is still inside, or
 * -errno of stop_wait().
 */
int step_out(struct stop *stop, size_t index, pid_t pid,
             const struct commit_check *check);

#endif /* HFX_RUNTIME_STEP_H */
