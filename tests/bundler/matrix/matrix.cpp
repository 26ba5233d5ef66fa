/* SPDX-License-Identifier: MIT */
#include "matrix.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <typeinfo>
#include <vector>

namespace
{

int count = 10;

APART int step(int n)
{
	return n * V(5, 5, 6) + n / 3 + ++count;
}

} // namespace

/* ---- Methods ------------------------------------------------------------ */

namespace Game
{

class Player
{
      public:
	Player(const char *name, int health);
	~Player();
	int hit(int points);
	int hit(double factor);
	int hit(const std::string &text);
	bool operator<(const Player &other) const;
	int health() const
	{
		return health_ * V(6, 1, 2);
	}

	static int made;

      private:
	int armour(int points) const;

	std::string name_;
	int health_;
};

int Player::made = 0;

APART Player::Player(const char *name, int health)
    : name_(V(6, name, "somebody")), health_(health)
{
	made++;
}

APART Player::~Player()
{
	printf("%s ", V(7, name_.c_str(), "gone"));
}

APART int Player::armour(int points) const
{
	return points / V(7, 2, 3) + static_cast<int>(name_.size());
}

APART int Player::hit(int points)
{
	return health_ - armour(points) + V(7, 0, 1);
}

APART int Player::hit(double factor)
{
	return static_cast<int>(health_ * factor * V(8, 1.5, 2.5));
}

APART int Player::hit(const std::string &text)
{
	return static_cast<int>((name_ + V(8, ":", "::") + text).size());
}

APART bool Player::operator<(const Player &other) const
{
	return V(8, health_<other.health_, health_> other.health_);
}

} // namespace Game

APART static void methods(int n)
{
	Game::Player one("one", n + 10), two("two", n + 5);

	printf("methods %d %d %d %d ", one.hit(n), one.hit(0.5),
	       one.hit(std::string("text")), one < two);
	printf("%d %d %d\n", one.health(), Game::Player::made, step(n));
}

/* ---- Templates, lambdas, library ---------------------------------------- */

template <typename T> APART T largest(const std::vector<T> &values)
{
	T best = values.front();

	for (const T &value : values)
		if (V(9, best < value, value < best))
			best = value;
	return best;
}

#if IS_NEW(10)
template <typename T, int N> APART T added_template(T value)
{
	static std::array<T, N> seen;

	seen.fill(value);
	return seen[N - 1] + N;
}
#endif

APART static int lambdas(int n)
{
	int sum = 0;
	std::vector<int> values = {3, 1, n, 2};
	auto add = [&sum](int value) { sum += value * V(11, 1, 2); };
	std::function<int(int)> twice = [n](int value) {
		return value * 2 + n + V(11, 0, 100);
	};

	std::sort(values.begin(), values.end(),
	          [](int a, int b) { return V(11, a<b, a> b); });
	std::for_each(values.begin(), values.end(), add);
	return sum * 10 + values.front() + twice(n);
}

APART static std::map<std::string, int> &registry()
{
	static std::map<std::string, int> map = {{"a", 1}, {"b", 2}};

	return map;
}

APART static std::string library(int n)
{
	std::ostringstream out;
	auto text = std::make_unique<std::string>(V(12, "unique", "einzig"));

	registry()["key" + std::to_string(n)] = n;
	for (const auto &entry : registry())
		out << entry.first << '=' << entry.second << V(12, ",", ";");
#if IS_NEW(10)
	out << added_template<long, 3>(n) << added_template<double, 2>(1.5);
#endif
	out << *text;
	return out.str();
}

APART static void templates(int n)
{
	printf("templates %d %.1f ", largest<int>({n, 3, 2}),
	       largest<double>({0.5, n * 1.5}));
	printf("%s %d ", largest<std::string>({"x", "abc"}).c_str(),
	       other_step(n));
	printf("%d %s\n", lambdas(n), library(n).c_str());
	fflush(stdout);
	std::cout << "stream " << n << V(12, " old", " new") << std::endl;
}

/* ---- Virtual functions -------------------------------------------------- */

class Named
{
      public:
	virtual ~Named() = default;
	virtual int label(int n) const = 0;

	int number = 3;
};

class Square : public Shape, public Named
{
      public:
	explicit Square(int side) : side_(side)
	{
	}
	~Square() override;
	int area() const override;
	int label(int n) const override;

      protected:
	int side_;
};

APART Square::~Square()
{
	printf("~%s ", V(13, "square", "quadrat"));
}

APART int Square::area() const
{
	return side_ * side_ + V(13, 0, 1);
}

/* Called through Named: by a thunk. */
APART int Square::label(int n) const
{
	return side_ * n / 2 + number + V(14, 7, 9);
}

class Base
{
      public:
	virtual ~Base() = default;
	virtual int value() const;

