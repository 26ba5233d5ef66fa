/* SPDX-License-Identifier: MIT */
/* greeter.cpp with the second fix: four methods differ, a function is new. */
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
	return "Good evening";
}

STANDALONE std::string Greeter::audience() const
{
	return "everybody";
}

STANDALONE int Greeter::step() const
{
	return total_ < 1000 ? 100 : 0;
}

/* A new function. */
static STANDALONE int limited(int total)
{
	return total < 150 ? total : 150;
}

STANDALONE int Greeter::advance()
{
	total_ += step();
	total_ = limited(total_);
	return total_;
}

void Greeter::print()
{
	std::cout << "    " << greeting() << ", " << audience() << "!";
	std::cout << " Step " << step() << ",";
	std::cout << " total " << advance() << ".\n";
}
