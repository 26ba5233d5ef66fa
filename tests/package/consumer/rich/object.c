/* SPDX-License-Identifier: MIT */
int rich_object(void);

int rich_object(void)
{
	return 3;
}