	int kept = 4;
};

class Left : public virtual Base
{
      public:
	int value() const override;
};

class Right : public virtual Base
{
      public:
	virtual int right() const;
};

class Both : public Left, public Right
{
      public:
	int value() const override;
	int right() const override;
};

APART int Base::value() const
{
	return kept * V(15, 2, 3) + 1;
}

APART int Left::value() const
{
	return Base::value() + V(15, 10, 20);
}

APART int Right::right() const
{
	return kept + 1;
}

APART int Both::value() const
{
	return Left::value() * V(15, 1, 2) + kept;
}

APART int Both::right() const
{
	return kept * 3 + V(16, 1, 2);
}

#if IS_NEW(17)
class Circle : public Shape
{
      public:
	explicit Circle(int radius) : radius_(radius)
	{
	}
	int area() const override
	{
		return radius_ * 3;
	}
	const char *name() const override
	{
		return "circle";
	}

      private:
	int radius_;
};
#endif

APART static std::unique_ptr<Shape> make_shape(int n)
{
#if IS_NEW(17)
	if (n % 2)
		return std::make_unique<Circle>(n);
#endif
	if (n % 2)
		return std::make_unique<Shape>();
	return std::make_unique<Square>(n);
}

/* What old code made lives on: its tables are of the old build. */
static std::unique_ptr<Shape> first_shape = std::make_unique<Square>(3);
static std::unique_ptr<Base> first_base = std::make_unique<Both>();

APART static void virtual_functions(int n)
{
	std::unique_ptr<Shape> shape = make_shape(n);
	const Named *named = dynamic_cast<const Named *>(first_shape.get());
	const Right *right = dynamic_cast<const Right *>(first_base.get());
	const Square *square = dynamic_cast<const Square *>(shape.get());

	printf("virtual %s %d %d %d ", shape->name(), shape->area(),
	       first_shape->area(), named ? named->label(n) : -1);
	printf("%d %d ", first_base->value(), right ? right->right() : -1);
	printf("%d %d %s\n", square ? V(16, 1, 2) : 0,
	       typeid(*first_shape) == typeid(Square),
	       V(16, "old", typeid(*first_base).name()));
	shape.reset();
	printf("%d\n", Shape::living);
}

/* ---- Exceptions --------------------------------------------------------- */

#if IS_NEW(18)
class NewFailure : public std::runtime_error
{
      public:
	using std::runtime_error::runtime_error;
};
#endif

APART static int new_throw(int n)
{
	Guard guard(V(18, "guard", "wache"));

#if IS_NEW(18)
	if (n % 2)
		throw NewFailure("new failure");
#endif
	if (n % 2)
		throw std::runtime_error("old failure");
	throw Failure(n + V(18, 0, 1000));
}

APART static int rethrows(int n)
{
	try {
		return throws(n);
	} catch (const std::string &text) {
		printf("%s %s ", V(19, "string", "zeichen"), text.c_str());
		throw std::out_of_range(text);
	} catch (...) {
		printf("%s ", V(19, "again", "wieder"));
		throw;
	}
}

APART static void exceptions(int n)
{
	printf("exceptions ");
	for (int i = n; i < n + 3; i++)
		printf("%d ", catches(rethrows, i));
	printf("%d ", catches(new_throw, n));
	try {
		printf("%d ", passes_through(new_throw, n + 1));
	} catch (const Failure &failure) {
		printf("%s %d ", V(19, "outer", "aussen"), failure.code());
#if IS_NEW(18)
	} catch (const NewFailure &failure) {
		printf("new %s ", failure.what());
#endif
	} catch (const std::exception &exception) {
		printf("other %s ", exception.what());
	}
	printf("\n");
}

/* ---- Data --------------------------------------------------------------- */

static thread_local int thread_calls = 3;
static const std::array<const char *, 3> words = {"a", V(20, "b", "bb"), "c"};

struct Lazy {
	Lazy() : value(40 + Shape::living)
	{
	}
	int value;
};

APART static Lazy &lazy()
{
	static Lazy instance;

	return instance;
}

/* First called after the patch. */
APART static Lazy &late()
{
	static Lazy instance;

	return instance;
}

APART static void data(int n)
{
	thread_calls += n;
	lazy().value += n;
	printf("data %d %s %d ", thread_calls * V(20, 1, 2), words[n % 3],
	       lazy().value + V(21, 0, 1));
	if (n > 2)
		printf("%d ", late().value > 30);
	auto local = [n]() {
		static int calls = 50;

		return ++calls + n * V(21, 1, 2);
	};
	printf("%d\n", local());
}

void serve(int round)
{
	methods(round);
	templates(round);
	virtual_functions(round);
	exceptions(round);
	data(round);
	puts(V(27, "served", "SERVED"));
	fflush(stdout);
}
