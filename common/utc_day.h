/* SPDX-License-Identifier: MIT */
/**
 * @file utc_day.h
 *
 * Days as text, `YYYY-MM-DD`, and as the second in which they begin (UTC).
 */
#ifndef HFX_COMMON_UTC_DAY_H
#define HFX_COMMON_UTC_DAY_H

#include <stdbool.h>
#include <stdint.h>

/** Characters of a day. */
#define UTC_DAY_SIZE 10

struct utc_day {
	char text[32];
};

/**
 * Read the day that @p text begins with.
 *
 * @param[out] ret Its first second since the epoch.
 * @return False if it is none, or none since 1970.
 */
bool utc_day_parse(const char *text, uint64_t *ret);

/** The day of a second since the epoch. */
struct utc_day utc_day_format(uint64_t second);

#endif /* HFX_COMMON_UTC_DAY_H */
