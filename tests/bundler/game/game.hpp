/* SPDX-License-Identifier: MIT */
/*
 * A program as people write it in C++20, for game_test.py: classes with virtual
 * bases, covariant results, templates with variables, lambdas in lambdas,
 * coroutines, exceptions that others are nested in. NEW is defined in the new
 * build, and V(a, b) is `b` there.
 */
#ifndef HFX_TESTS_GAME_HPP
#define HFX_TESTS_GAME_HPP

#include "../matrix/matrix.h"
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#undef V
#ifdef NEW
#define V(a, b) b
#else
#define V(a, b) a
#endif

template <typename Tag> struct Registry {
	static std::map<std::string, int> names;
	static int last;
	static int next(const std::string &name)
	{
		static int calls = 100;
		auto [it, added] = names.try_emplace(name, last + 1);
		if (added)
			last = it->second;
		return it->second * V(1, 10) + ++calls;
	}
};
template <typename Tag> std::map<std::string, int> Registry<Tag>::names;
template <typename Tag> int Registry<Tag>::last = 0;

struct Entity {
	explicit Entity(std::string name) : name_(std::move(name))
	{
		++alive;
	}
	Entity(const Entity &) = delete;
	virtual ~Entity()
	{
		--alive;
	}
	virtual int update(int tick) = 0;
	virtual std::unique_ptr<Entity> clone() const = 0;
	virtual const std::string &name() const
	{
		return name_;
	}
	static inline int alive = 0;

      protected:
	std::string name_;
};
struct Movable : virtual Entity {
	Movable() : Entity("movable")
	{
	}
	int x = 1, speed = 2;
	virtual int move(int n)
	{
		x += speed * n;
		return x;
	}
};
struct Armed : virtual Entity {
	Armed() : Entity("armed")
	{
	}
	int power = 5;
	virtual int fire()
	{
		return power;
	}
	~Armed() override;
};
struct Soldier : Movable, Armed {
	explicit Soldier(const std::string &name);
	Soldier(const Soldier &other);
	~Soldier() override;
	int update(int tick) override;
	int fire() override;
	int move(int n) override;
	Soldier *self()
	{
		return this;
	}
	std::unique_ptr<Entity> clone() const override;
	int health = 100;

      private:
	int secret(int a) const;
	int secret(double a) const;
};
struct Covariant {
	virtual Covariant *make(int n);
	virtual ~Covariant() = default;
	int v = 1;
};
struct Other {
	virtual int other()
	{
		return 7;
	}
	virtual ~Other() = default;
};
struct Derived : Other, Covariant {
	Derived *make(int n) override;
	int w = 2;
};

class GameError : public std::runtime_error
{
      public:
	GameError(const std::string &what, int code)
	    : std::runtime_error(what), code(code)
	{
	}
	int code;
};
namespace util
{
int checksum(const std::vector<int> &v);
void run_all(const std::map<std::string, std::function<int(int)>> &commands,
             int n);
int guarded(const std::function<int()> &f);
} // namespace util
#endif /* HFX_TESTS_GAME_HPP */
