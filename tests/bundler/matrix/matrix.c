/* SPDX-License-Identifier: MIT */
#include <alloca.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

/* ---- Names -------------------------------------------------------------- */

static int count = 10;
static const char *const names[] = {"zero", V(5, "one", "eins"), "two"};

APART static int step(int n)
{
	return n * V(5, 5, 6) + n / 3 + 2;
}

APART static int twin(void)
{
	static int calls = 5;

	return ++calls;
}

#if IS_NEW(6)
APART static int added_before(int n)
{
	static int calls = 1000, seen[4];

	/* What only the new build has begins when the patch is applied. */
	calls = n;
	seen[n & 3] = n;
	return ++calls + seen[n & 3];
}
#endif

APART static int counts_calls(int n)
{
	static int calls = 20, seen[4];

	if (n & 1) {
		static int odd = 7;

		return ++odd;
	}
	seen[n & 3] += n;
	return ++calls + seen[n & 3];
}

APART static void names_of_two_files(int n)
{
	count += n;
	printf("names %s %d %d %d %d %d %d\n", names[n % 3], step(count),
	       other_step(n), twin(), other_twin(), counts_calls(n),
	       counts_calls(n + 1));
#if IS_NEW(6)
	printf("added %d\n", added_before(n));
#endif
	other_words(n);
}

int overridden(int n)
{
	return n * 9 + n / 3 + V(7, 1, 2);
}

int aliased(int n)
{
	return n * V(7, 10, 20) + n / 5 + 5;
}
int alias_of_it(int n) __attribute__((alias("aliased")));

__attribute__((visibility("protected"))) int protected_one(int n)
{
	return n / 3 ^ V(8, 0x55, 0x66);
}

APART static void kinds_of_symbols(int n)
{
	int (*volatile pointer)(int) = protected_one;

	printf("symbols %d %d %d %d %d %d\n", overridden(n), alias_of_it(n),
	       pointer(n), hidden_helper(n),
	       only_here ? only_here(n + V(8, 0, 1)) : -1,
	       nobody_has_it ? nobody_has_it(n) : -2);
}

/* ---- Control flow ------------------------------------------------------- */

APART static int jump_table(int n, int k)
{
	switch (n) {
	case 0:
		printf("case zero ");
		return k;
	case 1:
		return k * 3;
	case V(9, 2, 3):
		printf("%s ", V(9, "case two", "case drei"));
		return k - 4;
	case V(9, 3, 2):
		k ^= 0x2a;
		break;
	case 4:
		printf("case four ");
		break;
	case 5:
		return step(k);
	case 6:
		k <<= 2;
		/* fall through */
	case 7:
		return k + 9;
	}
	return k + 1;
}

APART static const char *lookup_table(unsigned int n)
{
	switch (n) {
	case 0:
		return "nil";
	case 1:
		return "un";
	case 2:
		return V(10, "deux", "dos");
	case 3:
		return "trois";
	case 4:
		return "quatre";
	case 5:
		return "cinq";
	}
	return "beaucoup";
}

APART static int number_table(unsigned int n)
{
	switch (n) {
	case 0:
		return 31;
	case 1:
		return 28;
	case 2:
		return V(10, 310, 311);
	case 3:
		return 30;
	case 4:
		return 5;
	}
	return 0;
}

APART static void switches(int n)
{
	for (int i = -1; i < 9; i++)
		printf("%d ", jump_table(i, n));
	for (unsigned int i = 0; i < 7; i++)
		printf("%s %d ", lookup_table(i), number_table(i));
	printf("\n");
}

APART static int interpret(const signed char *code, int n)
{
	static const void *const labels[] = {&&add, &&twice, &&less, &&end};

	goto *labels[*code++];
add:
	n += V(11, 1, 10);
	goto *labels[*code++];
twice:
	n *= 2;
	goto *labels[*code++];
less:
	n--;
	goto *labels[*code++];
end:
	return n;
}

__attribute__((cold)) APART static void complain(const char *what, int n)
{
	printf("(%s %d) ", what, n);
}

APART static int has_cold_part(int n)
{
	int result = n * V(12, 3, 5);

	if (__builtin_expect(n < 2, 0)) {
		complain("small", n);
		complain(V(12, "very small", "tiny"), result);
		result = -result;
	}
	return result + 1;
}

static const signed char program[] = {0, 1, 1, 2, 2, 0, 3};
static jmp_buf back;

APART static void jumps_back(int n)
{
	if (n > V(13, 0, 1))
		longjmp(back, n);
	printf("stays ");
}

APART static int catches_jump(int n)
{
	volatile int before = n;
	int value = setjmp(back);

	if (!value) {
		jumps_back(before);
		return V(13, -1, -2);
	}
	return value * 100 + before;
}

APART static int is_odd(unsigned int n);

APART static int is_even(unsigned int n)
{
	return n ? is_odd(n - 1) : V(14, 1, 10);
}

