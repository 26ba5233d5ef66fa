#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Check that libhfx(3) names every function that the library exports and every
# error code, and that a page stands for each function.
#
#	man_functions.sh ROOT
set -eu

cd "$1"
status=0
functions=$(grep -oE '\bhfx_[a-z_]+;' runtime/libhfx.map | tr -d ';')
codes=$(grep -oE '\bHFX_ERROR_[A-Z_]+ =' common/include/hfx_error.h |
	grep -v '_NONE ' | tr -d ' =')
for name in $functions $codes; do
	if ! grep -qw "$name" man/libhfx.3; then
		echo "man/libhfx.3: does not have $name"
		status=1
	fi
done
for name in $functions; do
	if ! grep -qw "$name" man/CMakeLists.txt; then
		echo "man/CMakeLists.txt: does not have $name"
		status=1
	fi
done
exit "$status"
