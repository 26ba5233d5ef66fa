# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# Debian 12 has no patches for it.
release=trixie
depends='cmake pkg-config libpcre2-dev libssl-dev
libxml2-dev libsqlite3-dev zlib1g-dev perl'
files='src/lighttpd src/test_*'
configure()
{
	./configure --with-openssl --with-webdav-props --with-zlib \
		CFLAGS="$flags"
}
prepare()
{
	autoreconf -fi
}
compile()
{
	make -j2
	make -j2 check TESTS=
}
check()
{
	make -k check
}
