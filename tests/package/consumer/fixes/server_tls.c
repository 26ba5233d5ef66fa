/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "greeting.h"
#include "limits.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static _Thread_local int answers;

int server_answer(const char *name, int hour)
{
	assert(hour < 24);
	if (strlen(name) > LONGEST_NAME)
		return ONLY_IN_SERVER_C;
	answers++;
	return answers +
	       printf("%s, %s, from %s\n", greeting_text(hour), name, NAME);
}
