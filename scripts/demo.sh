#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build hfx and show it: a program that fixes itself, in C and in C++, and a
# running memcached that is fixed from outside.
#
#	scripts/demo.sh [BUILD]		build tree, default: build-demo
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build-demo}

"$root/scripts/install-deps.sh" build memcached
cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
	-DHFX_EXAMPLES=ON
cmake --build "$build" -j "$(nproc)"
cmake --build "$build" -j "$(nproc)" --target memcached_load

for example in hello hello-cpp; do
	name=$(printf '%s' "$example" | tr - _)
	folder=$build/examples/$example
	printf '\n== %s\n' "$example"
	"$build/bin/$example" "$folder/${name}_v1.hfx" "$folder/${name}_v2.hfx"
done

printf '\n== memcached\n'
"$root/examples/memcached/demo.sh" "$build"
