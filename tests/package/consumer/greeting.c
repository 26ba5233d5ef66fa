/* SPDX-License-Identifier: MIT */
#include "greeting.h"

const char *greeting_text(int hour)
{
	return hour < 12 ? "Good morning" : "Good day";
}
