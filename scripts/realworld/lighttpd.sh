# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# Debian 12 has no patches for it. With its modules inside, since a bundle is
# applied at start-up, before the program loads modules.
release=trixie
depends='cmake pkg-config libpcre2-dev libssl-dev libxml2-dev libsqlite3-dev
zlib1g-dev perl'
files='obj/build/lighttpd obj/build/test_*'
prepare()
{
	:
}
configure()
{
	cmake -S . -B obj -DCMAKE_BUILD_TYPE=None -DBUILD_STATIC=ON \
		-DWITH_OPENSSL=ON -DWITH_WEBDAV_PROPS=ON \
		-DCMAKE_C_FLAGS="$flags"
}
compile()
{
	make -C obj -j2
}
check()
{
	ctest --test-dir obj --output-on-failure
}