APART static int is_odd(unsigned int n)
{
	return n ? is_even(n - 1) : V(14, 0, 30);
}

APART static int fibonacci(int n)
{
	return n < 2 ? V(14, n, n + 1) : fibonacci(n - 1) + fibonacci(n - 2);
}

APART static int tail(const char *text, int n)
{
	return printf(V(14, "%s %d ", "%s=%d "), text, n);
}

APART static int calls_at_its_end(int n)
{
	return tail("tail", n * 3 + n / 7 + V(14, 1, 2));
}

#ifndef __clang__
APART static int call_twice(int (*call)(int), int n)
{
	return call(n) + call(n + 1);
}

APART static int has_nested_function(int n)
{
	int sum = n;
	int add(int k)
	{
		sum += k;
		return sum * V(15, 1, 2);
	}

	return call_twice(add, n) + sum;
}
#else
#define has_nested_function(n) (n)
#endif

static inline int inlined(int n)
{
	return n * V(15, 7, 9) + count;
}

APART static int calls_inlined(int n)
{
	return inlined(n) + inlined(n + 1);
}

APART static void control_flow(int n)
{
	printf("flow %d %d ", interpret(program, n), has_cold_part(n));
	printf("%d %d ", has_cold_part(n + 1), catches_jump(n));
	printf("%d %d ", is_even((unsigned int)n * 10), fibonacci(n + 5));
	printf("%d %d %d\n", calls_at_its_end(n), has_nested_function(n),
	       calls_inlined(n));
}

/* ---- Constants ---------------------------------------------------------- */

APART static double floats(double x)
{
	float narrow = (float)x * V(16, 1.25f, 2.25f);
	long double wide = x / V(16, 3.0L, 7.0L);

	return x * V(16, 0.1, 0.2) + narrow + (double)wide -
	       (x > 1e9 ? 1e300 : -x);
}

typedef float vector __attribute__((vector_size(16)));

APART static float vectors(float x)
{
	vector a = {x, x + 1, x + 2, x + 3};
	const vector b = {1.5f, 2.5f, V(17, 3.5f, 4.5f), 4.5f};
	vector c = a * b + (vector){1, 1, 1, V(17, 1, 3)};

	return c[0] + c[1] + c[2] + c[3];
}

APART static int loops(int n)
{
	int values[16], sum = 0;

	for (int i = 0; i < 16; i++)
		values[i] = i * V(17, 3, 4) + n;
	for (int i = 0; i < 16; i++)
		sum += values[i] & 0x1f;
	return sum;
}

struct entry {
	const char *name;
	int (*call)(int);
	int *counter;
	long weight;
};

static int first_counter, second_counter;

APART static int call_one(int n)
{
	return n + 1;
}

APART static int call_two(int n)
{
	return n * 7 + n / 3 + V(18, 2, 3);
}

static const struct entry entries[] = {
	{"first", call_one, &first_counter, 1},
	{V(18, "second", "2nd"), call_two, &second_counter, V(18, 2, 20)},
	{"third", abs, &first_counter, 3},
};

static int (*mutable_calls[])(int) = {call_one, call_two, abs};

APART static long const_tables(int n)
{
	long sum = 0;

	for (const struct entry *e = entries; e != entries + 3; e++) {
		*e->counter += n;
		sum += e->call(n) * e->weight + *e->counter;
		printf("%s ", e->name);
	}
	for (int i = 0; i < 3; i++)
		sum += mutable_calls[i](i - n) * V(18, 1, 2);
	return sum + (entries[1].call == mutable_calls[1]) * 1000 +
	       (entries[0].call == call_one) * 2000;
}

struct fields {
	unsigned int low : 3;
	signed int middle : 7;
	unsigned int high : 12;
	unsigned long far : 40;
};

static struct fields live_fields;

APART static long bit_fields(int n)
{
	struct fields local = {.low = 5, .middle = V(19, -3, -4), .far = 1};

	live_fields.high += (unsigned int)n;
	live_fields.middle = (signed int)n - 2;
	local.far <<= 35;
	return (long)local.far + local.middle + local.low +
	       live_fields.high * V(19, 1, 2) + live_fields.middle;
}

APART static int sum_of(const struct entry *list, size_t size)
{
	int sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += (int)list[i].weight + list[i].call((int)i) +
		       (int)strlen(list[i].name);
	return sum;
}

APART static int compound_literals(int n)
{
	return sum_of((const struct entry[]){{"x", call_one, NULL, n},
	                                     {V(19, "yy", "yyyy"), call_two,
	                                      &count, 4}},
	              2);
}

struct big {
	int numbers[20];
	const char *text;
};

APART static struct big big_result(int n)
{
	struct big big = {{1, 2, V(20, 3, 4), 4}, "big"};

	big.numbers[19] = n;
	return big;
}

