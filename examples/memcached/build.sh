#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build memcached twice from its Debian source package: without and with the
# security fixes that Debian ships as patches.
#
#	build.sh [FOLDER]		default: build/examples/memcached
#
# Results:
#	FOLDER/old/memcached		without the fixes: "what runs in production"
#	FOLDER/new/memcached		with them
#	FOLDER/source/			the tree of the second build, with its tests
#
# Both come from one path and plain flags, so that they differ by the fixes
# alone. Nothing is done when both exist. The source package is fetched with a
# configuration of apt's that lives in FOLDER; the machine's own is not touched.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:-$root/build/examples/memcached}
fixes='0008-CVE-2026-47783-CVE-2026-47784.patch
0009-CVE-2023-46852.patch
CVE-2023-46853.patch'

die()
{
	echo "build.sh: $*" >&2
	exit 1
}

# shellcheck source=scripts/debian-source.sh
. "$root/scripts/debian-source.sh"

unpack()
{
	debian_unpack memcached source || die "unpacking failed"
	for fix in $fixes; do
		[ -f "source/debian/patches/$fix" ] ||
			die "this memcached has no patch $fix; remove $work" \
			"and try again when the package is 1.6.18-1+deb12u1"
	done
}

is_fix()
{
	printf '%s\n' "$fixes" | grep -qxF -- "$1"
}

# Apply the package's patches: `others` first, then the `fixes`.
apply()
{
	grep '^[^#]' source/debian/patches/series | while read -r name; do
		kind=others
		if is_fix "$name"; then
			kind=fixes
		fi
		if [ "$kind" = "$1" ]; then
			patch -s -d source -p1 <"source/debian/patches/$name"
		fi
	done
}

# SASL and TLS as in debian/rules; the fixes are in the proxy and in the password
# file of SASL.
build()
{
	(
		cd source
		if [ ! -f Makefile ]; then
			./configure --quiet --enable-sasl --enable-tls \
				--enable-sasl-pwdb --enable-proxy \
				CFLAGS='-O2 -g'
		fi
		make -s clean
		make -s -j2
	) >"$1.log" 2>&1 || die "building failed; see $work/$1.log"
	mkdir -p "$1"
	cp source/memcached "$1/memcached.part"
	mv "$1/memcached.part" "$1/memcached"
}

mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$work"
if [ -x old/memcached ] && [ -x new/memcached ]; then
	exit 0
fi
case $work in
*[[:space:]]*) die "memcached cannot be built in a path with spaces: $work" ;;
esac

"$root/scripts/install-deps.sh" memcached
[ -n "$(find . -maxdepth 1 -name 'memcached_*.dsc')" ] ||
	debian_fetch "$work/apt" memcached || die "fetching failed"
unpack
apply others
build old
apply fixes
build new
echo "memcached without the fixes: $work/old/memcached"
echo "memcached with the fixes:    $work/new/memcached"
