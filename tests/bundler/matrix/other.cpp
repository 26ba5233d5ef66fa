/* SPDX-License-Identifier: MIT */
/* Another file of the program: the same templates and names, exceptions. */
#include "matrix.hpp"

#include <cstdio>

namespace
{

int count = 100;

APART int step(int n)
{
	return n * V(0, 3, 4) + n / 3 + ++count;
}

} // namespace

APART int other_step(int n)
{
	return step(n) + Counter<int>::of(n) + Counter<long>::of(n);
}

int Shape::living = 0;

APART int Shape::area() const
{
	return V(1, 1, 2);
}

APART const char *Shape::name() const
{
	return V(1, "shape", "form");
}

Shape::~Shape()
{
	living -= 1;
	if (V(2, false, true))
		printf("~shape ");
}

APART int throws(int n)
{
	if (n % 3 == 0)
		throw Failure(n * V(3, 10, 20));
	if (n % 3 == 1)
		throw std::string(V(3, "text", "other text"));
	return n;
}

/* Unchanged: what new code throws comes through here. */
APART int passes_through(int (*call)(int), int n)
{
	Guard guard("passes");

	return call(n) + 1;
}

APART int catches(int (*call)(int), int n)
{
	try {
		return call(n);
	} catch (const Failure &failure) {
		printf("caught %d ", failure.code());
	} catch (const std::exception &exception) {
		printf("exception %s ", exception.what());
	}
	return -1;
}
