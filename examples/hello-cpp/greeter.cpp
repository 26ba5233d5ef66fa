/* SPDX-License-Identifier: MIT */
/* What the hot-fixes change: fixes/greeter_v1.patch, fixes/greeter_v2.cpp. */
#include "greeter.h"

#include <iostream>

/*
 * Keeps each of these small methods a function of its own, so that the example
 * shows what it says. hfx does not need it: where a changed method was inlined,
 * the function around it has changed too and is patched.
 */
#define STANDALONE __attribute__((noipa))

STANDALONE std::string Greeter::greeting() const
{
	return "Hello";
}

STANDALONE std::string Greeter::audience() const
{
	return "world";
}

STANDALONE int Greeter::step() const
{
	return total_ < 1000 ? 1 : 0;
}

STANDALONE int Greeter::advance()
{
	total_ += step();
	return total_;
}

void Greeter::print()
{
	std::cout << "    " << greeting() << ", " << audience() << "!";
	std::cout << " Step " << step() << ",";
	std::cout << " total " << advance() << ".\n";
}
