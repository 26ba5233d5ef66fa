/* SPDX-License-Identifier: MIT */
#include "game.hpp"
#include <algorithm>
#include <array>
#include <coroutine>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <tuple>
#include <typeinfo>
#include <unordered_map>
#include <utility>
#include <variant>

namespace
{
struct Tag;
thread_local int thread_counter = 5;
thread_local std::string thread_text = "tls";
int hidden(int n)
{
	return n * V(3, 4) + 1;
}
struct Local {
	int v;
	Local(int n) : v(n + V(1, 2))
	{
	}
	~Local()
	{
		printf("~L%d ", v);
	}
};
enum class Mode { Idle, Run, Stop };
constexpr std::array<std::string_view, 3> mode_names = {
	"idle", V("run", "running"), "stop"};
} // namespace

Armed::~Armed()
{
	printf(V("~A ", "~A! "));
}
Soldier::Soldier(const std::string &name) : Entity(name + V("", "+"))
{
	speed = V(2, 3);
	printf("[%s] ", name_.c_str());
}
Soldier::Soldier(const Soldier &other)
    : Entity(other.name_ + V("'", "''")), Movable(), Armed(),
      health(other.health)
{
}
Soldier::~Soldier()
{
	printf("~S%d ", health + V(0, 1));
}
APART int Soldier::secret(int a) const
{
	return a + health / V(2, 3);
}
APART int Soldier::secret(double a) const
{
	return static_cast<int>(a * V(1.5, 2.5)) + health;
}
int Soldier::update(int tick)
{
	health -= tick;
	if (health < V(90, 95))
		throw GameError(name_ + V(" is weak", " is very weak"), health);
	return secret(tick) + secret(tick * 0.5);
}
int Soldier::fire()
{
	return Armed::fire() * V(2, 3) + Registry<Tag>::next(name_);
}
int Soldier::move(int n)
{
	return Movable::move(n) + V(0, 1000);
}
std::unique_ptr<Entity> Soldier::clone() const
{
	return std::make_unique<Soldier>(*this);
}
Covariant *Covariant::make(int n)
{
	auto *c = new Covariant;
	c->v = n * V(1, 2);
	return c;
}
Derived *Derived::make(int n)
{
	auto *d = new Derived;
	d->v = n + V(10, 20);
	d->w = n;
	return d;
}

template <typename... T> APART static std::string join(const T &...args)
{
	std::string out;
	((out += std::to_string(args) + V(",", ";")), ...);
	return out;
}
template <typename T, std::size_t N> struct Ring {
	std::array<T, N> data{};
	std::size_t at = 0;
	static inline int pushes = 0;
	void push(T v)
	{
		data[at++ % N] = std::move(v);
		pushes += V(1, 2);
	}
	T sum() const
	{
		T s{};
		for (const auto &d : data)
			s = s + d;
		return s;
	}
};

struct Task {
	struct promise_type {
		int value = 0;
		Task get_return_object()
		{
			return Task{std::coroutine_handle<
				promise_type>::from_promise(*this)};
		}
		std::suspend_always initial_suspend()
		{
			return {};
		}
		std::suspend_always final_suspend() noexcept
		{
			return {};
		}
		std::suspend_always yield_value(int v)
		{
			value = v + V(0, 5);
			return {};
		}
		void return_void()
		{
		}
		void unhandled_exception()
		{
			throw;
		}
	};
	std::coroutine_handle<promise_type> h;
	explicit Task(std::coroutine_handle<promise_type> h) : h(h)
	{
	}
	Task(Task &&o) noexcept : h(std::exchange(o.h, {}))
	{
	}
	~Task()
	{
		if (h)
			h.destroy();
	}
	std::optional<int> next()
	{
		h.resume();
		if (h.done())
			return {};
		return h.promise().value;
	}
};
APART static Task counter(int from, int to)
{
	Local guard(from);
	for (int i = from; i < to; i++) {
		if (i == V(103, 104))
			throw GameError("coroutine", i);
		co_yield i *V(2, 3);
	}
}

APART static int lambdas(int n)
{
	int a = n;
	auto outer = [&a, n](int k) {
		auto inner = [&a, k, n](auto m) {
			a += m * V(1, 2);
			return a + k + n;
		};
		return [inner, k](int z) mutable {
			return inner(z) + inner(2.5) + k * V(1, 3);
		};
	};
	std::function<int(int)> f = outer(n + 1);
	std::vector<std::function<int()>> later;
	for (int i = 0; i < 3; i++)
		later.emplace_back([i, f] { return f(i) + V(0, 7); });
	int sum = 0;
	for (auto &l : later)
		sum += l();
	std::vector<int> v = {5, 3, n, 9};
	std::sort(v.begin(), v.end(),
	          [](int x, int y) { return V(x<y, x> y); });
	return sum * 10 + v.front() + a;
}

APART static std::string variants(int n)
{
	std::variant<int, std::string, double> v;
	if (n % 3 == 0)
		v = n;
	else if (n % 3 == 1)
		v = std::string(V("text", "TEXT"));
	else
		v = n * V(1.5, 2.5);
	return std::visit(
		[](auto &&x) -> std::string {
			using T = std::decay_t<decltype(x)>;
			if constexpr (std::is_same_v<T, std::string>)
				return x + V("!", "?");
			else
				return std::to_string(x) + V("", "#");
		},
		v);
}

