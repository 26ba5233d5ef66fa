/* SPDX-License-Identifier: MIT */
/* hello.c with the second fix: all four functions differ, one is new. */
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
	return "Good evening";
}

static STANDALONE const char *hello_audience(void)
{
	return "everybody";
}

static STANDALONE int counter_step(const struct counter *counter)
{
	return counter->total < 1000 ? 100 : 0;
}

/* A new function. */
static STANDALONE int counter_limited(int total)
{
	return total < 150 ? total : 150;
}

STANDALONE int counter_advance(struct counter *counter)
{
	counter->total += counter_step(counter);
	counter->total = counter_limited(counter->total);
	return counter->total;
}

void hello_print(void)
{
	printf("    %s, %s!", hello_greeting(), hello_audience());
	printf(" Step %d,", counter_step(&visits));
	printf(" total %d.\n", counter_advance(&visits));
}
