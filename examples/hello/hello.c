/* SPDX-License-Identifier: MIT */
/* What the hot-fixes change: fixes/hello_v1.patch and fixes/hello_v2.c. */
#include "hello.h"

#include <stdio.h>

/*
 * Keeps each of these small functions a function of its own, so that the
 * example shows what it says. hfx does not need it: where a changed function
 * was inlined, the function around it has changed too and is patched.
 */
#define STANDALONE __attribute__((noipa))

struct counter {
	int total;
};

/* Lives on when the code around it is replaced. */
static struct counter visits;

const char *hello_greeting(void);
int counter_advance(struct counter *counter);

STANDALONE const char *hello_greeting(void)
{
	return "Hello";
}

static STANDALONE const char *hello_audience(void)
{
	return "world";
}

static STANDALONE int counter_step(const struct counter *counter)
{
	return counter->total < 1000 ? 1 : 0;
}

STANDALONE int counter_advance(struct counter *counter)
{
	counter->total += counter_step(counter);
	return counter->total;
}

void hello_print(void)
{
	printf("    %s, %s!", hello_greeting(), hello_audience());
	printf(" Step %d,", counter_step(&visits));
	printf(" total %d.\n", counter_advance(&visits));
}
