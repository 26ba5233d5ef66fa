#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build hfx and show it: a program that fixes itself, in C and in C++, and a
# running memcached that is fixed from outside.
#
#	scripts/demo.sh [BUILD]		build tree, default: build-demo
#
# What the builds say is in BUILD/demo.log.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build-demo}
mkdir -p "$build"
build=$(cd "$build" && pwd)
log=$build/demo.log
: >"$log"

# quietly COMMAND...: its output is shown when it fails.
quietly()
{
	before=$(wc -l <"$log")
	if ! "$@" >>"$log" 2>&1; then
		tail -n +"$((before + 1))" "$log" | tail -n 40 >&2
		echo "demo.sh: failed: $*; all of it is in $log" >&2
		exit 1
	fi
}

printf '== Build hfx, about a minute; what the builds say is in %s\n' "$log"
quietly "$root/scripts/install-deps.sh" build memcached
quietly cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release \
	-DBUILD_TESTING=OFF -DHFX_EXAMPLES=ON
quietly cmake --build "$build" -j "$(nproc)"
quietly cmake --build "$build" -j "$(nproc)" --target memcached_load

printf '\n== Build memcached from its Debian source package, with and without its security fixes\n'
quietly "$root/examples/memcached/build.sh" "$build/examples/memcached"

PATH=$build/bin:$PATH
for example in hello hello-cpp; do
	name=$(printf '%s' "$example" | tr - _)
	cd "$build/examples/$example"
	printf '\n== %s: a program that hot-fixes itself\n' "$example"
	printf '$ hfx-bundle show %s_v2.hfx\n' "$name"
	hfx-bundle show "${name}_v2.hfx"
	printf '$ %s %s_v1.hfx %s_v2.hfx\n' "$example" "$name" "$name"
	"$example" "${name}_v1.hfx" "${name}_v2.hfx"
done

"$root/examples/memcached/demo.sh" "$build"
