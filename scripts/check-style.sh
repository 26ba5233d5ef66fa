#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Check the form of C and C++ files: clang-format, then clang-tidy.
#
#	scripts/check-style.sh [--format-only] [FILE]...	default: all files
#	scripts/check-style.sh --fix [FILE]...		format the files
#
# clang-tidy takes compiler flags from build/compile_commands.json, which
# `cmake --preset dev` writes. BUILD names another build tree.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$root/build}
tidy=yes
fix=no
case ${1-} in
--format-only)
	tidy=no
	shift
	;;
--fix)
	tidy=no
	fix=yes
	shift
	;;
esac
if [ $# -eq 0 ]; then
	cd "$root"
	# shellcheck disable=SC2046 # none of our file names has a space
	set -- $(git ls-files '*.c' '*.h' '*.cpp')
fi
programs='clang-format'
if [ "$tidy" = yes ]; then
	programs="$programs clang-tidy"
fi
for program in $programs; do
	if ! command -v "$program" >/dev/null; then
		echo "check-style.sh: apt-get install $program" >&2
		exit 1
	fi
done

if [ "$fix" = yes ]; then
	# What the first run writes may not be what it wants to read.
	clang-format -i "$@"
	clang-format -i "$@"
fi
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
