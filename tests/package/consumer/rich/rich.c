/* SPDX-License-Identifier: MIT */
#include "value.h"

#include <first.h>
#include <usage.h>

#include <assert.h>
#include <math.h>
#include <stdio.h>

int rich_object(void);
int rich_generated(void);
int rich_other(void);

/** Print what came from each header, then what must not differ. */
__attribute__((visibility("default"))) void rich_print(double number)
{
	assert(number > 0);
	printf("%d %d %d %d\n", VALUE, FIRST, USAGE, rich_other());
	printf("%s %d %d %d %d %s %g\n", FROM_TARGET, FROM_DIRECTORY,
	       FROM_USAGE, rich_object(), rich_generated(), __FILE__,
	       cbrt(number));
}