APART static const std::string &singleton(int n)
{
	static const std::string text = "made at " + std::to_string(n);
	return text;
}
APART static std::vector<int> &history()
{
	static std::vector<int> h;
	return h;
}
#ifdef NEW
struct Medic : Soldier {
	explicit Medic(const std::string &name) : Entity(name), Soldier(name)
	{
	}
	Medic(const Medic &other) : Entity(other.name_), Soldier(other)
	{
	}
	int update(int tick) override
	{
		health += 50;
		return Soldier::update(tick) + 1;
	}
	std::unique_ptr<Entity> clone() const override
	{
		return std::make_unique<Medic>(*this);
	}
};
template <> struct Ring<std::string, 2> {
	std::string s;
	static inline int pushes = 0;
	void push(std::string v)
	{
		s += v;
		pushes++;
	}
	std::string sum() const
	{
		return "special " + s;
	}
};
#endif

APART static std::unique_ptr<Entity> recruit(int n)
{
#ifdef NEW
	if (n % 2)
		return std::make_unique<Medic>("medic" + std::to_string(n));
#endif
	return std::make_unique<Soldier>("soldier" + std::to_string(n));
}
static std::unique_ptr<Entity> veteran;
static std::map<std::string, std::function<int(int)>> commands;
static std::vector<std::unique_ptr<Covariant>> kept;

APART static int classes(int n)
{
	if (!veteran)
		veteran = std::make_unique<Soldier>("veteran");
	auto fresh = recruit(n);
	int sum = 0;
	for (Entity *e : {veteran.get(), fresh.get()}) {
		try {
			sum += e->update(n % 4);
			if (auto *armed = dynamic_cast<Armed *>(e))
				sum += armed->fire();
			if (auto *movable = dynamic_cast<Movable *>(e))
				sum += movable->move(n) + movable->x;
		} catch (const GameError &error) {
			printf("<%s %d> ", error.what(), error.code);
			dynamic_cast<Soldier *>(e)->health += 30;
		}
	}
	auto copy = veteran->clone();
	printf("%s %s %d %d %d ", copy->name().c_str(), typeid(*copy).name(),
	       Entity::alive, Registry<Tag>::last, sum);
	int (Soldier::*pointer)() = &Soldier::fire;
	sum += (dynamic_cast<Soldier *>(veteran.get())->*pointer)();
	std::unique_ptr<Covariant> base = std::make_unique<Derived>();
	kept.emplace_back(base->make(n));
	kept.emplace_back(kept.front()->make(n));
	for (auto &k : kept)
		sum += k->v + (dynamic_cast<Other *>(k.get())
		                       ? dynamic_cast<Other *>(k.get())->other()
		                       : 0);
	return sum;
}

APART static int exceptions(int n)
{
	int sum = 0;
	auto thrower = [&](int k) {
		Local guard(k);
		if (k % 4 == 0)
			throw GameError(V("zero", "null"), k);
		if (k % 4 == 1)
			throw std::string(V("one", "uno"));
		if (k % 4 == 2)
			throw k * V(1, 2);
		return k;
	};
	for (int i = n; i < n + 4; i++) {
		try {
			try {
				sum += util::guarded(
					[&] { return thrower(i); });
			} catch (const GameError &e) {
				printf("{%s} ", e.what());
				throw std::invalid_argument(
					std::string(e.what()) + V("x", "y"));
			} catch (const std::string &s) {
				sum += static_cast<int>(s.size());
				std::throw_with_nested(std::logic_error(s));
			}
		} catch (const std::invalid_argument &e) {
			printf("(%s) ", e.what());
		} catch (const std::logic_error &e) {
			try {
				std::rethrow_if_nested(e);
			} catch (const std::string &s) {
				printf("nested %s%s ", s.c_str(), V("", "!"));
			}
		} catch (int k) {
			sum += k;
		}
	}
	return sum;
}
APART static int threads(int n)
{
	int result = 0;
	std::thread t([&] {
		thread_counter += n;
		thread_text += V("a", "b");
		result = thread_counter +
		         static_cast<int>(thread_text.size()) * V(1, 10);
	});
	t.join();
	return result + ++thread_counter;
}
APART static int coroutines(int n)
{
	int sum = 0;
	auto task = counter(n, n + 3);
	try {
		while (auto v = task.next())
			sum += *v;
	} catch (const GameError &e) {
		printf("coro %s %d ", e.what(), e.code);
	}
	return sum;
}
APART static void tables(int n)
{
	static const std::unordered_map<std::string, Mode> modes = {
		{"idle", Mode::Idle}, {"run", Mode::Run}, {"stop", Mode::Stop}};
	switch (static_cast<Mode>(n % 3)) {
	case Mode::Idle:
		printf("%s ", V("is idle", "is very idle"));
		break;
	case Mode::Run:
		printf("%s ", V("runs", "runs on"));
		break;
	case Mode::Stop:
		printf("%s ", V("stops", "stops now"));
		break;
	}
	printf("%.*s %zu ", static_cast<int>(mode_names[n % 3].size()),
	       mode_names[n % 3].data(), modes.size());
}

void serve(int n)
{
	if (commands.empty()) {
		commands["double"] = [](int k) { return k * 2; };
		commands["lambda"] = lambdas;
		commands["hidden"] = hidden;
	}
	printf("%d\n", classes(n));
	printf("%d %d %s %s\n", exceptions(n), lambdas(n), variants(n).c_str(),
	       join(n, 2.5, 3L).c_str());
	history().push_back(n * V(1, 100));
	Ring<int, 4> ring;
	ring.push(n);
	ring.push(n + 1);
	Ring<std::string, 2> words;
	words.push("a");
	words.push(V("b", "c"));
	printf("%s %d %d %d %s %d\n", singleton(n).c_str(),
	       static_cast<int>(history().size()), ring.sum(),
	       Ring<int, 4>::pushes ? 1 : 0, words.sum().c_str(), hidden(n));
	printf("%d %d ", threads(n), coroutines(n + 100));
	tables(n);
	util::run_all(commands, n);
	printf("%d\n", util::checksum({n, 2, 3}));
}
