#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Kill hfx and hfx-tracer at every system call that they make, one after the
# other, and let every one fail, with each plausible error. The process that they
# work on must go on, and the next hfx must succeed. Takes some minutes; the tests
# take a sample.
#
#	scripts/faults.sh [BUILD]		default: build
#
# Exit status: 0 nothing found; 1 something was, or did not run.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=$(realpath "${1:-$root/build}")
"$root/scripts/install-deps.sh" --packages strace python3
status=0
for caller in hfx hooks tracer; do
	for fault in kill fail; do
		echo "$caller, $fault:"
		python3 "$root/tests/fault/fault_test.py" "$caller" "$fault" \
			"$build" "$root" || status=1
	done
done
exit "$status"
