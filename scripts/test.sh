#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build hfx for development and run all its tests; then once more with ASan and
# UBSan the tests that can run under them.
#
#	scripts/test.sh [CTEST ARGUMENT]...
#
# Uses build/ and build-asan/, and what an earlier run left there.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
jobs=$(nproc)

build_and_test()
{
	preset=$1
	shift
	(
		cd "$root"
		cmake --preset "$preset"
		cmake --build --preset "$preset" -j "$jobs"
		ctest --preset "$preset" -j "$jobs" "$@"
	)
}

"$root/scripts/install-deps.sh" test memcached
build_and_test dev "$@"
build_and_test asan "$@"
printf '\nAll tests passed, also with ASan and UBSan.\n'
