/* SPDX-License-Identifier: MIT */
#include "target.h"

void target_destroy(struct target *target)
{
	if (target)
		target->ops->destroy(target);
}
