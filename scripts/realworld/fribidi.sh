# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='autoconf automake libtool pkg-config'
files='lib/.libs/libfribidi.so.0.4.0 bin/.libs/fribidi'
configure()
{
	./configure --disable-static CFLAGS="$flags"
}
