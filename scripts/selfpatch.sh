#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Replace all functions of memcached by their own copies, and compare with the
# program as it is by all of memcached's own tests: one wrong reference out of
# thousands shows. Takes a quarter of an hour; the test suite runs a part of it.
#
#	scripts/selfpatch.sh [BUILD [TEST.t]...]	build tree, default: build
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build}
[ $# -eq 0 ] || shift
if [ ! -x "$build/bin/hfx-bundle" ]; then
	echo "selfpatch.sh: no hfx in $build; build it first:" \
		"cmake --preset dev && cmake --build --preset dev" >&2
	exit 1
fi
memcached=$(sed -n 's/^HFX_MEMCACHED:PATH=//p' "$build/CMakeCache.txt")
memcached=${memcached:-$build/examples/memcached}
"$root/examples/memcached/build.sh" "$memcached"
exec "$root/tests/realworld/memcached.sh" self "$build" "$memcached" "$@"
