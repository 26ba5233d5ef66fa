# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # shared between the files
#
# A server in C++ that throws exceptions through functions that change. It is
# read behind server.sh.

# What is thrown below new code is caught in it, and passes it; destructors run.
write_throwing_server()
{
	cat >server.cpp <<'END'
#include <cstdio>
#ifdef HOST
#include <hfx.h>
#endif
#define STANDALONE __attribute__((noipa))
static int cleaned;
struct count {
	~count() { cleaned++; }
};
STANDALONE void maybe_throw(int number)
{
	if (number > 0)
		throw number;
}
#ifdef NEW
STANDALONE int added(int number)
{
	count here;

	maybe_throw(number);
	return 0;
}
#endif
STANDALONE int catching(int number)
{
#ifdef NEW
	try {
		return added(number);
	} catch (int thrown) {
		return thrown + 200;
	}
#else
	count here;

	maybe_throw(0);
	return number + 100;
#endif
}
STANDALONE int passing(int number)
{
	count here;
#ifdef NEW
	return added(number) + 5;
#else
	maybe_throw(0);
	return number + 6;
#endif
}
int main(int, char **argv)
{
	char line[64];

#ifdef HOST
	hfx_error *err = hfx_apply_bundle(argv[1], nullptr, nullptr);

	if (err) {
		fprintf(stderr, "%s\n", hfx_error_message(err));
		return 1;
	}
#endif
	(void)argv;
	setvbuf(stdout, nullptr, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		int caught = catching(1);

		cleaned = 0;
		try {
			printf("%d no\n", caught + passing(1));
		} catch (int thrown) {
			printf("%d thrown %d cleaned %d\n", caught, thrown,
			       cleaned);
		}
	}
}
END
}

# make_cpp_bundle [OPTION...]
make_cpp_bundle()
{
	write_throwing_server
	mkdir -p old new
	"$cxx" -O2 -g -fPIE -pie -Wl,--build-id server.cpp -o old/server "$@"
	"$cxx" -O2 -g -fPIE -pie -Wl,--build-id -DNEW server.cpp -o new/server \
		"$@"
	"$hfx_bundle" diff old/server new/server -o fix.hfx >diff.log 2>&1 ||
		die "$(cat diff.log)"
}
