# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The tests are linked with the static library, and are compared instead of it.
depends='autoconf automake libtool libcunit1-dev'
files='lib/.libs/libnghttp2.so.14 tests/main tests/failmalloc'
prepare()
{
	autoreconf -fi
}
configure()
{
	./configure --enable-lib-only CFLAGS="$flags"
}
compile()
{
	make -j2
	make -j2 -C tests main failmalloc
}
check()
{
	tests/main
	tests/failmalloc
}
results()
{
	sed -nE 's/^ *(Test: .*\.\.\.(passed|FAILED)).*/ok \1/p'
}
