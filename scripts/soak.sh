#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Apply and revert a patch many times in a process of many threads, with threads,
# processes and signals that come and go all the while; from outside, then by the
# process itself. Its answers must stay right, its memory and descriptors what
# they were.
#
#	scripts/soak.sh [ROUNDS [THREADS [BUILD]]]	default: 10000 256 build
#
# Exit status: 0 all well; 1 it was not.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
rounds=${1:-10000}
threads=${2:-256}
build=$(realpath "${3:-$root/build}")
status=0
for caller in hfx library; do
	python3 "$root/tests/fault/soak_test.py" "$caller" "$rounds" \
		"$threads" "$build" "$root" || status=1
done
exit "$status"
