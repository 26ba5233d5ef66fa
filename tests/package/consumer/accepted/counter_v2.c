/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

struct step {
	long size;
	long limit;
};

/* Counts from here on. */
static int start = 2;

__attribute__((noinline)) static struct step *make(void)
{
	struct step *step = calloc(1, sizeof(*step));

	if (step)
		step->limit = 2;
	return step;
}

__attribute__((noinline)) static int next(const struct step *step)
{
	start += (int)step->limit;
	return start;
}

__attribute__((noinline)) static void say(int number)
{
	printf("count%s %d\n", "er", number);
}

int main(void)
{
	struct step *step = make();

	if (step)
		say(next(step));
	free(step);
	return 0;
}
