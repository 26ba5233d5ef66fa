/* SPDX-License-Identifier: MIT */
#include "../value.h"

#include <own.h>

int rich_other(void);

int rich_other(void)
{
	return VALUE * 10 + OWN;
}
