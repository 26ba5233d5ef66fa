/* SPDX-License-Identifier: MIT */
/* One round for each byte of the input; "done" when it has started, and after
 * each round, so that a test can wait for it. */
#include <stdio.h>

#include "matrix.h"

int main(void)
{
	int round = 0;

	do {
		if (round)
			serve(round);
		puts("done");
		fflush(stdout);
		round++;
	} while (getchar() != EOF);
	return 0;
}
