/* SPDX-License-Identifier: MIT */
/**
 * @file stop_private.h
 *
 * What the parts of stop.h share: stop.c has the list of threads, stop_thread.c
 * what is done to one of them.
 */
#ifndef HFX_RUNTIME_STOP_PRIVATE_H
#define HFX_RUNTIME_STOP_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "stop.h"

/**
 * Add the thread that @p tid, which has stopped for it, has made: the kernel
 * has attached it, its own stop is yet to come. May move the list.
 *
 * @return 0, or -errno.
 */
int stop_add_cloned(struct stop *stop, pid_t tid);

/**
 * Try to let go; a thread that has stopped since has its signal looked up.
 *
 * @return False if it runs, traced as before.
 */
bool stop_release_thread(pid_t pid, struct stop_thread *thread);

#endif /* HFX_RUNTIME_STOP_PRIVATE_H */
