/* SPDX-License-Identifier: MIT */
#include <hfx.h>

#include "server.h"

#include <stdio.h>

int main(void)
{
	printf("hfx %u\n", (unsigned)hfx_version());
	return server_answer("client", 9) > 0 ? 0 : 1;
}
