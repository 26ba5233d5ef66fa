# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The tests are linked with the parser, and have names of their own for it.
depends='autoconf automake libtool'
files='expat/tests/runtests'
prepare()
{
	cd expat && autoreconf -fi
}
configure()
{
	cd expat && ./configure --without-docbook CFLAGS="$flags"
}
compile()
{
	cd expat && make -j2 && make -C tests runtests
}
check()
{
	cd expat/tests && ./runtests -v
}
results()
{
	sed -nE 's/^(PASS|FAIL):/\1:/p; s/^([0-9]+%: .*)/ok \1/p'
}
