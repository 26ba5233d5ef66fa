# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The tests are C++ (googletest is in the package) and use the shared library.
depends='autoconf automake libtool'
files='src/lib/.libs/libcares.so.2'
prepare()
{
	autoreconf -fi
}
configure()
{
	./configure --enable-tests --enable-shared --disable-static \
		CFLAGS="$flags" CXXFLAGS='-O0'
}
compile()
{
	make -j2
	make -j2 -C test arestest
}
# Without those that ask servers of the internet, or change the host's name.
check()
{
	cd test && ./arestest --gtest_filter='-*Live*:*Container*'
}
results()
{
	sed -nE 's/^\[ +(OK|FAILED) \] ([^ ,]+).*/ok \2 \1/p'
}
