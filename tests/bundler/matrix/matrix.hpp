/* SPDX-License-Identifier: MIT */
#ifndef HFX_TESTS_MATRIX_HPP
#define HFX_TESTS_MATRIX_HPP

#include <cstdio>
#include <exception>
#include <string>

#include "matrix.h"

/* In both files: one copy of each is left. */
template <typename T> struct Counter {
	static int total;

	APART static int of(T n)
	{
		static int calls = 10;

		total += static_cast<int>(n);
		return ++calls + total * V(4, 1, 2) +
		       static_cast<int>(sizeof(T));
	}
};

template <typename T> int Counter<T>::total = 5;

class Shape
{
      public:
	static int living;

	Shape()
	{
		living += 1;
	}
	virtual ~Shape();
	virtual int area() const;
	virtual const char *name() const;
};

class Failure : public std::exception
{
      public:
	explicit Failure(int code) : code_(code)
	{
	}
	const char *what() const noexcept override
	{
		return "failure";
	}
	int code() const
	{
		return code_;
	}

      private:
	int code_;
};

class Guard
{
      public:
	explicit Guard(const char *name) : name_(name)
	{
	}
	Guard(const Guard &) = delete;
	Guard &operator=(const Guard &) = delete;
	~Guard()
	{
		printf("<%s> ", name_);
	}

      private:
	const char *name_;
};

int other_step(int n);
int throws(int n);
int passes_through(int (*call)(int), int n);
int catches(int (*call)(int), int n);

#endif /* HFX_TESTS_MATRIX_HPP */
