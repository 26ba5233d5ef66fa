#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Check which part of hfx includes headers of which: bundler -> common <-
# runtime, and no other way; and that what goes into libhfx needs neither libdw
# nor capstone.
#
#	includes.sh ROOT LIBHFX_SOURCE...
#
# Prints each violation as FILE:LINE: TEXT.
set -eu

cd "$1"
shift
found=0

# includes FILE...: lines FILE:LINE:NAME, one for each #include.
includes()
{
	grep -HnoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+' "$@" |
		sed -E 's/:[^:]*[<"]/:/'
}

# allow FOLDER OTHER...: files in FOLDER include, of this project's headers,
# only those in the folders OTHER.
allow()
{
	folder=$1
	shift
	includes $(find "$folder" -name '*.[ch]') >"$list"
	while IFS=: read -r file line name; do
		good=yes
		for from in bundler common common/include runtime \
			runtime/include; do
			if [ -e "$from/$name" ]; then
				good=no
			fi
		done
		for from in "$@"; do
			if [ -e "$from/$name" ]; then
				good=yes
			fi
		done
		case $name in
		../* | */../* | common/* | runtime/* | bundler/*) good=no ;;
		esac
		if [ "$good" = no ]; then
			echo "$file:$line: $folder/ must not include $name"
			found=1
		fi
	done <"$list"
}

list=$(mktemp)
trap 'rm -f "$list"' EXIT
allow bundler bundler common common/include
allow common common common/include
allow runtime runtime runtime/include common common/include

includes "$@" >"$list"
if grep -E ':(elfutils/|dwarf|libelf|gelf|capstone)' "$list"; then
	echo "libhfx must not need libdw or capstone"
	found=1
fi
exit "$found"
