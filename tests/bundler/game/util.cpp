/* SPDX-License-Identifier: MIT */
#include "game.hpp"
namespace
{
int hidden(int n)
{
	return n + V(100, 200);
}
struct Tag;
} // namespace
int util::checksum(const std::vector<int> &v)
{
	int s = V(7, 8);
	for (int x : v)
		s = s * 31 + x;
	return s + hidden(s) + Registry<Tag>::next("util") +
	       Registry<int>::next("x");
}
void util::run_all(
	const std::map<std::string, std::function<int(int)>> &commands, int n)
{
	for (const auto &[name, f] : commands)
		printf("%s=%d ", name.c_str(), f(n));
}
int util::guarded(const std::function<int()> &f)
{
	struct Cleanup {
		~Cleanup()
		{
			printf("/ ");
		}
	} cleanup;
	return f() + 1;
}
