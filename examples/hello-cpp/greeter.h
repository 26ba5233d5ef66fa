/* SPDX-License-Identifier: MIT */
#ifndef GREETER_H
#define GREETER_H

#include <string>

/** Greets its visitors and counts them. */
class Greeter
{
      public:
	/** Print one line with the results of the methods below. */
	void print();

	std::string greeting() const;
	int advance();

      private:
	std::string audience() const;
	int step() const;

	int total_ = 0;
};

#endif /* GREETER_H */