APART static void constants(int n)
{
	struct big big = big_result(n);

	printf("constants %.6g %.6g %d %ld ", floats(n), (double)vectors(n),
	       loops(n), const_tables(n));
	printf("%ld %d %d %s\n", bit_fields(n), compound_literals(n),
	       big.numbers[2] + big.numbers[19], big.text);
}

/* ---- Data --------------------------------------------------------------- */

static __thread int thread_count = 4;
__thread long thread_list[3];
static _Alignas(64) char aligned_buffer[100];
static char *last_text;
static int shared_number;

APART static int thread_local_data(int n)
{
	thread_count += n;
	thread_list[n & 1] += thread_count;
	other_thread_total += n;
	errno = n;
	return thread_count * V(21, 1, 2) + (int)thread_list[n & 1] +
	       (int)other_thread_total + errno;
}

APART static int varargs(const char *format, ...)
{
	va_list args, copy;
	int length;

	va_start(args, format);
	va_copy(copy, args);
	length = vsnprintf(NULL, 0, format, copy);
	va_end(copy);
	vprintf(format, args);
	va_end(args);
	return length * V(22, 1, 2);
}

APART static int by_value(const void *a, const void *b)
{
	return V(22, 1, -1) * (*(const int *)a - *(const int *)b);
}

APART static int on_stack(int n)
{
	char *space = alloca((size_t)n + 16);
	int sorted[] = {3, 1, n + 2, 7};
	int many[n + 1];

	qsort(sorted, 4, sizeof(*sorted), by_value);
	memset(many, 0, sizeof(many));
	many[n] = n;
	snprintf(space, (size_t)n + 16, "<%d>", n);
	return sorted[0] * 100 + many[n] + (int)strlen(space) + V(22, 0, 1);
}

APART static int atomics(int n)
{
	int before = __atomic_fetch_add(&shared_number, n, __ATOMIC_SEQ_CST);
	int expected = before + n;

	__atomic_compare_exchange_n(&shared_number, &expected, before + n + 1,
	                            0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	__sync_synchronize();
	return before + V(23, 0, 1000);
}

APART static int inline_assembly(int n)
{
	int *place, result;

	__asm__("leaq %1, %0" : "=r"(place) : "m"(shared_number));
	__asm__("addl %1, %0" : "=r"(result) : "m"(common_table[3]), "0"(n));
	return (place == &shared_number) + result * V(23, 1, 2);
}

APART static int of_the_processor(int n)
{
	__builtin_cpu_init();
	return n + (__builtin_cpu_supports("sse2") ? V(24, 1, 2) : 0);
}

APART static unsigned long wide_numbers(unsigned long n)
{
	unsigned __int128 wide = (unsigned __int128)n << 80 | 12345;

	return (unsigned long)(wide / (n + V(24, 3, 5)) >> 3);
}

APART static const char *imports(const char *text)
{
	char *copy = strdup(text);

	if (copy)
		memmove(copy, copy + 1, strlen(copy));
#if IS_NEW(25)
	if (copy)
		printf("%ld %s ", strtol(copy, NULL, 16), strrchr(text, 'a'));
#endif
	free(last_text);
	last_text = copy;
	return copy ? copy : "";
}

#if IS_NEW(25)
static int new_variable = 5;
static int *new_pointer = &new_variable;
#endif

APART static int tables_of_the_other_file(int n)
{
	int sum = 0;

	for (int i = 0; i < 8; i++)
		sum += common_table[i] * V(26, i, i + 1);
	common_table[n & 7]++;
#if IS_NEW(25)
	*new_pointer = n;
	sum += ++new_variable;
#endif
	aligned_buffer[n % 100]++;
	return sum + aligned_buffer[n % 100] + (int)strlen(other_names[n & 3]);
}

APART static int counted_from_one(int n)
{
	static const short days[13] = {
		31, 28, 31, 30, 31, 30, 31, 31, V(26, 30, 29), 31, 30, 31};
	static char seen[40];
	int sum = 0;

	for (int i = 1; i <= 12; i++)
		sum += days[i - 1] * i;
	for (int i = n; i < n + 3; i++)
		seen[i % 40 - (i % 40 == 39)]++;
	return sum + seen[n % 40] + days[(n + 3) % 12];
}

__attribute__((constructor)) static void at_start(void)
{
	shared_number = 40;
}

APART static void data(int n)
{
	printf("data %d %d ", thread_local_data(n),
	       varargs("[%d %s %.2f %ld] ", n, "va", n * 1.5, 7L));
	printf("%d %d %d %d ", on_stack(n), atomics(n), inline_assembly(n),
	       of_the_processor(n));
	printf("%lu %s ", wide_numbers((unsigned long)n + 9),
	       imports("text with a tail"));
	printf("%d %d\n", tables_of_the_other_file(n), counted_from_one(n));
}

void serve(int round)
{
	names_of_two_files(round);
	kinds_of_symbols(round);
	switches(round);
	control_flow(round);
	constants(round);
	data(round);
	puts(V(27, "served", "SERVED"));
}
