/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

struct step {
	long size;
};

/* Counts from here on. */
static int start = 1;

__attribute__((noinline)) static struct step *make(void)
{
	struct step *step = calloc(1, sizeof(*step));

	if (step)
		step->size = 1;
	return step;
}

__attribute__((noinline)) static int next(const struct step *step)
{
	start += (int)step->size;
	return start;
}

__attribute__((noinline)) static void say(int number)
{
	printf("count%s %d\n", "", number);
}

int main(void)
{
	struct step *step = make();

	if (step)
		say(next(step));
	free(step);
	return 0;
}
