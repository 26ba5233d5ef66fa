# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# Debian 12 has no patches for it. With its modules inside, since a bundle is
# applied at start-up, before the program loads modules. Upstream wants them
# listed in a header, and test_mod does not link then.
release=trixie
depends='cmake pkg-config libpcre2-dev libssl-dev libxml2-dev libsqlite3-dev
zlib1g-dev perl'
files='obj/build/lighttpd obj/build/test_co*'
prepare()
{
	sed -n '/set(BUILTIN_MODS/,/)/p' src/CMakeLists.txt |
		grep -o 'mod_[a-z0-9_]*\.c' | grep -v '_api\.c' |
		sed 's/\(.*\)\.c/PLUGIN_INIT(\1)/' >src/plugin-static.h
}
configure()
{
	cmake -S . -B obj -DCMAKE_BUILD_TYPE=None -DBUILD_STATIC=ON \
		-DWITH_OPENSSL=ON -DWITH_WEBDAV_PROPS=ON \
		-DCMAKE_C_FLAGS="$flags"
}
compile()
{
	make -C obj -j2 lighttpd test_common test_configfile
}
check()
{
	ctest --test-dir obj --output-on-failure -E test_mod
}
