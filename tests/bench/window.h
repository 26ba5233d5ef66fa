/* SPDX-License-Identifier: MIT */
/**
 * @file window.h
 *
 * What bench_stall and the process that it stops share: a page of memory.
 */
#ifndef HFX_BENCH_WINDOW_H
#define HFX_BENCH_WINDOW_H

#include <stdatomic.h>
#include <stdint.h>

/** Descriptor of the page in bench_threads. */
#define WINDOW_FD 3

enum window_order {
	WINDOW_APPLY = 1,
	WINDOW_REVERT,
};

struct window {
	/** Set by bench_threads when all threads run. */
	_Atomic uint32_t is_ready;
	/** Raised by one to open a window, and to close it: odd is open. */
	_Atomic uint32_t number;
	/** The open window that the spinning thread measures. */
	_Atomic uint32_t current;
	/** Longest time between two looks at the clock in that window. */
	_Atomic uint64_t longest_ns;
	/** Something to do for bench_threads itself; 0 when it is done. */
	_Atomic uint32_t order;
	/** Whether that failed. */
	_Atomic uint32_t has_failed;
};

#endif /* HFX_BENCH_WINDOW_H */
