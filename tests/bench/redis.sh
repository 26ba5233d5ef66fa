#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build redis twice from its Debian source package: FOLDER/old/redis-server
# without and FOLDER/new/redis-server with the fix of CVE-2025-32023.
#
#	redis.sh FOLDER
#
# As examples/memcached/build.sh does it. Nothing is done when both exist.
set -eu

work=${1:?usage: redis.sh FOLDER}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
fix=0006-CVE-2025-32023.patch

die()
{
	echo "redis.sh: $*" >&2
	exit 1
}

fetch()
{
	[ -r "$keyring" ] || die "$keyring is missing:" \
		"apt-get install debian-archive-keyring"
	mkdir -p apt/lists/partial apt/cache/archives/partial
	cat >apt/sources.list <<-EOF2
	deb-src [signed-by=$keyring] $mirror/debian bookworm main
	deb-src [signed-by=$keyring] $mirror/debian-security bookworm-security main
	EOF2
	set -- -q -o Dir::Etc::sourcelist="$work/apt/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$work/apt/lists" \
		-o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=
	apt-get "$@" update
	apt-get "$@" source --download-only redis
}

# Without a check of the .dsc: apt has verified it against the signed index.
unpack()
{
	rm -rf source
	dpkg-source --no-check --skip-patches -x redis_*.dsc source
	[ -f "source/debian/patches/$fix" ] ||
		die "this redis has no patch $fix; remove $work and try again" \
		"when the package is 5:7.0.15-1~deb12u10"
	grep '^[^#]' source/debian/patches/series | grep -vxF "$fix" |
		while read -r name; do
			patch -s -d source -p1 <"source/debian/patches/$name"
		done
}

build()
{
	(
		[ -e source/deps/lua/src/liblua.a ] || make -s -C source/deps \
			hiredis linenoise lua hdr_histogram
		make -s -j2 -C source/src redis-server MALLOC=libc \
			OPTIMIZATION=-O2
	) >"$1.log" 2>&1 || die "building failed; see $work/$1.log"
	mkdir -p "$1"
	cp source/src/redis-server "$1/redis-server.part"
	mv "$1/redis-server.part" "$1/redis-server"
}

mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$work"
if [ -x old/redis-server ] && [ -x new/redis-server ]; then
	exit 0
fi
[ -n "$(find . -maxdepth 1 -name 'redis_*.dsc')" ] || fetch
unpack
build old
patch -s -d source -p1 <"source/debian/patches/$fix"
build new
