#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Check that a manual page and the help texts of its program have the same long
# options.
#
#	man_options.sh PAGE PROGRAM [COMMAND]...
#
# The help texts are those of `PROGRAM --help` and `PROGRAM COMMAND --help`.
set -eu

page=$1
program=$2
shift 2

# options: the long options in a text, each once, but those for the linker.
options()
{
	sed 's/-Wl,--[a-z-]*//g' | grep -oE -- '--[a-z][a-z-]*' | sort -u
}

help=$("$program" --help
	for command; do
		"$program" "$command" --help
	done)
in_help=$(printf '%s\n' "$help" | options)
in_page=$(grep -v '^\.\\"' "$page" | sed 's/\\-/-/g' | options)

status=0
for option in $in_help $in_page; do
	if ! printf '%s\n' "$in_page" | grep -qxe "$option"; then
		echo "$page: does not have $option, which the help text has"
		status=1
	fi
	if ! printf '%s\n' "$in_help" | grep -qxe "$option"; then
		echo "$page: has $option, which no help text has"
		status=1
	fi
done
exit "$status"
