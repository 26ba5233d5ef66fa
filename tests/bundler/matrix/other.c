/* SPDX-License-Identifier: MIT */
/* The other file of the program: names that matrix.c also has, and more. */
#include <stdio.h>
#include <string.h>

#include "matrix.h"

static int count = 100;
static const char *const names[] = {"other zero", "other one", "other two"};

__thread long other_thread_total = 7;
int hidden_total = 3;
int common_table[8] = {8, 7, 6, 5, 4, 3, 2, 1};
const char *const other_names[4] = {
	"north",
	V(1, "east", "the east"),
	"south",
	"west",
};

APART static int step(int n)
{
	return n * V(0, 3, 4) + n / 3 + 1;
}

APART static int twin(void)
{
	static int calls = 50;

	return ++calls;
}

int other_step(int n)
{
	count += n;
	return step(count);
}

int other_twin(void)
{
	return twin() * 3 + V(2, 1, 1000);
}

void other_words(int n)
{
	printf("%s, tail, a longer tail, %s\n", names[n % 3],
	       V(3, "longer tail", "tail"));
}

__attribute__((weak)) int overridden(int n)
{
	return n - 1000;
}

int only_here(int n)
{
	return n * 11 + n / 3 + V(4, 11, 22);
}

APART int hidden_helper(int n)
{
	hidden_total += n;
	return (int)strlen(other_names[n & 3]) + hidden_total;
}
