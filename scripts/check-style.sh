#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Check the form of C and C++ files: clang-format, then clang-tidy.
#
#	scripts/check-style.sh [--format-only] [FILE]...	default: all files
#
# clang-tidy takes compiler flags from build/compile_commands.json, which
# `cmake --preset dev` writes. BUILD names another build tree.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$root/build}
tidy=yes
if [ "${1-}" = --format-only ]; then
	tidy=no
	shift
fi
if [ $# -eq 0 ]; then
	cd "$root"
	# shellcheck disable=SC2046 # none of our file names has a space
	set -- $(git ls-files '*.c' '*.h' '*.cpp')
fi
for program in clang-format clang-tidy; do
	if ! command -v "$program" >/dev/null; then
		echo "check-style.sh: apt-get install $program" >&2
		exit 1
	fi
done

clang-format --dry-run -Werror "$@"
if [ "$tidy" = no ]; then
	exit 0
fi
if [ ! -f "$build/compile_commands.json" ]; then
	echo "check-style.sh: no $build/compile_commands.json;" \
		"run 'cmake --preset dev' first" >&2
	exit 1
fi
status=0
for file; do
	case $file in
	*.c | *.cpp)
		clang-tidy --quiet -p "$build" "$file" || status=1
		;;
	esac
done
exit "$status"
