/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "utc_day.h"

bool utc_day_parse(const char *text, uint64_t *ret)
{
	static const char form[] = "0000-00-00";
	struct tm day = {0}, copy;
	time_t second;

	for (size_t i = 0; form[i]; i++) {
		bool is_digit = text[i] >= '0' && text[i] <= '9';

		if (form[i] == '0' ? !is_digit : text[i] != form[i])
			return false;
	}
	sscanf(text, "%4d-%2d-%2d", &day.tm_year, &day.tm_mon, &day.tm_mday);
	day.tm_year -= 1900;
	day.tm_mon--;
	copy = day;
	second = timegm(&copy);
	/* The 31st of April becomes the 1st of May. */
	if (second < 0 || copy.tm_mon != day.tm_mon ||
	    copy.tm_mday != day.tm_mday)
		return false;
	*ret = (uint64_t)second;
	return true;
}

struct utc_day utc_day_format(uint64_t second)
{
	time_t seconds = (time_t)second;
	struct utc_day ret = {"?"};
	struct tm day;

	if (gmtime_r(&seconds, &day))
		strftime(ret.text, sizeof(ret.text), "%Y-%m-%d", &day);
	return ret;
}
