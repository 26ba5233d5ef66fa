/* SPDX-License-Identifier: MIT */
#include "../limits.h"

int tree_height(int age);

int tree_height(int age)
{
	return age < LONGEST_NAME ? age : LONGEST_NAME;
}
