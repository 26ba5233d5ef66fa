# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='zlib1g-dev autoconf automake libtool'
files='.libs/libpng16.so.16'
prepare()
{
	autoreconf -fi
	# Patches cannot say that a file is a program.
	chmod +x tests/png*
}
configure()
{
	./configure --disable-static CFLAGS="$flags"
}
# The others take minutes each.
check()
{
	make -k check TESTS="tests/pngtest-all tests/pnggetset \
		tests/pngvalid-standard tests/pngvalid-progressive-standard \
		tests/pngimage-quick tests/pngunknown-discard \
		tests/pngunknown-save tests/pngunknown-IDAT tests/pngstest-none"
}
